//! Which crate may know which: the arrows of ARCHITECTURE.md, and the libraries that pure crates must not have.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The normal dependencies of each crate of the workspace.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|dependency| dependency["kind"].is_null())
            .map(name)
            .collect()
    };
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| (name(package), of(package)))
        .collect()
}

#[test]
fn crates_know_only_what_the_architecture_lets_them_know() {
    let allowed: [(&str, &[&str]); 10] = [
        ("cni", &[]),
        ("dense", &[]),
        ("heap", &[]),
        ("bgp", &["dense"]),
        ("kernel", &["dense"]),
        ("subnet-alloc", &["dense"]),
        ("vxlan", &["kernel"]),
        ("lab", &[]),
        ("netns-tests", &["lab"]),
        (
            "twill",
            &["bgp", "heap", "kernel", "lab", "subnet-alloc", "vxlan"],
        ),
    ];
    let dependencies = dependencies();
    let ours: BTreeSet<String> = dependencies.keys().cloned().collect();
    let expected: BTreeMap<&str, BTreeSet<&str>> = allowed
        .iter()
        .map(|(name, others)| (*name, others.iter().copied().collect()))
        .collect();
    let found: BTreeMap<&str, BTreeSet<&str>> = dependencies
        .iter()
        .map(|(name, all)| {
            (
                name.as_str(),
                all.intersection(&ours).map(String::as_str).collect(),
            )
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn planning_has_no_runtime_and_stores_no_netlink() {
    let dependencies = dependencies();
    for library in ["tokio", "netlink-sys", "rtnetlink", "etcd-client"] {
        assert!(!dependencies["vxlan"].contains(library), "vxlan: {library}");
    }
    for library in ["netlink-sys", "netlink-packet-route", "rtnetlink"] {
        assert!(
            !dependencies["subnet-alloc"].contains(library),
            "subnet-alloc: {library}"
        );
        assert!(!dependencies["twill"].contains(library), "twill: {library}");
    }
}

#[test]
fn the_speaker_is_pure_and_the_codec_of_the_simulated_peers_reads_nothing_in_a_daemon() {
    let dependencies = dependencies();
    for library in ["tokio", "socket2", "netlink-sys", "rtnetlink"] {
        assert!(!dependencies["bgp"].contains(library), "bgp: {library}");
    }
    let users = dependencies
        .iter()
        .filter(|(_, all)| all.contains("zettabgp"));
    let users: Vec<&str> = users.map(|(name, _)| name.as_str()).collect();
    assert_eq!(users, ["netns-tests"]);
}
