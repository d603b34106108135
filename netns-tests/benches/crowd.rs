//! A hundred real daemons in a hundred namespaces, started at once on an empty etcd: the time until every node has its
//! block and a route to each of the 99 others.
//!
//! Bar: 1.5 s, and none exits.

use lab::{Daemon, DaemonCommand, LabError, Node, Plan, Shape, Stack, Store};
use netns_tests::measure::{
    Gate, RouteMonitor, Table, milliseconds, percentile, release_twill, say, wait_for_rest,
};
use netns_tests::{PodNetwork, block_routes};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const NODES: u8 = 100;
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("WRONG: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), LabError> {
    say(&format!("{NODES} daemons started at once on an empty etcd"));
    let table = Table::new(&[
        "backend",
        "round",
        "median node",
        "last node",
        "blocks",
        "exited",
    ]);
    for backend in ["vxlan", "host-gw"] {
        for number in 1..=ROUNDS {
            let round = round(backend)?;
            table.row(&[
                backend.to_owned(),
                number.to_string(),
                milliseconds(round.median),
                milliseconds(round.last),
                round.blocks.to_string(),
                "0".to_owned(),
            ]);
        }
    }
    say(
        "last node: from the moment when all are let go to that when the last node has its 99 routes.",
    );
    Ok(())
}

struct Round {
    median: Duration,
    last: Duration,
    blocks: usize,
}

fn round(backend: &str) -> Result<Round, LabError> {
    wait_for_rest()?;
    let plan = Plan {
        nodes: NODES,
        shape: Shape::OneSwitch,
        stack: Stack::V4,
    };
    let config = format!(r#"{{"Network":"10.244.0.0/16","Backend":{{"Type":"{backend}"}}}}"#);
    let mut network = PodNetwork::new(plan, 1, &config)?;
    let waiting = wait_on_every_node(&network)?;
    let gate = Gate::new(network.cluster.directory(), &release_twill())?;
    network.daemons = start_all(&network, &gate)?;
    let (start, _open) = gate.open(&network.daemons)?;
    let done: Option<Vec<Instant>> = waiting
        .into_iter()
        .map(|node| node.join().ok().flatten())
        .collect();
    network
        .daemons
        .iter_mut()
        .try_for_each(|daemon| daemon.process().must_run())?;
    let done =
        done.ok_or_else(|| wrong("a node does not know all others", format!("{PATIENCE:?}")))?;
    let mut times: Vec<Duration> = done
        .iter()
        .map(|end| end.saturating_duration_since(start))
        .collect();
    let blocks = check(&network)?;
    Ok(Round {
        median: percentile(&mut times, 50),
        last: percentile(&mut times, 100),
        blocks,
    })
}

/// One thread for each node; it ends with the moment when that node knows all others.
fn wait_on_every_node(network: &PodNetwork) -> Result<Vec<JoinHandle<Option<Instant>>>, LabError> {
    let wait = |node: &Node| {
        let monitor = RouteMonitor::open(node.namespace())?;
        Ok(thread::spawn(move || knows_all_others(&monitor)))
    };
    network.cluster.nodes.iter().map(wait).collect()
}

fn start_all(network: &PodNetwork, gate: &Gate) -> Result<Vec<Daemon>, LabError> {
    let command = DaemonCommand::new(gate.starter(), Store::Etcd(network.etcd.endpoints()));
    network
        .cluster
        .nodes
        .iter()
        .map(|node| node.start(&command))
        .collect()
}

/// The moment of the last route to another node.
fn knows_all_others(monitor: &RouteMonitor) -> Option<Instant> {
    let mut known: BTreeSet<Ipv4Addr> = BTreeSet::new();
    loop {
        let event = monitor.next(PATIENCE)?;
        if event.installed {
            known.insert(event.block);
        }
        if known.len() == usize::from(NODES) - 1 {
            return Some(event.at);
        }
    }
}

/// Distinct blocks, and exactly one route to each other node on every node.
fn check(network: &PodNetwork) -> Result<usize, LabError> {
    let mut blocks = BTreeSet::new();
    for node in &network.cluster.nodes {
        blocks.insert(node.subnet_env()?.subnet);
        let routes = block_routes(node)?.len();
        if routes != usize::from(NODES) - 1 {
            return Err(wrong(
                &format!("routes of {}", node.name()),
                routes.to_string(),
            ));
        }
    }
    if blocks.len() != usize::from(NODES) {
        return Err(wrong("distinct blocks", blocks.len().to_string()));
    }
    Ok(blocks.len())
}

fn wrong(what: &str, text: String) -> LabError {
    LabError::Malformed {
        what: what.into(),
        text,
    }
}
