//! The one door to the outside: where the network config and the leases are kept.

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::block::Block;
use crate::history::History;
use crate::lease::{Lease, LeaseAttrs, Revision};
use crate::life::Life;

/// A store of leases: etcd, a directory, or a fake. Every change is one compare-and-swap, so two nodes never both
/// hold a block as confirmed.
///
/// Calls may be made from several tasks at once. Each call ends within about 5 s per endpoint.
pub trait LeaseStore: Send + Sync + 'static {
    /// The stream of changes.
    type Watch: Watch;

    /// Which store this is, for the operator; never has a password in it.
    fn describe(&self) -> String;

    /// A listing that takes longer has failed. One that is read in many pages may take longer than one answer.
    fn listing_patience(&self) -> Duration {
        Duration::from_secs(15)
    }

    /// The network config as it was written, `None` when nobody has written it yet.
    fn config(&self) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// Everything at one revision.
    fn list(&self) -> impl Future<Output = Result<Listing, StoreError>> + Send;

    /// The same in parts, each of which is sent as soon as it is read. The revision is in all of them, the network config
    /// in the first one. Ends early when nobody receives them.
    fn list_in_parts(
        &self,
        parts: mpsc::Sender<Listing>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move {
            let _ = parts.send(self.list().await?).await;
            Ok(())
        }
    }

    /// Changes of config and leases after that revision.
    fn watch(
        &self,
        after: Revision,
    ) -> impl Future<Output = Result<Self::Watch, StoreError>> + Send;

    /// Creates the key of a block if nobody holds it; `ttl` in whole seconds, at least 1.
    fn claim(
        &self,
        block: &Block,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Changes the attributes of an own lease if nobody changed it since `lease.revision`. Its hold stays what it is:
    /// the same store lease when that is still alive and was granted for about `ttl`, else a new one; a reservation
    /// stays without one.
    fn publish(
        &self,
        lease: &Lease,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> impl Future<Output = Result<Publish, StoreError>> + Send;

    /// Moves an own lease to another block: creates the new key and deletes the old one in one transaction, when the
    /// old one is unchanged since `old.revision` and nobody holds the new one. The hold goes with it.
    fn replace(
        &self,
        old: &Lease,
        block: &Block,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> impl Future<Output = Result<Replace, StoreError>> + Send;

    /// Starts the time of an own lease again. A reservation needs none.
    fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
    ) -> impl Future<Output = Result<Renewal, StoreError>> + Send;

    /// Gives up an own lease on purpose, if nobody changed it since `lease.revision`; `false` when somebody did or it
    /// is gone. Watchers are told a [`WatchEvent::Put`] with [`LeaseAttrs::released`], then a [`WatchEvent::Gone`]; of
    /// a lease that expires they are told the latter alone.
    fn release(&self, lease: &Lease) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The blocks that have been used. Reads a record for each of them: only for who needs a new block.
    fn history(&self) -> impl Future<Output = Result<History, StoreError>> + Send;

    /// Writes down that an own block is in use, so that it does not count as free for longer than it is. Claims and
    /// releases do so themselves; this is for now and then in between.
    fn touch(&self, lease: &Lease) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How much time somebody's lease has left.
    fn life(&self, lease: &Lease) -> impl Future<Output = Result<Life, StoreError>> + Send;

    /// Tells whoever places pods that those of this node are reached from now on. Most stores know nobody who does.
    fn serving(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        std::future::ready(Ok(()))
    }
}

/// Changes of config and leases, in the order of their revisions.
pub trait Watch: Send {
    /// A store that dies without a word is noticed after this at most; until then its silence looks like peace.
    fn silence(&self) -> Duration;

    /// Waits for the next changes and returns all that are already there, at least one. Cancel-safe. A store that died is
    /// an error within [`Watch::silence`]. After an error the watch is over.
    fn next(&mut self) -> impl Future<Output = Result<Vec<WatchEvent>, StoreError>> + Send;
}

/// Everything that a store held at one revision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The revision; a watch after it misses nothing.
    pub revision: Revision,
    /// The network config as it was written.
    pub config: Option<Vec<u8>>,
    /// The leases, in the order of their keys.
    pub leases: Vec<Lease>,
    /// What could not be read as a lease.
    pub bad: Vec<BadEntry>,
}

/// A key under `subnets/` that is no lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadEntry {
    /// The key behind `subnets/`, with anything unprintable replaced.
    pub key: String,
    /// The block, when at least the key could be read: it is taken, though nobody knows by whom.
    pub block: Option<Block>,
    /// The revision of its last write.
    pub revision: Revision,
    /// What is wrong, for the operator.
    pub why: String,
}

/// One change in the store.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEvent {
    /// The network config was written or (`None`) deleted.
    Config(Option<Vec<u8>>),
    /// A lease was created or changed.
    Put(Lease),
    /// A lease was deleted or has expired.
    Gone(Block, Revision),
    /// A key was written that is no lease.
    Bad(BadEntry),
    /// A key that could not have been one was deleted; this is [`BadEntry::key`].
    BadGone(String),
}

/// How an attempt to create a block's key ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// The block is ours.
    Won(Lease),
    /// Somebody holds it, or another block that overlaps it.
    Taken(Lease),
}

/// How an attempt to change an own lease ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Publish {
    /// It is written; this is the lease as it stands.
    Done(Lease),
    /// Somebody changed or deleted it; `held` is what stands there.
    Lost {
        /// The lease that holds the key, if any.
        held: Option<Lease>,
    },
}

/// How an attempt to move an own lease ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Replace {
    /// It is moved; this is the lease as it stands.
    Done(Lease),
    /// Somebody holds the new block; the old lease is as it was.
    Taken(Lease),
    /// Somebody changed or deleted the old lease; nothing was written.
    Lost,
}

/// How a renewal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The lease lives this long unless it is renewed again; [`Duration::MAX`] for a reservation.
    Alive {
        /// Time that the store granted.
        ttl: Duration,
    },
    /// The lease has expired or was revoked, and its key with it.
    Gone,
}

/// Why a store could not do what it was asked. Whether and when to try again is the caller's business.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nobody answered, or the answer came too late.
    #[error("store {endpoint} does not answer: {why}")]
    Unreachable {
        /// The endpoint or directory.
        endpoint: String,
        /// What was tried and how it failed.
        why: String,
    },
    /// The history after a revision is no longer there; only a new listing helps.
    #[error(
        "store {endpoint} no longer has the changes after revision {asked} (it begins at {at}); list again"
    )]
    Compacted {
        /// The endpoint or directory.
        endpoint: String,
        /// The revision that was asked for.
        asked: Revision,
        /// Where its history begins.
        at: Revision,
    },
    /// It has not come to a revision that it had before: restored from a backup, emptied, or another one.
    #[error(
        "store {endpoint} is at revision {at}, before revision {known} which it had: it was emptied or restored, or is another one; list again"
    )]
    WentBack {
        /// The endpoint or directory.
        endpoint: String,
        /// The revision that it had.
        known: Revision,
        /// Where it is.
        at: Revision,
    },
    /// It knows us and will not do it, or does not know us: credentials, certificates, permissions.
    #[error(
        "store {endpoint} refuses: {why}; check user, password, token or certificates, and what the role may do"
    )]
    Refused {
        /// The endpoint or directory.
        endpoint: String,
        /// The store's words.
        why: String,
    },
    /// It has no room for another write. Reading and renewing still work.
    #[error(
        "store {endpoint} has no space left: {why}; leases are still renewed, but nothing can be claimed or changed until it is compacted and its alarm is disarmed"
    )]
    NoSpace {
        /// The endpoint or directory.
        endpoint: String,
        /// The store's words.
        why: String,
    },
    /// The options cannot work as they are.
    #[error("store option {option}: {why}")]
    Options {
        /// The option or file.
        option: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// Anything else.
    #[error("store {endpoint}: {why}")]
    Failed {
        /// The endpoint or directory.
        endpoint: String,
        /// What it said.
        why: String,
    },
}

/// Whether a store lease that was granted for `granted` serves a caller who wants `wanted`: within a factor of two.
pub(crate) fn serves(granted: Duration, wanted: Duration) -> bool {
    granted >= wanted / 2 && granted <= wanted * 2
}

impl StoreError {
    /// The same situation with what made it worse.
    pub(crate) fn and(mut self, other: &StoreError) -> StoreError {
        if let StoreError::Unreachable { why, .. } | StoreError::Refused { why, .. } = &mut self {
            *why = format!("{why}; and what has changed in the files cannot be used: {other}");
        }
        self
    }

    /// Whether another endpoint or a later attempt may do better without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            StoreError::Unreachable { .. }
                | StoreError::Compacted { .. }
                | StoreError::WentBack { .. }
        )
    }
}
