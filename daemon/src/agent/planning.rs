//! Planning from the start, some leases at a time: the kernel works on what is
//! wanted for the first ones while the next ones are planned for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use kernel::{Entry, Key, RouteKey};
use subnet_alloc::Block;

use crate::backend::{Backend, Remote};

use super::Agent;

/// What is still to be done of it.
#[derive(Debug)]
pub(super) struct Planning {
    /// The leases that are not planned for yet, in the order of their blocks.
    todo: VecDeque<Block>,
    /// Was wanted before, and is not any more as far as is known.
    stale: BTreeSet<Key>,
    /// Leases at once.
    step: usize,
}

/// Enough for one batch of changes.
const LEASES_AT_ONCE: usize = 256;

impl Agent {
    /// Begins to plan everything from the start: this node's side is another one.
    pub(super) fn plan_all(&mut self) {
        let learned = |key: &Key| self.local.backend == Backend::Bgp && is_learned(key);
        let wanted = self.reconciler.wanted_keys();
        let mut stale: BTreeSet<Key> = wanted.filter(|key| !learned(key)).collect();
        for entry in self.own_entries() {
            stale.remove(&entry.key());
            self.reconciler.want(entry);
        }
        self.contested.clear();
        // What other leases want no more must not be put meanwhile, and what flannel left must be known as such.
        let may_be_flannels = |route: &RouteKey| self.local.has_in_pool(route.prefix);
        let step = match stale.is_empty() && !self.reconciler.leftovers().any(may_be_flannels) {
            true => LEASES_AT_ONCE,
            false => usize::MAX,
        };
        self.planning = Some(Planning {
            todo: self.remotes.keys().copied().collect(),
            stale,
            step,
        });
    }

    /// Some more leases of the first listing have come in.
    pub(super) fn plan_for(&mut self, blocks: impl Iterator<Item = Block>) {
        if let Some(planning) = &mut self.planning {
            planning.todo.extend(blocks);
            planning.todo.make_contiguous().sort();
        }
    }

    /// Plans for some more leases. Says whether there was anything to do.
    pub(super) fn plan_on(&mut self, now: Instant) -> bool {
        if !self.listed && !self.may_plan_early() {
            return false;
        }
        let Some(mut planning) = self.planning.take() else {
            return false;
        };
        let count = planning.todo.len().min(planning.step);
        for block in planning.todo.drain(..count) {
            let Some(remote) = self.remotes.get(&block) else {
                continue;
            };
            for entry in self.local.remote_entries(&block, remote, self.devices) {
                let key = entry.key();
                let is_new = !planning.stale.remove(&key);
                if self.reconciler.want(entry) && is_new {
                    self.contested.insert(key);
                }
            }
        }
        let is_over = planning.todo.is_empty() && self.listed;
        if is_over {
            self.end_planning(&planning.stale, now);
        } else {
            self.planning = Some(planning);
        }
        is_over || count > 0
    }

    /// Plans for all leases that are known, for who only looks at what is wanted.
    pub(crate) fn plan_to_the_end(&mut self, now: Instant) {
        while self.plan_on(now) {}
    }

    /// Whether to begin before all leases are known. A node on which nothing of ours is in the way of packets is quicker
    /// that way; elsewhere a lease that turns out to be another one's rival would have its way for a moment.
    fn may_plan_early(&self) -> bool {
        let in_steps = self.planning.as_ref();
        let in_steps = in_steps.is_some_and(|planning| planning.step == LEASES_AT_ONCE);
        in_steps && self.found_nothing && self.reconciler.has_its_devices()
    }

    fn end_planning(&mut self, stale: &BTreeSet<Key>, now: Instant) {
        for key in stale {
            self.reconciler.unwant(key);
        }
        self.resolve(self.contested.clone());
        self.adopt(now);
    }

    /// What of this is still wanted by a lease, by the youngest one, stays.
    pub(super) fn resolve(&mut self, contested: BTreeSet<Key>) {
        if contested.is_empty() {
            return;
        }
        let mut wanted = BTreeMap::new();
        for (block, remote) in by_age(&self.remotes) {
            for entry in self.entries_of(block, remote) {
                let key = entry.key();
                if contested.contains(&key) {
                    wanted.entry(key).or_insert_with(Vec::new).push(entry);
                }
            }
        }
        for key in contested {
            match wanted.remove(&key) {
                None => self.reconciler.unwant(&key),
                Some(mut entries) => {
                    if entries.len() == 1 {
                        self.contested.remove(&key);
                    }
                    if let Some(entry) = entries.pop() {
                        self.reconciler.want(entry);
                    }
                }
            }
        }
    }

    /// What is wanted for another node's lease.
    pub(super) fn entries_of(&self, block: &Block, remote: &Remote) -> Vec<Entry> {
        self.local.remote_entries(block, remote, self.devices)
    }
}

/// Whether peers are behind this, when they are what routes are learned from.
/// Leases ask for nothing but the route that catches what the own block does not
/// use.
fn is_learned(key: &Key) -> bool {
    match key {
        Key::Route(key) => *key != RouteKey::of_last_resort(key.prefix),
        Key::Hop(_) | Key::Group(_) => true,
        _ => false,
    }
}

/// The older lease first, so that the younger one has the last word.
fn by_age(remotes: &BTreeMap<Block, Remote>) -> Vec<(&Block, &Remote)> {
    let mut remotes: Vec<_> = remotes.iter().collect();
    remotes.sort_by_key(|(_, remote)| remote.revision);
    remotes
}
