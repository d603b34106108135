//! Nodes that find each other by their leases.

use crate::SOON;
use lab::kernel_view::Route;
use lab::probe::{all_pairs, ping_between, source_is_kept};
use lab::{Cluster, Daemon, DaemonCommand, Node, Plan, Pod, Shape, Stack, Store, eventually};
use netns_tests::measure::RouteMonitor;
use netns_tests::peers::machine;
use netns_tests::raw_bgp::{Announced, RawPeer, RawSetup};
use netns_tests::{PREFIX, PodNetwork, READY, block_routes, config, subnet_key, twill};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const BGP: &str = r#"{"Type":"bgp"}"#;
/// The nodes' own blocks are drawn from below 10.244.50.0: what tests put as leases is above.
const BELOW_50: &str =
    r#"{"Network":"10.244.0.0/16","SubnetMax":"10.244.50.0","Backend":{"Type":"bgp"}}"#;

fn plan(nodes: u8, stack: Stack) -> Plan {
    Plan {
        nodes,
        shape: Shape::OneSwitch,
        stack,
    }
}

fn every_pod_reaches_every_pod(pods: &[Pod]) {
    let failures = all_pairs(pods).flat_map(|(from, to)| {
        let tried = [ping_between(from, to), source_is_kept(from, to)];
        tried.into_iter().filter_map(Result::err)
    });
    let failures: Vec<String> = failures.map(|error| error.to_string()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn pods_reach_pods(stack: Stack) {
    let mut network = PodNetwork::running(plan(3, stack), 1, &config(stack, BGP)).unwrap();
    assert_eq!(network.node().subnet_env().unwrap().mtu, 1500);
    network.add_pods(2).unwrap();
    every_pod_reaches_every_pod(&network.pods);
}

#[test]
fn pods_reach_pods_over_ipv4() {
    pods_reach_pods(Stack::V4);
}

#[test]
fn pods_reach_pods_over_ipv6() {
    pods_reach_pods(Stack::V6);
}

#[test]
fn pods_reach_pods_over_both_families() {
    pods_reach_pods(Stack::Dual);
}

#[test]
fn pods_reach_pods_with_a_store_of_files() {
    let cluster = Cluster::build(plan(3, Stack::Dual)).unwrap();
    let store = cluster.directory().join("store");
    std::fs::create_dir(&store).unwrap();
    std::fs::write(store.join("config"), config(Stack::Dual, BGP)).unwrap();
    let command = DaemonCommand::new(twill(), Store::File(store));
    let start = |node: &Node| node.start(&command).unwrap();
    let mut daemons: Vec<Daemon> = cluster.nodes.iter().map(start).collect();
    daemons
        .iter_mut()
        .for_each(|daemon| daemon.wait_ready(READY).unwrap());
    let mut pods = Vec::new();
    for node in &cluster.nodes {
        let all = || block_routes(node).is_ok_and(|routes| routes.len() == 4);
        eventually("both blocks of both others are known", SOON, all).unwrap();
        let env = node.subnet_env().unwrap();
        node.add_bridge(&env).unwrap();
        pods.push(node.add_pod(&env, 1).unwrap());
    }
    every_pod_reaches_every_pod(&pods);
}

#[test]
fn a_key_for_the_mesh_is_used_by_all_of_it() {
    let mut network = PodNetwork::new(plan(2, Stack::Dual), 1, &config(Stack::Dual, BGP)).unwrap();
    let file = network.cluster.directory().join("twill.toml");
    std::fs::write(&file, "[bgp]\npassword = \"a secret\"\n").unwrap();
    let file = file.display().to_string();
    let command = network.command().args(&["--config", &file]);
    for node in &network.cluster.nodes {
        network.daemons.push(node.start(&command).unwrap());
    }
    for (node, daemon) in network.cluster.nodes.iter().zip(&mut network.daemons) {
        daemon.wait_ready(READY).unwrap();
        let both = || block_routes(node).is_ok_and(|routes| routes.len() == 2);
        eventually("both blocks of the other are known", SOON, both).unwrap();
    }
}

fn lease(address: &str) -> String {
    format!(r#"{{"PublicIP":"{address}","PublicIPv6":null,"BackendType":"bgp"}}"#)
}

fn through<'a>(routes: &'a [Route], gateway: &str) -> Vec<&'a str> {
    let through = routes
        .iter()
        .filter(|route| route.gateway.as_deref() == Some(gateway));
    through.map(|route| route.dst.as_str()).collect()
}

/// A machine with a lease tells more than its lease gives it.
#[test]
fn a_node_is_believed_its_own_block_and_nothing_else() {
    let network = PodNetwork::running(plan(2, Stack::V4), 1, BELOW_50).unwrap();
    let rogue = machine(&network.cluster.underlay, 9).unwrap();
    network
        .etcd
        .put(&subnet_key("10.244.90.0-24"), &lease("10.99.0.9"))
        .unwrap();
    let victim = network.cluster.nodes[1]
        .subnet_env()
        .unwrap()
        .subnet
        .unwrap();
    let own: IpAddr = rogue.addresses.v4.unwrap().into();
    // Of the two the node with the lower address connects.
    let mut setup = RawSetup::new(own, "10.99.0.1".parse().unwrap(), 64_512);
    setup.passive = true;
    let raw = RawPeer::open(&rogue.namespace, &setup, SOON).unwrap();
    let mut route = Announced::new(own, []);
    route.local_pref = Some(4_000);
    let half = format!("{}/25", victim.network().address);
    let stolen = victim.network().to_string();
    let lies = [
        stolen.as_str(),
        half.as_str(),
        "10.244.0.0/16",
        "10.244.90.128/25",
        "10.244.91.0/24",
        "0.0.0.0/0",
        "0.0.0.0/1",
        "10.99.0.2/32",
        "192.0.2.0/24",
    ];
    raw.announce(&lies, &route).unwrap();
    raw.announce(&["10.244.90.0/24"], &route).unwrap();
    let node = network.node();
    let mut last = Vec::new();
    eventually("its block is believed", SOON, || {
        last = block_routes(node).unwrap();
        through(&last, "10.99.0.9") == ["10.244.90.0/24"]
    })
    .unwrap();
    assert_eq!(last.len(), 2, "{last:?}");
    assert_eq!(through(&last, "10.99.0.2"), [stolen]);
    assert!(!raw.heard().closed, "{:?}", raw.heard().notification);
}

/// A lease of a machine that never answers, in a mesh that starts and that starts again.
#[test]
fn a_dead_node_keeps_nobody_from_learning_and_announcing() {
    let mut network = PodNetwork::new(plan(2, Stack::V4), 1, BELOW_50).unwrap();
    network
        .etcd
        .put(&subnet_key("10.244.90.0-24"), &lease("10.99.0.200"))
        .unwrap();
    let command = network.command();
    let started = Instant::now();
    for node in &network.cluster.nodes {
        network.daemons.push(node.start(&command).unwrap());
    }
    let [first, second] = &network.cluster.nodes[..] else {
        panic!("the plan has two nodes")
    };
    let know_each_other = |since: Instant, what: &str| {
        for (node, other) in [(first, second), (second, first)] {
            let gateway = other.addresses().v4.unwrap().to_string();
            eventually("each has the other's block", SOON, || {
                block_routes(node).is_ok_and(|routes| through(&routes, &gateway).len() == 1)
            })
            .unwrap();
        }
        eprintln!(
            "{what}: both have the other's block after {:.0?}",
            since.elapsed()
        );
    };
    know_each_other(started, "start beside a dead node");
    network
        .daemons
        .iter_mut()
        .for_each(|daemon| daemon.wait_ready(READY).unwrap());
    let said = first
        .twill_says(&command, &["show", "peers", "--json"])
        .unwrap();
    let peers: serde_json::Value = serde_json::from_str(&said).unwrap();
    let established = |peer: &&serde_json::Value| peer["state"] == "established";
    assert_eq!(peers.as_array().unwrap().len(), 2, "{said}");
    assert_eq!(
        peers.as_array().unwrap().iter().filter(established).count(),
        1,
        "{said}"
    );

    network.daemons[0].kill().unwrap();
    for route in block_routes(first).unwrap() {
        lab::ip(first.namespace(), &["route", "del", &route.dst]).unwrap();
    }
    let started = Instant::now();
    network.daemons[0] = first.start(&command).unwrap();
    know_each_other(started, "restart of an emptied node beside a dead one");

    network.daemons[0].wait_ready(READY).unwrap();
    let monitor = RouteMonitor::open(first.namespace()).unwrap();
    network.daemons[0].kill().unwrap();
    network.daemons[0] = first.start(&command).unwrap();
    network.daemons[0].wait_ready(READY).unwrap();
    know_each_other(Instant::now(), "restart beside a dead node");
    let mut gone = std::iter::from_fn(|| monitor.next(Duration::from_millis(1)));
    assert!(gone.all(|event| event.installed));
}

#[test]
fn a_node_that_leaves_is_a_peer_no_more_and_its_block_goes() {
    let mut network = PodNetwork::new(plan(3, Stack::V4), 1, BELOW_50).unwrap();
    let command = network.command().args(&["--vanished-grace", "0"]);
    for node in &network.cluster.nodes {
        network.daemons.push(node.start(&command).unwrap());
    }
    let first = &network.cluster.nodes[0];
    let count = |want: usize| {
        eventually("the others' blocks", SOON, || {
            block_routes(first).is_ok_and(|routes| routes.len() == want)
        })
        .unwrap();
    };
    count(2);
    network.daemons[2].wait_ready(READY).unwrap();
    let block = network.cluster.nodes[2]
        .subnet_env()
        .unwrap()
        .subnet
        .unwrap();
    let key = format!(
        "{PREFIX}/subnets/{}",
        block.network().to_string().replace('/', "-")
    );
    network.daemons[2].kill().unwrap();
    network.etcd.ctl(&["del", &key]).unwrap();
    count(1);
    let said = network
        .node()
        .twill_says(&command, &["show", "peers", "--json"])
        .unwrap();
    let peers: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(peers.as_array().map(Vec::len), Some(1), "{said}");
}
