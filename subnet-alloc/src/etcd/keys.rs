//! Where things are in etcd (flannel's layout, and records of used blocks beside it), and how a key and value become a lease.

use etcd_client::{Event, EventType, KeyValue};

use crate::block::Block;
use crate::entry::{self, Entry};
use crate::lease::{Hold, LeaseId, Revision};
use crate::store::{StoreError, WatchEvent};

/// flannel's layout below one prefix, and our records of used blocks beside it. flannel lists what begins with
/// `<prefix>/subnets`, so nothing else of ours may.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
    config: String,
    subnets: String,
    used: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Result<Keys, StoreError> {
        let prefix = prefix.trim_end_matches('/');
        if prefix.is_empty() {
            return Err(StoreError::Options {
                option: "prefix".to_owned(),
                why: "it is empty; flannel's is /coreos.com/network".to_owned(),
            });
        }
        Ok(Keys {
            prefix: prefix.to_owned(),
            config: format!("{prefix}/config"),
            subnets: format!("{prefix}/subnets/"),
            used: format!("{prefix}/used/"),
        })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn config(&self) -> &str {
        &self.config
    }

    /// What all keys of blocks begin with.
    pub(super) fn subnets(&self) -> &str {
        &self.subnets
    }

    pub(super) fn block(&self, block: &Block) -> String {
        format!("{}{}", self.subnets, block.key())
    }

    /// What all records of used blocks begin with.
    pub(super) fn all_used(&self) -> &str {
        &self.used
    }

    /// The record of a used block of one family, by its key.
    pub(super) fn used(&self, key: &str) -> String {
        format!("{}{key}", self.used)
    }

    /// The lease at a key below `subnets/`.
    pub(super) fn entry(&self, kv: &KeyValue) -> Entry {
        let key = kv.key().strip_prefix(self.subnets.as_bytes());
        let revision = revision(kv.mod_revision());
        entry::read(key.unwrap_or(kv.key()), kv.value(), hold(kv), revision)
    }

    /// What a watched change means.
    pub(super) fn event(&self, event: &Event) -> Option<WatchEvent> {
        let kv = event.kv()?;
        let is_put = event.event_type() == EventType::Put;
        if kv.key() == self.config.as_bytes() {
            return Some(WatchEvent::Config(is_put.then(|| kv.value().to_vec())));
        }
        if is_put {
            return Some(self.entry(kv).into_event());
        }
        let key = kv.key().strip_prefix(self.subnets.as_bytes())?;
        Some(entry::gone(key, revision(kv.mod_revision())))
    }
}

/// The first key behind all that begin with this, which ends in `/`.
pub(super) fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

pub(super) fn revision(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or(0))
}

fn hold(kv: &KeyValue) -> Hold {
    match kv.lease() {
        0 => Hold::Reserved,
        id => Hold::Leased(LeaseId(id)),
    }
}
