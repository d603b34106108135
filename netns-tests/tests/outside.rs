//! Pods and the world beyond the pod network: masquerade, and hosts whose FORWARD policy is drop.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::probe::{ping_between, source_is_kept, udp_source};
use lab::{Node, Plan, Shape, Stack, eventually, output};
use netns_tests::{PodNetwork, READY, config};
use std::net::IpAddr;

/// Two nodes with a pod each and daemons with these flags. The outside is etcd's host: it has no route to any pod.
fn network(stack: Stack, flags: &[&str]) -> PodNetwork {
    let plan = Plan {
        nodes: 2,
        shape: Shape::OneSwitch,
        stack,
    };
    let mut network = PodNetwork::new(plan, 1, &config(stack, r#"{"Type":"vxlan"}"#)).unwrap();
    for node in &network.cluster.nodes {
        network
            .daemons
            .push(node.start(&network.command().args(flags)).unwrap());
    }
    for daemon in &mut network.daemons {
        daemon.wait_ready(READY).unwrap();
    }
    network.add_pods(1).unwrap();
    eventually("the pods reach each other", READY, || {
        ping_between(&network.pods[0], &network.pods[1]).is_ok()
    })
    .unwrap();
    network
}

/// The source address that the outside sees of a packet from the first pod, if it gets an answer.
fn seen_outside(network: &PodNetwork) -> Option<IpAddr> {
    let outside = network.etcd.living().unwrap();
    let there = outside.client_address().ip();
    udp_source(network.pods[0].namespace(), outside.namespace(), there).ok()
}

fn nft(node: &Node, args: &str) -> String {
    let mut command = node.namespace().command("nft");
    command.args(args.split(' '));
    output(node.namespace(), &mut command).unwrap()
}

#[test]
fn with_masquerade_the_outside_sees_the_node_and_pods_see_each_other() {
    let network = network(Stack::V4, &["--ip-masq"]);
    let node = network.node().addresses().first().unwrap();
    assert_eq!(seen_outside(&network), Some(node));
    source_is_kept(&network.pods[0], &network.pods[1]).unwrap();
    source_is_kept(&network.pods[1], &network.pods[0]).unwrap();
}

#[test]
fn without_masquerade_the_outside_cannot_answer() {
    let network = network(Stack::V4, &[]);
    assert_eq!(seen_outside(&network), None);
}

#[test]
fn rules_that_somebody_flushes_come_back() {
    let network = network(Stack::V4, &["--ip-masq"]);
    nft(network.node(), "flush ruleset");
    eventually("the rules are there again", READY, || {
        nft(network.node(), "list ruleset").contains("masquerade")
    })
    .unwrap();
    assert!(seen_outside(&network).is_some());
}

#[test]
fn pods_reach_each_other_though_the_hosts_forward_policy_is_drop() {
    let network = network(Stack::V4, &[]);
    let node = network.node();
    nft(node, "add table ip filter");
    nft(
        node,
        "add chain ip filter FORWARD { type filter hook forward priority 0 ; policy drop ; }",
    );
    eventually("pods reach each other", READY, || {
        ping_between(&network.pods[0], &network.pods[1]).is_ok()
    })
    .unwrap();
}

#[test]
fn a_daemon_without_masquerade_takes_back_what_one_with_it_put() {
    let mut network = network(Stack::V4, &["--ip-masq"]);
    network.daemons[0].terminate().unwrap();
    assert!(
        nft(network.node(), "list ruleset").contains("masquerade"),
        "exit changes nothing"
    );
    let node = network.node();
    let mut next = node.start(&network.command()).unwrap();
    next.wait_ready(READY).unwrap();
    assert!(!nft(node, "list ruleset").contains("masquerade"));
}
