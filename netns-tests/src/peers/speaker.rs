//! A running daemon, whichever it is.

use super::seat::Seat;
use super::{Brand, PeerSetup, bird, exabgp, frr, gobgp, openbgpd};
use lab::{Cidr, LabError, Namespace, Process, Signal, eventually};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

/// How long a daemon may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is particular to one daemon.
pub(super) trait Dialect: Debug + Send + Sync {
    /// Starts what the speaker needs and what stays when that ends.
    fn prepare(&self, _: &Seat) -> Result<Vec<Process>, LabError> {
        Ok(Vec::new())
    }

    /// Starts the speaker, with its routes; `restarting` tells it that it ran before (RFC 4724).
    fn start(&self, seat: &Seat, restarting: bool) -> Result<Process, LabError>;

    /// Whether the session is established.
    fn is_up(&self, seat: &Seat, neighbour: IpAddr) -> Result<bool, LabError>;

    /// What that neighbour announces and is accepted.
    fn routes_from(&self, seat: &Seat, neighbour: IpAddr) -> Result<BTreeSet<Cidr>, LabError>;

    /// A count that grows with every route or UPDATE that the neighbour sends.
    fn updates_from(&self, seat: &Seat, neighbour: IpAddr) -> Result<u64, LabError>;

    /// Asks the neighbour for everything again.
    fn refresh(&self, seat: &Seat, neighbour: IpAddr) -> Result<(), LabError>;

    /// Originates a route of `seat.setup`, or takes it back when it is not there any more.
    fn apply(&self, seat: &Seat, route: Cidr, present: bool) -> Result<(), LabError>;
}

/// A daemon that runs until this value is dropped.
#[derive(Debug)]
pub struct Speaker {
    brand: Brand,
    // Ends before what it needs.
    speaker: Option<Process>,
    beside: Vec<Process>,
    seat: Seat,
}

impl Brand {
    /// Starts it inside `namespace`. It answers its own commands when this returns; its sessions come up later.
    pub fn start(self, namespace: &Namespace, setup: PeerSetup) -> Result<Speaker, LabError> {
        let seat = Seat::new(namespace, setup)?;
        let mut speaker = Speaker {
            brand: self,
            speaker: None,
            beside: self.dialect().prepare(&seat)?,
            seat,
        };
        speaker.start(false)?;
        Ok(speaker)
    }

    fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Bird => &bird::Bird,
            Self::Frr => &frr::Frr,
            Self::Gobgp => &gobgp::Gobgp,
            Self::Exabgp => &exabgp::Exabgp,
            Self::Openbgpd => &openbgpd::Openbgpd,
        }
    }
}

impl Speaker {
    /// Which daemon it is.
    pub fn brand(&self) -> Brand {
        self.brand
    }

    /// What it was told to do.
    pub fn setup(&self) -> &PeerSetup {
        &self.seat.setup
    }

    /// The process ids of the speaker and of what it needs.
    pub fn pids(&self) -> Vec<u32> {
        let all = self.speaker.iter().chain(&self.beside);
        all.map(Process::pid).collect()
    }

    /// Whether the session is established; not while the daemon cannot be asked.
    pub fn is_up(&self, neighbour: IpAddr) -> bool {
        self.brand
            .dialect()
            .is_up(&self.seat, neighbour)
            .unwrap_or(false)
    }

    /// Waits until the session is established.
    pub fn wait_up(&mut self, neighbour: IpAddr, patience: Duration) -> Result<(), LabError> {
        let what = format!("{}'s session with {neighbour} is established", self.brand);
        let waited = eventually(&what, patience, || self.is_up(neighbour));
        if waited.is_err() {
            self.must_run()?;
        }
        waited
    }

    /// Fails if it has ended.
    pub fn must_run(&mut self) -> Result<(), LabError> {
        let mut all = self.speaker.iter_mut().chain(&mut self.beside);
        all.try_for_each(Process::must_run)
    }

    /// What that neighbour announces and is accepted.
    pub fn routes_from(&self, neighbour: IpAddr) -> Result<BTreeSet<Cidr>, LabError> {
        self.brand.dialect().routes_from(&self.seat, neighbour)
    }

    /// Whether any neighbour announces this prefix.
    pub fn has_route(&self, prefix: Cidr) -> bool {
        let neighbours = self.seat.setup.neighbours.iter();
        neighbours
            .filter_map(|neighbour| self.routes_from(neighbour.address).ok())
            .any(|routes| routes.contains(&prefix))
    }

    /// A count that grows with every route or UPDATE that the neighbour sends; what is counted differs between daemons.
    pub fn updates_from(&self, neighbour: IpAddr) -> Result<u64, LabError> {
        self.brand.dialect().updates_from(&self.seat, neighbour)
    }

    /// Asks the neighbour for everything again (RFC 2918).
    pub fn refresh(&self, neighbour: IpAddr) -> Result<(), LabError> {
        self.brand.dialect().refresh(&self.seat, neighbour)
    }

    /// Originates one more route.
    pub fn announce(&mut self, route: Cidr) -> Result<(), LabError> {
        self.seat.setup.routes.push(route);
        self.brand.dialect().apply(&self.seat, route, true)
    }

    /// Takes a route of its own back.
    pub fn withdraw(&mut self, route: Cidr) -> Result<(), LabError> {
        self.seat.setup.routes.retain(|other| *other != route);
        self.brand.dialect().apply(&self.seat, route, false)
    }

    /// Ends the speaker as its service would (SIGTERM).
    pub fn stop(&mut self) -> Result<(), LabError> {
        let Some(mut speaker) = self.speaker.take() else {
            return Ok(());
        };
        speaker.signal(Signal::SIGTERM)?;
        speaker.wait(PATIENCE).map(drop)
    }

    /// Kills the speaker (SIGKILL), and all that it has started.
    pub fn kill(&mut self) -> Result<(), LabError> {
        let Some(mut speaker) = self.speaker.take() else {
            return Ok(());
        };
        speaker.signal_group(Signal::SIGKILL)?;
        speaker.kill().map(drop)
    }

    /// Starts the speaker again; it knows that it ran before.
    pub fn restart(&mut self) -> Result<(), LabError> {
        self.stop()?;
        self.start(true)
    }

    /// Freezes it with all that it has started (SIGSTOP): its sessions stay and say nothing.
    pub fn freeze(&self) -> Result<(), LabError> {
        self.signal_all(Signal::SIGSTOP)
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) -> Result<(), LabError> {
        self.signal_all(Signal::SIGCONT)
    }

    fn signal_all(&self, signal: Signal) -> Result<(), LabError> {
        let mut all = self.speaker.iter().chain(&self.beside);
        all.try_for_each(|process| process.signal_group(signal))
    }

    fn start(&mut self, restarting: bool) -> Result<(), LabError> {
        let started = self.brand.dialect().start(&self.seat, restarting)?;
        self.speaker = Some(started);
        Ok(())
    }
}

impl Drop for Speaker {
    /// A frozen child would outlive its parent.
    fn drop(&mut self) {
        let _ = self.signal_all(Signal::SIGKILL);
    }
}
