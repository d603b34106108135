//! Many IPv4 routes from one peer into the kernel and on to another peer: Twill beside BIRD, FRR and GoBGP.
//!
//! The routes share their attributes by the thousand, as real tables have them. They are encoded beforehand and written by
//! a thread of its own, so that nothing but TCP slows them down. For each router and size: announced, withdrawn, announced
//! again, each from the first UPDATE to the last change of the kernel and to the last UPDATE at the observer; then the time
//! of single UPDATEs into the kernel beside all these routes, and the processor time of ten seconds in which nothing
//! happens.
//!
//! Bars: half of BIRD's time and no more than its memory at 100,000 and 1,000,000; one UPDATE in 10 ms.
//!
//! `cargo bench -p netns-tests --bench bgp -- 100000 twill bird` takes other sizes and fewer routers.

use lab::{LabError, Namespace, Shape, Stack, Underlay};
use netns_tests::measure::{
    Contender, Rival, RouteProbe, Table, Usage, add_hop, change_networks, megabytes, milliseconds,
    percentile, say, wait_for_rest,
};
use netns_tests::peers::machine;
use netns_tests::raw_bgp::{Announced, Ear, Load, RawPeer, RawSetup};
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];
const PER_SET: u32 = 1_000;
const SINGLES: u8 = 50;
const IDLE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(300);
const UP: Duration = Duration::from_secs(30);

const FROM: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const TO: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 3);

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("the benchmark could not be run: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), LabError> {
    say("N routes from one peer: to the last in the kernel / to the last at the other peer");
    let table = Table::new(&[
        "router",
        "N",
        "announced: kernel",
        "observer",
        "CPU time",
        "withdrawn: kernel",
        "observer",
        "again: kernel",
        "observer",
        "peak RSS",
        "one: median",
        "longest",
        "idle CPU",
    ]);
    for size in sizes() {
        let load = Load::new(size, PER_SET, 65_001, FROM);
        wait_for_rest()?;
        table.row(&floor(&load)?);
        for rival in rivals() {
            wait_for_rest()?;
            table.row(&Round::new(rival, &load)?.cells()?);
        }
    }
    say(
        "floor: the same routes by netlink, packed, from a loop. CPU time: of all its processes for the first announcement. \
         one: a single route beside the N. idle CPU: of a core over 10 s.",
    );
    Ok(())
}

fn sizes() -> Vec<u32> {
    let asked: Vec<u32> = std::env::args()
        .filter_map(|word| word.parse().ok())
        .collect();
    if asked.is_empty() {
        SIZES.to_vec()
    } else {
        asked
    }
}

fn rivals() -> Vec<Rival> {
    let named = |rival: &Rival| {
        let mut words = std::env::args();
        words.any(|word| word.eq_ignore_ascii_case(&rival.name()))
    };
    let asked: Vec<Rival> = Rival::ALL.into_iter().filter(named).collect();
    if asked.is_empty() {
        Rival::ALL.to_vec()
    } else {
        asked
    }
}

/// What the kernel alone takes.
fn floor(load: &Load) -> Result<Vec<String>, LabError> {
    let underlay = Underlay::new(Shape::OneSwitch, Stack::Dual)?;
    let machine = machine(&underlay, 2)?;
    let link = lab::kernel_view::link(&machine.namespace, "eth0")?;
    add_hop(
        &machine.namespace,
        link.map_or(0, |link| link.ifindex),
        FROM,
    )?;
    let networks: Vec<Ipv4Addr> = (0..load.count()).map(network).collect();
    let change = |put| change_networks(&machine.namespace, &networks, put);
    let (announced, withdrawn, again) = (change(true)?, change(false)?, change(true)?);
    let mut cells = vec!["floor".to_owned(), load.count().to_string()];
    for time in [announced, withdrawn, again] {
        cells.push(milliseconds(time));
        cells.push("-".to_owned());
        if cells.len() == 4 {
            cells.push("-".to_owned());
        }
    }
    cells.extend(std::iter::repeat_n("-".to_owned(), 4));
    Ok(cells)
}

fn network(number: u32) -> Ipv4Addr {
    match Load::prefix(number).address {
        IpAddr::V4(network) => network,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// One router between two raw peers.
struct Round {
    from: RawPeer,
    to: RawPeer,
    probe: Option<RouteProbe>,
    before: u64,
    samples: Vec<Ipv4Addr>,
    contender: Contender,
    rival: Rival,
    load: Load,
    _directory: tempfile::TempDir,
    _underlay: Underlay,
}

/// When the kernel and the observer had all.
struct Times {
    kernel: Option<Duration>,
    observer: Duration,
}

impl Round {
    fn new(rival: Rival, load: &Load) -> Result<Self, LabError> {
        let underlay = Underlay::new(Shape::OneSwitch, Stack::Dual)?;
        let directory = tempfile::tempdir().map_err(|source| LabError::System {
            what: "make a temporary directory".into(),
            source,
        })?;
        let (from, to) = (machine(&underlay, 1)?, machine(&underlay, 3)?);
        let peers = [(FROM.into(), 65_001), (TO.into(), 65_003)];
        let contender = Contender::start(rival, &underlay, directory.path(), peers)?;
        let session = |namespace: &Namespace, (own, asn): (IpAddr, u32)| {
            let router = contender.addresses().like(own).unwrap_or(own);
            let mut setup = RawSetup::new(own, router, asn);
            setup.ear = Ear::Count;
            RawPeer::open(namespace, &setup, UP)
        };
        let (from, to) = (
            session(&from.namespace, peers[0])?,
            session(&to.namespace, peers[1])?,
        );
        let mut probe = match rival.installs() {
            true => Some(RouteProbe::open(contender.namespace())?),
            false => None,
        };
        // The last route of each set of attributes: whatever the order in which they are installed.
        let ends =
            (1..=load.count()).filter(|number| number % PER_SET == 0 || *number == load.count());
        Ok(Self {
            from,
            to,
            before: probe.as_mut().map_or(0, RouteProbe::count),
            probe,
            samples: ends.map(|number| network(number - 1)).collect(),
            contender,
            rival,
            load: load.clone(),
            _directory: directory,
            _underlay: underlay,
        })
    }

    fn cells(mut self) -> Result<Vec<String>, LabError> {
        let before = self.contender.usage().cpu;
        let announced = self.load(self.load.announcement(), true)?;
        let cpu = self.contender.usage().cpu.saturating_sub(before);
        let withdrawn = self.load(self.load.withdrawal(), false)?;
        let again = self.load(self.load.announcement(), true)?;
        let peak = self.contender.usage().peak;
        let mut singles = self.singles()?;
        let idle = idle(|| self.contender.usage());
        self.contender.must_run()?;
        let mut cells = vec![self.rival.name(), self.load.count().to_string()];
        cells.extend(announced.cells());
        cells.push(milliseconds(cpu));
        cells.extend(withdrawn.cells());
        cells.extend(again.cells());
        cells.push(megabytes(peak));
        cells.extend(match singles.is_empty() {
            true => ["-".to_owned(), "-".to_owned()],
            false => [50, 100].map(|percent| milliseconds(percentile(&mut singles, percent))),
        });
        cells.push(format!("{idle:.2} %"));
        Ok(cells)
    }

    /// Sends all of it and waits for both ends.
    fn load(&mut self, bytes: Arc<Vec<u8>>, present: bool) -> Result<Times, LabError> {
        let all = if present { self.load.count() } else { 0 };
        let sending = self.from.send_all(bytes);
        let began = sending.began;
        let want = (present, self.before + u64::from(all));
        let kernel = match &mut self.probe {
            Some(probe) => {
                let settled = probe.settled(&self.samples, want, PATIENCE);
                Some(settled.ok_or_else(|| too_long("the kernel has all"))? - began)
            }
            None => None,
        };
        self.to.hears("the observer has all", PATIENCE, |heard| {
            heard.count() == all as usize
        })?;
        let observer = self.to.heard().last.saturating_duration_since(began);
        sending.finish()?;
        Ok(Times { kernel, observer })
    }

    /// One route after the other, each when the one before is in the kernel.
    fn singles(&mut self) -> Result<Vec<Duration>, LabError> {
        let Some(probe) = &self.probe else {
            return Ok(Vec::new());
        };
        let route = Announced::new(FROM.into(), [65_001, 1_000]);
        let mut times = Vec::new();
        for number in 0..SINGLES {
            let network = Ipv4Addr::new(192, 168, number, 0);
            let began = Instant::now();
            self.from.announce(&[&format!("{network}/24")], &route)?;
            while !probe.has(network, 24) {
                if began.elapsed() > PATIENCE {
                    return Err(too_long("one route is in the kernel"));
                }
                thread::sleep(Duration::from_micros(100));
            }
            times.push(began.elapsed());
            // The next one is not to be packed with this one.
            thread::sleep(Duration::from_millis(20));
        }
        Ok(times)
    }
}

impl Times {
    fn cells(&self) -> [String; 2] {
        let kernel = self.kernel.map_or("-".to_owned(), milliseconds);
        [kernel, milliseconds(self.observer)]
    }
}

/// Per cent of a core while nothing happens.
fn idle(usage: impl Fn() -> Usage) -> f64 {
    thread::sleep(Duration::from_secs(2));
    let before = usage().cpu;
    thread::sleep(IDLE);
    (usage().cpu.saturating_sub(before)).as_secs_f64() / IDLE.as_secs_f64() * 100.0
}

fn too_long(what: &str) -> LabError {
    LabError::TimedOut {
        what: what.into(),
        waited: PATIENCE,
        detail: String::new(),
    }
}
