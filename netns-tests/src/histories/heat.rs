//! Many runs at once, on one etcd whose faults hit them all.

use super::check::{Rules, Violation, violations};
use super::plan::{
    EtcdFault, NODES, NodeFault, RUNS_AT_ONCE, RunPlan, SPAN, Spell, TTL, etcd_faults,
};
use super::record::{Event, Store};
use lab::{Cluster, Daemon, DaemonCommand, Etcd, LabError, Node, Plan, Process, Shape, Stack};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// All faults are over by then.
const END: Duration = SPAN.saturating_add(Duration::from_secs(2));
/// How long daemons may take to have their blocks again after the last fault. Generous: 125 of them share the machine.
const SETTLED: Duration = Duration::from_secs(60);
/// How often it is looked whether a daemon has ended, and what a service manager waits before it starts one again.
const LOOK: Duration = Duration::from_millis(200);
const START_AGAIN: Duration = Duration::from_secs(1);
/// The key that some runs reserve for their first node.
const RESERVED: &str = "10.244.2.0-24";

/// The machines for a heat, used again for the next.
pub struct Arena {
    etcd: Etcd,
    cluster: Cluster,
    binary: PathBuf,
}

/// What a run has shown.
pub struct Verdict {
    /// Its seed.
    pub seed: u64,
    /// Revisions of its leases.
    pub events: usize,
    /// Faults of its daemons.
    pub faults: usize,
    /// Times that a block changed hands.
    pub handovers: usize,
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// Its plan, its history, and how its daemons' logs end.
    pub story: String,
}

/// One run while it goes on.
struct Run {
    seed: u64,
    plan: RunPlan,
    command: DaemonCommand,
    seats: Vec<Seat>,
    /// Nodes that have the block that they say, when all is over.
    settled: usize,
}

/// One daemon's place.
struct Seat {
    node: usize,
    daemon: Option<Daemon>,
    /// When it is started again, if it has ended by itself.
    again: Option<Instant>,
    is_killed: bool,
    is_cut_off: bool,
}

enum Act {
    Node(usize, usize, NodeFault, Turn),
    Etcd(EtcdFault, Turn),
    Relength(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Begins,
    Ends,
}

impl Arena {
    /// Machines for [`RUNS_AT_ONCE`] runs, and an etcd of one member.
    pub fn new(binary: &Path, runs: usize) -> Result<Self, LabError> {
        let plan = Plan {
            nodes: u8::try_from(runs * NODES).unwrap_or(u8::MAX),
            shape: Shape::OneSwitch,
            stack: Stack::V4,
        };
        let cluster = Cluster::build(plan)?;
        Ok(Self {
            etcd: cluster.etcd(1)?,
            cluster,
            binary: binary.to_owned(),
        })
    }

    /// Carries out the runs of these seeds, which belong to one heat.
    pub fn heat(&mut self, seeds: &[u64]) -> Result<Vec<Verdict>, LabError> {
        self.clear()?;
        let mut heat = Heat {
            runs: seeds.iter().map(|seed| self.run(*seed)).collect(),
            writers: Vec::new(),
            arena: self,
        };
        heat.begin()?;
        heat.carry_out()?;
        heat.settle()?;
        let mut runs = heat.runs;
        runs.iter_mut()
            .flat_map(|run| &mut run.seats)
            .for_each(|seat| drop(seat.daemon.take()));
        runs.iter().map(|run| self.judge(run)).collect()
    }

    fn run(&self, seed: u64) -> Run {
        let place = usize::try_from(seed % RUNS_AT_ONCE).unwrap_or_default();
        let place = place % (self.cluster.nodes.len() / NODES);
        let seat = |node| Seat {
            node,
            daemon: None,
            again: None,
            is_killed: false,
            is_cut_off: false,
        };
        let ttl = format!("{}s", TTL.as_secs());
        let store = lab::Store::Etcd(self.etcd.endpoints());
        Run {
            seed,
            plan: RunPlan::of(seed),
            command: DaemonCommand::new(&self.binary, store).args(&[
                "--etcd-prefix",
                &prefix(seed),
                "--lease-ttl",
                &ttl,
            ]),
            seats: (place * NODES..(place + 1) * NODES).map(seat).collect(),
            settled: 0,
        }
    }

    /// What nodes keep in files would make them remember another run.
    fn clear(&self) -> Result<(), LabError> {
        for node in &self.cluster.nodes {
            let directory = node.directory();
            std::fs::remove_dir_all(directory)
                .and_then(|()| std::fs::create_dir(directory))
                .map_err(|source| LabError::System {
                    what: format!("clear {}", directory.display()),
                    source,
                })?;
        }
        Ok(())
    }

    fn within_store<T: Send>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, etcd_client::Error> + Send,
    ) -> Result<T, LabError> {
        let endpoints = self.etcd.endpoints();
        Store::within((self.etcd.members[0].namespace(), &endpoints[0]), work)
    }

    fn node(&self, seat: &Seat) -> &Node {
        &self.cluster.nodes[seat.node]
    }

    fn judge(&self, run: &Run) -> Result<Verdict, LabError> {
        let history = self.within_store(|store| store.history(&prefix(run.seed)))?;
        let reserved = run.plan.is_reserved.then(|| RESERVED.to_owned());
        let rules = Rules {
            reserved: reserved.into_iter().collect(),
        };
        let mut found = violations(&history, &rules);
        let due = run.due();
        if run.settled < due {
            found.push(Violation {
                invariant: "I4",
                revision: history.last().map_or(0, |event| event.revision),
                what: format!(
                    "in the end {} of {due} nodes have the block that they say",
                    run.settled
                ),
            });
        }
        Ok(Verdict {
            seed: run.seed,
            events: history.len(),
            faults: run.plan.nodes.iter().map(Vec::len).sum(),
            handovers: handovers(&history),
            story: if found.is_empty() {
                String::new()
            } else {
                self.story(run, &history)
            },
            violations: found,
        })
    }

    fn story(&self, run: &Run, history: &[Event]) -> String {
        let mut story = format!("{:#?}\n{:?}\n", run.plan, etcd_faults(run.seed));
        for event in history {
            let _ = writeln!(story, "{event}");
        }
        for seat in &run.seats {
            let (name, log) = (self.node(seat).name(), log(self.node(seat)));
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let _ = writeln!(story, "---- log of {name} ----\n{text}");
        }
        story
    }
}

impl Run {
    /// How many nodes can have a block.
    fn due(&self) -> usize {
        NODES.min(self.plan.blocks.into())
    }

    fn config(&self, len: u8) -> String {
        let most = self.plan.blocks;
        format!(
            r#"{{"Network":"10.244.0.0/16","SubnetLen":{len},"SubnetMin":"10.244.1.0","SubnetMax":"10.244.{most}.0","Backend":{{"Type":"host-gw"}}}}"#
        )
    }
}

fn prefix(seed: u64) -> String {
    format!("/histories/{seed}")
}

fn log(node: &Node) -> PathBuf {
    node.directory().join("twill.log")
}

/// How often a block went to another node than the one that had it before.
fn handovers(history: &[Event]) -> usize {
    let mut whose = BTreeMap::new();
    let puts = history.iter().filter_map(|event| match &event.change {
        super::Change::Put { owner, .. } => Some((&event.key, owner)),
        super::Change::Gone => None,
    });
    puts.filter(|(key, owner)| {
        let before = whose.insert(*key, *owner);
        before.is_some_and(|before| before != *owner)
    })
    .count()
}

struct Heat<'a> {
    arena: &'a mut Arena,
    runs: Vec<Run>,
    /// `etcdctl`s that may have to wait for etcd.
    writers: Vec<Process>,
}

impl Heat<'_> {
    fn begin(&mut self) -> Result<(), LabError> {
        let mut keys = Vec::new();
        for run in &self.runs {
            let at = prefix(run.seed);
            keys.push((format!("{at}/config"), run.config(24)));
            if run.plan.is_reserved {
                let node = self.arena.node(&run.seats[0]);
                let (name, address) = (node.name(), node.addresses().v4.map(IpAddr::V4));
                let address = address.map(|ip| ip.to_string()).unwrap_or_default();
                let value = format!(
                    r#"{{"PublicIP":"{address}","PublicIPv6":null,"BackendType":"host-gw","NodeName":"{name}"}}"#
                );
                keys.push((format!("{at}/subnets/{RESERVED}"), value));
            }
        }
        let put = |store: &mut Store| {
            keys.iter()
                .try_for_each(|(key, value)| store.put(key, value).map(drop))
        };
        self.arena.within_store(put)?;
        for (run, seat) in self.all_seats() {
            self.start(run, seat)?;
        }
        Ok(())
    }

    fn all_seats(&self) -> Vec<(usize, usize)> {
        let runs = 0..self.runs.len();
        runs.flat_map(|run| (0..NODES).map(move |seat| (run, seat)))
            .collect()
    }

    fn start(&mut self, run: usize, seat: usize) -> Result<(), LabError> {
        let Run { command, seats, .. } = &mut self.runs[run];
        let seat = &mut seats[seat];
        let node = &self.arena.cluster.nodes[seat.node];
        seat.daemon = Some(node.start(command)?);
        (seat.again, seat.is_killed) = (None, false);
        Ok(())
    }

    fn acts(&self) -> Vec<(Duration, Act)> {
        let mut acts = Vec::new();
        for (number, run) in self.runs.iter().enumerate() {
            acts.extend(run.plan.relength.map(|at| (at, Act::Relength(number))));
            for (seat, spells) in run.plan.nodes.iter().enumerate() {
                for spell in spells {
                    let act = |turn| Act::Node(number, seat, spell.fault, turn);
                    acts.extend(both_turns(spell, act));
                }
            }
        }
        let seed = self.runs.first().map_or(0, |run| run.seed);
        for spell in etcd_faults(seed) {
            acts.extend(both_turns(&spell, |turn| Act::Etcd(spell.fault, turn)));
        }
        acts.sort_by_key(|(at, _)| *at);
        acts
    }

    fn carry_out(&mut self) -> Result<(), LabError> {
        let began = Instant::now();
        for (at, act) in self.acts() {
            while began.elapsed() < at {
                sleep(LOOK.min(at.saturating_sub(began.elapsed())));
                self.start_again_what_has_ended()?;
            }
            self.act(&act)?;
        }
        self.arena.etcd.members[0].wait_healthy()
    }

    fn act(&mut self, act: &Act) -> Result<(), LabError> {
        match *act {
            Act::Node(run, seat, fault, turn) => self.act_on_node((run, seat), fault, turn),
            Act::Etcd(fault, turn) => {
                let member = &mut self.arena.etcd.members[0];
                match (fault, turn) {
                    (EtcdFault::Restart, Turn::Begins) => member.kill(),
                    (EtcdFault::Restart, Turn::Ends) => member.start()?,
                    (EtcdFault::Freeze, Turn::Begins) => member.freeze()?,
                    (EtcdFault::Freeze, Turn::Ends) => member.thaw()?,
                }
                Ok(())
            }
            Act::Relength(run) => self.relength(run),
        }
    }

    fn act_on_node(
        &mut self,
        (run, at): (usize, usize),
        fault: NodeFault,
        turn: Turn,
    ) -> Result<(), LabError> {
        let seat = &mut self.runs[run].seats[at];
        match (fault, turn) {
            (NodeFault::Kill, Turn::Begins) => {
                (seat.daemon, seat.is_killed, seat.again) = (None, true, None);
            }
            (NodeFault::Kill, Turn::Ends) => return self.start(run, at),
            (NodeFault::Freeze, turn) => {
                // One that found no free block has ended, and cannot be frozen.
                if let Some(daemon) = &mut seat.daemon
                    && daemon.process().status()?.is_none()
                {
                    match turn {
                        Turn::Begins => daemon.process().freeze()?,
                        Turn::Ends => daemon.process().thaw()?,
                    }
                }
            }
            (NodeFault::CutOff, turn) => {
                seat.is_cut_off = turn == Turn::Begins;
                return self.cut_off();
            }
        }
        Ok(())
    }

    fn cut_off(&self) -> Result<(), LabError> {
        let seats = self.runs.iter().flat_map(|run| &run.seats);
        let seats = seats.filter(|seat| seat.is_cut_off);
        let away: Vec<IpAddr> = seats
            .flat_map(|seat| self.arena.node(seat).addresses().iter())
            .collect();
        let member = &self.arena.etcd.members[0];
        if away.is_empty() {
            member.let_in()
        } else {
            member.cut_off(&away)
        }
    }

    /// etcd may be away; the loop must not wait for it.
    fn relength(&mut self, run: usize) -> Result<(), LabError> {
        let etcd = &self.arena.etcd;
        let run = &self.runs[run];
        let mut command = etcd.members[0].namespace().command("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", etcd.endpoints().join(",")))
            .args(["put", &format!("{}/config", prefix(run.seed))])
            .arg(run.config(25));
        let log = self.arena.cluster.directory().join("etcdctl.log");
        self.writers.push(Process::start("etcdctl", command, &log)?);
        Ok(())
    }

    fn start_again_what_has_ended(&mut self) -> Result<(), LabError> {
        let now = Instant::now();
        for (run, at) in self.all_seats() {
            let seat = &mut self.runs[run].seats[at];
            let Some(daemon) = &mut seat.daemon else {
                continue;
            };
            match seat.again {
                Some(again) if again <= now => self.start(run, at)?,
                None if daemon.process().status()?.is_some() => {
                    seat.again = Some(now + START_AGAIN);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits until every node that can have a block has the one that it says.
    fn settle(&mut self) -> Result<(), LabError> {
        let over = lab::Deadline::after(SETTLED);
        loop {
            self.start_again_what_has_ended()?;
            let held = self
                .arena
                .within_store(|store| store.holders("/histories/"))?;
            let held: BTreeSet<(String, String)> = held.into_iter().collect();
            for run in &mut self.runs {
                if run.settled < run.due() {
                    let (at, arena) = (prefix(run.seed), &self.arena);
                    let good = run
                        .seats
                        .iter()
                        .filter(|seat| arena.agrees(seat, &at, &held));
                    run.settled = good.count();
                }
            }
            if self.runs.iter().all(|run| run.settled >= run.due()) || over.has_passed() {
                return Ok(());
            }
            sleep(LOOK);
        }
    }
}

impl Arena {
    /// Whether the daemon is ready, and has a block by its files that it has by the store.
    fn agrees(&self, seat: &Seat, prefix: &str, held: &BTreeSet<(String, String)>) -> bool {
        let node = self.node(seat);
        let block = node.subnet_env().ok().and_then(|env| env.subnet);
        let key = |block: lab::Cidr| {
            let block = block.network().to_string().replace('/', "-");
            (format!("{prefix}/subnets/{block}"), node.name().to_owned())
        };
        block.is_some_and(|block| held.contains(&key(block)))
            && seat.daemon.as_ref().is_some_and(Daemon::is_ready)
    }
}

fn both_turns<F>(spell: &Spell<F>, act: impl Fn(Turn) -> Act) -> [(Duration, Act); 2] {
    let end = (spell.at + spell.lasting).min(END);
    [(spell.at, act(Turn::Begins)), (end, act(Turn::Ends))]
}
