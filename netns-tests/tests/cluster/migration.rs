//! From flannel to Twill as docs/from-flannel.md says: node by node, while pods talk, and later the plugin.
//!
//! What flannel leaves on a node stands in for it: its device and what is on that, the Node's annotations, `subnet.env` and
//! its network config. The plugin is flannel's own.

use crate::scene::{Probe, image, inside, probes, probes_of, rolled_out};
use lab::probe::PingStream;
use lab::{Namespace, Stack, bridge, eventually, ip, ip_batch, output};
use netns_tests::kubernetes::{Cluster, Machine, PATIENCE, Plan, kubernetes_program};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes/chart");
/// Where `scripts/install-deps cni-go` puts flannel's plugin, and where a runtime looks for it.
const PLUGIN: &str = "/opt/cni/bin/flannel";
const CONFLIST: &str = "/etc/cni/net.d/10-flannel.conflist";
/// What flannel's ConfigMap has.
const NETWORK: &str =
    r#"{"Network":"10.244.0.0/16","EnableNFTables":false,"Backend":{"Type":"vxlan"}}"#;
const INTERVAL: Duration = Duration::from_millis(10);

#[test]
fn a_cluster_goes_from_flannel_to_twill_node_by_node_and_no_pod_is_restarted() {
    let plan = Plan {
        machines: 3,
        stack: Stack::V4,
        images: vec![image()],
    };
    let mut cluster = Cluster::build(plan).unwrap();
    leave_what_flannel_leaves(&cluster);
    cluster.wait_ready().unwrap();
    cluster.apply(&probes(Stack::V4)).unwrap();
    rolled_out(&cluster, "default", "daemonset/probe");
    let probes = probes_of(&cluster);
    let before = pods_of_the_network(&cluster);
    assert_eq!(
        before.len(),
        probes.len() + 2,
        "probes and the DNS: {before:#?}"
    );
    let streams = everybody_pings(&cluster, &probes);

    label(&cluster, "--all", "pod-network=flannel");
    let network = format!("network={NETWORK}");
    let on_labelled = "nodeSelector.pod-network=twill";
    helm(
        &cluster,
        &[
            "install",
            "twill",
            CHART,
            "--set",
            on_labelled,
            "--set-json",
            &network,
        ],
    );
    for machine in cluster.machines() {
        label(&cluster, machine.name(), "pod-network=twill");
        is_in_sync(&cluster, machine.name());
        assert_eq!(routes_of_flannel(machine), "", "on {}", machine.name());
    }
    helm(
        &cluster,
        &[
            "upgrade",
            "twill",
            CHART,
            "--reuse-values",
            "--set",
            "nodeSelector.pod-network=null",
        ],
    );
    rolled_out(&cluster, "kube-system", "daemonset/twill");

    assert_eq!(pods_of_the_network(&cluster), before);
    for (pair, stream) in streams {
        let loss = stream.finish();
        assert!(loss.lost == 0 && loss.sent >= 500, "{pair}: {loss:?}");
    }

    // New pods are flannel's plugin's as well, with the `subnet.env` that Twill writes.
    let old = &probes[2];
    let delete = ["delete", "pod", &old.name];
    cluster.server.kubectl(&delete).unwrap();
    let renewed = next_probe(&cluster, "node3", &before);
    assert!(
        address_of(&cluster, &renewed).contains("/24 "),
        "on the bridge"
    );
    talk(&cluster, &renewed, &probes[0]);

    let before = pods_of_the_network(&cluster);
    change_the_plugin(&mut cluster, 3);
    let changed = next_probe(&cluster, "node3", &before);
    assert!(
        address_of(&cluster, &changed).contains("/32 "),
        "by twill-cni"
    );
    talk(&cluster, &changed, &probes[0]);
    let host_local = cluster.machine(3).path("/var/lib/cni/networks/cbr0");
    let kept = fs::read_dir(host_local).unwrap().flatten();
    let kept = kept.filter(|file| file.file_name().to_string_lossy().starts_with("10."));
    assert_eq!(kept.count(), 0, "addresses that host-local still holds");
}

/// Puts flannel's remains on every node, as its daemon and its plugin leave them.
fn leave_what_flannel_leaves(cluster: &Cluster) {
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

/// All pods that are on the pod network: who they are, where they are reached, and since when they run.
fn pods_of_the_network(cluster: &Cluster) -> BTreeMap<String, Value> {
    let list = cluster.server.get(&["pods", "--all-namespaces"]).unwrap();
    let on_network = items(&list)
        .iter()
        .filter(|pod| pod["spec"]["hostNetwork"] != true);
    let seen = |pod: &Value| {
        let containers = pod["status"]["containerStatuses"]
            .as_array()
            .into_iter()
            .flatten();
        let containers = containers.map(|container| {
            json!([
                container["containerID"],
                container["restartCount"],
                container["ready"]
            ])
        });
        json!({
            "uid": pod["metadata"]["uid"],
            "node": pod["spec"]["nodeName"],
            "addresses": pod["status"]["podIPs"],
            "containers": containers.collect::<Vec<_>>(),
        })
    };
    let named = on_network.map(|pod| (text(&pod["metadata"]["name"]), seen(pod)));
    named.collect()
}

/// The probe of a node once it is another one than before, or has been started again.
fn next_probe(cluster: &Cluster, node: &str, before: &BTreeMap<String, Value>) -> Probe {
    eventually(&format!("there is a new probe on {node}"), PATIENCE, || {
        let pods = pods_of_the_network(cluster);
        let mut probes = pods.iter().filter(|(name, _)| name.starts_with("probe-"));
        probes.any(|(name, pod)| {
            let is_ready = pod["containers"][0][2] == true;
            pod["node"] == node && is_ready && before.get(name) != Some(pod)
        })
    })
    .unwrap();
    let mut probes = probes_of(cluster).into_iter();
    probes.find(|probe| probe.node == node).unwrap()
}

/// A stream of pings from each probe to each other.
fn everybody_pings(cluster: &Cluster, probes: &[Probe]) -> Vec<(String, PingStream)> {
    let mut streams = Vec::new();
    for from in probes {
        let namespace = inside(cluster, from);
        for to in probes.iter().filter(|to| to.node != from.node) {
            let stream = PingStream::start(&namespace, to.addresses[0], INTERVAL).unwrap();
            streams.push((format!("{} to {}", from.node, to.node), stream));
        }
    }
    streams
}

fn talk(cluster: &Cluster, one: &Probe, other: &Probe) {
    for (from, to) in [(one, other), (other, one)] {
        let answer = from.fetch(cluster, &to.addresses[0].to_string(), "hostname");
        assert_eq!(answer.unwrap(), to.name);
    }
}

/// A probe's own address, as `ip` shows it.
fn address_of(cluster: &Cluster, probe: &Probe) -> String {
    let show = ["-oneline", "-4", "address", "show", "eth0"];
    ip(&inside(cluster, probe), &show).unwrap()
}

/// What is left of flannel's routes over its device.
fn routes_of_flannel(machine: &Machine) -> String {
    let show = ["route", "show", "dev", "flannel.1", "proto", "boot"];
    ip(machine.namespace(), &show).unwrap()
}

fn label(cluster: &Cluster, nodes: &str, label: &str) {
    let words = ["label", "nodes", nodes, label, "--overwrite"];
    cluster.server.kubectl(&words).unwrap();
}

/// Runs helm as an administrator.
fn helm(cluster: &Cluster, words: &[&str]) {
    let server = &cluster.server;
    let mut helm = server.namespace().command(kubernetes_program("helm"));
    helm.arg("--kubeconfig").arg(server.admin());
    helm.arg("--namespace=kube-system").args(words);
    output(server.namespace(), &mut helm).unwrap();
}

/// Waits until the Twill of a node finds in the kernel what it wants there.
fn is_in_sync(cluster: &Cluster, node: &str) {
    let of_node = format!("--field-selector=spec.nodeName={node}");
    let twill = [
        "pods",
        "--namespace=kube-system",
        "--selector=app.kubernetes.io/name=twill",
        &of_node,
    ];
    eventually(&format!("{node} is in sync"), PATIENCE, || {
        let pods = cluster.server.get(&twill).unwrap();
        let Some(pod) = items(&pods).first() else {
            return false;
        };
        let is_ready = pod["status"]["containerStatuses"][0]["ready"] == true;
        let check = ["twill", "check"];
        is_ready
            && cluster
                .exec("kube-system", &text(&pod["metadata"]["name"]), &check)
                .is_ok()
    })
    .unwrap();
}

/// What the guide says: drain, remove flannel's network config, reboot.
fn change_the_plugin(cluster: &mut Cluster, number: u8) {
    let node = cluster.machine(number).name().to_owned();
    let drain = [
        "drain",
        &node,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
    ];
    cluster.server.kubectl(&drain).unwrap();
    fs::remove_file(cluster.machine(number).path(CONFLIST)).unwrap();
    cluster.switch_off(number).unwrap();
    cluster.switch_on(number).unwrap();
    cluster.server.kubectl(&["uncordon", &node]).unwrap();
    is_in_sync(cluster, &node);
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
