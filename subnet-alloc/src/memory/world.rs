//! The rules of the fake store, as a plain value.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::block::Block;
use crate::entry::{self, Entry};
use crate::lease::{Hold, Lease, LeaseAttrs, LeaseId, Revision};
use crate::store::{Claim, Listing, Publish, Renewal, Replace, StoreError, WatchEvent, serves};

/// Everything that the store holds, and what happened to it.
#[derive(Debug, Default)]
pub(super) struct World {
    revision: u64,
    compacted: u64,
    config: Option<Vec<u8>>,
    keys: BTreeMap<String, Stored>,
    leases: BTreeMap<LeaseId, Granted>,
    last_lease: i64,
    history: Vec<(u64, WatchEvent)>,
}

#[derive(Debug, Clone)]
struct Stored {
    value: Vec<u8>,
    hold: Hold,
    revision: Revision,
}

#[derive(Debug, Clone, Copy)]
struct Granted {
    ttl: Duration,
    expires: Instant,
}

impl World {
    pub(super) fn revision(&self) -> Revision {
        Revision(self.revision)
    }

    pub(super) fn config(&self) -> Option<Vec<u8>> {
        self.config.clone()
    }

    pub(super) fn put_config(&mut self, config: Option<Vec<u8>>) {
        self.config.clone_from(&config);
        self.record(WatchEvent::Config(config));
    }

    pub(super) fn put_raw(&mut self, key: &str, value: Vec<u8>) {
        self.put(key, value, Hold::Reserved);
    }

    pub(super) fn remove(&mut self, key: &str) {
        if self.keys.remove(key).is_some() {
            match Block::from_key(key) {
                Ok(block) => {
                    let revision = Revision(self.revision + 1);
                    self.record(WatchEvent::Gone(block, revision));
                }
                Err(_) => self.revision += 1,
            }
        }
    }

    pub(super) fn compact(&mut self) {
        self.compacted = self.revision;
        self.history.clear();
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let dead = |granted: &Granted| granted.expires <= now;
        let ids: Vec<_> = self
            .leases
            .iter()
            .filter(|(_, granted)| dead(granted))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.leases.remove(&id);
            let held = |stored: &Stored| stored.hold == Hold::Leased(id);
            let keys: Vec<_> = self
                .keys
                .iter()
                .filter(|(_, s)| held(s))
                .map(|(key, _)| key.clone())
                .collect();
            keys.iter().for_each(|key| self.remove(key));
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.leases.values().map(|granted| granted.expires).min()
    }

    pub(super) fn list(&self) -> Listing {
        let mut listing = Listing {
            revision: self.revision(),
            config: self.config(),
            ..Listing::default()
        };
        for key in self.keys.keys() {
            listing.add(self.entry(key).expect("the key was just listed"));
        }
        listing
    }

    pub(super) fn since(&self, after: Revision) -> Result<Vec<WatchEvent>, StoreError> {
        if after.0 < self.compacted {
            return Err(StoreError::Compacted {
                endpoint: "memory".to_owned(),
                asked: after,
                at: Revision(self.compacted),
            });
        }
        let from = self
            .history
            .partition_point(|(revision, _)| *revision <= after.0);
        Ok(self.history[from..]
            .iter()
            .map(|(_, event)| event.clone())
            .collect())
    }

    pub(super) fn claim(&mut self, block: &Block, attrs: &LeaseAttrs, ttl: Duration) -> Claim {
        if let Some(held) = self.holder(block, None) {
            return Claim::Taken(held);
        }
        let hold = self.grant(ttl);
        Claim::Won(self.put_lease(block, attrs, hold))
    }

    pub(super) fn publish(&mut self, lease: &Lease, attrs: &LeaseAttrs, ttl: Duration) -> Publish {
        if !self.is_current(lease) {
            let held = self.entry(&lease.block.key()).map(Entry::into_lease);
            return Publish::Lost {
                held: held.flatten(),
            };
        }
        let hold = self.hold_for(lease.hold, ttl);
        Publish::Done(self.put_lease(&lease.block, attrs, hold))
    }

    pub(super) fn replace(
        &mut self,
        old: &Lease,
        block: &Block,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Replace {
        if !self.is_current(old) {
            return Replace::Lost;
        }
        if let Some(held) = self.holder(block, Some(&old.block)) {
            return Replace::Taken(held);
        }
        let hold = self.hold_for(old.hold, ttl);
        self.remove(&old.block.key());
        Replace::Done(self.put_lease(block, attrs, hold))
    }

    pub(super) fn renew(&mut self, id: LeaseId) -> Renewal {
        match self.leases.get_mut(&id) {
            Some(granted) => {
                granted.expires = Instant::now() + granted.ttl;
                Renewal::Alive { ttl: granted.ttl }
            }
            None => Renewal::Gone,
        }
    }

    pub(super) fn release(&mut self, lease: &Lease) -> bool {
        let current = self.is_current(lease);
        if current {
            self.remove(&lease.block.key());
        }
        current
    }

    fn is_current(&self, lease: &Lease) -> bool {
        let stored = self.keys.get(&lease.block.key());
        stored.is_some_and(|stored| stored.revision == lease.revision)
    }

    fn holder(&self, block: &Block, except: Option<&Block>) -> Option<Lease> {
        let entries = self
            .keys
            .keys()
            .filter_map(|key| self.entry(key)?.into_lease());
        let mut others = entries.filter(|lease| Some(&lease.block) != except);
        others.find(|lease| lease.block.overlaps(block))
    }

    fn hold_for(&mut self, hold: Hold, ttl: Duration) -> Hold {
        match hold {
            Hold::Leased(id) if !self.leases.get(&id).is_some_and(|g| serves(g.ttl, ttl)) => {
                self.grant(ttl)
            }
            hold => hold,
        }
    }

    fn grant(&mut self, ttl: Duration) -> Hold {
        self.last_lease += 1;
        let id = LeaseId(self.last_lease);
        let expires = Instant::now() + ttl;
        self.leases.insert(id, Granted { ttl, expires });
        Hold::Leased(id)
    }

    fn put_lease(&mut self, block: &Block, attrs: &LeaseAttrs, hold: Hold) -> Lease {
        let revision = self.put(&block.key(), attrs.to_json(), hold);
        let (block, attrs) = (*block, attrs.clone());
        Lease {
            block,
            attrs,
            hold,
            revision,
        }
    }

    fn put(&mut self, key: &str, value: Vec<u8>, hold: Hold) -> Revision {
        let revision = Revision(self.revision + 1);
        self.keys.insert(
            key.to_owned(),
            Stored {
                value,
                hold,
                revision,
            },
        );
        let entry = self.entry(key).expect("the key was just written");
        self.record(entry.into_event());
        revision
    }

    fn entry(&self, key: &str) -> Option<Entry> {
        let stored = self.keys.get(key)?;
        Some(entry::read(
            key.as_bytes(),
            &stored.value,
            stored.hold,
            stored.revision,
        ))
    }

    fn record(&mut self, event: WatchEvent) {
        self.revision += 1;
        self.history.push((self.revision, event));
    }
}
