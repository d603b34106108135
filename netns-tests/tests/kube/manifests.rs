//! `deploy/kubernetes`: does an API server take it, and does it give a daemon the rights that it needs and no more?

use super::scene::{Scene, VXLAN};
use lab::{DaemonCommand, Shape, Stack, Store, Underlay, eventually};
use netns_tests::kubernetes::kubernetes_program;
use netns_tests::{ApiServer, READY, twill};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes");
const ACCOUNT: &str = "system:serviceaccount:kube-system:twill";
/// One that was given no rights.
const NOBODY: &str = "system:serviceaccount:kube-system:default";

/// Values that bring each part of the chart's templates into being.
const VARIANTS: [&str; 4] = [
    "network: { EnableIPv6: true, IPv6Network: 'fd00:244::/48', Backend: { Type: host-gw } }",
    "{ config: { store: etcd, etcd-endpoints: ['https://10.0.0.1:2379'] }, secret: etcd }",
    "{ bgp: '[bgp]', image: { pullSecrets: [pull] }, resources: { limits: { memory: 1Gi } }, maxUnavailable: 1 }",
    "{ cni: { install: false }, nodeSelector: { pod-network: twill }, tolerations: [], \
       affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { \
         nodeSelectorTerms: [{ matchExpressions: [{ key: rack, operator: Exists }] }] } } } }",
];

#[test]
fn an_api_server_takes_manifest_kustomization_and_chart_to_the_letter() {
    let underlay = Underlay::new(Shape::OneSwitch, Stack::V4).unwrap();
    let server = ApiServer::start(&underlay, 250, &[]).unwrap();
    let manifest = format!("{DIRECTORY}/twill.yaml");
    takes(&server, &["--filename", &manifest]);
    takes(&server, &["--kustomize", DIRECTORY]);
    let directory = tempfile::tempdir().unwrap();
    for values in VARIANTS {
        let rendered = directory.path().join("rendered.yaml");
        fs::write(&rendered, render(directory.path(), values)).unwrap();
        takes(&server, &["--filename", rendered.to_str().unwrap()]);
    }
}

#[test]
fn the_accounts_rights_are_just_those_that_a_daemon_uses() {
    let directory = tempfile::tempdir().unwrap();
    let [policy, log] = ["policy.json", "audit.log"].map(|name| directory.path().join(name));
    fs::write(&policy, what_the_account_does().to_string()).unwrap();
    let policy = format!("--audit-policy-file={}", policy.display());
    let audit = format!("--audit-log-path={}", log.display());
    let scene = Scene::new(1, Stack::V4, VXLAN, &[&policy, &audit]);
    scene.register(1);

    let command = as_the_manifest_says(&scene, directory.path());
    let mut daemon = scene.node(0).start(&command).unwrap();
    daemon.wait_ready(READY).unwrap();
    let want = [
        "get nodes",
        "list nodes",
        "patch nodes/status",
        "watch nodes",
    ];
    let want = want.map(str::to_owned).into();
    eventually("all is said and watched", READY, || {
        let says = scene.condition("node1", "NetworkUnavailable");
        says.as_deref() == Some("False") && asked_for(&log).is_superset(&want)
    })
    .unwrap();
    assert_eq!(asked_for(&log), want);
    let given = &rights(&scene.server, ACCOUNT) - &rights(&scene.server, NOBODY);
    assert_eq!(given, want);
}

/// Applies objects as to an API server that overlooks nothing: an unknown field is an error, and so is a warning.
fn takes(server: &ApiServer, objects: &[&str]) {
    let strictly = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "--warnings-as-errors",
    ];
    let said = server.kubectl(&[&strictly, objects].concat()).unwrap();
    assert!(
        said.contains("daemonset.apps/twill serverside-applied"),
        "{said}"
    );
}

/// What the chart makes of values.
fn render(directory: &Path, values: &str) -> Vec<u8> {
    let file = directory.join("values.yaml");
    fs::write(&file, values).unwrap();
    let chart = Path::new(DIRECTORY).join("chart");
    let mut helm = Command::new(kubernetes_program("helm"));
    helm.args([
        "template",
        "twill",
        "--namespace",
        "kube-system",
        "--values",
    ]);
    let rendered = helm.arg(file).arg(chart).output().unwrap();
    assert!(rendered.status.success(), "{rendered:?}");
    rendered.stdout
}

/// A daemon with the files and the account of its pod; what would be the machine's own directories is elsewhere.
fn as_the_manifest_says(scene: &Scene, directory: &Path) -> DaemonCommand {
    let config = ["configmap", "twill", "--namespace", "kube-system"];
    let config = scene.server.get(&config).unwrap();
    for (name, text) in config["data"].as_object().unwrap() {
        fs::write(directory.join(name), text.as_str().unwrap()).unwrap();
    }
    let path = |name| directory.join(name).display().to_string();
    DaemonCommand::new(twill(), Store::Named(directory.join("twill.toml")))
        .args(&["--net-config-path", &path("net-conf.json")])
        .args(&["--kubeconfig-file", scene.account.to_str().unwrap()])
        .args(&[
            "--cni-bin-dir",
            &path("bin"),
            "--cni-conf-dir",
            &path("net.d"),
        ])
}

/// An audit policy: what the account asks for is written down, and nothing of others.
fn what_the_account_does() -> Value {
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
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let right = |event: Value| {
        assert_eq!(event["responseStatus"]["code"], 200, "{event}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resource = text(&event["objectRef"]["resource"]);
        let part = event["objectRef"]["subresource"].as_str();
        let part = part.map(|part| format!("/{part}")).unwrap_or_default();
        format!("{} {resource}{part}", text(&event["verb"]))
    };
    events.map(right).collect()
}

/// Each verb and resource that the API server grants to a user.
fn rights(server: &ApiServer, user: &str) -> BTreeSet<String> {
    let list = ["auth", "can-i", "--list", "--no-headers", "--as", user];
    let listed = server.kubectl(&list).unwrap();
    let of_line = |line: &str| {
        let (resource, rest) = line.split_once(' ').unwrap_or_default();
        let verbs = rest.rsplit('[').next().unwrap_or_default();
        let verbs = verbs.trim_end_matches(']').split_whitespace();
        let rights = verbs.map(|verb| format!("{verb} {resource}"));
        rights.collect::<Vec<_>>()
    };
    listed.lines().flat_map(of_line).collect()
}
