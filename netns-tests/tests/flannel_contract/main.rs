//! Twill in the place of flannel: the same keys, values, files, devices and entries.
//!
//! - `reading`: a value that flannel wrote yields the kernel state that flannel would make.
//! - `writing`: what Twill writes satisfies flannel's parser and the CNI plugin.
//! - `device`: the VTEP device is flannel's.
//! - `takeover`: what flannel left is adopted or removed; what is nobody's business stays.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod device;
mod reading;
mod takeover;
mod writing;

use lab::{Daemon, Node, Plan, Shape, Stack, eventually};
use netns_tests::{PodNetwork, READY, config};

const VXLAN: &str = r#"{"Type":"vxlan"}"#;
const HOST_GW: &str = r#"{"Type":"host-gw"}"#;

/// flannel's values as captured from its daemons, byte for byte.
const DUAL_VXLAN: &str = r#"{"PublicIP":"10.99.0.2","PublicIPv6":"fd99::2","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"fe:d9:bd:bd:f9:6d"},"BackendV6Data":{"VNI":1,"VtepMAC":"8e:0b:ad:ce:b3:2c"}}"#;
const V4_VXLAN: &str = r#"{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}"#;
const V6_VXLAN: &str = r#"{"PublicIP":"0.0.0.0","PublicIPv6":"fd99::2","BackendType":"vxlan","BackendV6Data":{"VNI":1,"VtepMAC":"8e:0b:ad:ce:b3:2c"}}"#;
const V4_HOST_GW: &str = r#"{"PublicIP":"10.99.0.1","PublicIPv6":null,"BackendType":"host-gw"}"#;

/// Nodes on one switch (`node1` is 10.99.0.1 and fd99::1, `node2` is 10.99.0.2 and fd99::2), an etcd, no daemon.
fn network(nodes: u8, stack: Stack, backend: &str) -> PodNetwork {
    let plan = Plan {
        nodes,
        shape: Shape::OneSwitch,
        stack,
    };
    PodNetwork::new(plan, 1, &config(stack, backend)).unwrap()
}

/// A ready daemon in one node, which believes the store at once, as flannel does.
fn daemon(network: &PodNetwork, node: &Node) -> Daemon {
    let command = network.command().args(&["--vanished-grace", "0"]);
    let mut daemon = node.start(&command).unwrap();
    daemon.wait_ready(READY).unwrap();
    daemon
}

/// Waits until `have` gives `want`; fails showing both.
fn becomes<T: PartialEq + std::fmt::Debug>(want: &T, mut have: impl FnMut() -> T) {
    let mut last = have();
    let so = eventually("the kernel agrees", READY, || {
        last = have();
        last == *want
    });
    assert!(so.is_ok(), "want {want:#?}\nhave {last:#?}");
}
