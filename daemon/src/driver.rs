//! The driver: one select loop that carries everything between the agent and
//! the outside. It decides nothing.

use std::sync::Arc;
use std::time::Instant;

use kernel::{Carried, Kernel, Mac, Netlink, NetlinkOptions, Ownership, Reader, Worker};
use subnet_alloc::{
    AcquireError, Acquired, Follower, How, LeaseEvent, LeaseStore, StoreEvent, acquire,
};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::agent::{Agent, Grace, Input, Notice, Output};
use crate::config::Config;
use crate::control::Request;
use crate::inspect::{self, Daemon, StoreState};
use crate::outside::Outside;
use crate::signals::{Signals, Told};
use crate::start::{self, Plan};
use crate::state::State;
use crate::subnet_env::SubnetEnv;
use crate::tenure::{Hint, Tenure, TenureEvent};
use crate::{control, health, locks, notify, random};

/// Refusals of one batch that are named in the log; the rest is counted.
const REFUSALS_NAMED: usize = 5;

/// Runs the daemon until a signal ends it. The kernel stays as it is.
pub(crate) async fn run<S: LeaseStore>(config: Config, store: S) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let store = Arc::new(store);
    let _locks = locks::take(&config)?;
    let mut signals = Signals::catch()?;
    let (requests_in, mut requests) = mpsc::channel(16);
    let _socket = control::listen(&config.run_dir, requests_in.clone())?;
    if let Some(address) = config.health {
        health::listen(address, requests_in).await?;
    }
    let started = Instant::now();
    let Some(up) = start_up_or_end(&config, &*store, (&mut signals, &mut requests)).await? else {
        return Ok(());
    };
    Driver::new(config, store, up, started)?
        .run(signals, requests)
        .await
}

/// Starts up while questions are answered; `None` when a signal ends it.
async fn start_up_or_end<S: LeaseStore>(
    config: &Config,
    store: &S,
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
    acquired: Acquired,
    /// The network config as it was written.
    document: Option<Vec<u8>>,
}

async fn start_up<S: LeaseStore>(config: &Config, store: &S) -> anyhow::Result<Started> {
    let options = NetlinkOptions {
        protocol: config.route_protocol,
        nexthop_objects: true,
    };
    let mut kernel = Netlink::open(options)?;
    let mut random = random::source();
    loop {
        let listing = start::first_listing(store).await;
        let document = listing.config.clone();
        let (links, addresses) = kernel.links()?;
        let text = document.as_deref().unwrap_or_default();
        let plan = start::plan(config, text, (&links, &addresses))?;
        plan.announce(config);
        inspect::warn_of_bad_entries(&listing.bad);
        let macs = plan.macs(config, &links, &listing.leases, &mut random);
        let claimant = plan.claimant(config, macs);
        match acquire(store, &claimant, listing, &mut random).await {
            Ok(acquired) => {
                announce_lease(&acquired);
                return Ok(Started {
                    kernel,
                    plan,
                    macs,
                    acquired,
                    document,
                });
            }
            // A store that fails between two answers is no reason to end.
            Err(AcquireError::Store(error)) => {
                warn!("no block yet: {error}; trying again from the start");
                tokio::time::sleep(start::ASK_AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn announce_lease(acquired: &Acquired) {
    let how = match acquired.how {
        How::Kept => "kept",
        How::Published => "kept, and published again",
        How::Extended => "kept in one family, and extended",
        How::Claimed => "claimed",
    };
    info!(
        "block {} {how}; {} leases in all",
        acquired.lease.block,
        acquired.leases.len()
    );
    for lease in &acquired.unfit {
        warn!(
            "the network config no longer gives out block {}, which this node has; it is left to expire",
            lease.block
        );
    }
}

struct Driver<S> {
    config: Arc<Config>,
    store: Arc<S>,
    reader: Reader,
    worker: Worker,
    agent: Agent,
    plan: Plan,
    /// What the loop knows besides the agent, for those who look inside.
    daemon: Daemon,
    /// The network config as it was written.
    document: Option<Vec<u8>>,
    revision: subnet_alloc::Revision,
    /// The kernel tells of changes.
    listening: bool,
    announced_ready: bool,
    written: Option<SubnetEnv>,
    remembered: Option<State>,
    /// Nothing where nftables cannot be spoken to.
    outside: Option<Outside>,
}

impl<S: LeaseStore> Driver<S> {
    fn new(
        config: Arc<Config>,
        store: Arc<S>,
        up: Started,
        started: Instant,
    ) -> anyhow::Result<Driver<S>> {
        let Started {
            kernel,
            plan,
            macs,
            acquired,
            document,
        } = up;
        let local = plan.local(acquired.lease.block, macs, &config.node_name);
        let ownership = Ownership {
            protocol: config.route_protocol,
            adopt_boot_routes: true,
        };
        let mut agent = Agent::new(local, ownership, Grace(config.vanished_grace));
        let now = Instant::now();
        agent.handle(Input::Own(acquired.lease), now);
        agent.handle(Input::Leases(vec![LeaseEvent::Reset(acquired.leases)]), now);
        let daemon = Daemon::new(start::describe_store(&config), config.lease_ttl, started);
        let revision = acquired.revision;
        let (reader, worker) = kernel.split()?;
        Ok(Driver {
            config,
            store,
            reader,
            worker,
            agent,
            plan,
            daemon,
            document,
            revision,
            listening: false,
            announced_ready: false,
            written: None,
            remembered: None,
            outside: None,
        })
    }

    async fn run(
        mut self,
        mut signals: Signals,
        mut requests: mpsc::Receiver<Request>,
    ) -> anyhow::Result<()> {
        let mut store_events = self.follow();
        let (mut tenure_events, hints) = self.hold();
        loop {
            self.hear_the_kernel().await?;
            self.work()?;
            self.tend_outside();
            let outside = self.outside.as_ref().and_then(Outside::poll_timeout);
            let timeout = self.agent.poll_timeout().into_iter().chain(outside).min();
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Told::End => break,
                    Told::HangUp => {
                        self.tell(Input::Doubt);
                        self.outside.iter_mut().for_each(Outside::doubt);
                    }
                },
                carried = self.worker.next() => {
                    let Carried { changes, refusals } = carried?;
                    self.tell(Input::Applied(changes, refusals));
                }
                told = self.reader.notifications(), if self.worker.busy() == 0 => {
                    self.tell(Input::Kernel(told?));
                }
                Some(event) = tenure_events.recv() => self.take_tenure(event),
                Some(event) = store_events.recv() => self.take_store(event, &hints),
                Some(request) = requests.recv() => self.answer(request)?,
                () = changed(&mut self.outside) => {}
                () = sleep_until(timeout) => self.agent.handle_timeout(Instant::now()),
            }
        }
        info!(
            "stopping; the kernel keeps {} routes",
            self.agent.reconciler().routes().count()
        );
        notify::stopping();
        Ok(())
    }

    fn follow(&self) -> mpsc::Receiver<StoreEvent> {
        let (events, receiver) = mpsc::channel(64);
        let follower = Follower::new(self.store.clone(), events, random::source());
        let follower = follower.knowing_config(self.document.clone());
        tokio::spawn(follower.run(Some(self.revision)));
        receiver
    }

    fn hold(&self) -> (mpsc::Receiver<TenureEvent>, mpsc::Sender<Hint>) {
        let (events, receiver) = mpsc::channel(4);
        let (hints, hinted) = mpsc::channel(4);
        let lease = self
            .agent
            .own()
            .expect("the agent was told its lease")
            .clone();
        let tenure = Tenure {
            store: self.store.clone(),
            config: self.config.clone(),
            plan: self.plan.clone(),
            macs: self.agent.local().macs,
            lease,
        };
        tokio::spawn(tenure.run(events, hinted));
        (receiver, hints)
    }

    fn tell(&mut self, input: Input) {
        self.agent.handle(input, Instant::now());
    }

    fn tend_outside(&mut self) {
        if let Some(outside) = &mut self.outside {
            outside.tend(&self.agent, Instant::now());
        }
    }

    /// Takes in what the kernel has told already, but not while a batch is on
    /// its way: what somebody takes away right after we put it would otherwise
    /// be heard of first and then count as there.
    async fn hear_the_kernel(&mut self) -> anyhow::Result<()> {
        if self.worker.busy() > 0 {
            return Ok(());
        }
        let told = tokio::select! {
            biased;
            told = self.reader.notifications() => told?,
            () = std::future::ready(()) => return Ok(()),
        };
        self.tell(Input::Kernel(told));
        Ok(())
    }

    /// Does what the agent asks for.
    fn work(&mut self) -> anyhow::Result<()> {
        loop {
            while let Some(output) = self.agent.poll_output(Instant::now()) {
                self.carry_out(output)?;
            }
            if self.worker.busy() > 0 || self.listening {
                break;
            }
            self.end_first_load()?;
        }
        self.become_ready();
        Ok(())
    }

    /// The first load is done sooner while the kernel need not tell of each
    /// change; what others did meanwhile, one more look tells.
    fn end_first_load(&mut self) -> anyhow::Result<()> {
        self.listening = true;
        self.reader.listen()?;
        self.tell(Input::Doubt);
        self.outside = Outside::open(&self.config, self.agent.local());
        self.tend_outside();
        Ok(())
    }

    fn carry_out(&mut self, output: Output) -> anyhow::Result<()> {
        match output {
            Output::ReadLinks => {
                let (links, addresses) = self.reader.links()?;
                self.tell(Input::Links(links, addresses));
            }
            Output::Dump(interest) => {
                let dump = self.reader.dump(&interest)?;
                self.tell(Input::Dump(dump));
            }
            Output::Apply(changes) => self.worker.submit(changes),
            Output::Notice(notice) => say(&notice),
            Output::Refused(refused) => {
                for (change, refusal) in refused.iter().take(REFUSALS_NAMED) {
                    warn!("the kernel refused {change}: {refusal}; trying again");
                }
                if let Some(more @ 1..) = refused.len().checked_sub(REFUSALS_NAMED) {
                    warn!("the kernel refused {more} more changes; see `twill check`");
                }
            }
        }
        Ok(())
    }

    fn become_ready(&mut self) {
        if !self.agent.is_ready() {
            return;
        }
        self.remember();
        self.write_subnet_env();
        if !std::mem::replace(&mut self.announced_ready, true) {
            let (leases, skipped) = self.agent.lease_counts();
            let took = self.daemon.started.elapsed().as_millis();
            info!(
                "ready after {took} ms: {leases} other nodes' blocks in the kernel, {skipped} leases passed over"
            );
            notify::ready();
        }
    }

    fn remember(&mut self) {
        let local = self.agent.local();
        let state = State {
            block: local.block,
            macs: local.macs,
        };
        if self.remembered.as_ref() == Some(&state) {
            return;
        }
        if let Err(error) = state.remember(&self.config.state_dir) {
            let dir = self.config.state_dir.display();
            warn!(
                "cannot write to {dir} (--state-dir): {error}; after a reboot this node relies on the store alone"
            );
        }
        self.remembered = Some(state);
    }

    fn write_subnet_env(&mut self) {
        let local = self.agent.local();
        let env = SubnetEnv {
            network: self.plan.network.v4.as_ref().map(|pool| pool.network),
            ipv6_network: self.plan.network.v6.as_ref().map(|pool| pool.network),
            block: local.block,
            mtu: local.pod_mtu(),
            ip_masq: self.config.ip_masq,
        };
        if self.written.as_ref() == Some(&env) {
            return;
        }
        let path = &self.config.subnet_file;
        match env.write(path) {
            Ok(_) => self.written = Some(env),
            Err(error) => error!(
                "cannot write {}: {error}; new pods get no network until this is mended",
                path.display()
            ),
        }
    }

    fn take_store(&mut self, event: StoreEvent, hints: &mpsc::Sender<Hint>) {
        match event {
            StoreEvent::Leases(events) => {
                if events
                    .iter()
                    .any(|event| self.agent.local().loses_its_lease_by(event))
                {
                    let _ = hints.try_send(Hint::Lost);
                }
                self.tell(Input::Leases(events));
            }
            StoreEvent::Bad(entries) => inspect::warn_of_bad_entries(&entries),
            StoreEvent::Config(document) => {
                warn!("the network config has changed; restart twill to follow it");
                self.document = document;
            }
            StoreEvent::Up { .. } => {
                if let StoreState::Down { why, since } = &self.daemon.store {
                    info!("store back after {} s ({why})", since.elapsed().as_secs());
                }
                self.daemon.store = StoreState::Up;
            }
            StoreEvent::Down(error) => {
                let routes = self.agent.reconciler().routes().count();
                warn!("store lost: {error}; keeping {routes} routes and trying again");
                self.daemon.store = StoreState::Down {
                    why: error.to_string(),
                    since: Instant::now(),
                };
            }
        }
    }

    fn take_tenure(&mut self, event: TenureEvent) {
        match event {
            TenureEvent::Renewed => self.daemon.renewed = Instant::now(),
            TenureEvent::Failed(why) => {
                warn!("the lease could not be renewed: {why}; trying again")
            }
            TenureEvent::Lost => {
                warn!(
                    "the lease on {} is gone from the store; acquiring it again",
                    self.agent.local().block
                );
            }
            TenureEvent::Acquired(acquired) => self.take_block(*acquired),
        }
    }

    fn take_block(&mut self, acquired: Acquired) {
        let (old, new) = (self.agent.local().block, acquired.lease.block);
        if old == new {
            info!("block {new} is held again");
        } else {
            error!(
                "block {old} is another node's now; this node has {new}: recreate the pods of this node"
            );
            let local = crate::backend::Local {
                block: new,
                ..self.agent.local().clone()
            };
            self.tell(Input::Local(Box::new(local)));
            // Whoever has the old block now was not another node's lease before.
            self.tell(Input::Leases(vec![LeaseEvent::Reset(acquired.leases)]));
        }
        self.daemon.renewed = Instant::now();
        self.tell(Input::Own(acquired.lease));
    }

    fn answer(&mut self, request: Request) -> anyhow::Result<()> {
        if request.wants_fresh_view() {
            self.look_again()?;
        }
        inspect::answer(request, &self.agent, &self.daemon, &self.config);
        Ok(())
    }

    /// Reads the kernel anew and changes nothing yet, so that the answer tells
    /// what is really there.
    fn look_again(&mut self) -> anyhow::Result<()> {
        self.tell(Input::Doubt);
        let (links, addresses) = self.reader.links()?;
        self.tell(Input::Links(links, addresses));
        let dump = self.reader.dump(&self.agent.reconciler().interest(false))?;
        self.tell(Input::Dump(dump));
        Ok(())
    }
}

/// Tells the operator about leases.
fn say(notice: &Notice) {
    match notice {
        Notice::Vanished {
            count,
            known,
            example,
            grace,
        } => warn!(
            "{count} of {known} leases vanished from the store (block {example}, for one); packets are sent to their nodes for {} s more unless others take the blocks",
            grace.as_secs()
        ),
        Notice::Forgotten { count, example } => info!(
            "{count} leases (block {example}, for one) did not come back; nothing is sent to their nodes from here on"
        ),
        Notice::MostAreStale {
            stale,
            known,
            grace,
        } => warn!(
            "the store has no leases for {stale} of the {known} routes that are in the kernel; they stay for {} s in case that it has lost them",
            grace.as_secs()
        ),
        Notice::Skipped {
            count,
            example,
            why,
        } => warn!(
            "{count} leases are passed over (block {example}, for one: {why}); see `twill show leases`"
        ),
    }
}

async fn changed(outside: &mut Option<Outside>) {
    match outside {
        Some(outside) => outside.changed().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when.into()).await,
        None => std::future::pending().await,
    }
}
