//! What somebody else does to the kernel's tables, by the ten thousand, costs us nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::kernel_view::link;
use lab::{Daemon, Node, Plan, Shape, Stack, eventually, ip};
use netns_tests::measure::{Usage, add_foreign_neighbours, add_foreign_routes};
use netns_tests::{PodNetwork, READY, config, metric, subnet_key};

const PEER: &str = r#"{"PublicIP":"10.99.0.2","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"fe:d9:bd:bd:f9:6d"}}"#;
const BLOCK: &str = "10.244.60.0/24";

/// A node with a daemon that knows one other node.
fn scene() -> (PodNetwork, Daemon) {
    let plan = Plan {
        nodes: 1,
        shape: Shape::OneSwitch,
        stack: Stack::V4,
    };
    let config = config(Stack::V4, r#"{"Type":"vxlan"}"#);
    let network = PodNetwork::new(plan, 1, &config).unwrap();
    let key = subnet_key("10.244.60.0-24");
    network.etcd.put(&key, PEER).unwrap();
    let mut daemon = network.node().start(&network.command()).unwrap();
    daemon.wait_ready(READY).unwrap();
    has_its_route(network.node());
    let dumps = || metric(network.node(), "twill_kernel_dumps_total").unwrap();
    eventually("the look after it listens", READY, || dumps() >= 2).unwrap();
    (network, daemon)
}

fn has_its_route(node: &Node) {
    // Asked for by name: a hundred thousand others may be there.
    let there = || {
        let said = ip(node.namespace(), &["route", "show", BLOCK]).unwrap();
        said.contains("proto 84")
    };
    eventually("the route to the other node", READY, there).unwrap();
}

fn counts(node: &Node) -> [u64; 4] {
    let counters = ["changes", "refusals", "dumps", "overruns"];
    counters.map(|name| metric(node, &format!("twill_kernel_{name}_total")).unwrap())
}

fn eth0(node: &Node) -> u32 {
    link(node.namespace(), "eth0").unwrap().unwrap().ifindex
}

#[test]
fn a_foreign_writer_of_a_hundred_thousand_routes_is_not_even_noticed() {
    let (network, mut daemon) = scene();
    let node = network.node();
    let (before, memory) = (counts(node), Usage::of(daemon.pid()).resident);
    add_foreign_routes(node.namespace(), eth0(node), 100_000).unwrap();
    // What is told later is read later: when this is repaired, all of the others have been seen.
    ip(node.namespace(), &["route", "del", BLOCK]).unwrap();
    has_its_route(node);
    let [changes, refusals, dumps, overruns] = before;
    assert_eq!(counts(node), [changes + 1, refusals, dumps, overruns]);
    let grown = Usage::of(daemon.pid()).resident.saturating_sub(memory);
    assert!(grown < 2_048, "{grown} KiB more");
    daemon.process().must_run().unwrap();
}

#[test]
fn more_than_the_socket_holds_ends_in_a_dump_and_what_was_missed_is_repaired() {
    let (network, mut daemon) = scene();
    let node = network.node();
    let (before, memory) = (counts(node), Usage::of(daemon.pid()).resident);
    daemon.process().freeze().unwrap();
    add_foreign_neighbours(node.namespace(), eth0(node), 40_000).unwrap();
    ip(node.namespace(), &["route", "del", BLOCK]).unwrap();
    daemon.process().thaw().unwrap();
    has_its_route(node);
    let [changes, refusals, dumps, overruns] = before;
    let after = counts(node);
    assert_eq!(after[..2], [changes + 1, refusals]);
    assert!(after[2] > dumps && after[3] > overruns, "{after:?}");
    let grown = Usage::of(daemon.pid()).resident.saturating_sub(memory);
    assert!(grown < 2_048, "{grown} KiB more");
    daemon.process().must_run().unwrap();
}
