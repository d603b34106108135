//! What the store and the tenure tell.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kernel::Mac;
use subnet_alloc::{
    Acquired, Block, Follower, Lease, LeaseEvent, LeaseStore, Outage, Revision, StoreEvent,
};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::{error, info, warn};

use crate::agent::Input;
use crate::backend::{Local, networks};
use crate::config::Config;
use crate::inspect::StoreState;
use crate::random;
use crate::start::Plan;
use crate::store::Store;
use crate::tenure::{Begin, Hint, Tenure, TenureEvent};

use super::{Driver, words};

/// The task that follows the store; it ends with this.
pub(super) struct Following {
    pub(super) events: mpsc::Receiver<StoreEvent>,
    task: AbortHandle,
}

/// The task that holds the lease; it ends with this.
pub(super) struct Holding {
    pub(super) events: mpsc::Receiver<TenureEvent>,
    hints: mpsc::Sender<Hint>,
    task: AbortHandle,
}

/// How often the store is told again that this node serves pods, until it hears.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// Tells the store that this node's pods are reached.
pub(super) async fn say_serving(store: Arc<Store>) {
    let mut said = false;
    while let Err(error) = store.serving().await {
        if !std::mem::replace(&mut said, true) {
            warn!(
                "the store does not know yet that this node serves pods: {error}; telling it again every {} s",
                TELL_AGAIN.as_secs()
            );
        }
        tokio::time::sleep(TELL_AGAIN).await;
    }
}

impl Following {
    /// From a revision on, or from a listing.
    pub(super) fn begin(store: &Arc<Store>, document: &[u8], after: Option<Revision>) -> Following {
        let (sender, events) = mpsc::channel(64);
        let follower = Follower::new(store.clone(), sender, random::source());
        let follower = follower.knowing_config(Some(document.to_vec()));
        let task = tokio::spawn(follower.run(after)).abort_handle();
        Following { events, task }
    }
}

impl Holding {
    pub(super) fn begin(
        store: &Arc<Store>,
        config: &Arc<Config>,
        (plan, macs): (&Plan, [Mac; 2]),
        (lease, begin): (Lease, Begin),
    ) -> Holding {
        let (sender, events) = mpsc::channel(4);
        let (hints, hinted) = mpsc::channel(4);
        let tenure = Tenure {
            store: store.clone(),
            config: config.clone(),
            plan: plan.clone(),
            macs,
            lease,
        };
        let task = tokio::spawn(tenure.run(begin, sender, hinted)).abort_handle();
        Holding {
            events,
            hints,
            task,
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Driver {
    pub(super) fn take_store(&mut self, event: StoreEvent) {
        match event {
            StoreEvent::Leases(events) => self.take_leases(events),
            StoreEvent::Bad(events) => self.daemon.passed_over.take(events, Instant::now()),
            StoreEvent::Config(document) => self.take_config(document),
            StoreEvent::Up { .. } => {
                if let StoreState::Down { why, since, .. } = &self.daemon.store {
                    info!("store back after {} s ({why})", since.elapsed().as_secs());
                    // A full channel has a hint in it already.
                    let _ = self.holding.hints.try_send(Hint::Back);
                }
                self.daemon.store = StoreState::Up;
            }
            StoreEvent::Down(Outage { why, heard }) => {
                let routes = self.plane.agent.reconciler().routes().count();
                warn!("store lost: {why}; keeping {routes} routes and trying again");
                let since = Instant::now();
                self.daemon.store = StoreState::Down {
                    why: why.to_string(),
                    since,
                    heard: heard.unwrap_or(since),
                };
            }
        }
    }

    fn take_leases(&mut self, events: Vec<LeaseEvent>) {
        let local = self.plane.agent.local();
        if events.iter().any(|event| local.loses_its_lease_by(event)) {
            // A full channel has a hint in it already.
            let _ = self.holding.hints.try_send(Hint::Lost);
        }
        self.daemon.passed_over.heed(&events);
        self.tell(Input::Leases(events));
    }

    pub(super) fn take_tenure(&mut self, event: TenureEvent) {
        match event {
            TenureEvent::Renewed => {
                (self.daemon.renewed, self.daemon.lost) = (Instant::now(), false);
            }
            TenureEvent::Failed(why) => {
                warn!("the lease could not be renewed: {why}; trying again");
            }
            TenureEvent::Lost(block) => {
                self.daemon.lost = true;
                warn!("the lease on {block} is gone from the store; acquiring it again");
            }
            TenureEvent::Acquired(acquired) => self.take_block(*acquired),
        }
    }

    fn take_block(&mut self, acquired: Acquired) {
        let (old, new) = (self.plane.agent.local().block, acquired.lease.block);
        let how = words::how(acquired.how);
        match old.filter(|old| !has_all_of(&new, old)) {
            None => info!("block {new} {how}"),
            Some(old) => error!(
                "block {old} is another node's now; this node has {new}: recreate the pods of this node"
            ),
        }
        if old != Some(new) {
            let local = Local {
                block: Some(new),
                ..self.plane.agent.local().clone()
            };
            self.tell_local(local);
            // Whoever has the old block now was not another node's lease before.
            self.following = Following::begin(&self.store, &self.document, None);
        }
        (self.daemon.renewed, self.daemon.lost) = (Instant::now(), false);
        self.tell(Input::Own(acquired.lease));
    }
}

/// Whether pods with addresses of `old` keep them.
fn has_all_of(new: &Block, old: &Block) -> bool {
    networks(old).all(|part| networks(new).any(|kept| kept == part))
}
