//! The rules of the fake store, as a plain value.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::entry::{self, Entry};
use crate::history::Use;
use crate::lease::{Hold, LeaseId, Revision};
use crate::rules::Shelf;
use crate::store::{Listing, StoreError, WatchEvent};

/// Everything that the store holds, and what happened to it.
#[derive(Debug, Default)]
pub(super) struct World {
    revision: u64,
    compacted: u64,
    config: Option<Vec<u8>>,
    keys: BTreeMap<String, Stored>,
    leases: BTreeMap<LeaseId, Granted>,
    last_lease: i64,
    used: BTreeMap<String, (Vec<u8>, Revision)>,
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

    pub(super) fn put_raw(&mut self, key: &str, value: &[u8]) {
        self.put(key, value, Hold::Reserved)
            .expect("memory does not fail");
    }

    pub(super) fn delete(&mut self, key: &str) {
        if self.keys.remove(key).is_some() {
            let revision = Revision(self.revision + 1);
            self.record(entry::gone(key.as_bytes(), revision));
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
            keys.iter().for_each(|key| self.delete(key));
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
            listing.add(self.read(key).expect("the key was just listed"));
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

    fn read(&self, key: &str) -> Option<Entry> {
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

impl Shelf for World {
    fn keys(&self) -> Vec<String> {
        self.keys.keys().cloned().collect()
    }

    fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.read(key))
    }

    fn revision_of(&self, key: &str) -> Option<(Revision, Hold)> {
        self.keys
            .get(key)
            .map(|stored| (stored.revision, stored.hold))
    }

    fn put(&mut self, key: &str, value: &[u8], hold: Hold) -> Result<Revision, StoreError> {
        let revision = Revision(self.revision + 1);
        let stored = Stored {
            value: value.to_vec(),
            hold,
            revision,
        };
        self.keys.insert(key.to_owned(), stored);
        let entry = self.read(key).expect("the key was just written");
        self.record(entry.into_event());
        Ok(revision)
    }

    fn remove(&mut self, key: &str) -> Result<(), StoreError> {
        self.delete(key);
        Ok(())
    }

    fn release(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let hold = self
            .keys
            .get(key)
            .map_or(Hold::Reserved, |stored| stored.hold);
        self.put(key, value, hold)?;
        self.remove(key)
    }

    fn grant(&mut self, ttl: Duration) -> LeaseId {
        self.last_lease += 1;
        let id = LeaseId(self.last_lease);
        let expires = Instant::now() + ttl;
        self.leases.insert(id, Granted { ttl, expires });
        id
    }

    fn granted(&self, id: LeaseId) -> Option<Duration> {
        self.leases.get(&id).map(|granted| granted.ttl)
    }

    fn prolong(&mut self, id: LeaseId) {
        if let Some(granted) = self.leases.get_mut(&id) {
            granted.expires = Instant::now() + granted.ttl;
        }
    }

    fn left(&self, id: LeaseId) -> Option<Duration> {
        let granted = self.leases.get(&id)?;
        Some(granted.expires.saturating_duration_since(Instant::now()))
    }

    fn note(&mut self, key: &str, value: &[u8]) {
        self.revision += 1;
        let revision = Revision(self.revision);
        self.used.insert(key.to_owned(), (value.to_vec(), revision));
    }

    fn notes(&self) -> Vec<Use> {
        let used = self.used.iter();
        used.filter_map(|(key, (value, revision))| Use::read(key, value, *revision))
            .collect()
    }
}
