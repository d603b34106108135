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
        let mut entries = self.own_entries();
        if self.dumped {
            let remotes = by_age(&self.remotes);
            entries.extend(
                remotes
                    .iter()
                    .flat_map(|(block, remote)| self.entries_of(block, remote)),
            );
        }
        let mut stale: BTreeSet<Key> = self.reconciler.wanted_keys().collect();
        for entry in &entries {
            stale.remove(&entry.key());
        }
        let wishes = entries.len();
        self.reconciler.want_all(entries);
        for key in &stale {
            self.reconciler.unwant(key);
        }
        self.contested.clear();
        if self.reconciler.wanted_keys().count() < wishes {
            self.contested = self.wanted_twice();
        }
    }

    fn wanted_twice(&self) -> BTreeSet<Key> {
        let (mut once, mut twice) = (BTreeSet::new(), BTreeSet::new());
        for (block, remote) in &self.remotes {
            for entry in self.entries_of(block, remote) {
                if !once.insert(entry.key()) {
                    twice.insert(entry.key());
                }
            }
        }
        twice
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
        if self.remotes.is_empty() && !self.dumped {
            self.take_in_bulk(leases);
        } else {
            leases
                .into_iter()
                .for_each(|lease| self.put(lease, released));
        }
        for block in gone {
            self.gone(&block, released);
        }
        if !std::mem::replace(&mut self.listed, true) {
            self.adopt();
        }
    }

    /// The first listing at once: a map that is made in one go has no half-full
    /// nodes, and nothing can be released yet.
    fn take_in_bulk(&mut self, leases: Vec<Lease>) {
        let (mut remotes, mut skipped) = (Vec::new(), Vec::new());
        for lease in leases {
            match Remote::read(&lease, &self.local) {
                _ if lease.block == self.local.block => {
                    self.own = self.local.is_mine(&lease).then_some(lease)
                }
                Ok(remote) => remotes.push((lease.block, remote)),
                Err(why) => skipped.push((lease.block, why)),
            }
        }
        self.remotes = remotes.into_iter().collect();
        self.skipped = skipped.into_iter().collect();
    }

    fn put(&mut self, lease: Lease, released: &mut Vec<Key>) {
        if lease.block == self.local.block {
            self.gone(&lease.block, released);
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
