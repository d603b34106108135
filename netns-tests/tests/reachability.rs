//! Every pod reaches every pod: three nodes, three etcd members, both backends, all families.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::probe::{all_pairs, mtu_is_exact, ping_between, source_is_kept};
use lab::{Plan, Shape, Stack};
use netns_tests::{PodNetwork, block_routes, config};
use std::collections::BTreeSet;

fn three_nodes(shape: Shape, stack: Stack, backend: &str) -> PodNetwork {
    let plan = Plan {
        nodes: 3,
        shape,
        stack,
    };
    let mut network = PodNetwork::running(plan, 3, &config(stack, backend)).unwrap();
    network.add_pods(2).unwrap();
    network
}

/// Collects every failure of every pair: one broken pair tells less than the pattern of all.
fn every_pod_reaches_every_pod(network: &PodNetwork, mtu: usize) {
    assert_eq!(network.node().subnet_env().unwrap().mtu, mtu);
    let failures = all_pairs(&network.pods).flat_map(|(from, to)| {
        let ping = ping_between(from, to);
        let source = source_is_kept(from, to);
        let size = mtu_is_exact(from, to, mtu);
        [ping, source, size].into_iter().filter_map(Result::err)
    });
    let failures: Vec<String> = failures.map(|error| error.to_string()).collect();
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn over_vxlan_and_ipv4() {
    let network = three_nodes(Shape::TwoSubnets, Stack::V4, r#"{"Type":"vxlan"}"#);
    every_pod_reaches_every_pod(&network, 1450);
}

#[test]
fn over_vxlan_and_ipv6() {
    let network = three_nodes(Shape::TwoSubnets, Stack::V6, r#"{"Type":"vxlan"}"#);
    every_pod_reaches_every_pod(&network, 1430);
}

#[test]
fn over_vxlan_and_dual_stack() {
    let network = three_nodes(Shape::TwoSubnets, Stack::Dual, r#"{"Type":"vxlan"}"#);
    every_pod_reaches_every_pod(&network, 1430);
}

#[test]
fn by_direct_routes_and_ipv4() {
    let network = three_nodes(Shape::OneSwitch, Stack::V4, r#"{"Type":"host-gw"}"#);
    every_pod_reaches_every_pod(&network, 1500);
}

#[test]
fn by_direct_routes_and_ipv6() {
    let network = three_nodes(Shape::OneSwitch, Stack::V6, r#"{"Type":"host-gw"}"#);
    every_pod_reaches_every_pod(&network, 1500);
}

#[test]
fn by_direct_routes_and_dual_stack() {
    let network = three_nodes(Shape::OneSwitch, Stack::Dual, r#"{"Type":"host-gw"}"#);
    every_pod_reaches_every_pod(&network, 1500);
}

#[test]
fn by_bgp_and_ipv4() {
    let network = three_nodes(Shape::OneSwitch, Stack::V4, r#"{"Type":"bgp"}"#);
    every_pod_reaches_every_pod(&network, 1500);
}

#[test]
fn by_bgp_and_ipv6() {
    let network = three_nodes(Shape::OneSwitch, Stack::V6, r#"{"Type":"bgp"}"#);
    every_pod_reaches_every_pod(&network, 1500);
}

#[test]
fn by_bgp_and_dual_stack() {
    let network = three_nodes(Shape::OneSwitch, Stack::Dual, r#"{"Type":"bgp"}"#);
    every_pod_reaches_every_pod(&network, 1500);
}

#[test]
fn direct_routing_takes_the_link_where_there_is_one_and_vxlan_elsewhere() {
    let network = three_nodes(
        Shape::TwoSubnets,
        Stack::Dual,
        r#"{"Type":"vxlan","DirectRouting":true}"#,
    );
    every_pod_reaches_every_pod(&network, 1430);
    // node1 and node3 are on the first switch, node2 is behind the router.
    let devices = block_routes(network.node())
        .unwrap()
        .into_iter()
        .map(|route| route.dev.unwrap());
    let devices: Vec<String> = devices.collect();
    let distinct: BTreeSet<&str> = devices.iter().map(String::as_str).collect();
    assert_eq!(
        distinct,
        ["eth0", "flannel-v6.1", "flannel.1"].into(),
        "{devices:?}"
    );
    assert_eq!(devices.iter().filter(|device| *device == "eth0").count(), 2);
}
