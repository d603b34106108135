//! What the operator and the underlay change under running daemons: they follow without a restart, and the block stays.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::kernel_view::{Family, fdb, link, routes};
use lab::probe::{PingStream, ping_between};
use lab::{Node, Plan, Shape, Signal, Stack, eventually, ip};
use netns_tests::{PREFIX, PodNetwork, READY, block_routes, config};
use std::time::Duration;

const VXLAN: &str = r#"{"Type":"vxlan"}"#;
const HOST_GW: &str = r#"{"Type":"host-gw"}"#;

/// Two nodes on one switch with a pod each, whose pods reach each other over IPv4.
fn network(underlay: Stack, backend: &str) -> PodNetwork {
    let plan = Plan {
        nodes: 2,
        shape: Shape::OneSwitch,
        stack: underlay,
    };
    let mut network = PodNetwork::new(plan, 1, &config(Stack::V4, backend)).unwrap();
    for node in &network.cluster.nodes {
        network
            .daemons
            .push(node.start(&network.command()).unwrap());
    }
    for (node, daemon) in network.cluster.nodes.iter().zip(&mut network.daemons) {
        daemon.wait_ready(READY).unwrap();
        eventually("the other node is known", READY, || {
            block_routes(node).is_ok_and(|routes| routes.len() == 1)
        })
        .unwrap();
    }
    network.add_pods(1).unwrap();
    ping_between(&network.pods[0], &network.pods[1]).unwrap();
    network
}

fn write_config(network: &PodNetwork, text: &str) {
    network.etcd.put(&format!("{PREFIX}/config"), text).unwrap();
}

fn pods_reach_each_other(network: &PodNetwork) {
    eventually("the pods reach each other", READY, || {
        ping_between(&network.pods[0], &network.pods[1]).is_ok()
            && ping_between(&network.pods[1], &network.pods[0]).is_ok()
    })
    .unwrap();
}

/// What the log of node 1's daemon comes to say.
fn log_says(network: &mut PodNetwork, words: &str) {
    let daemon = network.daemons[0].process();
    eventually(&format!("the log says {words:?}"), READY, || {
        daemon.log_text().contains(words)
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", daemon.log_text()));
}

fn run_ip(node: &Node, words: &str) {
    let words: Vec<&str> = words.split(' ').collect();
    ip(node.namespace(), &words).unwrap();
}

/// A stream of pings from the first pod to the second, to be finished by [`none_is_lost`].
fn pings(network: &PodNetwork) -> PingStream {
    let there = network.pods[1].addresses().first().unwrap();
    let stream =
        PingStream::start(network.pods[0].namespace(), there, Duration::from_millis(5)).unwrap();
    eventually("pings flow", READY, || stream.sent() > 20).unwrap();
    stream
}

fn none_is_lost(stream: PingStream) {
    let sent = stream.sent();
    eventually("more pings are sent", READY, || stream.sent() > sent + 200).unwrap();
    let loss = stream.finish();
    assert_eq!(loss.lost, 0, "{loss}");
}

#[test]
fn a_changed_mtu_of_the_underlay_reaches_the_device_and_subnet_env() {
    let network = network(Stack::V4, VXLAN);
    let node = network.node();
    run_ip(node, "link set eth0 mtu 1400");
    eventually("the device follows", READY, || {
        link(node.namespace(), "flannel.1")
            .unwrap()
            .is_some_and(|link| link.mtu == 1350)
    })
    .unwrap();
    eventually("subnet.env follows", READY, || {
        node.subnet_env().unwrap().mtu == 1350
    })
    .unwrap();
}

fn a_changed_address_keeps_the_block(backend: &str) {
    let mut network = network(Stack::V4, backend);
    let block = network.node().subnet_env().unwrap().subnet;
    run_ip(network.node(), "addr del 10.99.0.1/24 dev eth0");
    run_ip(network.node(), "addr add 10.99.0.77/24 dev eth0");
    eventually("the lease has the new address", READY, || {
        let leases = network.etcd.list(&format!("{PREFIX}/subnets/")).unwrap();
        leases.len() == 2 && leases.iter().any(|(_, value)| value.contains("10.99.0.77"))
    })
    .unwrap();
    assert_eq!(network.node().subnet_env().unwrap().subnet, block);
    pods_reach_each_other(&network);
    log_says(&mut network, "kept, and published again");
    let other = network.cluster.nodes[1].namespace().clone();
    if backend == VXLAN {
        let ends: Vec<_> = fdb(&other, "flannel.1").unwrap();
        let ends: Vec<_> = ends.into_iter().filter_map(|entry| entry.dst).collect();
        assert_eq!(ends, ["10.99.0.77"]);
    }
}

#[test]
fn a_changed_address_is_published_again_and_the_block_stays_over_vxlan() {
    a_changed_address_keeps_the_block(VXLAN);
}

#[test]
fn a_changed_address_is_published_again_and_the_block_stays_by_direct_routes() {
    a_changed_address_keeps_the_block(HOST_GW);
}

#[test]
fn an_underlay_interface_that_is_made_again_is_followed() {
    let network = network(Stack::V4, HOST_GW);
    let node = network.node();
    let before = link(node.namespace(), "eth0").unwrap().unwrap();
    // As `systemctl restart networking` may do it: another interface of the same name and address.
    run_ip(node, "link set eth0 down");
    run_ip(node, "link set eth0 name eth0old");
    run_ip(node, "addr flush dev eth0old");
    run_ip(
        node,
        "link add link eth0old name eth0 type macvlan mode bridge",
    );
    run_ip(node, "link set eth0old up");
    run_ip(node, "addr add 10.99.0.1/24 dev eth0");
    run_ip(node, "link set eth0 up");
    let after = link(node.namespace(), "eth0").unwrap().unwrap();
    assert_ne!(before.ifindex, after.ifindex);
    pods_reach_each_other(&network);
}

#[test]
fn ipv6_added_to_an_ipv4_cluster_keeps_every_ipv4_block_and_every_packet() {
    let network = network(Stack::Dual, VXLAN);
    let blocks = |network: &PodNetwork| -> Vec<_> {
        let nodes = network.cluster.nodes.iter();
        nodes.map(|node| node.subnet_env().unwrap()).collect()
    };
    let before = blocks(&network);
    let stream = pings(&network);
    write_config(&network, &config(Stack::Dual, VXLAN));
    eventually("every node has an IPv6 block", READY, || {
        blocks(&network).iter().all(|env| env.ipv6_subnet.is_some())
    })
    .unwrap();
    eventually("every node has IPv6 routes", READY, || {
        let nodes = network.cluster.nodes.iter();
        let mut six = nodes.map(|node| routes(node.namespace(), Family::V6).unwrap());
        six.all(|routes| {
            let to_block = |dst: &str| dst.starts_with("fd00:244:") && dst.ends_with("/64");
            routes
                .iter()
                .any(|route| route.kind == "unicast" && to_block(&route.dst))
        })
    })
    .unwrap();
    none_is_lost(stream);
    let subnets = |envs: &[lab::SubnetEnv]| -> Vec<_> { envs.iter().map(|e| e.subnet).collect() };
    assert_eq!(subnets(&blocks(&network)), subnets(&before));
    let keys = network.etcd.list(&format!("{PREFIX}/subnets/")).unwrap();
    assert!(
        keys.len() == 2 && keys.iter().all(|(key, _)| key.contains('&')),
        "{keys:?}"
    );
}

#[test]
fn another_vni_and_port_are_followed_and_the_old_device_goes() {
    let network = network(Stack::V4, VXLAN);
    write_config(
        &network,
        &config(Stack::V4, r#"{"Type":"vxlan","VNI":7,"Port":4789}"#),
    );
    for node in &network.cluster.nodes {
        eventually("the device of the new VNI is the only one", READY, || {
            link(node.namespace(), "flannel.7").unwrap().is_some()
                && link(node.namespace(), "flannel.1").unwrap().is_none()
        })
        .unwrap();
    }
    pods_reach_each_other(&network);
}

#[test]
fn direct_routing_is_turned_on_and_off_without_a_packet_lost() {
    let network = network(Stack::V4, VXLAN);
    let stream = pings(&network);
    let device = |name: &str| {
        let nodes = network.cluster.nodes.iter();
        let mut routes = nodes.flat_map(|node| block_routes(node).unwrap());
        routes.all(|route| route.dev.as_deref() == Some(name))
    };
    write_config(
        &network,
        &config(Stack::V4, r#"{"Type":"vxlan","DirectRouting":true}"#),
    );
    eventually("routes are direct", READY, || device("eth0")).unwrap();
    write_config(&network, &config(Stack::V4, VXLAN));
    eventually("routes lead through the tunnel", READY, || {
        device("flannel.1")
    })
    .unwrap();
    none_is_lost(stream);
}

#[test]
fn another_backend_is_followed_and_back() {
    let network = network(Stack::V4, VXLAN);
    for (backend, device) in [(HOST_GW, "eth0"), (VXLAN, "flannel.1")] {
        write_config(&network, &config(Stack::V4, backend));
        for node in &network.cluster.nodes {
            eventually(&format!("routes lead through {device}"), READY, || {
                let routes = block_routes(node).unwrap();
                routes.len() == 1 && routes[0].dev.as_deref() == Some(device)
            })
            .unwrap();
        }
        pods_reach_each_other(&network);
    }
}

#[test]
fn a_pool_without_the_own_block_is_refused_and_nothing_changes() {
    let mut network = network(Stack::V4, VXLAN);
    let before = network.node().subnet_env().unwrap();
    let stream = pings(&network);
    write_config(
        &network,
        r#"{"Network":"10.9.0.0/16","Backend":{"Type":"vxlan"}}"#,
    );
    log_says(&mut network, "the new network config is refused");
    let status = network
        .node()
        .twill_says(&network.command(), &["show", "status"])
        .unwrap();
    assert!(
        status.contains("refused") && status.contains("10.244."),
        "{status}"
    );
    none_is_lost(stream);
    assert_eq!(network.node().subnet_env().unwrap(), before);

    write_config(&network, &config(Stack::V4, VXLAN));
    eventually("it is not refused any more", READY, || {
        let node = network.node();
        let status = node.twill_says(&network.command(), &["show", "status"]);
        !status.unwrap().contains("refused")
    })
    .unwrap();
}

/// The first node's daemon, with a settings file that can be changed.
fn with_settings(network: &mut PodNetwork, text: &str) -> std::path::PathBuf {
    let file = network.node().directory().join("twill.toml");
    std::fs::write(&file, text).unwrap();
    network.daemons[0].terminate().unwrap();
    let command = network
        .command()
        .args(&["--config", file.to_str().unwrap()]);
    network.daemons[0] = network.node().start(&command).unwrap();
    network.daemons[0].wait_ready(READY).unwrap();
    file
}

#[test]
fn settings_are_read_again_and_followed_and_a_mistake_in_them_changes_nothing() {
    let mut network = network(Stack::V4, VXLAN);
    let file = with_settings(&mut network, "mtu = 1500\n");
    let stream = pings(&network);
    let node = network.node();
    let mtu = || node.subnet_env().unwrap().mtu;
    let reload = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let command = network
            .command()
            .args(&["--config", file.to_str().unwrap()]);
        node.twill(&command, &["reload"]).output().unwrap()
    };
    let said = reload("mtu = 1400\nhealthz-port = 1\n");
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{said:?}");
    assert!(text.contains("following mtu"), "{text}");
    eventually("subnet.env follows", READY, || mtu() == 1350).unwrap();

    let refused = reload("mtu = 1300\nno-such-setting = 1\n");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(mtu(), 1350);
    none_is_lost(stream);
}

#[test]
fn a_hang_up_reads_the_settings_again() {
    let mut network = network(Stack::V4, VXLAN);
    let file = with_settings(&mut network, "mtu = 1500\n");
    std::fs::write(&file, "mtu = 1450\n").unwrap();
    network.daemons[0].process().signal(Signal::SIGHUP).unwrap();
    log_says(&mut network, "following mtu");
    eventually("subnet.env follows", READY, || {
        network.node().subnet_env().unwrap().mtu == 1400
    })
    .unwrap();
}

#[test]
fn another_node_name_is_published_and_the_block_stays() {
    let mut network = network(Stack::V4, VXLAN);
    let block = network.node().subnet_env().unwrap().subnet;
    network.daemons[0].terminate().unwrap();
    let command = network.command().args(&["--node-name", "renamed"]);
    network.daemons[0] = network.node().start(&command).unwrap();
    network.daemons[0].wait_ready(READY).unwrap();
    assert_eq!(network.node().subnet_env().unwrap().subnet, block);
    let leases = network.etcd.list(&format!("{PREFIX}/subnets/")).unwrap();
    assert!(
        leases.iter().any(|(_, value)| value.contains("renamed")),
        "{leases:?}"
    );
}
