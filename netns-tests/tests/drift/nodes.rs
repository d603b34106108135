//! This node itself is another one when its daemon starts again.

use crate::VXLAN;
use lab::{Cidr, Daemon, Plan, Shape, Stack, eventually, ip_batch};
use netns_tests::{PREFIX, PodNetwork, READY, config};

/// A ready daemon on a machine of both families, with the network config of `stack`.
fn started(stack: Stack) -> (PodNetwork, Daemon) {
    let plan = Plan {
        nodes: 1,
        shape: Shape::OneSwitch,
        stack: Stack::Dual,
    };
    let network = PodNetwork::new(plan, 1, &config(stack, VXLAN)).unwrap();
    let daemon = start(&network);
    (network, daemon)
}

fn start(network: &PodNetwork) -> Daemon {
    let mut daemon = network.node().start(&network.command()).unwrap();
    daemon.wait_ready(READY).unwrap();
    daemon
}

fn block(network: &PodNetwork) -> Cidr {
    network.node().subnet_env().unwrap().subnet.unwrap()
}

fn leases(network: &PodNetwork) -> Vec<(String, String)> {
    network.etcd.list(&format!("{PREFIX}/subnets")).unwrap()
}

#[test]
fn ipv6_that_is_enabled_later_keeps_the_ipv4_block() {
    let (network, mut daemon) = started(Stack::V4);
    let before = block(&network);
    daemon.terminate().unwrap();
    let key = format!("{PREFIX}/config");
    network.etcd.put(&key, &config(Stack::Dual, VXLAN)).unwrap();
    let _daemon = start(&network);
    assert_eq!(block(&network), before);
    let env = network.node().subnet_env().unwrap();
    assert!(env.ipv6_subnet.is_some());
    let leases = leases(&network);
    assert!(
        leases.len() == 1 && leases[0].0.contains('&'),
        "one key of both families: {leases:?}"
    );
}

#[test]
fn a_node_that_comes_back_with_another_address_keeps_its_block() {
    let (network, mut daemon) = started(Stack::V4);
    let before = block(&network);
    daemon.terminate().unwrap();
    let lines = [
        "addr del 10.99.0.1/24 dev eth0",
        "addr add 10.99.0.77/24 dev eth0",
        "route replace default via 10.99.0.254",
    ];
    ip_batch(network.node().namespace(), &lines.map(str::to_owned)).unwrap();
    let _daemon = start(&network);
    assert_eq!(block(&network), before);
    eventually("the lease names the new address", READY, || {
        let leases = leases(&network);
        leases.len() == 1 && leases[0].1.contains("10.99.0.77")
    })
    .unwrap();
}
