//! From flannel to Twill, node by node, and back, while pods talk: 0 lost. flannel is there as what it leaves in etcd, in
//! the kernel and in `subnet.env`, as captured from its daemon.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::kernel_view::link;
use lab::probe::{PingStream, ping_between};
use lab::{Node, Plan, Shape, Stack, bridge, eventually, ip_batch};
use netns_tests::{PodNetwork, READY, block_routes, config, subnet_key};
use std::time::Duration;

const VXLAN: &str = r#"{"Type":"vxlan"}"#;
const HOST_GW: &str = r#"{"Type":"host-gw"}"#;

/// Node 1 has 10.244.1.0/24, node 2 has 10.244.2.0/24.
fn block(number: usize) -> String {
    format!("10.244.{number}.0")
}

fn mac(number: usize) -> String {
    format!("c6:d2:32:6f:8f:{number:02x}")
}

/// What flannel keeps in etcd for a node.
fn lease(number: usize, backend: &str) -> String {
    let public = format!(r#""PublicIP":"10.99.0.{number}","PublicIPv6":null"#);
    if backend == HOST_GW {
        return format!(r#"{{{public},"BackendType":"host-gw"}}"#);
    }
    let vtep = format!(r#"{{"VNI":1,"VtepMAC":"{}"}}"#, mac(number));
    format!(r#"{{{public},"BackendType":"vxlan","BackendData":{vtep}}}"#)
}

/// What flannel does for the other node's lease; also over what Twill left.
fn route_to(other: usize, backend: &str) -> String {
    match backend {
        HOST_GW => format!(
            "route replace {}/24 via 10.99.0.{other} dev eth0",
            block(other)
        ),
        _ => format!(
            "route replace {0}/24 via {0} dev flannel.1 onlink",
            block(other)
        ),
    }
}

fn neighbours_of(other: usize, node: &Node) {
    let line = format!(
        "neigh replace {} lladdr {} dev flannel.1 nud permanent",
        block(other),
        mac(other)
    );
    ip_batch(node.namespace(), &[line]).unwrap();
    let (mac, underlay) = (mac(other), format!("10.99.0.{other}"));
    let words = [
        "fdb",
        "replace",
        &mac,
        "dev",
        "flannel.1",
        "self",
        "permanent",
        "dst",
        &underlay,
    ];
    bridge(node.namespace(), &words).unwrap();
}

/// A node on which flannel runs.
fn as_flannel_has_it(node: &Node, number: usize, backend: &str) {
    let (other, mtu) = (3 - number, if backend == HOST_GW { 1500 } else { 1450 });
    if backend == VXLAN {
        let lines = [
            format!(
                "link add flannel.1 address {} mtu 1450 type vxlan id 1 local 10.99.0.{number} dev eth0 dstport 8472 nolearning",
                mac(number)
            ),
            format!("addr add {}/32 dev flannel.1", block(number)),
            "link set flannel.1 up".to_owned(),
        ];
        ip_batch(node.namespace(), &lines).unwrap();
        neighbours_of(other, node);
    }
    ip_batch(node.namespace(), &[route_to(other, backend)]).unwrap();
    let env = format!(
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.{number}.1/24\nFLANNEL_MTU={mtu}\nFLANNEL_IPMASQ=false\n"
    );
    std::fs::write(node.subnet_file(), env).unwrap();
}

fn two_nodes_of_flannel(backend: &str) -> PodNetwork {
    let plan = Plan {
        nodes: 2,
        shape: Shape::OneSwitch,
        stack: Stack::V4,
    };
    let mut network = PodNetwork::new(plan, 1, &config(Stack::V4, backend)).unwrap();
    for (node, number) in network.cluster.nodes.iter().zip(1..) {
        let key = subnet_key(&format!("{}-24", block(number)));
        network.etcd.put(&key, &lease(number, backend)).unwrap();
        as_flannel_has_it(node, number, backend);
    }
    network.add_pods(1).unwrap();
    ping_between(&network.pods[0], &network.pods[1]).unwrap();
    network
}

fn pings_go_on(stream: &PingStream) {
    let sent = stream.sent();
    eventually("pings flow", READY, || stream.sent() > sent + 200).unwrap();
}

fn there_and_back_without_loss(backend: &str) {
    let mut network = two_nodes_of_flannel(backend);
    let before: Vec<String> = network
        .cluster
        .nodes
        .iter()
        .map(|node| std::fs::read_to_string(node.subnet_file()).unwrap())
        .collect();
    let there = network.pods[1].addresses().first().unwrap();
    let from = network.pods[0].namespace();
    let stream = PingStream::start(from, there, Duration::from_millis(5)).unwrap();
    pings_go_on(&stream);
    let command = network.command();
    for node in &network.cluster.nodes {
        let mut daemon = node.start(&command).unwrap();
        daemon.wait_ready(READY).unwrap();
        network.daemons.push(daemon);
        // One node is Twill's, the other flannel's, and then both are Twill's.
        pings_go_on(&stream);
    }
    for (index, node) in network.cluster.nodes.iter().enumerate() {
        let env = std::fs::read_to_string(node.subnet_file()).unwrap();
        assert_eq!(env, before[index], "subnet.env of node {}", index + 1);
        let ours = block_routes(node).unwrap();
        assert_eq!(ours.len(), 1, "{ours:?}");
        if backend == VXLAN {
            let device = link(node.namespace(), "flannel.1").unwrap().unwrap();
            assert_eq!(device.address, Some(mac(index + 1)));
        }
    }
    for (index, node) in network.cluster.nodes.iter().enumerate() {
        network.daemons[index].terminate().unwrap();
        if backend == VXLAN {
            neighbours_of(2 - index, node);
        }
        ip_batch(node.namespace(), &[route_to(2 - index, backend)]).unwrap();
        pings_go_on(&stream);
        assert_eq!(block_routes(node).unwrap(), [], "the route is flannel's");
    }
    let loss = stream.finish();
    assert!(loss.sent >= 1_000, "{loss}");
    assert_eq!(loss.lost, 0, "{loss}");
}

#[test]
fn from_flannel_and_back_no_packet_is_lost_over_vxlan() {
    there_and_back_without_loss(VXLAN);
}

#[test]
fn from_flannel_and_back_no_packet_is_lost_by_direct_routes() {
    there_and_back_without_loss(HOST_GW);
}
