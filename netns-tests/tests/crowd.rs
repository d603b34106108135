//! Many daemons that start at once on an empty etcd. (A hundred of them are a benchmark: `benches/crowd.rs`.)
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::{Plan, Shape, Stack};
use netns_tests::{PREFIX, PodNetwork, config};
use std::collections::BTreeSet;

const NODES: u8 = 30;

#[test]
fn thirty_daemons_started_at_once_get_thirty_blocks_and_know_each_other() {
    let plan = Plan {
        nodes: NODES,
        shape: Shape::OneSwitch,
        stack: Stack::V4,
    };
    let mut network =
        PodNetwork::running(plan, 1, &config(Stack::V4, r#"{"Type":"vxlan"}"#)).unwrap();
    let blocks = network
        .cluster
        .nodes
        .iter()
        .map(|node| node.subnet_env().unwrap().subnet.unwrap());
    let blocks: BTreeSet<_> = blocks.collect();
    assert_eq!(
        blocks.len(),
        usize::from(NODES),
        "two nodes have the same block"
    );
    let keys = network.etcd.list(&format!("{PREFIX}/subnets")).unwrap();
    assert_eq!(
        keys.len(),
        usize::from(NODES),
        "one key for each node: {keys:?}"
    );
    for daemon in &mut network.daemons {
        daemon.process().must_run().unwrap();
    }
}

#[test]
fn as_many_nodes_as_blocks_are_all_served() {
    // SubnetMin to SubnetMax leave exactly six blocks.
    let config = r#"{"Network":"10.244.0.0/16","SubnetMin":"10.244.1.0","SubnetMax":"10.244.6.0","Backend":{"Type":"host-gw"}}"#;
    let plan = Plan {
        nodes: 6,
        shape: Shape::OneSwitch,
        stack: Stack::V4,
    };
    let network = PodNetwork::running(plan, 1, config).unwrap();
    let blocks = network
        .cluster
        .nodes
        .iter()
        .map(|node| node.subnet_env().unwrap().subnet.unwrap().to_string());
    let blocks: BTreeSet<String> = blocks.collect();
    let all: BTreeSet<String> = (1..=6)
        .map(|third| format!("10.244.{third}.1/24"))
        .collect();
    assert_eq!(blocks, all);
}
