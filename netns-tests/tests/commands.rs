//! The commands say and do what they promise.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::kernel_view::{Family, link, nexthops, routes};
use lab::{DaemonCommand, Namespace, Node, Plan, Shape, Stack, eventually, ip};
use netns_tests::{PodNetwork, READY, block_routes, config, twill};
use serde_json::Value;
use std::process::{Command, Output};

fn two_nodes() -> PodNetwork {
    let plan = Plan {
        nodes: 2,
        shape: Shape::OneSwitch,
        stack: Stack::V4,
    };
    PodNetwork::running(plan, 1, &config(Stack::V4, r#"{"Type":"vxlan"}"#)).unwrap()
}

fn run(node: &Node, command: &DaemonCommand, words: &[&str]) -> Output {
    node.twill(command, words).output().unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// What `show TOPIC --json` says of `node`; the rows, if it is a list.
fn shown(network: &PodNetwork, topic: &str) -> Value {
    let text = network
        .node()
        .twill_says(&network.command(), &["show", topic, "--json"])
        .unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn show_routes_names_the_other_node_and_agrees_with_the_kernel() {
    let network = two_nodes();
    let block = network.cluster.nodes[1]
        .subnet_env()
        .unwrap()
        .subnet
        .unwrap()
        .network()
        .to_string();
    let json = shown(&network, "routes").to_string();
    assert!(
        json.contains(&block) && json.contains("node2") && json.contains("flannel.1"),
        "{json}"
    );
    let table = network
        .node()
        .twill_says(&network.command(), &["show", "routes"])
        .unwrap();
    let row = table.lines().find(|line| line.contains(&block)).unwrap();
    assert!(
        row.contains("node2") && row.contains("flannel.1") && row.contains("vxlan"),
        "{table}"
    );
}

#[test]
fn show_leases_lists_both_nodes() {
    let network = two_nodes();
    let json = shown(&network, "leases").to_string();
    for node in &network.cluster.nodes {
        let block = node
            .subnet_env()
            .unwrap()
            .subnet
            .unwrap()
            .network()
            .to_string();
        assert!(
            json.contains(&block) && json.contains(node.name()),
            "{json}"
        );
    }
}

#[test]
fn show_neighbours_and_status_are_json_too() {
    let network = two_nodes();
    let neighbours = shown(&network, "neighbours").to_string();
    assert!(neighbours.contains("10.99.0.2"), "{neighbours}");
    let status = shown(&network, "status").to_string();
    assert!(
        status.contains("10.99.0.1") || status.contains("node1"),
        "{status}"
    );
}

#[test]
fn check_is_0_in_sync_and_1_on_drift_with_and_without_a_daemon() {
    let mut network = two_nodes();
    let command = network.command();
    let asked = run(network.node(), &command, &["check"]);
    assert_eq!(code(&asked), Some(0), "{asked:?}");
    network.daemons[0].terminate().unwrap();
    let read = run(network.node(), &command, &["check"]);
    assert_eq!(code(&read), Some(0), "{read:?}");

    let block = block_routes(network.node()).unwrap()[0].dst.clone();
    ip(network.node().namespace(), &["route", "del", &block]).unwrap();
    let drift = run(network.node(), &command, &["check"]);
    assert_eq!(code(&drift), Some(1), "{drift:?}");
    let said = String::from_utf8_lossy(&drift.stdout).into_owned();
    assert!(said.contains(&block), "the drift is named: {said}");
}

#[test]
fn show_routes_works_without_a_daemon_and_says_so() {
    let mut network = two_nodes();
    network.daemons[0].terminate().unwrap();
    let output = run(network.node(), &network.command(), &["show", "routes"]);
    assert_eq!(code(&output), Some(0), "{output:?}");
    let block = network.cluster.nodes[1]
        .subnet_env()
        .unwrap()
        .subnet
        .unwrap()
        .network()
        .to_string();
    assert!(
        String::from_utf8_lossy(&output.stdout).contains(&block),
        "{output:?}"
    );
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("daemon"),
        "{output:?}"
    );
}

#[test]
fn cleanup_removes_all_that_is_ours_and_says_what() {
    let mut network = two_nodes();
    let namespace = network.node().namespace().clone();
    network.daemons[0].terminate().unwrap();
    let tried = run(
        network.node(),
        &network.command(),
        &["cleanup", "--dry-run"],
    );
    assert_eq!(code(&tried), Some(0), "{tried:?}");
    assert!(
        link(&namespace, "flannel.1").unwrap().is_some(),
        "a dry run removes nothing"
    );

    let cleaned = run(network.node(), &network.command(), &["cleanup"]);
    assert_eq!(code(&cleaned), Some(0), "{cleaned:?}");
    assert!(
        String::from_utf8_lossy(&cleaned.stdout).contains("flannel.1"),
        "{cleaned:?}"
    );
    assert_eq!(link(&namespace, "flannel.1").unwrap(), None);
    assert!(nexthops(&namespace).unwrap().is_empty());
    let ours: Vec<_> = routes(&namespace, Family::V4)
        .unwrap()
        .into_iter()
        .filter(|route| route.protocol.as_deref() == Some("84"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn cleanup_removes_nothing_under_a_daemon_also_when_that_has_another_run_directory() {
    let network = two_nodes();
    let namespace = network.node().namespace();
    let before = routes(namespace, Family::V4).unwrap();
    let pid = format!("(pid {})", network.daemons[0].pid());
    let elsewhere = network.cluster.directory().join("elsewhere");
    let elsewhere = elsewhere.display().to_string();
    let run_directories: [&[&str]; 2] = [&[], &["--run-dir", &elsewhere]];
    for flags in run_directories {
        let refused = run(network.node(), &network.command().args(flags), &["cleanup"]);
        assert_eq!(code(&refused), Some(2), "{refused:?}");
        let why = String::from_utf8_lossy(&refused.stderr);
        assert!(
            why.contains("nothing is removed") && why.contains(&pid) && !why.contains("its own"),
            "{why}"
        );
    }
    assert_eq!(routes(namespace, Family::V4).unwrap(), before);
}

#[test]
fn a_released_lease_is_gone_for_the_others_and_is_not_released_under_a_daemon() {
    let mut network = two_nodes();
    let release = ["cleanup", "--release"];
    let refused = run(network.node(), &network.command(), &release);
    assert_eq!(code(&refused), Some(2), "{refused:?}");

    network.daemons[0].terminate().unwrap();
    let released = run(network.node(), &network.command(), &release);
    assert_eq!(code(&released), Some(0), "{released:?}");
    let said = String::from_utf8_lossy(&released.stdout);
    assert!(said.contains("removed lease on 10.244."), "{said}");
    let other = &network.cluster.nodes[1];
    eventually("the other node has no way to the block", READY, || {
        block_routes(other).is_ok_and(|routes| routes.is_empty())
    })
    .unwrap();

    let again = run(network.node(), &network.command(), &release);
    assert_eq!(code(&again), Some(0), "{again:?}");
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains("holds no lease"), "{said}");
}

#[test]
fn bad_flags_exit_with_2_and_name_the_flag() {
    for words in [
        &["run", "--no-such-flag"][..],
        &["show", "nothing"],
        &["lab", "--nodes", "0"],
        &["run", "--mtu", "x"],
    ] {
        let output = Command::new(twill()).args(words).output().unwrap();
        assert_eq!(code(&output), Some(2), "{words:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn an_interface_that_does_not_exist_is_named() {
    let (namespace, directory) = (
        Namespace::new("no-interfaces").unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("config"), config(Stack::V4, r#"{"Type":"vxlan"}"#)).unwrap();
    let mut command = namespace.command(twill());
    command
        .args(["run", "--iface", "nosuch0", "--store"])
        .arg(format!("file://{}", directory.path().display()));
    command
        .arg("--run-dir")
        .arg(path("run"))
        .arg("--state-dir")
        .arg(path("state"));
    let output = command.output().unwrap();
    assert_eq!(code(&output), Some(2), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("nosuch0"),
        "{output:?}"
    );
}

#[test]
fn a_second_daemon_on_the_same_run_directory_is_refused() {
    let network = two_nodes();
    let output = run(
        network.node(),
        &network.command().args(&["--healthz-port", "8082"]),
        &["run"],
    );
    assert_eq!(code(&output), Some(2), "{output:?}");
    eventually("the first is still ready", READY, || {
        network.daemons[0].is_ready()
    })
    .unwrap();
}
