//! The driver: one select loop that carries everything between the agent and
//! the outside. It decides nothing.
//!
//! ```text
//! begin.rs        once: locks, sockets, and trying until there is a block
//! acquisition.rs  the first listing and the block
//! mod.rs          the loop
//! plane.rs        what the agent asks of the kernel
//! leases.rs       what the store and the tenure tell
//! changes.rs      what the operator and the underlay change under a running daemon
//! peers.rs        the BGP backend: its core, TCP
//! files.rs        subnet.env, node.json, READY=1
//! words.rs        what is said to the operator
//! ```

mod acquisition;
mod begin;
mod changes;
mod files;
mod leases;
mod peers;
mod plane;
mod words;

use std::sync::Arc;
use std::time::Instant;

use kernel::Notification;
use tokio::sync::mpsc;
use tracing::info;

use crate::agent::Input;
use crate::bgp::fabric;
use crate::config::{Config, ConfigError};
use crate::control::{Answer, Request, Topic};
use crate::inspect::{self, Daemon, Seen};
use crate::memory;
use crate::notify::{self, Watchdog};
use crate::outside::Outside;
use crate::signals::{Signals, Told};
use crate::start::Plan;
use crate::store::Store;

pub(crate) use begin::run;
use files::Files;
use leases::{Following, Holding};
use peers::Bgp;
use plane::{Elsewhere, Plane};

/// The settings of this process, and how to get them again.
pub(crate) struct Settings {
    /// What the daemon starts with.
    pub(crate) config: Config,
    /// Reads flags, variables and files anew.
    pub(crate) load: Box<dyn Fn() -> Result<Config, ConfigError>>,
}

struct Driver {
    config: Arc<Config>,
    load: Box<dyn Fn() -> Result<Config, ConfigError>>,
    store: Arc<Store>,
    following: Following,
    holding: Holding,
    plane: Plane,
    plan: Plan,
    /// What the loop knows besides the agent, for those who look inside.
    daemon: Daemon,
    /// The network config that is followed, as it was written.
    document: Vec<u8>,
    /// The kernel tells of changes.
    listening: bool,
    /// When it is looked whether the underlay is still what it was.
    underlay_due: Option<Instant>,
    files: Files,
    watchdog: Watchdog,
    /// Nothing where nftables cannot be spoken to.
    outside: Option<Outside>,
    /// While the backend is BGP.
    bgp: Option<Bgp>,
}

impl Driver {
    async fn run(
        mut self,
        mut signals: Signals,
        mut requests: mpsc::Receiver<Request>,
    ) -> anyhow::Result<()> {
        loop {
            self.hear_the_kernel().await?;
            self.work()?;
            self.tend_outside();
            self.watchdog.tend(Instant::now());
            let timeout = self.poll_timeout();
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Told::End => break,
                    Told::HangUp => self.hang_up(),
                },
                carried = self.plane.worker.next() => self.plane.take(carried?),
                told = self.plane.reader.notifications() => self.hear(told?),
                Some(event) = self.holding.events.recv() => self.take_tenure(event),
                Some(event) = self.following.events.recv() => self.take_store(event),
                Some(request) = requests.recv() => self.answer(request)?,
                () = changed(&mut self.outside) => {}
                () = sleep_until(timeout) => self.handle_timeout(Instant::now()),
                // Last, since peers with many routes have always more to say.
                event = peers::next_of(&mut self.bgp) => self.hear_peers(&event),
            }
        }
        info!(
            "stopping; the kernel keeps {} routes",
            self.plane.agent.reconciler().routes().count()
        );
        notify::stopping();
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let outside = self.outside.as_ref().and_then(Outside::poll_timeout);
        let bgp = self.bgp.as_ref().and_then(Bgp::poll_timeout);
        let watchdog = self.watchdog.poll_timeout();
        [
            self.plane.agent.poll_timeout(),
            outside,
            self.underlay_due,
            bgp,
            watchdog,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.plane.agent.handle_timeout(now);
        if let Some(bgp) = &mut self.bgp {
            bgp.handle_timeout(now);
        }
        if self.underlay_due.is_some_and(|due| due <= now) {
            self.underlay_due = None;
            self.follow_underlay();
        }
    }

    fn tell(&mut self, input: Input) {
        self.plane.tell(input);
    }

    fn tend_outside(&mut self) {
        if let Some(outside) = &mut self.outside {
            outside.tend(&self.plane.agent, Instant::now());
        }
    }

    /// Takes in what the kernel has told already before anything is decided on.
    async fn hear_the_kernel(&mut self) -> anyhow::Result<()> {
        let told = tokio::select! {
            biased;
            told = self.plane.reader.notifications() => told?,
            () = std::future::ready(()) => return Ok(()),
        };
        self.hear(told);
        Ok(())
    }

    fn hear(&mut self, told: Vec<Notification>) {
        let about_links = told.iter().any(|notification| {
            matches!(
                notification,
                Notification::Link(_)
                    | Notification::LinkGone(_)
                    | Notification::Address(_)
                    | Notification::AddressGone(_)
            )
        });
        let moves_ways = told
            .iter()
            .any(|told| matches!(told, Notification::ForeignRoutes | Notification::Overrun));
        if let Some(bgp) = self.bgp.as_mut().filter(|_| moves_ways) {
            bgp.doubt_ways();
        }
        self.tell(Input::Kernel(told));
        if about_links {
            self.heed_underlay();
        }
    }

    /// Does what the agent asks for.
    fn work(&mut self) -> anyhow::Result<()> {
        loop {
            while let Some(output) = self.plane.work()? {
                self.carry_out(output);
            }
            if self.work_fabric()? {
                continue;
            }
            if self.plane.worker.busy() > 0 || self.listening {
                break;
            }
            self.end_first_load()?;
        }
        let is_ready = self
            .files
            .follow(&self.plane.agent, &self.plan, &self.config, &self.daemon);
        if is_ready {
            memory::give_back();
            tokio::spawn(leases::say_serving(self.store.clone()));
        }
        Ok(())
    }

    /// The first load is done sooner while the kernel need not tell of each
    /// change; what others did meanwhile, one more look tells.
    fn end_first_load(&mut self) -> anyhow::Result<()> {
        self.listening = true;
        self.plane.reader.listen()?;
        self.tell(Input::Doubt);
        self.outside = Outside::open(&self.config, self.plane.agent.local());
        self.tend_outside();
        Ok(())
    }

    fn carry_out(&mut self, output: Elsewhere) {
        match output {
            Elsewhere::LinksRead => self.heed_underlay(),
            Elsewhere::Nodes(leases) => self.tell_fabric(fabric::Input::Leases(leases)),
            Elsewhere::Say(words) => words.say(&self.plane.agent, &mut self.daemon.passed_over),
        }
    }

    fn answer(&mut self, request: Request) -> anyhow::Result<()> {
        if request.wants_fresh_view() {
            self.look_again()?;
        }
        let done = match &request.topic {
            Topic::Reload => Some(self.reload()),
            Topic::Bgp(order) => Some(self.follow_order(order)),
            _ => None,
        };
        match done {
            Some(done) => {
                let _ = request.reply.send(answer_of(done));
            }
            None => inspect::answer(
                request,
                &Seen {
                    agent: &self.plane.agent,
                    daemon: &self.daemon,
                    config: &self.config,
                    fabric: self.bgp.as_ref().map(|bgp| &bgp.fabric),
                },
            ),
        }
        Ok(())
    }

    /// Reads the kernel anew and changes nothing yet, so that the answer tells
    /// what is really there.
    fn look_again(&mut self) -> anyhow::Result<()> {
        self.tell(Input::Doubt);
        let (links, addresses) = self.plane.reader.links()?;
        self.tell(Input::Links(links, addresses));
        let dump = self
            .plane
            .reader
            .dump(&self.plane.agent.reconciler().interest(false))?;
        self.tell(Input::Dump(dump));
        Ok(())
    }
}

/// What was done, or why not.
fn answer_of(done: Result<String, String>) -> Answer {
    let good = done.is_ok();
    let answer = match done {
        Ok(done) => serde_json::json!({ "done": done }),
        Err(why) => serde_json::json!({ "error": why }),
    };
    let text = answer.to_string();
    Answer { good, text }
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
