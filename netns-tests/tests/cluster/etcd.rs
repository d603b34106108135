//! A cluster whose leases are in an etcd of their own.

use crate::scene::{CHART, helm, image, probes, probes_of, rolled_out};
use lab::{Etcd, EtcdOptions, Stack};
use netns_tests::kubernetes::{Cluster, Plan};
use netns_tests::{PREFIX, config};
use std::fs;

#[test]
fn leases_may_be_in_an_etcd_and_the_account_has_no_rights_then() {
    let plan = Plan {
        machines: 2,
        stack: Stack::V4,
        images: vec![image()],
    };
    let cluster = Cluster::build(plan).unwrap();
    let etcd = with_a_password(&cluster);
    let kubectl = |words: &[&str]| cluster.server.kubectl(words).unwrap();
    let secret = [
        "create",
        "secret",
        "generic",
        "etcd",
        "--namespace=kube-system",
    ];
    kubectl(&[&secret[..], &["--from-literal=password=open"]].concat());
    let values = cluster.directory().join("values.yaml");
    let endpoints = etcd.endpoints().join(",");
    let text = format!(
        "secret: etcd\n\
         config: {{ store: etcd, etcd-endpoints: ['{endpoints}'], etcd-username: root, \
         etcd-password-file: /etc/twill-secret/password }}\n"
    );
    fs::write(&values, text).unwrap();
    helm(
        &cluster,
        &[
            "install",
            "twill",
            CHART,
            "--values",
            values.to_str().unwrap(),
        ],
    );
    cluster.wait_ready().unwrap();
    cluster.apply(&probes(Stack::V4)).unwrap();
    rolled_out(&cluster, "default", "daemonset/probe");

    let probes = probes_of(&cluster);
    for (from, to) in [(&probes[0], &probes[1]), (&probes[1], &probes[0])] {
        let answer = from.fetch(&cluster, &to.addresses[0].to_string(), "hostname");
        assert_eq!(answer.unwrap(), to.name);
    }
    let nodes = cluster.server.get(&["nodes"]).unwrap().to_string();
    assert!(!nodes.contains("kube-subnet-manager"), "{nodes}");
    let account = "--as=system:serviceaccount:kube-system:twill";
    assert!(
        cluster
            .server
            .kubectl(&["auth", "can-i", "get", "nodes", account])
            .is_err()
    );
}

/// An etcd beside the machines, with a network config and a password.
fn with_a_password(cluster: &Cluster) -> Etcd {
    let directory = cluster.directory().join("etcd");
    let options = EtcdOptions::default();
    let etcd = Etcd::on_underlay(&cluster.underlay, 240..241, &directory, &options).unwrap();
    let network = config(Stack::V4, r#"{"Type":"vxlan"}"#);
    etcd.put(&format!("{PREFIX}/config"), &network).unwrap();
    for words in [
        &["user", "add", "root:open"][..],
        &["user", "grant-role", "root", "root"],
        &["auth", "enable"],
    ] {
        etcd.ctl(words).unwrap();
    }
    etcd
}
