//! A cluster whose pod network is Twill, from the chart, as an operator installs it; with a pod on each node to ask.

use lab::{LabError, Namespace, Stack, output};
use netns_tests::kubernetes::{Cluster, PATIENCE, POD_RANGES, Plan, kubernetes_program};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

/// The chart's directory.
pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes/chart");

/// A pod on each node that says who asks it, and a service with them all behind it.
const PROBES: &str = include_str!("probes.yaml");

/// One of the pods that are asked.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) addresses: Vec<IpAddr>,
}

/// A cluster of machines, with Twill on each: nodes, DNS and probes are ready.
pub(crate) fn cluster(machines: u8, backend: &str, stack: Stack) -> Cluster {
    let plan = Plan {
        machines,
        stack,
        images: vec![image()],
    };
    let cluster = Cluster::build(plan).unwrap();
    cluster.apply(&chart(backend, stack)).unwrap();
    cluster.wait_ready().unwrap();
    cluster.apply(&probes(stack)).unwrap();
    rolled_out(&cluster, "default", "daemonset/probe");
    cluster
}

/// Twill's image, as `make test-cluster` builds it.
pub(crate) fn image() -> PathBuf {
    let image = std::env::var_os("TWILL_IMAGE").map(PathBuf::from);
    image.expect("there is no image to test: run `make test-cluster`, or set TWILL_IMAGE to the archive of `make image`")
}

/// What an operator applies, with this backend.
pub(crate) fn chart(backend: &str, stack: Stack) -> String {
    let [v4, v6] = POD_RANGES;
    let mut network = json!({ "Network": v4, "Backend": { "Type": backend } });
    if stack.has_v6() {
        network["EnableIPv6"] = json!(true);
        network["IPv6Network"] = json!(v6);
    }
    let mut helm = Command::new(kubernetes_program("helm"));
    helm.args(["template", "twill", CHART, "--namespace=kube-system"]);
    helm.arg("--set-json").arg(format!("network={network}"));
    let said = helm.output().unwrap();
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    String::from_utf8(said.stdout).unwrap()
}

/// Runs helm as an administrator: `helm(&cluster, &["install", "twill", CHART])`.
pub(crate) fn helm(cluster: &Cluster, words: &[&str]) {
    let server = &cluster.server;
    let mut helm = server.namespace().command(kubernetes_program("helm"));
    helm.arg("--kubeconfig").arg(server.admin());
    helm.arg("--namespace=kube-system").args(words);
    output(server.namespace(), &mut helm).unwrap();
}

/// Waits until a workload is as it was last ordered.
pub(crate) fn rolled_out(cluster: &Cluster, namespace: &str, what: &str) {
    let patience = format!("--timeout={}s", PATIENCE.as_secs());
    let of = format!("--namespace={namespace}");
    let words = ["rollout", "status", &of, &patience, what];
    cluster.server.kubectl(&words).unwrap();
}

/// The pods to ask, by the names of their nodes.
pub(crate) fn probes_of(cluster: &Cluster) -> Vec<Probe> {
    pods_of_app(cluster, "probe")
}

/// The same of others, by their label `app`.
pub(crate) fn pods_of_app(cluster: &Cluster, app: &str) -> Vec<Probe> {
    let selector = format!("--selector=app={app}");
    let list = cluster.server.get(&["pods", &selector]).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut probes: Vec<Probe> = Vec::new();
    for pod in list["items"].as_array().unwrap() {
        // One that has just been made has none yet.
        let addresses = pod["status"]["podIPs"].as_array().into_iter().flatten();
        probes.push(Probe {
            name: text(&pod["metadata"]["name"]),
            node: text(&pod["spec"]["nodeName"]),
            addresses: addresses
                .map(|one| text(&one["ip"]).parse().unwrap())
                .collect(),
        });
    }
    probes.sort_by(|a, b| a.node.cmp(&b.node));
    probes
}

/// A probe's own network namespace: packets from there are the pod's.
pub(crate) fn inside(cluster: &Cluster, probe: &Probe) -> Namespace {
    seek(cluster, probe).unwrap()
}

/// The same of one that may be gone, or not be there yet.
pub(crate) fn seek(cluster: &Cluster, probe: &Probe) -> Option<Namespace> {
    let mut machines = cluster.machines();
    let machine = machines.find(|machine| machine.name() == probe.node)?;
    machine.pod(*probe.addresses.first()?).ok()
}

impl Probe {
    /// Asks a server over HTTP from within the pod.
    pub(crate) fn fetch(
        &self,
        cluster: &Cluster,
        host: &str,
        path: &str,
    ) -> Result<String, LabError> {
        let url = format!("http://{host}:8080/{path}");
        let curl = ["curl", "--silent", "--show-error", "--max-time", "10", &url];
        cluster.exec("default", &self.name, &curl)
    }
}

pub(crate) fn probes(stack: Stack) -> String {
    let families = if stack == Stack::Dual {
        "PreferDualStack"
    } else {
        "SingleStack"
    };
    PROBES.replace("FAMILIES", families)
}
