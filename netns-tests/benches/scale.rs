//! One daemon against thousands of leases in a real etcd: from the start of the process to the last entry in the kernel.
//!
//! Bars: 5,000 leases in 0.15 s, 20,000 in 0.5 s, linear; within 1.5 times of the kernel's floor plus etcd's listing;
//! at 5,000 at most 8 MB resident; not one log line for each lease. All times are medians of some rounds: those of one round
//! differ by a third of themselves on a machine that is shared.
//!
//! `cargo bench -p netns-tests --bench scale -- 20000` takes other sizes.

use lab::kernel_view::{Family, fdb, neighbours};
use lab::{Daemon, LabError, Namespace};
use netns_tests::block_routes;
use netns_tests::measure::{
    Arena, BackendKind, EtcdClient, FibGauge, Peers, Table, Usage, install, megabytes,
    milliseconds, prepare, release_twill, say, settled,
};
use std::ops::Range;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const SIZES: [u32; 3] = [1_000, 5_000, 20_000];
const BURST: u32 = 1_000;
const ROUNDS: usize = 7;
const PATIENCE: Duration = Duration::from_secs(60);

/// More than this and the log grows with the leases.
const LOG_LINES: usize = 100;

fn main() -> ExitCode {
    match measure() {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            say(&format!("WRONG:\n{}", wrong.join("\n")));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("the benchmark could not be run: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<Vec<String>, LabError> {
    say(
        "One daemon, N leases in etcd, from the start of the process to the last route in the kernel",
    );
    let table = Table::new(&[
        "backend",
        "N",
        "time",
        "floor",
        "listing",
        "ratio",
        "burst +1000",
        "burst -1000",
        "VmHWM",
        "VmRSS",
        "log lines",
    ]);
    let mut wrong = Vec::new();
    for backend in BackendKind::ALL {
        for size in sizes() {
            let mut rounds = Vec::new();
            for _ in 0..ROUNDS {
                rounds.push(Run::new(Peers(backend), size)?.measure(&mut wrong)?);
            }
            table.row(&Figures::of_all(&rounds).cells(backend, size));
        }
    }
    say(&format!(
        "Medians of {ROUNDS} rounds. ratio: time / (floor + listing). floor: the same messages, packed, from a loop. listing: one range request."
    ));
    Ok(wrong)
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

struct Figures {
    time: Duration,
    floor: Duration,
    listing: Duration,
    added: Duration,
    removed: Duration,
    /// In KiB.
    peak: u64,
    resident: u64,
    lines: usize,
}

impl Figures {
    /// Medians; of memory and log lines the most.
    fn of_all(rounds: &[Figures]) -> Figures {
        let median = |figure: fn(&Figures) -> Duration| {
            let mut figures: Vec<Duration> = rounds.iter().map(figure).collect();
            figures.sort_unstable();
            figures[figures.len() / 2]
        };
        let most = |figure: fn(&Figures) -> u64| rounds.iter().map(figure).max().unwrap_or(0);
        Figures {
            time: median(|round| round.time),
            floor: median(|round| round.floor),
            listing: median(|round| round.listing),
            added: median(|round| round.added),
            removed: median(|round| round.removed),
            peak: most(|round| round.peak),
            resident: most(|round| round.resident),
            lines: rounds.iter().map(|round| round.lines).max().unwrap_or(0),
        }
    }

    fn cells(&self, backend: BackendKind, size: u32) -> Vec<String> {
        let ratio = self.time.as_secs_f64() / (self.floor + self.listing).as_secs_f64();
        let mut cells = vec![backend.name().to_owned(), size.to_string()];
        cells.extend([self.time, self.floor, self.listing].map(milliseconds));
        cells.push(format!("{ratio:.2}"));
        cells.extend([self.added, self.removed].map(milliseconds));
        cells.extend([self.peak, self.resident].map(megabytes));
        cells.push(self.lines.to_string());
        cells
    }
}

struct Run {
    arena: Arena,
    size: u32,
}

impl Run {
    fn new(peers: Peers, size: u32) -> Result<Self, LabError> {
        let arena = Arena::new(peers, release_twill())?;
        EtcdClient::within(arena.namespace(), |etcd| etcd.put(peers, 0..size))?;
        Ok(Self { arena, size })
    }

    fn measure(&self, wrong: &mut Vec<String>) -> Result<Figures, LabError> {
        let peers = self.arena.peers;
        // Held until the end: its removal would stop the daemon's own work for seconds.
        let beside = prepare(peers.0)?;
        let floor = self.floor(&beside)?;
        let listing = self.listing()?;
        let mut gauge = FibGauge::open(self.arena.namespace())?;
        let (mut daemon, time) = self.start(&mut gauge)?;
        self.check(self.size, wrong)?;
        let Usage { peak, resident, .. } = Usage::of(daemon.pid());
        let more = self.size..self.size + BURST;
        let added = self.burst(&mut gauge, more.clone(), true)?;
        self.check(self.size + BURST, wrong)?;
        let removed = self.burst(&mut gauge, more, false)?;
        self.check(self.size, wrong)?;
        daemon.process().must_run()?;
        let lines = daemon.process().log_text().lines().count();
        if lines > LOG_LINES {
            wrong.push(format!(
                "{lines} log lines at {} leases: at most {LOG_LINES} are allowed",
                self.size
            ));
        }
        Ok(Figures {
            time,
            floor,
            listing,
            added,
            removed,
            peak,
            resident,
            lines,
        })
    }

    /// Seen with the same gauge as the daemon's work, which takes its share of the machine.
    fn floor(&self, beside: &Namespace) -> Result<Duration, LabError> {
        let mut gauge = FibGauge::open(beside)?;
        let enough = u64::from(self.size);
        thread::scope(|scope| {
            let start = Instant::now();
            let loading = scope.spawn(|| install(beside, self.arena.peers, self.size));
            let settled = settled(&mut gauge, PATIENCE, |count| count >= enough);
            loading.join().expect("the loop does not panic")?;
            let (_, end) = settled.ok_or_else(|| too_long("the floor's routes are installed"))?;
            Ok(end.saturating_duration_since(start))
        })
    }

    /// The best of five.
    fn listing(&self) -> Result<Duration, LabError> {
        EtcdClient::within(self.arena.namespace(), |etcd| {
            let mut best = Duration::MAX;
            for _ in 0..5 {
                best = best.min(etcd.list()?.1);
            }
            Ok(best)
        })
    }

    fn start(&self, gauge: &mut FibGauge) -> Result<(Daemon, Duration), LabError> {
        let start = Instant::now();
        let mut daemon = self.arena.start()?;
        let enough = u64::from(self.size);
        let Some((_, end)) = settled(gauge, PATIENCE, |count| count >= enough) else {
            daemon.process().must_run()?;
            return Err(too_long(&format!("{} routes are installed", self.size)));
        };
        Ok((daemon, end.saturating_duration_since(start)))
    }

    /// From the first put (or delete) to the last change of the kernel.
    fn burst(
        &self,
        gauge: &mut FibGauge,
        numbers: Range<u32>,
        add: bool,
    ) -> Result<Duration, LabError> {
        let (peers, before, changes) = (self.arena.peers, gauge.count(), u64::from(BURST));
        let start = Instant::now();
        EtcdClient::within(self.arena.namespace(), |etcd| {
            if add {
                etcd.put(peers, numbers)
            } else {
                etcd.delete(peers, numbers)
            }
        })?;
        let want = if add {
            before + changes
        } else {
            before - changes
        };
        let (_, end) = settled(gauge, PATIENCE, |count| count == want)
            .ok_or_else(|| too_long("a burst is applied"))?;
        Ok(end.saturating_duration_since(start))
    }

    /// Every peer has its route, and with VXLAN its neighbour and FDB entry too.
    fn check(&self, peers: u32, wrong: &mut Vec<String>) -> Result<(), LabError> {
        let mut counts = vec![("routes", block_routes(self.arena.node())?.len())];
        if self.arena.peers.0 == BackendKind::Vxlan {
            let namespace = self.arena.namespace();
            counts.push((
                "neighbours",
                neighbours(namespace, Family::V4, "flannel.1")?.len(),
            ));
            let entries = fdb(namespace, "flannel.1")?;
            counts.push((
                "FDB entries",
                entries.iter().filter(|entry| entry.dst.is_some()).count(),
            ));
        }
        let name = self.arena.peers.0.name();
        let off = counts
            .into_iter()
            .filter(|(_, count)| *count != peers as usize);
        wrong.extend(off.map(|(what, count)| format!("{name}: {count} {what} for {peers} peers")));
        Ok(())
    }
}

fn too_long(what: &str) -> LabError {
    LabError::TimedOut {
        what: what.into(),
        waited: PATIENCE,
        detail: String::new(),
    }
}
