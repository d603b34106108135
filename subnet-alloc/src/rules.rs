//! The rules of a store that keeps its keys itself, written once for the directory and for the fake.

use std::time::Duration;

use crate::block::Block;
use crate::entry::Entry;
use crate::history::{History, Use, record, record_keys};
use crate::lease::{Hold, Lease, LeaseAttrs, LeaseId, Revision};
use crate::life::Life;
use crate::store::{Claim, Publish, Renewal, Replace, StoreError, serves};

/// Keys with values, and the store leases that some of them hang on. The caller has it for itself.
pub(crate) trait Shelf {
    fn keys(&self) -> Vec<String>;
    fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError>;
    /// The last write and the hold: a store that began anew may come to the same revision.
    fn revision_of(&self, key: &str) -> Option<(Revision, Hold)>;
    fn put(&mut self, key: &str, value: &[u8], hold: Hold) -> Result<Revision, StoreError>;
    fn remove(&mut self, key: &str) -> Result<(), StoreError>;
    /// Tells a last value, then removes the key.
    fn release(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError>;
    fn grant(&mut self, ttl: Duration) -> LeaseId;
    fn granted(&self, id: LeaseId) -> Option<Duration>;
    /// What is left of its time.
    fn left(&self, id: LeaseId) -> Option<Duration>;
    /// Starts the time of a lease again.
    fn prolong(&mut self, id: LeaseId);
    /// Writes a record of a used block; kept with the next `put` or `remove`.
    fn note(&mut self, key: &str, value: &[u8]);
    /// The records of used blocks.
    fn notes(&self) -> Vec<Use>;
}

/// What is to be written, and for how long.
pub(crate) struct New<'a> {
    pub(crate) block: &'a Block,
    pub(crate) attrs: &'a LeaseAttrs,
    pub(crate) ttl: Duration,
}

pub(crate) fn claim(shelf: &mut impl Shelf, new: &New<'_>) -> Result<Claim, StoreError> {
    if let Some(held) = holder(shelf, new.block, None)? {
        return Ok(Claim::Taken(held));
    }
    let hold = Hold::Leased(shelf.grant(new.ttl));
    write(shelf, new, hold).map(Claim::Won)
}

pub(crate) fn publish(
    shelf: &mut impl Shelf,
    lease: &Lease,
    new: &New<'_>,
) -> Result<Publish, StoreError> {
    if !is_current(shelf, lease) {
        let held = shelf.entry(&lease.block.key())?.and_then(Entry::into_lease);
        return Ok(Publish::Lost { held });
    }
    let hold = hold_for(shelf, lease.hold, new.ttl);
    write(shelf, new, hold).map(Publish::Done)
}

pub(crate) fn replace(
    shelf: &mut impl Shelf,
    old: &Lease,
    new: &New<'_>,
) -> Result<Replace, StoreError> {
    if !is_current(shelf, old) {
        return Ok(Replace::Lost);
    }
    if let Some(held) = holder(shelf, new.block, Some(&old.block))? {
        return Ok(Replace::Taken(held));
    }
    let hold = hold_for(shelf, old.hold, new.ttl);
    note(shelf, [&old.block], new.attrs);
    let lease = write(shelf, new, hold)?;
    shelf.remove(&old.block.key())?;
    Ok(Replace::Done(lease))
}

pub(crate) fn renew(shelf: &mut impl Shelf, lease: &Lease) -> Renewal {
    let Hold::Leased(id) = lease.hold else {
        return Renewal::Alive { ttl: Duration::MAX };
    };
    shelf.prolong(id);
    match shelf.granted(id) {
        Some(ttl) => Renewal::Alive { ttl },
        None => Renewal::Gone,
    }
}

pub(crate) fn release(shelf: &mut impl Shelf, lease: &Lease) -> Result<bool, StoreError> {
    if !is_current(shelf, lease) {
        return Ok(false);
    }
    note(shelf, [&lease.block], &lease.attrs);
    let released = lease.attrs.clone().release();
    shelf.release(&lease.block.key(), &released.to_json())?;
    Ok(true)
}

pub(crate) fn history(shelf: &impl Shelf) -> History {
    History::new(shelf.notes())
}

pub(crate) fn touch(shelf: &mut impl Shelf, lease: &Lease) {
    note(shelf, [&lease.block], &lease.attrs);
}

pub(crate) fn life(shelf: &impl Shelf, lease: &Lease) -> Life {
    let Hold::Leased(id) = lease.hold else {
        return Life::Endless;
    };
    match shelf.granted(id).zip(shelf.left(id)) {
        Some((granted, left)) => Life::Ends { granted, left },
        None => Life::Over,
    }
}

fn note<const N: usize>(shelf: &mut impl Shelf, blocks: [&Block; N], attrs: &LeaseAttrs) {
    let text = record(attrs);
    for key in record_keys(blocks) {
        shelf.note(&key, &text);
    }
}

fn is_current(shelf: &impl Shelf, lease: &Lease) -> bool {
    shelf.revision_of(&lease.block.key()) == Some((lease.revision, lease.hold))
}

fn holder(
    shelf: &impl Shelf,
    block: &Block,
    except: Option<&Block>,
) -> Result<Option<Lease>, StoreError> {
    let keys = shelf.keys();
    let in_the_way = |key: &&String| {
        Block::from_key(key)
            .is_ok_and(|held| Some(&held) != except && held.overlaps(block) && !held.dwarfs(block))
    };
    let Some(key) = keys.iter().find(in_the_way) else {
        return Ok(None);
    };
    Ok(shelf.entry(key)?.and_then(Entry::into_lease))
}

fn hold_for(shelf: &mut impl Shelf, hold: Hold, ttl: Duration) -> Hold {
    match hold {
        Hold::Leased(id)
            if !shelf
                .granted(id)
                .is_some_and(|granted| serves(granted, ttl)) =>
        {
            Hold::Leased(shelf.grant(ttl))
        }
        hold => hold,
    }
}

fn write(shelf: &mut impl Shelf, new: &New<'_>, hold: Hold) -> Result<Lease, StoreError> {
    note(shelf, [new.block], new.attrs);
    let revision = shelf.put(&new.block.key(), &new.attrs.to_json(), hold)?;
    let (block, attrs) = (*new.block, new.attrs.clone());
    Ok(Lease {
        block,
        attrs,
        hold,
        revision,
    })
}
