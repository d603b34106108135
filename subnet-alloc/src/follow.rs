//! Following the store: one task that turns listings and watches into events, whatever happens to the connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::block::Block;
use crate::lease::{Lease, Revision};
use crate::store::{BadEntry, LeaseStore, StoreError, Watch, WatchEvent};

/// A change of the leases.
#[derive(Debug, Clone, PartialEq)]
pub enum LeaseEvent {
    /// All leases that there are; what is not among them is gone.
    Reset(Vec<Lease>),
    /// A lease was created or changed.
    Put(Lease),
    /// A block is no longer leased.
    Gone(Block),
}

/// A change of the keys that are no leases.
#[derive(Debug, Clone, PartialEq)]
pub enum BadEvent {
    /// All that there are.
    Reset(Vec<BadEntry>),
    /// One was written. That it is repaired is told as the lease that it has become; that it is deleted, as a lease
    /// that is gone if it names a block.
    Put(BadEntry),
    /// One that names no block was deleted; this is [`BadEntry::key`].
    Gone(String),
}

/// What a [`Follower`] tells.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreEvent {
    /// Changes of the leases, all that came together.
    Leases(Vec<LeaseEvent>),
    /// The network config as it is written; `None` when it was deleted.
    Config(Option<Vec<u8>>),
    /// Changes of the keys that are no leases.
    Bad(Vec<BadEvent>),
    /// The watch runs; everything up to this revision has been told.
    Up {
        /// Where the watch begins.
        revision: Revision,
    },
    /// The store failed; told once per outage. It is tried again until `Up`.
    Down(Outage),
}

/// Why and since when nothing is heard from the store.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{why}")]
pub struct Outage {
    /// What failed first.
    pub why: StoreError,
    /// What is known was right at this time at least; `None` when the store has never answered. A watch without
    /// changes is known to live only up to [`Watch::silence`] ago.
    pub heard: Option<std::time::Instant>,
}

/// Follows a store until the receiver of its events is dropped: watches, and after any failure lists again.
///
/// Every outage ends in one complete [`LeaseEvent::Reset`], then `Up`.
pub struct Follower<S> {
    store: Arc<S>,
    events: mpsc::Sender<StoreEvent>,
    random: Box<dyn FnMut() -> u64 + Send>,
    /// The config last told; `None` when none was.
    config: Option<Option<Vec<u8>>>,
    is_down: bool,
    heard: Option<Instant>,
}

/// A store that needs longer than this for one call is taken for dead.
const SILENCE: Duration = Duration::from_secs(15);
/// Before listing again because the history is not there any more: this concerns few nodes at once.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Before trying again a store that failed, at most: what concerns thousands of nodes at once, and at its return too.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A watch that lived this long was a good one: the next failure is the first of a new outage.
const GOOD_WATCH: Duration = Duration::from_secs(10);

enum Stop {
    Failed(StoreError),
    /// Nobody listens any more.
    Closed,
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Stop::Failed(error)
    }
}

impl<S: LeaseStore> Follower<S> {
    /// A follower that tells its events to `events`; `random` spreads the retries of many nodes.
    pub fn new(
        store: Arc<S>,
        events: mpsc::Sender<StoreEvent>,
        random: impl FnMut() -> u64 + Send + 'static,
    ) -> Self {
        Follower {
            store,
            events,
            random: Box::new(random),
            config: None,
            is_down: false,
            heard: None,
        }
    }

    /// The config that the caller knows already, so that it is told only when it differs.
    pub fn knowing_config(mut self, config: Option<Vec<u8>>) -> Self {
        self.config = Some(config);
        self
    }

    /// Follows the changes after a revision, or (`None`) begins with a listing. Ends when the receiver is dropped.
    pub async fn run(mut self, after: Option<Revision>) {
        let events = self.events.clone();
        tokio::select! {
            () = self.follow_for_ever(after) => {}
            () = events.closed() => {}
        }
    }

    async fn follow_for_ever(&mut self, mut after: Option<Revision>) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let Err(stop) = self.follow(after.take()).await;
            if began.elapsed() > GOOD_WATCH {
                failures = 0;
            }
            let Stop::Failed(error) = stop else { return };
            let pause = self.pause(&error, failures);
            if self.down(error).await.is_err() {
                return;
            }
            sleep(pause).await;
            failures += 1;
        }
    }

    async fn follow(&mut self, after: Option<Revision>) -> Result<Infallible, Stop> {
        let after = match after {
            Some(after) => after,
            None => self.list().await?,
        };
        let store = self.store.clone();
        let mut watch = in_time(&*store, SILENCE, store.watch(after)).await?;
        (self.is_down, self.heard) = (false, Some(Instant::now()));
        self.tell(StoreEvent::Up { revision: after }).await?;
        loop {
            let events = match watch.next().await {
                Ok(events) => events,
                Err(error) => {
                    let lived = Instant::now().checked_sub(watch.silence());
                    self.heard = self.heard.max(lived);
                    return Err(error.into());
                }
            };
            self.heard = Some(Instant::now());
            self.forward(events).await?;
        }
    }

    async fn list(&mut self) -> Result<Revision, Stop> {
        let store = self.store.clone();
        let listing = in_time(&*store, store.listing_patience(), store.list()).await?;
        self.heard = Some(Instant::now());
        let reset = vec![LeaseEvent::Reset(listing.leases)];
        self.tell_config(listing.config).await?;
        self.tell(StoreEvent::Bad(vec![BadEvent::Reset(listing.bad)]))
            .await?;
        self.tell(StoreEvent::Leases(reset)).await?;
        Ok(listing.revision)
    }

    async fn forward(&mut self, events: Vec<WatchEvent>) -> Result<(), Stop> {
        let (mut leases, mut bad) = (Vec::with_capacity(events.len()), Vec::new());
        for event in events {
            match event {
                WatchEvent::Put(lease) => {
                    bad.retain(|bad| !is_about(bad, &lease.block));
                    leases.push(LeaseEvent::Put(lease));
                }
                WatchEvent::Gone(block, _) => {
                    bad.retain(|bad| !is_about(bad, &block));
                    leases.push(LeaseEvent::Gone(block));
                }
                WatchEvent::Config(config) => self.tell_config(config).await?,
                WatchEvent::Bad(entry) => {
                    // Whatever the key held before, nobody can read it any more.
                    leases.extend(entry.block.map(LeaseEvent::Gone));
                    bad.push(BadEvent::Put(entry));
                }
                WatchEvent::BadGone(key) => bad.push(BadEvent::Gone(key)),
            }
        }
        if !leases.is_empty() {
            self.tell(StoreEvent::Leases(leases)).await?;
        }
        if !bad.is_empty() {
            self.tell(StoreEvent::Bad(bad)).await?;
        }
        Ok(())
    }

    async fn tell_config(&mut self, config: Option<Vec<u8>>) -> Result<(), Stop> {
        if self.config.as_ref() == Some(&config) {
            return Ok(());
        }
        self.config = Some(config.clone());
        self.tell(StoreEvent::Config(config)).await
    }

    async fn down(&mut self, why: StoreError) -> Result<(), Stop> {
        if std::mem::replace(&mut self.is_down, true) {
            return Ok(());
        }
        let heard = self.heard.map(Instant::into_std);
        self.tell(StoreEvent::Down(Outage { why, heard })).await
    }

    async fn tell(&mut self, event: StoreEvent) -> Result<(), Stop> {
        self.events.send(event).await.map_err(|_| Stop::Closed)
    }

    /// Anything up to the longest pause: whatever happens to all nodes at once, they come back one by one.
    fn pause(&mut self, error: &StoreError, failures: u32) -> Duration {
        let longest = match error {
            StoreError::Compacted { .. } | StoreError::WentBack { .. } => {
                (FIRST_PAUSE * (1 << failures.min(8))).min(LONGEST_PAUSE)
            }
            _ => LONGEST_PAUSE,
        };
        let spread = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros((self.random)() % spread.max(1))
    }
}

/// Leases are told before bad keys: what was bad and is repaired in the same breath must not be told as bad afterwards.
fn is_about(bad: &BadEvent, block: &Block) -> bool {
    matches!(bad, BadEvent::Put(entry) if entry.block.as_ref() == Some(block))
}

async fn in_time<T>(
    store: &impl LeaseStore,
    patience: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(patience, call).await.unwrap_or_else(|_| {
        Err(StoreError::Unreachable {
            endpoint: store.describe(),
            why: format!("no answer within {} s", patience.as_secs()),
        })
    })
}
