//! What the directory's texts do not say: revisions, which lease ends when, and which blocks were used.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

use crate::entry::{self, Entry};
use crate::lease::{Hold, LeaseId, Revision};

/// Removed keys that are remembered, so that a watch can tell them.
const REMEMBERED: usize = 1000;

/// The content of `index.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    /// Changes so far.
    pub(super) revision: u64,
    /// Removals up to here are forgotten.
    pub(super) compacted: u64,
    pub(super) config: ConfigMark,
    pub(super) keys: BTreeMap<String, Mark>,
    pub(super) leases: BTreeMap<i64, Term>,
    pub(super) last_lease: i64,
    /// Removed keys with the revision of the removal, oldest first.
    pub(super) removed: Vec<(String, u64)>,
    /// What released leases said last, by the revision of that.
    #[serde(default)]
    pub(super) released: BTreeMap<u64, LastValue>,
    /// Blocks that were used, one family each, by key.
    #[serde(default)]
    pub(super) used: BTreeMap<String, UsedMark>,
}

/// The record of a used block: its text and when it was last written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct UsedMark {
    pub(super) text: String,
    pub(super) revision: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ConfigMark {
    pub(super) stamp: Option<Stamp>,
    pub(super) revision: u64,
}

/// What is known of one key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) stamp: Stamp,
    pub(super) revision: u64,
    /// The lease that it hangs on; none for a reservation.
    pub(super) lease: Option<i64>,
}

/// The last value of a released lease.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LastValue {
    pub(super) key: String,
    pub(super) text: String,
    pub(super) lease: Option<i64>,
}

/// A lease: its length and its end.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Term {
    pub(super) ttl_ms: u64,
    /// Milliseconds since 1970.
    pub(super) expires_ms: u64,
}

/// By what a changed file is told from an unchanged one without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    inode: u64,
    size: u64,
    seconds: i64,
    nanos: i64,
}

impl From<&Metadata> for Stamp {
    fn from(file: &Metadata) -> Self {
        Stamp {
            inode: file.ino(),
            size: file.size(),
            seconds: file.mtime(),
            nanos: file.mtime_nsec(),
        }
    }
}

impl Mark {
    pub(super) fn hold(&self) -> Hold {
        hold(self.lease)
    }
}

impl LastValue {
    pub(super) fn entry(&self, revision: Revision) -> Entry {
        let (key, text) = (self.key.as_bytes(), self.text.as_bytes());
        entry::read(key, text, hold(self.lease), revision)
    }
}

fn hold(lease: Option<i64>) -> Hold {
    lease.map_or(Hold::Reserved, |id| Hold::Leased(LeaseId(id)))
}

impl Index {
    pub(super) fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    pub(super) fn forget(&mut self, key: &str) {
        if self.keys.remove(key).is_none() {
            return;
        }
        let revision = self.next_revision();
        self.removed.push((key.to_owned(), revision));
        if self.removed.len() > REMEMBERED {
            self.compacted = self.removed.remove(0).1;
            self.released = self.released.split_off(&self.compacted);
        }
    }

    /// Keys whose lease has ended at this time (ms since 1970).
    pub(super) fn expired(&mut self, now: u64) -> Vec<String> {
        self.leases.retain(|_, term| term.expires_ms > now);
        let is_alive = |id: &i64| self.leases.contains_key(id);
        let dead = |mark: &Mark| mark.lease.is_some_and(|id| !is_alive(&id));
        let keys = self.keys.iter().filter(|(_, mark)| dead(mark));
        keys.map(|(key, _)| key.clone()).collect()
    }
}
