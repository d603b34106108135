//! A store in memory, for tests and simulations: the same rules as etcd, expiry on tokio's (pausable) clock, and
//! faults on demand.

mod world;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::block::Block;
use crate::history::History;
use crate::lease::{Lease, LeaseAttrs, Revision};
use crate::life::Life;
use crate::rules::{self, New};
use crate::store::{
    Claim, LeaseStore, Listing, Publish, Renewal, Replace, StoreError, Watch, WatchEvent,
};
use world::World;

/// A fake store. A clone is the same connection to the same store; [`MemoryStore::connect`] is another connection,
/// with faults of its own.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    link: Arc<Link>,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    changed: watch::Sender<()>,
}

/// One connection and its faults.
#[derive(Debug, Default)]
struct Link {
    faults: Mutex<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    severed: bool,
    next: VecDeque<StoreError>,
    /// Watches that began before this many breaks are over.
    breaks: u64,
    calls: u64,
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        let shared = Shared {
            world: Mutex::default(),
            changed: watch::Sender::new(()),
        };
        MemoryStore {
            shared: Arc::new(shared),
            link: Arc::default(),
        }
    }

    /// Another connection to the same store.
    pub fn connect(&self) -> MemoryStore {
        MemoryStore {
            shared: self.shared.clone(),
            link: Arc::default(),
        }
    }

    /// Writes the network config.
    pub fn put_config(&self, text: impl Into<Vec<u8>>) {
        self.change(|world| world.put_config(Some(text.into())));
    }

    /// Writes any key with any value, as an operator may; without a lease it is a reservation.
    pub fn put_raw(&self, key: &str, value: impl AsRef<[u8]>) {
        self.change(|world| world.put_raw(key, value.as_ref()));
    }

    /// Deletes a key, as an operator may.
    pub fn delete_raw(&self, key: &str) {
        self.change(|world| world.delete(key));
    }

    /// Forgets the history: watches that are behind, and new ones after an older revision, end as compacted.
    pub fn compact(&self) {
        self.change(World::compact);
    }

    /// Cuts this connection (`true`): calls fail, watches end; or mends it.
    pub fn sever(&self, severed: bool) {
        self.faults().severed = severed;
        self.shared.changed.send_replace(());
    }

    /// Ends the watches of this connection once.
    pub fn break_watches(&self) {
        self.faults().breaks += 1;
        self.shared.changed.send_replace(());
    }

    /// Makes the next call fail with this; more than one are used up in order.
    pub fn fail_next(&self, error: StoreError) {
        self.faults().next.push_back(error);
    }

    /// How many calls this connection has had.
    pub fn calls(&self) -> u64 {
        self.faults().calls
    }

    /// The store's revision: how many writes it has seen.
    pub fn revision(&self) -> Revision {
        self.world().revision()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self
            .shared
            .world
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        world.expire(Instant::now());
        world
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.world());
        self.shared.changed.send_replace(());
        result
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.link
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn call<T>(&self, call: impl FnOnce(&mut World) -> T) -> Result<T, StoreError> {
        {
            let mut faults = self.faults();
            faults.calls += 1;
            if faults.severed {
                return Err(cut());
            }
            if let Some(error) = faults.next.pop_front() {
                return Err(error);
            }
        }
        Ok(self.change(call))
    }
}

fn cut() -> StoreError {
    StoreError::Unreachable {
        endpoint: "memory".to_owned(),
        why: "the connection is cut".to_owned(),
    }
}

impl LeaseStore for MemoryStore {
    type Watch = MemoryWatch;

    fn describe(&self) -> String {
        "memory".to_owned()
    }

    async fn config(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.call(|world| world.config())
    }

    async fn list(&self) -> Result<Listing, StoreError> {
        self.call(|world| world.list())
    }

    async fn watch(&self, after: Revision) -> Result<MemoryWatch, StoreError> {
        self.call(|world| world.since(after).map(drop))??;
        Ok(MemoryWatch {
            store: self.clone(),
            changed: self.shared.changed.subscribe(),
            after,
            breaks: self.faults().breaks,
        })
    }

    async fn claim(
        &self,
        block: &Block,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Result<Claim, StoreError> {
        self.call(|world| rules::claim(world, &New { block, attrs, ttl }))?
    }

    async fn publish(
        &self,
        lease: &Lease,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Result<Publish, StoreError> {
        let block = &lease.block;
        self.call(|world| rules::publish(world, lease, &New { block, attrs, ttl }))?
    }

    async fn replace(
        &self,
        old: &Lease,
        block: &Block,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Result<Replace, StoreError> {
        self.call(|world| rules::replace(world, old, &New { block, attrs, ttl }))?
    }

    async fn renew(&self, lease: &Lease, _ttl: Duration) -> Result<Renewal, StoreError> {
        self.call(|world| rules::renew(world, lease))
    }

    async fn release(&self, lease: &Lease) -> Result<bool, StoreError> {
        self.call(|world| rules::release(world, lease))?
    }

    async fn history(&self) -> Result<History, StoreError> {
        self.call(|world| rules::history(world))
    }

    async fn touch(&self, lease: &Lease) -> Result<(), StoreError> {
        self.call(|world| rules::touch(world, lease))
    }

    async fn life(&self, lease: &Lease) -> Result<Life, StoreError> {
        self.call(|world| rules::life(world, lease))
    }
}

/// A watch of a [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryWatch {
    store: MemoryStore,
    changed: watch::Receiver<()>,
    after: Revision,
    breaks: u64,
}

impl Watch for MemoryWatch {
    fn silence(&self) -> Duration {
        Duration::ZERO
    }

    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        loop {
            self.changed.mark_unchanged();
            let (events, expiry) = self.look()?;
            if !events.is_empty() {
                return Ok(events);
            }
            tokio::select! {
                _ = self.changed.changed() => {}
                () = at(expiry) => {}
            }
        }
    }
}

impl MemoryWatch {
    fn look(&mut self) -> Result<(Vec<WatchEvent>, Option<Instant>), StoreError> {
        let faults = self.store.faults();
        if faults.severed || faults.breaks != self.breaks {
            return Err(cut());
        }
        drop(faults);
        let world = self.store.world();
        let events = world.since(self.after)?;
        self.after = world.revision();
        Ok((events, world.next_expiry()))
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
