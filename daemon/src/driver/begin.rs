//! What happens once: locks, sockets, the first listing, the block.

use std::sync::Arc;
use std::time::Instant;

use kernel::{Kernel, Mac, Netlink, NetlinkOptions, Ownership};
use subnet_alloc::{
    AcquireError, Acquired, BadEvent, Block, Lease, Leases, Revision, acquire_while,
};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::agent::{Agent, Grace, Input};
use crate::config::Config;
use crate::control::{self, Request};
use crate::inspect::{self, Daemon};
use crate::notify::Watchdog;
use crate::passed_over::PassedOver;
use crate::signals::Signals;
use crate::start::{self, Plan};
use crate::store::Store;
use crate::tenure::Begin;
use crate::{health, locks, memory, random};

use super::files::Files;
use super::leases::{Following, Holding};
use super::{Driver, Settings, words};

/// Runs the daemon until a signal ends it. The kernel stays as it is.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let store = Store::open(&settings.config)?;
    let config = &settings.config;
    let _locks = locks::take(config)?;
    let mut signals = Signals::catch()?;
    let (requests_in, mut requests) = mpsc::channel(16);
    let _socket = control::listen(&config.run_dir, requests_in.clone())?;
    if let Some(address) = config.health {
        health::listen(address, requests_in).await?;
    }
    let started = Instant::now();
    let Some(up) = start_up_or_end(config, &store, (&mut signals, &mut requests)).await? else {
        return Ok(());
    };
    Driver::new(settings, Arc::new(store), up, started)?
        .run(signals, requests)
        .await
}

/// Starts up while questions are answered; `None` when a signal ends it.
async fn start_up_or_end(
    config: &Config,
    store: &Store,
    (signals, requests): (&mut Signals, &mut mpsc::Receiver<Request>),
) -> anyhow::Result<Option<Started>> {
    let starting = start_up(config, store);
    tokio::pin!(starting);
    loop {
        tokio::select! {
            started = &mut starting => return started.map(Some),
            Some(request) = requests.recv() => inspect::answer_early(request, config),
            () = signals.end() => return Ok(None),
        }
    }
}

/// What is there once this node has its block.
struct Started {
    kernel: Netlink,
    plan: Plan,
    macs: [Mac; 2],
    /// The own lease.
    lease: Lease,
    /// Of the listing.
    revision: Revision,
    /// Knows all leases.
    agent: Agent,
    /// The network config as it was written.
    document: Vec<u8>,
    passed_over: PassedOver,
}

async fn start_up(config: &Config, store: &Store) -> anyhow::Result<Started> {
    let options = NetlinkOptions {
        protocol: config.route_protocol,
        nexthop_objects: true,
    };
    let mut kernel = Netlink::open(options)?;
    let mut random = random::source();
    let mut passed_over = PassedOver::default();
    let mut said = String::new();
    loop {
        let mut listing = start::first_listing(config, store).await;
        let document = listing.config.clone().unwrap_or_default();
        let (links, addresses) = kernel.links()?;
        let plan = start::plan(config, &document, (&links, &addresses))?;
        plan.announce(config);
        let bad = std::mem::take(&mut listing.bad);
        passed_over.take(vec![BadEvent::Reset(bad)], Instant::now());
        let macs = plan.macs(config, &links, &listing.leases, &mut random);
        let claimant = plan.claimant(config, macs);
        // What other nodes' leases say is taken in while the store is asked for the block.
        let chosen = &mut |block, leases: &mut Leases<'_>| {
            let mut agent = new_agent(config, &plan, macs, block);
            agent.begin(leases);
            agent
        };
        match acquire_while(store, &claimant, listing, &mut random, chosen).await {
            Ok((acquired, agent)) => {
                announce_lease(&acquired);
                return Ok(Started {
                    kernel,
                    plan,
                    macs,
                    lease: acquired.lease,
                    revision: acquired.revision,
                    agent,
                    document,
                    passed_over,
                });
            }
            // A store that fails between two answers is no reason to end.
            Err(AcquireError::Store(error)) => {
                let why = error.to_string();
                if said != why {
                    warn!("no block yet: {why}; trying again every second");
                    said = why;
                }
                tokio::time::sleep(start::ASK_AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn announce_lease(acquired: &Acquired) {
    info!(
        "block {} {}; {} leases in all",
        acquired.lease.block,
        words::how(acquired.how),
        acquired.leases.len()
    );
    for lease in &acquired.unfit {
        warn!(
            "the network config no longer gives out block {}, which this node has; it is left to expire",
            lease.block
        );
    }
}

impl Driver {
    fn new(
        settings: Settings,
        store: Arc<Store>,
        up: Started,
        started: Instant,
    ) -> anyhow::Result<Driver> {
        let Settings { config, load } = settings;
        let Started {
            kernel,
            plan,
            macs,
            lease,
            revision,
            mut agent,
            document,
            passed_over,
        } = up;
        memory::give_back();
        agent.handle(Input::Own(lease.clone()), Instant::now());
        let config = Arc::new(config);
        let following = Following::begin(&store, &document, Some(revision));
        let holding = Holding::begin(&store, &config, (&plan, macs), (lease, Begin::Holding));
        let (reader, worker) = kernel.split()?;
        Ok(Driver {
            daemon: Daemon {
                passed_over,
                ..Daemon::new(start::describe_store(&config), config.lease_ttl, started)
            },
            config,
            load,
            store,
            following,
            holding,
            reader,
            worker,
            agent,
            plan,
            document,
            listening: false,
            underlay_due: None,
            files: Files::default(),
            watchdog: Watchdog::from_environment(),
            outside: None,
            bgp: None,
        })
    }
}

fn new_agent(config: &Config, plan: &Plan, macs: [Mac; 2], block: Block) -> Agent {
    let local = plan.local(block, macs, &config.node_name);
    let ownership = Ownership {
        protocol: config.route_protocol,
        adopt_boot_routes: true,
    };
    Agent::new(local, ownership, Grace(config.vanished_grace))
}
