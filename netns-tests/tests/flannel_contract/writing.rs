//! What Twill writes satisfies flannel's parser and the CNI plugin.

use crate::{HOST_GW, VXLAN, daemon, network};
use lab::kernel_view::link;
use lab::{DaemonCommand, Node, Stack};
use netns_tests::{PREFIX, PodNetwork, READY, subnet_key};
use regex_lite::Regex;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

/// flannel's own expression for the last part of a key.
const FLANNELS_KEY: &str = r"(\d+\.\d+.\d+.\d+)-(\d+)(?:&([a-f\d:]+)-(\d+))?$";

/// The one lease in the store: its block as in the key, and its value.
fn the_lease(network: &PodNetwork) -> (String, Value) {
    let mut keys = network.etcd.list(&format!("{PREFIX}/subnets")).unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let (key, value) = keys.remove(0);
    let block = key.strip_prefix(&subnet_key("")).unwrap().to_owned();
    assert!(
        Regex::new(FLANNELS_KEY).unwrap().is_match(&block),
        "flannel cannot parse {block}"
    );
    (block, serde_json::from_str(&value).unwrap())
}

fn subnet_file(node: &Node) -> String {
    std::fs::read_to_string(node.subnet_file()).unwrap()
}

/// The last-but-one part of an IPv4 block `10.244.N.0-24`.
fn third_octet(block: &str) -> &str {
    block.split('.').nth(2).unwrap()
}

fn mac_of(node: &Node, device: &str) -> Value {
    Value::from(link(node.namespace(), device).unwrap().unwrap().address)
}

#[test]
fn an_ipv4_vxlan_lease() {
    let network = network(1, Stack::V4, VXLAN);
    let node = network.node();
    let _daemon = daemon(&network, node);
    let (block, value) = the_lease(&network);
    let n = third_octet(&block);
    assert_eq!(block, format!("10.244.{n}.0-24"));
    assert_eq!(value["PublicIP"], "10.99.0.1");
    assert_eq!(
        value.get("PublicIPv6"),
        Some(&Value::Null),
        "PublicIPv6 is always there"
    );
    assert_eq!(value["BackendType"], "vxlan");
    assert_eq!(value["BackendData"]["VNI"], 1);
    assert_eq!(value["BackendData"]["VtepMAC"], mac_of(node, "flannel.1"));
    assert_eq!(value.get("BackendV6Data"), None);
    let want = format!(
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.{n}.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n"
    );
    assert_eq!(subnet_file(node), want);
}

#[test]
fn a_dual_stack_vxlan_lease() {
    let network = network(1, Stack::Dual, VXLAN);
    let node = network.node();
    let _daemon = daemon(&network, node);
    let (block, value) = the_lease(&network);
    let (v4, v6) = block.split_once('&').unwrap();
    assert_eq!(
        (&value["PublicIP"], &value["PublicIPv6"]),
        (&"10.99.0.1".into(), &"fd99::1".into())
    );
    assert_eq!(value["BackendData"]["VtepMAC"], mac_of(node, "flannel.1"));
    assert_eq!(
        value["BackendV6Data"]["VtepMAC"],
        mac_of(node, "flannel-v6.1")
    );
    assert_eq!(value["BackendV6Data"]["VNI"], 1);
    let (n, v6) = (third_octet(v4), v6.strip_suffix("-64").unwrap());
    let want = format!(
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.{n}.1/24\nFLANNEL_IPV6_NETWORK=fd00:244::/48\n\
         FLANNEL_IPV6_SUBNET={v6}1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=false\n"
    );
    assert_eq!(subnet_file(node), want);
}

#[test]
fn an_ipv6_only_lease() {
    let network = network(1, Stack::V6, VXLAN);
    let node = network.node();
    let _daemon = daemon(&network, node);
    let (block, value) = the_lease(&network);
    let v6 = block
        .strip_prefix("0.0.0.0-0&")
        .and_then(|rest| rest.strip_suffix("-64"))
        .unwrap();
    assert_eq!(
        (&value["PublicIP"], &value["PublicIPv6"]),
        (&"0.0.0.0".into(), &"fd99::1".into())
    );
    assert_eq!(value.get("BackendData"), None);
    let want = format!(
        "FLANNEL_IPV6_NETWORK=fd00:244::/48\nFLANNEL_IPV6_SUBNET={v6}1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=false\n"
    );
    assert_eq!(subnet_file(node), want);
}

#[test]
fn a_host_gw_lease_has_no_backend_data() {
    let network = network(1, Stack::V4, HOST_GW);
    let node = network.node();
    let _daemon = daemon(&network, node);
    let (_, value) = the_lease(&network);
    assert_eq!(value["BackendType"], "host-gw");
    assert!(
        value.get("BackendData").is_none_or(Value::is_null),
        "{value}"
    );
    assert!(subnet_file(node).contains("\nFLANNEL_MTU=1500\n"));
}

#[test]
fn the_subnet_file_can_be_read_by_everybody_and_says_that_we_masquerade() {
    let network = network(1, Stack::V4, VXLAN);
    let node = network.node();
    let mut daemon = node.start(&network.command().args(&["--ip-masq"])).unwrap();
    daemon.wait_ready(READY).unwrap();
    assert!(subnet_file(node).ends_with("FLANNEL_IPMASQ=true\n"));
    let mode = std::fs::metadata(node.subnet_file())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn the_lease_lives_for_a_day_and_keeps_its_id_over_a_restart() {
    let network = network(1, Stack::V4, VXLAN);
    let node = network.node();
    let mut first = daemon(&network, node);
    let (id, block) = (lease_id(&network), the_lease(&network).0);
    let granted = network
        .etcd
        .ctl(&["lease", "timetolive", &format!("{id:x}")])
        .unwrap();
    assert!(granted.contains("TTL(86400s)"), "{granted}");
    first.terminate().unwrap();
    let _second = daemon(&network, node);
    assert_eq!(the_lease(&network).0, block);
    assert_eq!(
        lease_id(&network),
        id,
        "renewed by KeepAlive, not by a new lease"
    );
}

#[test]
fn a_reservation_is_used_and_stays_without_a_lease() {
    let network = network(1, Stack::V4, VXLAN);
    let node = network.node();
    let key = subnet_key("10.244.7.0-24");
    network
        .etcd
        .put(&key, r#"{"PublicIP":"10.99.0.1"}"#)
        .unwrap();
    let mut first = daemon(&network, node);
    assert!(subnet_file(node).contains("FLANNEL_SUBNET=10.244.7.1/24\n"));
    let (block, value) = the_lease(&network);
    assert_eq!(
        (block.as_str(), &value["BackendType"]),
        ("10.244.7.0-24", &"vxlan".into())
    );
    assert_eq!(lease_id(&network), 0);
    first.terminate().unwrap();
    let _second = daemon(&network, node);
    assert_eq!(
        (the_lease(&network).0.as_str(), lease_id(&network)),
        ("10.244.7.0-24", 0)
    );
}

#[test]
fn a_reservation_of_another_node_is_not_allocated() {
    let config = r#"{"Network":"10.244.0.0/16","SubnetMin":"10.244.1.0","SubnetMax":"10.244.2.0","Backend":{"Type":"vxlan"}}"#;
    let network = network(1, Stack::V4, VXLAN);
    network
        .etcd
        .put(&format!("{PREFIX}/config"), config)
        .unwrap();
    network
        .etcd
        .put(&subnet_key("10.244.1.0-24"), r#"{"PublicIP":"10.99.0.77"}"#)
        .unwrap();
    let node = network.node();
    let _daemon = daemon(&network, node);
    assert!(subnet_file(node).contains("FLANNEL_SUBNET=10.244.2.1/24\n"));
}

#[test]
fn without_a_backend_in_the_config_it_is_vxlan() {
    let network = network(1, Stack::V4, VXLAN);
    network
        .etcd
        .put(
            &format!("{PREFIX}/config"),
            r#"{"network":"10.244.0.0/16"}"#,
        )
        .unwrap();
    let _daemon: lab::Daemon = daemon(&network, network.node());
    assert_eq!(the_lease(&network).1["BackendType"], "vxlan");
}

#[test]
fn flannels_own_spelling_of_flags_and_variables_does() {
    let network = network(1, Stack::V4, VXLAN);
    let node = network.node();
    let command: DaemonCommand = network
        .command()
        .env("FLANNELD_IP_MASQ", "true")
        .args(&["-public-ip=10.99.0.1"]);
    let mut daemon = node.start(&command).unwrap();
    daemon.wait_ready(READY).unwrap();
    assert!(subnet_file(node).ends_with("FLANNEL_IPMASQ=true\n"));
}

/// The etcd lease of the one key; 0 for none.
fn lease_id(network: &PodNetwork) -> i64 {
    let text = network
        .etcd
        .ctl(&[
            "get",
            "--prefix",
            &format!("{PREFIX}/subnets"),
            "-w",
            "json",
        ])
        .unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    value["kvs"][0]["lease"].as_i64().unwrap_or(0)
}
