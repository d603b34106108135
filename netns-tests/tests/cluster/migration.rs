//! From flannel to Twill by the commands of docs/from-flannel.md: node by node, while pods talk, and later the plugin.

use crate::flannel;
use crate::scene::{
    CHART, Probe, helm, image, inside, pods_of_app, probes as probes_manifest, probes_of,
    rolled_out,
};
use lab::probe::PingStream;
use lab::{Stack, eventually, ip};
use netns_tests::kubernetes::{Cluster, PATIENCE, Plan};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use std::{fs, thread};

const INTERVAL: Duration = Duration::from_millis(10);
/// Pings of each stream.
const ENOUGH: u64 = 2000;

#[test]
fn a_cluster_goes_from_flannel_to_twill_node_by_node_and_no_pod_is_restarted() {
    let plan = Plan {
        machines: 3,
        stack: Stack::V4,
        images: vec![image()],
    };
    let cluster = Cluster::build(plan).unwrap();
    flannel::runs(&cluster);
    cluster.wait_ready().unwrap();
    cluster.apply(&probes_manifest(Stack::V4)).unwrap();
    rolled_out(&cluster, "default", "daemonset/probe");
    let probes = probes_of(&cluster);
    let before = pods_of_the_network(&cluster);
    assert_eq!(before.len(), probes.len() + 2, "and the DNS: {before:#?}");

    let streams = everybody_pings(&cluster, &probes);
    prepare(&cluster);
    for machine in cluster.machines() {
        label(&cluster, machine.name(), "pod-network=twill");
        is_in_sync(&cluster, machine.name());
        assert_eq!(flannel::routes(machine), "", "on {}", machine.name());
    }
    finish(&cluster);
    while streams.iter().any(|(_, stream)| stream.sent() < ENOUGH) {
        thread::sleep(INTERVAL);
    }
    assert_eq!(pods_of_the_network(&cluster), before);
    for (pair, stream) in streams {
        let loss = stream.finish();
        assert_eq!(loss.lost, 0, "{pair}: {loss}");
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

    // The plugin changes while pods run: these stay on the bridge, and what comes by twill-cni talks with them.
    fs::remove_file(cluster.machine(3).path(flannel::CONFLIST)).unwrap();
    let others = probes_manifest(Stack::V4).replace("probe", "newcomer");
    cluster.apply(&others).unwrap();
    rolled_out(&cluster, "default", "daemonset/newcomer");
    let newcomer = &pods_of_app(&cluster, "newcomer")[2];
    assert!(
        address_of(&cluster, newcomer).contains("/32 "),
        "by twill-cni"
    );
    talk(&cluster, newcomer, &renewed);
    talk(&cluster, newcomer, &probes[0]);

    let before = pods_of_the_network(&cluster);
    let delete = ["delete", "pod", &renewed.name];
    cluster.server.kubectl(&delete).unwrap();
    let changed = next_probe(&cluster, "node3", &before);
    assert!(
        address_of(&cluster, &changed).contains("/32 "),
        "by twill-cni"
    );
    talk(&cluster, &changed, newcomer);
    talk(&cluster, &changed, &probes[0]);
    let host_local = cluster.machine(3).path("/var/lib/cni/networks/cbr0");
    let address = renewed.addresses[0].to_string();
    assert!(
        !host_local.join(&address).exists(),
        "host-local still holds {address}"
    );
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

fn label(cluster: &Cluster, nodes: &str, label: &str) {
    let words = ["label", "nodes", nodes, label, "--overwrite"];
    cluster.server.kubectl(&words).unwrap();
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

/// Before: the label on all Nodes says flannel, and Twill is for none of them.
fn prepare(cluster: &Cluster) {
    let kubectl = |words: &[&str]| cluster.server.kubectl(words).unwrap();
    label(cluster, "--all", "pod-network=flannel");
    let flannel = ["--namespace=kube-flannel", "daemonset/kube-flannel-ds"];
    let patch = r#"{"spec":{"template":{"spec":{"nodeSelector":{"pod-network":"flannel"}}}}}"#;
    kubectl(&[&["patch", "--patch", patch][..], &flannel].concat());
    rolled_out(cluster, "kube-flannel", "daemonset/kube-flannel-ds");
    let network = kubectl(&[
        "get",
        "--namespace=kube-flannel",
        "configmap/kube-flannel-cfg",
        r"--output=jsonpath={.data.net-conf\.json}",
    ]);
    let network = format!("network={network}");
    let nodes = "nodeSelector.pod-network=twill";
    helm(
        cluster,
        &[
            "install",
            "twill",
            CHART,
            "--set",
            nodes,
            "--set-json",
            &network,
        ],
    );
}

/// After the last node: flannel goes, and Twill is for every node.
fn finish(cluster: &Cluster) {
    let kubectl = |words: &[&str]| cluster.server.kubectl(words).unwrap();
    eventually("flannel is on no node", PATIENCE, || {
        let pods = ["get", "pods", "--namespace=kube-flannel", "--output=name"];
        kubectl(&pods).is_empty()
    })
    .unwrap();
    kubectl(&["delete", "namespace", "kube-flannel"]);
    kubectl(&["delete", "clusterrole,clusterrolebinding", "flannel"]);
    let everywhere = [
        "--reset-then-reuse-values",
        "--set",
        "nodeSelector.pod-network=null",
    ];
    helm(
        cluster,
        &[&["upgrade", "twill", CHART][..], &everywhere].concat(),
    );
    rolled_out(cluster, "kube-system", "daemonset/twill");
    let nodes = cluster
        .server
        .get(&["--namespace=kube-system", "daemonset/twill"])
        .unwrap();
    let selector = &nodes["spec"]["template"]["spec"]["nodeSelector"];
    assert_eq!(*selector, json!({ "kubernetes.io/os": "linux" }));
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
