//! flannel in a cluster, as what it leaves there: its DaemonSet with nobody in it, its device and what is on that, the Nodes'
//! annotations, `subnet.env` and its network config. The plugin is flannel's own.

use lab::{Namespace, bridge, eventually, ip, ip_batch};
use netns_tests::kubernetes::{Cluster, Machine, PATIENCE};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

const MANIFEST: &str = include_str!("flannel.yaml");
/// Where `scripts/install-deps cni-go` puts flannel's plugin, and where a runtime looks for it.
const PLUGIN: &str = "/opt/cni/bin/flannel";
pub(crate) const CONFLIST: &str = "/etc/cni/net.d/10-flannel.conflist";

/// Applies its manifest, and does on every node what its daemon does.
pub(crate) fn runs(cluster: &Cluster) {
    cluster.apply(MANIFEST).unwrap();
    let blocks = blocks(cluster);
    for machine in cluster.machines() {
        let others = blocks.iter().filter(|(node, _)| *node != machine.name());
        make_device(machine, &blocks[machine.name()]);
        for (node, block) in others {
            lead_to(machine.namespace(), node, block);
        }
        say_so(cluster, machine);
        install_plugin(machine, &blocks[machine.name()]);
    }
}

/// The first address of each node's block, by the node's name.
fn blocks(cluster: &Cluster) -> BTreeMap<String, String> {
    let mut blocks = BTreeMap::new();
    eventually("every node has a block", PATIENCE, || {
        for node in items(&cluster.server.get(&["nodes"]).unwrap()) {
            if let Some((first, "24")) = text(&node["spec"]["podCIDR"]).split_once('/') {
                blocks.insert(text(&node["metadata"]["name"]), first.to_owned());
            }
        }
        blocks.len() == cluster.machines().count()
    })
    .unwrap();
    blocks
}

fn make_device(machine: &Machine, block: &str) {
    let underlay = machine.addresses().first().unwrap();
    let mac = mac(machine.name());
    let lines = [
        format!(
            "link add flannel.1 address {mac} mtu 1450 type vxlan id 1 local {underlay} dev eth0 dstport 8472 nolearning"
        ),
        format!("addr add {block}/32 dev flannel.1"),
        "link set flannel.1 up".to_owned(),
    ];
    ip_batch(machine.namespace(), &lines).unwrap();
}

fn lead_to(namespace: &Namespace, node: &str, block: &str) {
    let (mac, underlay) = (mac(node), underlay(node));
    let lines = [
        format!("neigh add {block} lladdr {mac} dev flannel.1 nud permanent"),
        format!("route add {block}/24 via {block} dev flannel.1 onlink"),
    ];
    ip_batch(namespace, &lines).unwrap();
    let entry = [
        "fdb",
        "add",
        &mac,
        "dev",
        "flannel.1",
        "self",
        "permanent",
        "dst",
        &underlay,
    ];
    bridge(namespace, &entry).unwrap();
}

fn say_so(cluster: &Cluster, machine: &Machine) {
    let data = json!({ "VNI": 1, "VtepMAC": mac(machine.name()) });
    let said = [
        ("kube-subnet-manager", "true".to_owned()),
        ("backend-type", "vxlan".to_owned()),
        ("backend-data", data.to_string()),
        ("public-ip", underlay(machine.name())),
    ];
    let said = said.map(|(name, value)| (format!("flannel.alpha.coreos.com/{name}"), value));
    let annotations: BTreeMap<String, String> = said.into();
    let patch = json!({ "metadata": { "annotations": annotations } });
    cluster
        .server
        .patch_nodes(&[(machine.name().to_owned(), patch)])
        .unwrap();
}

fn install_plugin(machine: &Machine, block: &str) {
    let gateway = block.trim_end_matches('0').to_owned() + "1";
    let env = format!(
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET={gateway}/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
    );
    let conflist = json!({
        "name": "cbr0",
        "cniVersion": "0.3.1",
        "plugins": [
            { "type": "flannel", "delegate": { "hairpinMode": true, "isDefaultGateway": true } },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    });
    for directory in ["/run/flannel", "/etc/cni/net.d"] {
        fs::create_dir_all(machine.path(directory)).unwrap();
    }
    fs::copy(PLUGIN, machine.path(PLUGIN)).expect("flannel's plugin: scripts/install-deps cni-go");
    fs::write(machine.path("/run/flannel/subnet.env"), env).unwrap();
    fs::write(machine.path(CONFLIST), conflist.to_string()).unwrap();
}

/// flannel's MAC on a node: that of node2 ends with 02.
fn mac(node: &str) -> String {
    format!("c6:d2:32:6f:8f:0{}", node.trim_start_matches("node"))
}

fn underlay(node: &str) -> String {
    format!("10.99.0.{}", node.trim_start_matches("node"))
}

/// What is left of flannel's routes over its device.
pub(crate) fn routes(machine: &Machine) -> String {
    let show = ["route", "show", "dev", "flannel.1", "proto", "boot"];
    ip(machine.namespace(), &show).unwrap()
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
