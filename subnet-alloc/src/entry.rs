//! One key and value under `subnets/`: a lease, or something that is none. Shared by all stores.

use crate::block::Block;
use crate::json::{LONGEST, shown};
use crate::lease::{Hold, Lease, LeaseAttrs, Revision};
use crate::store::{BadEntry, Listing, WatchEvent};

/// What a key and its value turned out to be.
#[derive(Debug)]
pub(crate) enum Entry {
    Good(Lease),
    Bad(BadEntry, Hold),
}

/// Reads a key (behind `subnets/`) and its value.
pub(crate) fn read(key: &[u8], value: &[u8], hold: Hold, revision: Revision) -> Entry {
    let text = String::from_utf8_lossy(key);
    let bad = |block, why: String| {
        let entry = BadEntry {
            key: shown_key(key),
            block,
            revision,
            why: shown(&why, LONGEST),
        };
        Entry::Bad(entry, hold)
    };
    let block = match Block::from_key(&text) {
        Ok(block) => block,
        Err(why) => return bad(None, why.to_string()),
    };
    match LeaseAttrs::from_json(value) {
        Ok(attrs) => Entry::Good(Lease {
            block,
            attrs,
            hold,
            revision,
        }),
        Err(why) => bad(Some(block), why.to_string()),
    }
}

/// What it means that a key (behind `subnets/`) was deleted.
pub(crate) fn gone(key: &[u8], revision: Revision) -> WatchEvent {
    match Block::from_key(&String::from_utf8_lossy(key)) {
        Ok(block) => WatchEvent::Gone(block, revision),
        Err(_) => WatchEvent::BadGone(shown_key(key)),
    }
}

/// How a key that is no block is named to people; the key itself when it is one.
fn shown_key(key: &[u8]) -> String {
    shown(&String::from_utf8_lossy(key), 100)
}

impl Entry {
    /// The lease; a block whose value cannot be read is held by nobody known.
    pub(crate) fn into_lease(self) -> Option<Lease> {
        match self {
            Entry::Good(lease) => Some(lease),
            Entry::Bad(bad, hold) => bad.holder(hold),
        }
    }

    pub(crate) fn into_event(self) -> WatchEvent {
        match self {
            Entry::Good(lease) => WatchEvent::Put(lease),
            Entry::Bad(bad, _) => WatchEvent::Bad(bad),
        }
    }
}

impl BadEntry {
    /// A lease that stands for the block, so that it is not allocated over.
    pub(crate) fn holder(&self, hold: Hold) -> Option<Lease> {
        let (attrs, revision) = (LeaseAttrs::default(), self.revision);
        self.block.map(|block| Lease {
            block,
            attrs,
            hold,
            revision,
        })
    }
}

impl Listing {
    pub(crate) fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Good(lease) => self.leases.push(lease),
            Entry::Bad(bad, _) => self.bad.push(bad),
        }
    }
}
