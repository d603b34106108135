//! A node on its way to its block: it lists the store and claims, while what other nodes' leases ask for is put into the
//! kernel already.

use std::collections::BTreeSet;
use std::time::Instant;

use kernel::{Kernel, KernelError, Link, Mac, Netlink, NetlinkOptions, Ownership};
use subnet_alloc::{
    AcquireError, Acquired, BadEvent, Holders, Lease, Listing, Parts, Revision, StoreError, acquire,
};
use tracing::{info, warn};

use crate::agent::{Agent, Grace, Input};
use crate::config::Config;
use crate::passed_over::PassedOver;
use crate::random;
use crate::start::{self, Plan, StartError};
use crate::store::Store;

use super::plane::{Elsewhere, Plane};
use super::words;

/// What is there once this node has its block.
pub(super) struct Started {
    /// Knows all leases, and may still work on what they ask for.
    pub(super) plane: Plane,
    pub(super) plan: Plan,
    pub(super) macs: [Mac; 2],
    /// The own lease.
    pub(super) lease: Lease,
    /// Of the listing.
    pub(super) revision: Revision,
    /// The network config as it was written.
    pub(super) document: Vec<u8>,
    pub(super) passed_over: PassedOver,
}

/// How many reasons for waiting are told, each once.
const REASONS: usize = 16;

/// What attempts have come to so far, and what of it is said and not to be said again.
#[derive(Default)]
pub(super) struct Attempts {
    reasons: BTreeSet<String>,
    passed_over: PassedOver,
    plan: String,
    /// Whether the first look at the kernel found nothing of ours: then it was an attempt that put what is there now.
    found_nothing: Option<bool>,
}

impl Attempts {
    /// Whether this reason for waiting is a new one, which is to be told.
    pub(super) fn is_news(&mut self, reason: &str) -> bool {
        self.reasons.len() < REASONS && self.reasons.insert(reason.to_owned())
    }
}

/// Why there is no block.
pub(super) enum Stop {
    /// The store may have one later.
    NotYet(String),
    /// Somebody has to do something.
    End(anyhow::Error),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::NotYet(error.to_string())
    }
}

impl From<KernelError> for Stop {
    fn from(error: KernelError) -> Stop {
        Stop::End(error.into())
    }
}

impl From<StartError> for Stop {
    fn from(error: StartError) -> Stop {
        Stop::End(error.into())
    }
}

/// From nothing to a block.
pub(super) async fn list_and_acquire(
    config: &Config,
    store: &Store,
    attempts: &mut Attempts,
) -> Result<Started, Stop> {
    let mut parts = Parts::of(store);
    // While the store is asked.
    let kernel = async {
        Netlink::open(NetlinkOptions {
            protocol: config.route_protocol,
            nexthop_objects: true,
        })
        .map_err(Stop::from)
    };
    let first = async { parts.next().await.map_err(Stop::from) };
    let (first, kernel) = tokio::try_join!(first, kernel)?;
    let first = first.unwrap_or_default();
    let revision = first.revision;
    let Some(document) = first.config.clone() else {
        return Err(Stop::NotYet(start::no_config(config)));
    };
    let mut acquisition = Acquisition::new((config, store), &document, kernel, attempts)?;
    let holders = acquisition.list(first, parts).await?;
    let acquired = acquisition.claim(holders).await?;
    announce(&acquired);
    let Acquisition {
        plan,
        macs,
        mut plane,
        attempts,
        ..
    } = acquisition;
    plane.tell(Input::Own(acquired.lease.clone()));
    plane.tell(Input::Listed);
    Ok(Started {
        plane,
        plan,
        macs,
        lease: acquired.lease,
        revision,
        document,
        passed_over: std::mem::take(&mut attempts.passed_over),
    })
}

struct Acquisition<'a> {
    config: &'a Config,
    store: &'a Store,
    plan: Plan,
    /// As they were before anything was put.
    links: Vec<Link>,
    macs: [Mac; 2],
    plane: Plane,
    attempts: &'a mut Attempts,
}

impl<'a> Acquisition<'a> {
    fn new(
        (config, store): (&'a Config, &'a Store),
        document: &[u8],
        mut kernel: Netlink,
        attempts: &'a mut Attempts,
    ) -> Result<Acquisition<'a>, Stop> {
        let (links, addresses) = kernel.links()?;
        let plan = start::plan(config, document, (&links, &addresses))?;
        plan.announce(config, &mut attempts.plan);
        let macs = plan.macs(config, &links, &[], start::new_macs());
        let local = plan.local(None, macs, &config.node_name);
        let ownership = Ownership {
            protocol: config.route_protocol,
            adopt_boot_routes: true,
        };
        let agent = Agent::new(local, ownership, Grace(config.vanished_grace));
        let mut plane = Plane::new(agent, kernel)?;
        plane.tell(Input::Links(links.clone(), addresses));
        Ok(Acquisition {
            config,
            store,
            plan,
            macs,
            plane,
            links,
            attempts,
        })
    }

    /// Takes in the parts of the listing as they come.
    async fn list(&mut self, first: Listing, mut parts: Parts<'_>) -> Result<Holders, Stop> {
        let mut holders = Holders::seen_by(&self.plan.identity(self.config));
        let (mut next, mut bad) = (Some(first), Vec::new());
        while let Some(part) = next {
            holders.take_in(&part);
            bad.extend(part.bad);
            self.plane.tell(Input::Part(part.leases));
            next = self.work_during(parts.next()).await??;
        }
        let bad = vec![BadEvent::Reset(bad)];
        self.attempts.passed_over.take(bad, Instant::now());
        Ok(holders)
    }

    async fn claim(&mut self, holders: Holders) -> Result<Acquired, Stop> {
        self.take_published_macs(holders.akin());
        let plan = self.plan.clone();
        let claimant = plan.claimant(self.config, self.macs);
        let mut random = random::source();
        let acquiring = acquire(self.store, &claimant, holders, &mut random);
        match self.work_during(acquiring).await? {
            Ok(acquired) => Ok(acquired),
            // A store that fails between two answers is no reason to end.
            Err(AcquireError::Store(error)) => Err(error.into()),
            Err(error) => {
                if self.attempts.found_nothing == Some(true) {
                    self.plane.take_back(self.config.route_protocol).await?;
                }
                Err(Stop::End(error.into()))
            }
        }
    }

    /// An own lease may tell of MACs that nothing on this node attempts.
    fn take_published_macs(&mut self, akin: &[Lease]) {
        let macs = self.plan.macs(self.config, &self.links, akin, self.macs);
        if macs != self.macs {
            self.macs = macs;
            let local = self.plan.local(None, macs, &self.config.node_name);
            self.plane.tell(Input::Local(Box::new(local)));
        }
    }

    async fn work_during<T>(&mut self, what: impl Future<Output = T>) -> Result<T, KernelError> {
        let attempts = &mut *self.attempts;
        let elsewhere = |agent: &Agent, asked| {
            if let Elsewhere::Say(words) = asked {
                words.say(agent, &mut attempts.passed_over);
            }
        };
        let done = self.plane.work_during(what, elsewhere).await;
        let found_nothing = self.plane.agent.found_nothing();
        attempts.found_nothing = attempts.found_nothing.or(found_nothing);
        done
    }
}

fn announce(acquired: &Acquired) {
    info!(
        "block {} {}; {} blocks are held in all",
        acquired.lease.block,
        words::how(acquired.how),
        acquired.held
    );
    for lease in &acquired.unfit {
        warn!(
            "the network config no longer gives out block {}, which this node has; it is left to expire",
            lease.block
        );
    }
}
