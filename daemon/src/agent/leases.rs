//! From leases to wishes.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Entry, Key};
use subnet_alloc::{Block, Lease, LeaseEvent};

use crate::backend::Remote;

use super::Agent;

impl Agent {
    pub(super) fn handle_leases(&mut self, events: Vec<LeaseEvent>) {
        let mut released = Vec::new();
        for event in events {
            self.counts.lease_events += 1;
            match event {
                LeaseEvent::Reset(leases) => self.reset(leases, &mut released),
                LeaseEvent::Put(lease) => self.put(lease, &mut released),
                LeaseEvent::Gone(block) => self.gone(&block, &mut released),
            }
        }
        self.release(released);
    }

    /// Plans everything from the start: this node's side is another one.
    pub(super) fn plan_all(&mut self) {
        let before: BTreeSet<Key> = self.reconciler.wanted_keys().into_iter().collect();
        let mut after = BTreeSet::new();
        self.contested.clear();
        for entry in self.own_entries() {
            after.insert(entry.key());
            self.reconciler.want(entry);
        }
        let remotes = if self.dumped {
            std::mem::take(&mut self.remotes)
        } else {
            BTreeMap::new()
        };
        for (block, remote) in by_age(&remotes) {
            for entry in self.entries_of(block, remote) {
                let key = entry.key();
                let again =
                    self.reconciler.wants(&key) && (!before.contains(&key) || after.contains(&key));
                if again {
                    self.contested.insert(key.clone());
                }
                if before.contains(&key) {
                    after.insert(key);
                }
                self.reconciler.want(entry);
            }
        }
        self.remotes.extend(remotes);
        for key in before.difference(&after) {
            self.reconciler.unwant(key);
        }
    }

    fn reset(&mut self, mut leases: Vec<Lease>, released: &mut Vec<Key>) {
        let blocks: BTreeSet<Block> = leases.iter().map(|lease| lease.block).collect();
        let known = self.remotes.keys().chain(self.skipped.keys());
        let gone: Vec<Block> = known
            .filter(|block| !blocks.contains(block))
            .copied()
            .collect();
        // Of two leases that want the same entry, the younger one is believed.
        leases.sort_by_key(|lease| lease.revision);
        for lease in leases {
            self.put(lease, released);
        }
        for block in gone {
            self.gone(&block, released);
        }
        if !std::mem::replace(&mut self.listed, true) {
            self.adopt();
        }
    }

    fn put(&mut self, lease: Lease, released: &mut Vec<Key>) {
        if lease.block == self.local.block {
            if self.local.is_mine(&lease) {
                self.own = Some(lease);
            }
            return;
        }
        let block = lease.block;
        match Remote::read(&lease, &self.local) {
            Ok(remote) => {
                self.skipped.remove(&block);
                self.replace(block, Some(remote), released);
            }
            Err(why) => {
                self.replace(block, None, released);
                self.skipped.insert(block, why);
            }
        }
    }

    fn gone(&mut self, block: &Block, released: &mut Vec<Key>) {
        self.skipped.remove(block);
        self.replace(*block, None, released);
    }

    fn replace(&mut self, block: Block, remote: Option<Remote>, released: &mut Vec<Key>) {
        let entries = remote
            .as_ref()
            .map_or_else(Vec::new, |remote| self.entries_of(&block, remote));
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

    /// A key that a lease wants no more may still be wanted by another one.
    fn release(&mut self, released: Vec<Key>) {
        let (contested, free): (Vec<Key>, Vec<Key>) = released
            .into_iter()
            .partition(|key| self.contested.contains(key));
        for key in &free {
            self.reconciler.unwant(key);
        }
        if !contested.is_empty() {
            self.resolve(contested.into_iter().collect());
        }
    }

    fn resolve(&mut self, contested: BTreeSet<Key>) {
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
                    entries
                        .pop()
                        .into_iter()
                        .for_each(|entry| self.reconciler.want(entry));
                }
            }
        }
    }

    fn entries_of(&self, block: &Block, remote: &Remote) -> Vec<Entry> {
        self.local.remote_entries(block, remote, self.devices)
    }
}

/// The older lease first, so that the younger one has the last word.
fn by_age(remotes: &BTreeMap<Block, Remote>) -> Vec<(&Block, &Remote)> {
    let mut remotes: Vec<_> = remotes.iter().collect();
    remotes.sort_by_key(|(_, remote)| remote.revision);
    remotes
}
