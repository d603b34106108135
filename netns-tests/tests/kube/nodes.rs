//! Other Nodes come, change, go, and are many.

use crate::scene::{Scene, VXLAN, flannels};
use lab::{Stack, eventually};
use netns_tests::NodeObject;
use netns_tests::measure::Usage;
use netns_tests::{READY, block_routes};
use serde_json::{Value, json};
use std::time::Instant;

#[test]
fn nodes_that_come_change_and_go_are_followed_and_nothing_is_lost() {
    let mut scene = Scene::running_with(2, Stack::V4, VXLAN, &["--vanished-grace=0s"]);
    let stream = scene.ping();
    let logged = scene.log(0).lines().count();
    scene.server.create_nodes(&[flannels(60)]).unwrap();
    eventually("the new Node's block is reached", READY, || {
        scene.has_route(0, "10.244.60.0/24")
    })
    .unwrap();
    let before = block_routes(scene.node(0)).unwrap();
    // What does not concern the network.
    let unrelated = |round: u32| -> Value {
        json!({
            "metadata": { "labels": { "colour": format!("blue-{round}") } },
            "spec": { "unschedulable": round.is_multiple_of(2) },
        })
    };
    for round in 0..20 {
        let patches = ["node1", "node2", "flannel60"];
        let patches = patches.map(|name| (name.to_owned(), unrelated(round)));
        scene.server.patch_nodes(&patches).unwrap();
    }
    scene
        .server
        .delete_nodes(&["flannel60".to_owned()])
        .unwrap();
    eventually("the deleted Node's block is not reached", READY, || {
        !scene.has_route(0, "10.244.60.0/24")
    })
    .unwrap();
    assert_eq!(before.len(), 2);
    assert_eq!(block_routes(scene.node(0)).unwrap().len(), 1);
    let log = scene.log(0);
    let new = log
        .lines()
        .skip(logged)
        .filter(|line| line.contains("WARN") || line.contains("ERROR"));
    assert_eq!(new.count(), 0, "{log}");
    let loss = stream.finish();
    assert_eq!(loss.lost, 0, "{loss}");
}

#[test]
fn a_node_that_says_nonsense_is_named_and_harms_nobody() {
    let scene = Scene::running(2, Stack::V4, VXLAN);
    let mut bad = flannels(61);
    let key = format!("{}/public-ip", crate::scene::PREFIX);
    bad.annotations.insert(key, "10.99.0.300".into());
    scene.server.create_nodes(&[bad, flannels(62)]).unwrap();
    eventually("the good one is reached", READY, || {
        scene.has_route(0, "10.244.62.0/24")
    })
    .unwrap();
    assert!(!scene.has_route(0, "10.244.61.0/24"));
    let status = scene
        .node(0)
        .twill_says(&scene.command(), &["show", "leases"]);
    let status = status.unwrap();
    assert!(
        status.contains("flannel61") && status.contains("10.99.0.300"),
        "{status}"
    );
}

/// Nodes as large as those of a cloud, whose kubelets list the images that they have.
fn many(count: u32) -> Vec<NodeObject> {
    let padding = "x".repeat(6_000);
    (0..count)
        .map(|number| {
            let (high, low) = (number / 256, number % 256);
            let mut node = flannels(0);
            node.name = format!("many{number}");
            node.pod_cidrs = vec![format!("10.{}.{low}.0/24", 64 + high)];
            let mut say = |name: &str, value: String| {
                let key = format!("{}/{name}", crate::scene::PREFIX);
                node.annotations.insert(key, value);
            };
            say("public-ip", format!("10.98.{high}.{low}"));
            say(
                "backend-data",
                format!(r#"{{"VNI":1,"VtepMAC":"c6:d2:32:6f:{high:02x}:{low:02x}"}}"#),
            );
            node.annotations
                .insert("example.org/padding".into(), padding.clone());
            node
        })
        .collect()
}

/// How long a daemon takes to know them all, and what it takes.
fn a_daemon_knows_them_all(count: u32) {
    let mut scene = Scene::new(1, Stack::V4, VXLAN, &[]);
    let config = r#"{"Network":"10.0.0.0/8","Backend":{"Type":"vxlan"}}"#;
    std::fs::write(scene.cluster.directory().join("net-conf.json"), config).unwrap();
    scene.register(1);
    let made = Instant::now();
    scene.server.create_nodes(&many(count)).unwrap();
    let made = made.elapsed();
    let began = Instant::now();
    let command = scene.command().args(&["--vanished-grace=0s"]);
    let daemon = scene.node(0).start(&command).unwrap();
    scene.daemons.push(daemon);
    scene.daemons[0].wait_ready(READY * 4).unwrap();
    let took = began.elapsed();
    let routes = block_routes(scene.node(0)).unwrap().len();
    assert_eq!(routes, usize::try_from(count).unwrap());
    let started = Usage::of(scene.daemons[0].pid());
    // Nodes are written again and again, their kubelets' heartbeats above all.
    let alive = json!({ "metadata": { "labels": { "alive": "yes" } } });
    let patches: Vec<_> = (0..count)
        .map(|n| (format!("many{n}"), alive.clone()))
        .collect();
    scene.server.patch_nodes(&patches).unwrap();
    scene.server.delete_nodes(&["many7".to_owned()]).unwrap();
    eventually("all that was told is heard", READY, || {
        !scene.has_route(0, "10.64.7.0/24")
    })
    .unwrap();
    let end = Usage::of(scene.daemons[0].pid());
    eprintln!(
        "{count} Nodes (made in {made:.1?}): ready in {took:.2?}; RSS {} kB, peak {} kB at the start and {} kB after all wrote again; processor {:.2?}, then {:.2?}",
        started.resident,
        started.peak,
        end.peak,
        started.cpu,
        end.cpu - started.cpu
    );
    let anonymous = anonymous(scene.daemons[0].pid());
    assert!(
        anonymous <= 10 * 1024,
        "{anonymous} kB of its own at {count} Nodes"
    );
}

/// Memory that is not a file's, in KiB: what the program holds, however large its own text is in a debug build.
fn anonymous(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn two_thousand_nodes_fit_into_ten_megabytes() {
    a_daemon_knows_them_all(2_000);
}

#[test]
fn five_thousand_nodes_fit_into_ten_megabytes() {
    a_daemon_knows_them_all(5_000);
}
