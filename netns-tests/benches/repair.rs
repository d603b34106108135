//! How long it takes until what was lost is whole again, beside the kernel's floor in the same run; and what pings see
//! of it.
//!
//! Bar: whole again within a second after it was taken away, the time in which the underlay itself is dead not counted.

use lab::probe::{Loss, PingStream, ping_between};
use lab::{LabError, Namespace, Node, Plan, Shape, Stack, eventually, ip};
use netns_tests::measure::{
    Arena, BackendKind, EtcdClient, FibGauge, Peers, Table, delete_routes, install, milliseconds,
    prepare, put_routes, release_twill, say, settled, wait_for_rest,
};
use netns_tests::{PodNetwork, config, data_plane, metric};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const ROUTES: u32 = 10_000;
const PATIENCE: Duration = Duration::from_secs(60);
const BAR: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    match tables().and_then(|wrong| Ok([wrong, losses()?].concat())) {
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

fn tables() -> Result<Vec<String>, LabError> {
    say(&format!("{ROUTES} peers, and what somebody takes away"));
    let table = Table::new(&[
        "backend",
        "taken away         ",
        "took",
        "whole after",
        "floor",
    ]);
    let mut wrong = Vec::new();
    for backend in BackendKind::ALL {
        let scene = Whole::new(Peers(backend))?;
        for (what, take_away, floor) in scene.cases() {
            let (took, whole) = scene.repair(take_away)?;
            let Some(whole) = whole.filter(|whole| *whole < BAR) else {
                let drift = metric(scene.arena.node(), "twill_drift")?;
                wrong.push(format!(
                    "{what} over {} was not back within {BAR:?}: {drift} entries are wrong",
                    backend.name()
                ));
                continue;
            };
            table.row(&[
                backend.name().to_owned(),
                what.to_owned(),
                milliseconds(took),
                milliseconds(whole),
                milliseconds(floor),
            ]);
        }
    }
    say(
        "took: taking it away. whole after: from the end of that to the last route. floor: the same entries, packed, from a loop.",
    );
    Ok(wrong)
}

type TakeAway = fn(&Whole) -> Result<(), LabError>;

/// A daemon with all of its routes in place.
struct Whole {
    arena: Arena,
    _daemon: lab::Daemon,
    routes: u64,
    /// What a loop needs for all entries, and for the routes alone.
    floor: [Duration; 2],
    _beside: Namespace,
}

impl Whole {
    fn new(peers: Peers) -> Result<Self, LabError> {
        let arena = Arena::new(peers, release_twill())?;
        EtcdClient::within(arena.namespace(), |etcd| etcd.put(peers, 0..ROUTES))?;
        let beside = prepare(peers.0)?;
        let all = install(&beside, peers, ROUTES)?;
        delete_routes(&beside, peers, ROUTES)?;
        let floor = [all, put_routes(&beside, peers, ROUTES)?];
        let mut gauge = FibGauge::open(arena.namespace())?;
        let mut daemon = arena.start()?;
        daemon.wait_ready(PATIENCE)?;
        let there = settled(&mut gauge, PATIENCE, |count| count > u64::from(ROUTES));
        let routes = there.map_or(0, |(count, _)| count);
        Ok(Self {
            arena,
            _daemon: daemon,
            routes,
            floor,
            _beside: beside,
        })
    }

    /// What is taken away, how, and the floor of putting it back.
    fn cases(&self) -> Vec<(&'static str, TakeAway, Duration)> {
        let [all, routes] = self.floor;
        let mut cases: Vec<(_, TakeAway, _)> = vec![
            ("the routes", Whole::delete_all_routes, routes),
            ("nexthops and routes", Whole::flush_nexthops, all),
        ];
        cases.push(match self.arena.peers.0 {
            BackendKind::Vxlan => ("the device", Whole::delete_device, all),
            BackendKind::HostGw => ("the link, a moment", Whole::flap, all),
        });
        cases
    }

    /// How long it took to take it away, and after that until all routes were there again.
    fn repair(&self, take_away: TakeAway) -> Result<(Duration, Option<Duration>), LabError> {
        let mut gauge = FibGauge::open(self.arena.namespace())?;
        let start = Instant::now();
        take_away(self)?;
        let taken = Instant::now();
        let whole = settled(&mut gauge, PATIENCE, |count| count == self.routes);
        let whole = whole.map(|(_, at)| at.saturating_duration_since(taken));
        Ok((taken - start, whole))
    }

    fn delete_all_routes(&self) -> Result<(), LabError> {
        delete_routes(self.arena.namespace(), self.arena.peers, ROUTES).map(drop)
    }

    fn flush_nexthops(&self) -> Result<(), LabError> {
        self.ip("nexthop flush proto 84")
    }

    fn delete_device(&self) -> Result<(), LabError> {
        self.ip("link del flannel.1")
    }

    fn flap(&self) -> Result<(), LabError> {
        self.ip("link set eth0 down")?;
        self.ip("link set eth0 up")?;
        self.ip("route replace default via 10.99.0.254")
    }

    fn ip(&self, words: &str) -> Result<(), LabError> {
        let words: Vec<&str> = words.split(' ').collect();
        ip(self.arena.namespace(), &words).map(drop)
    }
}

fn losses() -> Result<Vec<String>, LabError> {
    say(
        "Two nodes, a ping each millisecond between their pods, and what happens to the first node",
    );
    let table = Table::new(&[
        "backend",
        "event                     ",
        "lost",
        "of",
        "gap",
        "underlay's",
    ]);
    let mut wrong = Vec::new();
    for (backend, events) in [("vxlan", &EVENTS[..]), ("host-gw", &EVENTS[VXLAN_ALONE..])] {
        wait_for_rest()?;
        let plan = Plan {
            nodes: 2,
            shape: Shape::OneSwitch,
            stack: Stack::V4,
        };
        let config = config(Stack::V4, &format!(r#"{{"Type":"{backend}"}}"#));
        let mut network = PodNetwork::running(plan, 1, &config)?;
        network.add_pods(1)?;
        ping_between(&network.pods[0], &network.pods[1])?;
        for (what, commands) in events {
            let [loss, underlay] = loss_of(&network, commands)?;
            if loss.longest_gap > underlay.longest_gap + BAR {
                wrong.push(format!("{what} over {backend}: {loss}"));
            }
            table.row(&[
                backend.to_owned(),
                (*what).to_owned(),
                loss.lost.to_string(),
                loss.sent.to_string(),
                milliseconds(loss.longest_gap),
                milliseconds(underlay.longest_gap),
            ]);
        }
    }
    say(
        "gap: the longest time without an answer. underlay's: the same between the nodes' own addresses, where only the kernel is at work.",
    );
    Ok(wrong)
}

/// How many of the events are about the VXLAN device.
const VXLAN_ALONE: usize = 3;

const EVENTS: [(&str, &[&str]); 6] = [
    ("device deleted", &["link del flannel.1"]),
    ("device down", &["link set flannel.1 down"]),
    (
        "neighbour deleted",
        &["neigh flush dev flannel.1 nud permanent"],
    ),
    ("route deleted", &["route del BLOCK"]),
    ("nexthops flushed", &["nexthop flush proto 84"]),
    (
        "underlay link down and up",
        &["link set eth0 down", "link set eth0 up"],
    ),
];

/// Between the pods, and between the nodes.
fn loss_of(network: &PodNetwork, commands: &[&str]) -> Result<[Loss; 2], LabError> {
    let node = network.node();
    let whole = data_plane(node)?;
    let there = network.pods[1].addresses().first().expect("an IPv4 pod");
    let stream = PingStream::start(network.pods[0].namespace(), there, EVERY)?;
    let beside = network.cluster.nodes[1].addresses().first();
    let beside = PingStream::start(node.namespace(), beside.expect("an IPv4 node"), EVERY)?;
    let flows = |count: u64| {
        let before = stream.sent();
        eventually("pings flow", PATIENCE, || stream.sent() > before + count)
    };
    flows(200)?;
    for command in commands {
        run(node, &command.replace("BLOCK", &other_block(network)?))?;
    }
    eventually("the node is whole", PATIENCE, || {
        data_plane(node).is_ok_and(|have| have == whole)
    })?;
    flows(1_000)?;
    Ok([stream.finish(), beside.finish()])
}

fn other_block(network: &PodNetwork) -> Result<String, LabError> {
    let subnet = network.cluster.nodes[1].subnet_env()?.subnet;
    Ok(subnet.expect("an IPv4 block").network().to_string())
}

fn run(node: &Node, words: &str) -> Result<(), LabError> {
    let words: Vec<&str> = words.split(' ').collect();
    ip(node.namespace(), &words).map(drop)
}
