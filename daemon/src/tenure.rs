//! How this node holds its lease: renews it, and gets a block again when it is
//! lost. Runs as a task of its own, so that a slow store delays nothing else.

use std::sync::Arc;
use std::time::Duration;

use subnet_alloc::{Acquired, Block, Claimant, Holders, Lease, LeaseStore, Renewal, acquire};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::warn;

use kernel::Mac;

use crate::config::Config;
use crate::start::Plan;
use crate::store::Store;

/// What became of the lease.
#[derive(Debug)]
pub(crate) enum TenureEvent {
    /// Its time starts again.
    Renewed,
    /// The store did not answer; the lease is tried again before it ends.
    Failed(String),
    /// The store does not know the lease on this block any more; a block is acquired again.
    Lost(Block),
    /// A block is held again.
    Acquired(Box<Acquired>),
}

/// Told to the task.
#[derive(Debug)]
pub(crate) enum Hint {
    /// The own key was seen to be deleted, or to be another node's.
    Lost,
    /// The store was away: what it says of the lease may have changed.
    Back,
}

/// What is done first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Begin {
    /// The lease is as it has to be.
    Holding,
    /// The node has changed: it is published again.
    Publishing,
}

/// Who holds which lease, and how to get it again.
pub(crate) struct Tenure {
    pub(crate) store: Arc<Store>,
    pub(crate) config: Arc<Config>,
    pub(crate) plan: Plan,
    pub(crate) macs: [Mac; 2],
    pub(crate) lease: Lease,
}

/// A failed renewal is tried again after this share of the lease's time, but
/// not before a second and not after a minute.
const RETRY_SHARE: u32 = 30;
/// Once a day with the default TTL: what says that a block is in use need not be exact.
const RENEWALS_PER_TOUCH: u64 = 3;

impl Tenure {
    /// Holds the lease until the receiver of its events is dropped.
    pub(crate) async fn run(
        mut self,
        begin: Begin,
        events: mpsc::Sender<TenureEvent>,
        mut hints: mpsc::Receiver<Hint>,
    ) {
        if begin == Begin::Publishing {
            let claimant = self.plan.claimant(&self.config, self.macs);
            self.lease = self.acquire_as(self.remembering(claimant), &events).await;
        }
        let ttl = self.config.lease_ttl;
        let retry = (ttl / RETRY_SHARE).clamp(Duration::from_secs(1), Duration::from_secs(60));
        let (mut pause, mut renewals) = (ttl / 3, 0_u64);
        loop {
            let hint = tokio::select! {
                hint = hints.recv() => hint,
                () = sleep(pause) => None,
                () = events.closed() => return,
            };
            let renewal = match hint {
                Some(Hint::Lost) => Ok(Renewal::Gone),
                Some(Hint::Back) | None => self.store.renew(&self.lease, ttl).await,
            };
            let event = match renewal {
                Ok(Renewal::Alive { .. }) => TenureEvent::Renewed,
                Ok(Renewal::Gone) => TenureEvent::Lost(self.lease.block),
                Err(error) => TenureEvent::Failed(error.to_string()),
            };
            if matches!(event, TenureEvent::Renewed) {
                renewals += 1;
                self.touch(renewals).await;
            }
            let lost = matches!(event, TenureEvent::Lost(_));
            pause = if matches!(event, TenureEvent::Failed(_)) {
                retry
            } else {
                ttl / 3
            };
            if events.send(event).await.is_err() {
                return;
            }
            if lost {
                let claimant = self.plan.claimant(&self.config, self.macs);
                self.lease = self.acquire_as(self.wishing(claimant), &events).await;
                // Told of the old lease or of the new one: asking tells which.
                while hints.try_recv().is_ok() {
                    pause = Duration::ZERO;
                }
            }
        }
    }

    /// The renewal is what counts: a store without room cannot write this down and still renews.
    async fn touch(&self, renewals: u64) {
        if renewals.is_multiple_of(RENEWALS_PER_TOUCH)
            && let Err(error) = self.store.touch(&self.lease).await
        {
            warn!(
                "the use of block {} is not written down: {error}",
                self.lease.block
            );
        }
    }

    /// The block is this node's, whatever else has changed about it.
    fn remembering<'a>(&self, mut claimant: Claimant<'a>) -> Claimant<'a> {
        claimant.identity.previous = Some(self.lease.block);
        claimant
    }

    /// That it held the block proves nothing any more: whoever has it took it
    /// when it was free.
    fn wishing<'a>(&self, mut claimant: Claimant<'a>) -> Claimant<'a> {
        claimant.identity.previous = None;
        claimant.identity.wish = Some(self.lease.block);
        claimant
    }

    /// Tries until there is a block, and tells of it.
    async fn acquire_as(
        &self,
        claimant: Claimant<'_>,
        events: &mpsc::Sender<TenureEvent>,
    ) -> Lease {
        let mut told = String::new();
        let acquired = loop {
            match self.acquire(&claimant).await {
                Ok(acquired) => break acquired,
                Err(why) if why == told => {}
                Err(why) => {
                    told.clone_from(&why);
                    let _ = events.send(TenureEvent::Failed(why)).await;
                }
            }
            sleep(Duration::from_secs(1)).await;
        };
        let lease = acquired.lease.clone();
        let _ = events.send(TenureEvent::Acquired(Box::new(acquired))).await;
        lease
    }

    async fn acquire(&self, claimant: &Claimant<'_>) -> Result<Acquired, String> {
        let holders = Holders::read(&*self.store, &claimant.identity);
        let holders = holders.await.map_err(|error| error.to_string())?;
        let mut random = crate::random::source();
        acquire(&*self.store, claimant, holders, &mut random)
            .await
            .map_err(|error| error.to_string())
    }
}
