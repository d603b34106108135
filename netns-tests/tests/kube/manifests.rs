//! `deploy/kubernetes`: does an API server take it, and does it give a daemon the rights that it needs and no more?

use lab::{Cluster, DaemonCommand, Node, Plan, Shape, Stack, Store, Underlay, eventually};
use netns_tests::{ApiServer, NodeObject, READY, kubernetes_program, twill};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes");
const MANIFEST: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/kubernetes/twill.yaml"
);
const ACCOUNT: &str = "system:serviceaccount:kube-system:twill";

/// Values that bring each part of the templates into being.
const VARIANTS: [&[&str]; 4] = [
    &[
        "network.EnableIPv6=true",
        "network.IPv6Network=fd00:244::/48",
        "network.Backend.Type=host-gw",
    ],
    &[
        "config.store=etcd",
        "config.etcd-endpoints={https://10.0.0.1:2379}",
        "secret=etcd",
    ],
    &[
        "bgp=[bgp]\nas = 64512",
        "config.backend=bgp",
        "image.pullSecrets={pull}",
        "resources.limits.memory=1Gi",
    ],
    &[
        "cni.install=false",
        "nodeSelector.pod-network=twill",
        "maxUnavailable=1",
        "tolerations=null",
    ],
];

/// Applies objects as an API server that overlooks nothing: a field that it does not know is an error, and so is a warning.
fn dry_run(server: &ApiServer, objects: &[&str], input: &str) {
    let strictly = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "--warnings-as-errors",
    ];
    let said = server
        .kubectl_with(&[&strictly, objects].concat(), input)
        .unwrap();
    assert!(
        said.contains("daemonset.apps/twill serverside-applied"),
        "{said}"
    );
}

#[test]
fn an_api_server_takes_manifest_kustomization_and_chart_to_the_letter() {
    let underlay = Underlay::new(Shape::OneSwitch, Stack::V4).unwrap();
    let server = ApiServer::start(&underlay, 250, &[]).unwrap();
    dry_run(&server, &["--filename", MANIFEST], "");
    dry_run(&server, &["--kustomize", DIRECTORY], "");
    for values in VARIANTS {
        let mut helm = Command::new(kubernetes_program("helm"));
        helm.args(["template", "twill", "--namespace", "kube-system"]);
        helm.arg(Path::new(DIRECTORY).join("chart"));
        helm.args(values.iter().flat_map(|value| ["--set", value]));
        let rendered = helm.output().unwrap();
        assert!(rendered.status.success(), "{rendered:?}");
        dry_run(
            &server,
            &["--filename", "-"],
            &String::from_utf8(rendered.stdout).unwrap(),
        );
    }
}

#[test]
fn the_accounts_rights_are_just_those_that_a_daemon_uses() {
    let plan = Plan {
        nodes: 2,
        shape: Shape::OneSwitch,
        stack: Stack::V4,
    };
    let cluster = Cluster::build(plan).unwrap();
    let policy = cluster.directory().join("audit.json");
    fs::write(&policy, audit_policy().to_string()).unwrap();
    let log = cluster.directory().join("audit.log");
    let audited = [
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", log.display()),
    ];
    let server = ApiServer::start(&cluster.underlay, 250, &[&audited[0], &audited[1]]).unwrap();
    server
        .kubectl(&["apply", "--server-side", "--filename", MANIFEST])
        .unwrap();
    server
        .create_nodes(&cluster.nodes.iter().map(object).collect::<Vec<_>>())
        .unwrap();

    let command = as_the_manifest_says(&server, cluster.directory());
    let mut daemons: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| node.start(&command).unwrap())
        .collect();
    for daemon in &mut daemons {
        daemon.wait_ready(READY).unwrap();
    }
    eventually("the nodes' pods may come", READY, || {
        let nodes = server.get(&["nodes"]).unwrap();
        let items = nodes["items"].as_array().unwrap();
        items.iter().all(network_is_available)
    })
    .unwrap();

    let used = asked_for(&log);
    let want = [
        "get nodes",
        "list nodes",
        "patch nodes/status",
        "watch nodes",
    ];
    assert_eq!(used, want.map(str::to_owned).into());
    let given: BTreeSet<String> =
        &rights(&server, ACCOUNT) - &rights(&server, "system:serviceaccount:kube-system:default");
    assert_eq!(given, used);
}

/// A Node as the cluster gives it: with a block.
fn object(node: &Node) -> NodeObject {
    let addresses: Vec<_> = node.addresses().iter().collect();
    let number = node.name().trim_start_matches("node");
    NodeObject {
        name: node.name().into(),
        pod_cidrs: vec![format!("10.244.{number}.0/24")],
        addresses,
        ..NodeObject::default()
    }
}

fn network_is_available(node: &Value) -> bool {
    let mut conditions = node["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    conditions.any(|it| it["type"] == "NetworkUnavailable" && it["status"] == "False")
}

/// A daemon with the files that a pod would have, and with what names the machine's own directories turned elsewhere.
fn as_the_manifest_says(server: &ApiServer, directory: &Path) -> DaemonCommand {
    let config = server
        .get(&["configmap", "twill", "--namespace", "kube-system"])
        .unwrap();
    for (name, text) in config["data"].as_object().unwrap() {
        fs::write(directory.join(name), text.as_str().unwrap()).unwrap();
    }
    let account = server.service_account("kube-system", "twill").unwrap();
    let in_directory = |name| directory.join(name).display().to_string();
    DaemonCommand::new(twill(), Store::Named(directory.join("twill.toml"))).args(&[
        "--net-config-path",
        &in_directory("net-conf.json"),
        "--kubeconfig-file",
        account.to_str().unwrap(),
        "--cni-bin-dir",
        &in_directory("bin"),
        "--cni-conf-dir",
        &in_directory("net.d"),
    ])
}

/// What the account does is written down, and nothing of others.
fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{ "level": "Metadata", "users": [ACCOUNT] }, { "level": "None" }],
    })
}

/// Each verb and resource of an audit log.
fn asked_for(log: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(log).unwrap();
    let events = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let right = |event: Value| {
        assert_eq!(event["responseStatus"]["code"], 200, "{event}");
        let [verb, resource, part] = [
            &event["verb"],
            &event["objectRef"]["resource"],
            &event["objectRef"]["subresource"],
        ];
        let part = part
            .as_str()
            .map(|part| format!("/{part}"))
            .unwrap_or_default();
        format!(
            "{} {}{part}",
            verb.as_str().unwrap(),
            resource.as_str().unwrap_or_default()
        )
    };
    events.map(right).collect()
}

/// Each verb and resource that the API server grants to a user.
fn rights(server: &ApiServer, user: &str) -> BTreeSet<String> {
    let listed = server
        .kubectl(&["auth", "can-i", "--list", "--no-headers", "--as", user])
        .unwrap();
    let of_line = |line: &str| {
        let (resource, rest) = line.split_once(' ').unwrap_or((line, ""));
        let verbs = rest
            .rsplit_once('[')
            .map_or("", |(_, verbs)| verbs.trim_end_matches(']'));
        let verbs = verbs.split_whitespace().map(str::to_owned);
        verbs
            .map(|verb| format!("{verb} {resource}"))
            .collect::<Vec<_>>()
    };
    listed.lines().flat_map(of_line).collect()
}
