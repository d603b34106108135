//! Installing with the plain manifest, and removing, as docs/kubernetes.md says.

use crate::scene::{image, inside, probes, probes_of, rolled_out};
use lab::probe::PingStream;
use lab::{Stack, eventually, ip};
use netns_tests::kubernetes::{Cluster, Machine, PATIENCE, Plan};
use serde_json::json;
use std::time::Duration;

const MANIFEST: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/kubernetes/twill.yaml"
);
const IMAGE: &str = concat!("localhost/twill:", env!("CARGO_PKG_VERSION"));
/// The settings of `twill cleanup` where the node's root is /host.
const SETTINGS: [&str; 8] = [
    "--run-dir",
    "/host/run/twill",
    "--subnet-file",
    "/host/run/flannel/subnet.env",
    "--cni-bin-dir",
    "/host/opt/cni/bin",
    "--cni-conf-dir",
    "/host/etc/cni/net.d",
];

#[test]
fn pods_outlive_its_removal_and_cleanup_leaves_nothing_of_it_on_the_nodes() {
    let plan = Plan {
        machines: 2,
        stack: Stack::V4,
        images: vec![image()],
    };
    let cluster = Cluster::build(plan).unwrap();
    let kubectl = |words: &[&str]| cluster.server.kubectl(words).unwrap();
    kubectl(&["apply", "--filename", MANIFEST]);
    cluster.wait_ready().unwrap();
    cluster.apply(&probes(Stack::V4)).unwrap();
    rolled_out(&cluster, "default", "daemonset/probe");

    let probes = probes_of(&cluster);
    let to = probes[1].addresses[0];
    let from = inside(&cluster, &probes[0]);
    let stream = PingStream::start(&from, to, Duration::from_millis(10)).unwrap();
    kubectl(&["delete", "--filename", MANIFEST]);
    let twill = "--selector=app.kubernetes.io/name=twill";
    eventually("its pods are gone", PATIENCE, || {
        let pods = ["pods", "--namespace=kube-system", twill];
        cluster.server.get(&pods).unwrap()["items"] == json!([])
    })
    .unwrap();
    let loss = stream.finish();
    assert!(loss.lost == 0 && loss.sent > 0, "{loss}");

    for machine in cluster.machines() {
        assert!(!left_on(machine).is_empty(), "what pods need is there");
        let node = format!("node/{}", machine.name());
        let debug = [
            "debug",
            &node,
            "--image",
            IMAGE,
            "--profile",
            "sysadmin",
            "--",
        ];
        kubectl(&[&debug[..], &["twill", "cleanup"], &SETTINGS].concat());
    }
    let patience = format!("--timeout={}s", PATIENCE.as_secs());
    let ended = "--for=jsonpath={.status.phase}=Succeeded";
    kubectl(&[
        "wait",
        ended,
        &patience,
        "pods",
        "--selector=app.kubernetes.io/managed-by=kubectl-debug",
    ]);
    for machine in cluster.machines() {
        assert_eq!(left_on(machine), "", "on {}", machine.name());
    }
}

/// What of Twill's is on a machine that pods need, or other programs would stumble over.
fn left_on(machine: &Machine) -> String {
    let asked: [&[&str]; 3] = [
        &["-oneline", "link", "show", "type", "vxlan"],
        &["route", "show", "proto", "84"],
        &["nexthop", "show", "proto", "84"],
    ];
    let mut left: String = asked
        .map(|words| ip(machine.namespace(), words).unwrap())
        .concat();
    let tables = machine.run("nft", &["list", "tables"]).unwrap();
    left.extend(tables.lines().filter(|table| table.contains("twill")));
    let files = [
        "/run/flannel/subnet.env",
        "/etc/cni/net.d/10-twill.conflist",
    ];
    left.extend(files.into_iter().filter(|file| machine.path(file).exists()));
    left
}
