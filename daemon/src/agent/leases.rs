//! From leases to wishes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kernel::{Entry, Key};
use subnet_alloc::{Block, Lease, LeaseEvent};

use crate::backend::{Backend, Remote, Skipped};

use super::{Agent, Notice};

impl Agent {
    pub(super) fn handle_leases(&mut self, events: Vec<LeaseEvent>, now: Instant) {
        let (mut released, mut news) = (Vec::new(), News::default());
        for event in events {
            self.counts.lease_events += 1;
            match event {
                LeaseEvent::Reset(leases) => {
                    self.reset(leases, (&mut released, &mut news), now);
                }
                LeaseEvent::Put(lease) => self.put(lease, &mut released, &mut news),
                LeaseEvent::Gone(block) => self.vanish(block, (&mut released, &mut news), now),
            }
        }
        self.reconsider(&mut released);
        self.release(released);
        self.tell(news);
    }

    /// Takes away what is wanted for leases that have been away for too long.
    pub(super) fn forget_vanished(&mut self, now: Instant) {
        let due = self.vanished.due(self.grace_of_each(), now);
        let Some(example) = due.first().copied() else {
            return;
        };
        let mut released = Vec::new();
        for block in &due {
            self.gone(block, &mut released);
        }
        self.reconsider(&mut released);
        self.release(released);
        let count = due.len();
        self.notices.push_back(Notice::Forgotten { count, example });
    }

    /// How long each of the leases stays that have vanished.
    pub(super) fn grace_of_each(&self) -> Duration {
        self.grace.of(self.vanished.len(), self.remotes.len())
    }

    pub(super) fn tell(&mut self, news: News) {
        // Some may have come back, or been taken by others, in the same breath.
        let vanished = news.vanished.into_iter();
        let mut vanished = vanished.filter(|block| self.vanished.since(block).is_some());
        if let Some(example) = vanished.next() {
            let notice = Notice::Vanished {
                count: 1 + vanished.count(),
                known: self.remotes.len(),
                example,
                grace: self.grace_of_each(),
            };
            self.notices.push_back(notice);
        }
        let namesakes = news.namesakes.into_iter();
        self.notices.extend(namesakes.map(Notice::Namesake));
        if !news.skipped.is_empty() {
            self.notices.push_back(Notice::Skipped(news.skipped));
        }
    }

    fn reset(
        &mut self,
        mut leases: Vec<Lease>,
        (released, news): (&mut Vec<Key>, &mut News),
        now: Instant,
    ) {
        if !self.listed {
            self.take_part(leases);
            return self.end_first_listing();
        }
        let blocks: BTreeSet<Block> = leases.iter().map(|lease| lease.block).collect();
        let known = self.remotes.keys().chain(self.skipped.keys());
        let gone = known.filter(|block| !blocks.contains(block));
        let gone: Vec<Block> = gone.copied().collect();
        // Of two leases that want the same entry, the younger one is believed.
        leases.sort_unstable_by_key(|lease| (lease.revision, lease.block));
        // Before the leases that are there: one of them may have its block.
        for block in gone {
            self.vanish(block, (released, news), now);
        }
        leases
            .into_iter()
            .for_each(|lease| self.put(lease, released, news));
    }

    fn put(&mut self, lease: Lease, released: &mut Vec<Key>, news: &mut News) {
        self.make_way(&lease.block, released);
        self.rivals.remove(&lease.block);
        if self.local.block == Some(lease.block) {
            self.gone(&lease.block, released);
            if self.local.is_mine(&lease) {
                self.own = Some(lease);
            }
            return;
        }
        let block = lease.block;
        let read = Remote::read(&lease, &self.local);
        let usable = read.and_then(|remote| match self.rival(&block, &remote) {
            None => Ok(remote),
            Some(why) => {
                self.rivals.insert(block, remote);
                Err(why)
            }
        });
        match usable {
            Ok(remote) => {
                self.note_namesake(&block, &remote, news);
                self.skipped.remove(&block);
                news.skipped.extend(self.yield_to(&block, released));
                self.replace(block, Some(remote), released);
            }
            Err(why) => {
                self.replace(block, None, released);
                if self.skipped.insert(block, why.clone()).as_ref() != Some(&why) {
                    news.skipped.push((block, why));
                }
            }
        }
    }

    /// Two nodes that claim in the same moment do not see each other's name.
    fn note_namesake(&self, block: &Block, remote: &Remote, news: &mut News) {
        let before = self.remotes.get(block);
        if self.is_namesake(remote) && !before.is_some_and(|before| self.is_namesake(before)) {
            news.namesakes.push(*block);
        }
    }

    pub(super) fn is_namesake(&self, remote: &Remote) -> bool {
        remote.node.as_deref() == Some(&*self.local.node)
    }

    /// Who has the block of a vanished lease, or a part of it, is believed at
    /// once.
    fn make_way(&mut self, block: &Block, released: &mut Vec<Key>) {
        self.vanished.forget(block);
        if self.remotes.contains_key(block) {
            return;
        }
        let overlapped = self.vanished.blocks().filter(|old| old.overlaps(block));
        for old in overlapped.copied().collect::<Vec<_>>() {
            self.gone(&old, released);
        }
    }

    /// The store has no lease on the block any more.
    fn vanish(&mut self, block: Block, (released, news): (&mut Vec<Key>, &mut News), now: Instant) {
        let is_given_up = self.remotes.get(&block).is_none_or(|r| r.released);
        if is_given_up || self.grace.0.is_zero() {
            return self.gone(&block, released);
        }
        if self.vanished.since(&block).is_none() {
            self.vanished.add(block, now);
            news.vanished.push(block);
        }
    }

    fn gone(&mut self, block: &Block, released: &mut Vec<Key>) {
        self.vanished.forget(block);
        self.skipped.remove(block);
        self.rivals.remove(block);
        self.replace(*block, None, released);
    }

    pub(super) fn replace(
        &mut self,
        block: Block,
        remote: Option<Remote>,
        released: &mut Vec<Key>,
    ) {
        if remote.is_some() && !self.local.is_on_grid(&block) {
            self.off_grid.insert(block);
        } else {
            self.off_grid.remove(&block);
        }
        let entries = remote
            .as_ref()
            .map_or_else(Vec::new, |remote| self.entries_of(&block, remote));
        if self.local.backend == Backend::Bgp {
            self.changed.insert(block);
        }
        let old = match remote {
            Some(remote) => self.remotes.insert(block, remote),
            None => self.remotes.remove(&block),
        };
        if !self.dumped {
            return;
        }
        let old_entries = old.map_or_else(Vec::new, |old| self.entries_of(&block, &old));
        let before: Vec<Key> = old_entries.iter().map(Entry::key).collect();
        let after: Vec<Key> = entries.iter().map(Entry::key).collect();
        let contested = after
            .iter()
            .filter(|key| !before.contains(key) && self.reconciler.wants(key));
        self.contested.extend(contested.cloned());
        for entry in entries {
            self.reconciler.want(entry);
        }
        released.extend(before.into_iter().filter(|key| !after.contains(key)));
    }

    /// A key that a lease wants no more may still be wanted by another one, of
    /// which nobody knows before all are planned for.
    pub(super) fn release(&mut self, released: Vec<Key>) {
        let is_planning = self.planning.is_some();
        let (contested, free): (Vec<Key>, Vec<Key>) = released
            .into_iter()
            .partition(|key| is_planning || self.contested.contains(key));
        for key in &free {
            self.reconciler.unwant(key);
        }
        self.resolve(contested.into_iter().collect());
    }
}

/// What the operator has to be told of some events.
#[derive(Default)]
pub(super) struct News {
    pub(super) vanished: Vec<Block>,
    pub(super) skipped: Vec<(Block, Skipped)>,
    pub(super) namesakes: Vec<Block>,
}
