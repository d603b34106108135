//! The BGP backend in the loop: carries between its core, TCP, the agent and the kernel.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::speaker;
use tracing::{debug, error, info, warn};

use crate::agent;
use crate::backend::Backend;
use crate::bgp::fabric::{Fabric, Input, Output};
use crate::bgp::orders;
use crate::bgp::transport::{Door, Event, Transport};
use crate::bgp::words::Words;
use crate::config::BgpChoice;
use crate::control::Order;
use crate::inspect;
use crate::random;

use super::Driver;

/// Routes of the kernel that change one after the other are looked at together.
const WAYS_PAUSE: Duration = Duration::from_millis(50);
/// A port that is taken is tried again after this long.
const DOOR_PAUSE: Duration = Duration::from_secs(5);

/// The BGP backend while it runs.
pub(super) struct Bgp {
    pub(super) fabric: Fabric,
    transport: Transport,
    words: Words,
    /// When next hops are looked up again.
    ways_due: Option<Instant>,
    /// The door that cannot be opened, and when it is tried again.
    shut: Option<(Door, Instant)>,
}

impl Bgp {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let door = self.shut.as_ref().map(|(_, due)| *due);
        [
            self.fabric.poll_timeout(),
            self.words.poll_timeout(),
            self.ways_due,
            door,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.ways_due.is_some_and(|due| due <= now) {
            self.ways_due = None;
            self.fabric.handle(Input::WaysMoved, now);
        }
        if let Some((door, due)) = self.shut.take() {
            if due <= now {
                self.open(door, true);
            } else {
                self.shut = Some((door, due));
            }
        }
        self.words.tick(now);
        if self.fabric.poll_timeout().is_some_and(|due| due <= now) {
            self.fabric.handle_timeout(now);
        }
    }

    /// The kernel's routes have changed.
    pub(super) fn doubt_ways(&mut self) {
        self.ways_due
            .get_or_insert_with(|| Instant::now() + WAYS_PAUSE);
    }

    fn open(&mut self, door: Door, again: bool) {
        match self.transport.open(&door) {
            Ok(()) if again => info!("listening for BGP on port {}", door.port),
            Ok(()) => {}
            Err(why) => {
                if !again {
                    error!("{why}; trying again every {} s", DOOR_PAUSE.as_secs());
                }
                self.shut = Some((door, Instant::now() + DOOR_PAUSE));
            }
        }
    }

    /// What happened to a connection.
    fn hear(&mut self, event: &Event, now: Instant) {
        let input = match event {
            Event::Connected {
                peer,
                conn,
                local,
                remote,
            } => speaker::Input::Connected {
                peer: *peer,
                conn: *conn,
                local: *local,
                remote: *remote,
            },
            Event::ConnectFailed { peer, why } => {
                return self.fabric.connect_failed(*peer, why, now);
            }
            Event::Accepted {
                conn,
                local,
                remote,
            } => speaker::Input::Accepted {
                conn: *conn,
                local: *local,
                remote: *remote,
            },
            Event::Bytes(conn, bytes) => speaker::Input::Bytes(*conn, bytes),
            Event::Sent(conn, octets) => speaker::Input::Sent(*conn, *octets),
            Event::Closed(conn, why) => {
                if let Some(why) = why {
                    debug!("BGP connection {}: {why}", conn.0);
                }
                speaker::Input::Closed(*conn)
            }
        };
        self.fabric.handle(Input::Speaker(input), now);
    }
}

impl Driver {
    /// The backend that runs is the one that is planned.
    fn follow_backend(&mut self) -> anyhow::Result<()> {
        let is_bgp = self.plane.agent.local().backend == Backend::Bgp;
        if is_bgp && self.bgp.is_none() && self.plane.agent.has_seen_the_kernel() {
            self.begin_bgp()?;
        } else if !is_bgp && self.bgp.take().is_some() {
            self.tell(agent::Input::Hold(Default::default()));
        }
        Ok(())
    }

    fn begin_bgp(&mut self) -> anyhow::Result<()> {
        self.plane.reader.watch_foreign_routes()?;
        for advice in self.config.bgp.advice() {
            warn!("{advice}");
        }
        let reconciler = self.plane.agent.reconciler();
        let restarting = reconciler.routes().any(|row| row.have.is_some());
        let what = (
            Arc::new(self.config.bgp.clone()),
            self.plane.agent.local().clone(),
        );
        let seed = random::source()();
        self.bgp = Some(Bgp {
            fabric: Fabric::new(
                what,
                &self.plane.agent.nodes(),
                (restarting, seed),
                Instant::now(),
            ),
            transport: Transport::new(),
            words: Words::default(),
            ways_due: None,
            shut: None,
        });
        Ok(())
    }

    /// The settings of BGP have changed.
    pub(super) fn follow_choice(&mut self, before: &BgpChoice) {
        if self.bgp.is_none() {
            return;
        }
        let known = before.advice();
        let advice = self.config.bgp.advice().into_iter();
        for fresh in advice.filter(|line| !known.contains(line)) {
            warn!("{fresh}");
        }
        let choice = Arc::new(self.config.bgp.clone());
        self.tell_fabric(Input::Choice(choice));
    }

    /// Something happened to a connection.
    pub(super) fn hear_peers(&mut self, event: &Event) {
        if let Some(bgp) = &mut self.bgp {
            bgp.hear(event, Instant::now());
        }
    }

    /// Tells the BGP side something, if there is one.
    pub(super) fn tell_fabric(&mut self, input: Input<'_>) {
        if let Some(bgp) = &mut self.bgp {
            bgp.fabric.handle(input, Instant::now());
        }
    }

    /// Does with peers what an operator wants, and says what that was.
    pub(super) fn follow_order(&mut self, order: &Order) -> Result<String, String> {
        let Some(bgp) = &mut self.bgp else {
            return Err(inspect::without_bgp(&self.plane.agent));
        };
        let done = orders::carry_out(order, &mut bgp.fabric, Instant::now())?;
        info!("BGP, by order: {done}");
        Ok(done)
    }

    /// Does what the BGP side asks for. Says whether that was anything.
    pub(super) fn work_fabric(&mut self) -> anyhow::Result<bool> {
        self.follow_backend()?;
        let mut any = false;
        while let Some(output) = self.bgp.as_mut().and_then(|bgp| bgp.fabric.poll_output()) {
            any = true;
            self.carry_out_for_fabric(output)?;
        }
        Ok(any)
    }

    fn carry_out_for_fabric(&mut self, output: Output) -> anyhow::Result<()> {
        let Some(bgp) = &mut self.bgp else {
            return Ok(());
        };
        match output {
            Output::Open(door) => bgp.open(door, false),
            Output::Connect(peer, dialing) => bgp.transport.connect(peer, dialing),
            Output::GiveUp(peer) => bgp.transport.give_up(peer),
            Output::Send(conn, bytes) => bgp.transport.send(conn, bytes),
            Output::Close(conn) => bgp.transport.close(conn),
            Output::Resolve(hops) => {
                let answers = self.plane.reader.resolve(&hops)?;
                bgp.fabric.handle(Input::Resolved(answers), Instant::now());
            }
            Output::Wishes(wishes) => self.tell(agent::Input::Learned(wishes)),
            Output::Hold(held) => self.tell(agent::Input::Hold(held)),
            Output::Note(event, name) => bgp.words.say(&event, name.as_ref(), Instant::now()),
        }
        Ok(())
    }
}

/// What happens next to a connection.
pub(super) async fn next_of(bgp: &mut Option<Bgp>) -> Event {
    match bgp {
        Some(bgp) => bgp.transport.next().await,
        None => std::future::pending().await,
    }
}
