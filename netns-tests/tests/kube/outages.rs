//! The API server is away, forgets, or refuses.

use crate::scene::{Scene, VXLAN, flannels};
use lab::{Etcd, Stack, eventually};
use netns_tests::READY;
use netns_tests::measure::Usage;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// As long as an operator's upgrade of a control plane takes.
const AWAY: Duration = Duration::from_secs(60);
/// The API server ends a watch after 290 s, which is what we ask for.
const WATCH_ENDS: Duration = Duration::from_secs(330);

#[test]
fn an_api_server_that_is_away_for_a_minute_costs_no_packet_and_no_processor() {
    let mut scene = Scene::running(2, Stack::V4, VXLAN);
    let stream = scene.ping();
    let pid = scene.daemons[0].pid();
    scene.server.stop();
    let (began, used) = (Instant::now(), Usage::of(pid).cpu);
    scene.wait_for_log(0, "store lost", READY);
    assert_eq!(scene.daemons[0].get("/healthz").unwrap().status, 200);
    assert_eq!(scene.daemons[0].get("/readyz").unwrap().status, 503);
    std::thread::sleep(AWAY.saturating_sub(began.elapsed()));
    let used = Usage::of(pid).cpu - used;
    eprintln!(
        "processor over {:.0?} without the API server: {used:.3?}",
        began.elapsed()
    );
    assert!(used < began.elapsed() / 50, "{used:?}");
    let log = scene.log(0);
    assert_eq!(log.matches("store lost").count(), 1, "{log}");
    scene.server.resume().unwrap();
    scene.server.create_nodes(&[flannels(60)]).unwrap();
    for place in 0..2 {
        eventually("what came after the return is known", READY, || {
            scene.has_route(place, "10.244.60.0/24")
        })
        .unwrap();
    }
    let loss = stream.finish();
    assert!(loss.sent >= 2_000 && loss.lost == 0, "{loss}");
}

#[test]
fn a_silent_api_server_is_noticed_and_costs_no_packet() {
    let mut scene = Scene::running(2, Stack::V4, VXLAN);
    let stream = scene.ping();
    scene.server.freeze().unwrap();
    scene.wait_for_log(0, "store lost", Duration::from_secs(150));
    scene.server.thaw().unwrap();
    scene.server.create_nodes(&[flannels(60)]).unwrap();
    eventually("what came after the return is known", READY, || {
        scene.has_route(0, "10.244.60.0/24")
    })
    .unwrap();
    let loss = stream.finish();
    assert_eq!(loss.lost, 0, "{loss}");
}

/// A watch that begins after the last change of a Node gets no bookmark either.
#[test]
fn a_cluster_in_which_nothing_happens_is_no_outage() {
    let mut scene = Scene::running(2, Stack::V4, VXLAN);
    scene.daemons[0].kill().unwrap();
    scene.daemons[0] = scene.node(0).start(&scene.command()).unwrap();
    scene.daemons[0].wait_ready(READY).unwrap();
    let lines = scene.log(0).lines().count();
    std::thread::sleep(WATCH_ENDS);
    let log = scene.log(0);
    assert_eq!(log.lines().count(), lines, "{log}");
    scene.server.create_nodes(&[flannels(60)]).unwrap();
    eventually("what comes after is known", READY, || {
        scene.has_route(0, "10.244.60.0/24")
    })
    .unwrap();
}

/// Without the API server's cache, what etcd has compacted is gone (410).
#[test]
fn a_watch_whose_history_is_gone_is_made_good_by_a_new_listing() {
    let mut scene = Scene::new(1, Stack::V4, VXLAN, &["--watch-cache=false"]);
    scene.register(1);
    let daemon = scene.node(0).start(&scene.command()).unwrap();
    scene.daemons.push(daemon);
    scene.daemons[0].wait_ready(READY).unwrap();
    // What is written is no Node, so that the watch begins again where it was.
    let (began, mut round) = (Instant::now(), 0_u32);
    while began.elapsed() < WATCH_ENDS && !scene.log(0).contains("store lost") {
        let label = json!({ "metadata": { "labels": { "round": round.to_string() } } });
        let namespace = "/api/v1/namespaces/default".to_owned();
        scene.server.request("PATCH", &namespace, &label).unwrap();
        compact(&scene.server.etcd);
        std::thread::sleep(Duration::from_secs(1));
        round += 1;
    }
    scene.wait_for_log(0, "store back", READY);
    let log = scene.log(0);
    assert!(log.contains("no longer has the changes"), "{log}");
    scene.server.create_nodes(&[flannels(60)]).unwrap();
    eventually("what came after is known", READY, || {
        scene.has_route(0, "10.244.60.0/24")
    })
    .unwrap();
}

/// Forgets all revisions but the last.
fn compact(etcd: &Etcd) {
    let status = etcd
        .ctl(&["endpoint", "status", "--write-out=json"])
        .unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    let revision = status[0]["Status"]["header"]["revision"].to_string();
    etcd.ctl(&["compact", &revision]).unwrap();
}

#[test]
fn a_service_account_without_the_role_says_so_and_goes_on_when_it_has_it() {
    let mut scene = Scene::new(1, Stack::V4, VXLAN, &[]);
    scene.register(1);
    let role = scene.server.get(&["clusterrolebinding", "twill"]).unwrap();
    scene
        .server
        .kubectl(&["delete", "clusterrolebinding", "twill"])
        .unwrap();
    let daemon = scene.node(0).start(&scene.command()).unwrap();
    scene.daemons.push(daemon);
    scene.wait_for_log(0, r#"cannot get resource "nodes""#, READY);
    assert_eq!(scene.daemons[0].get("/healthz").unwrap().status, 200);
    let refused = scene.log(0).matches("cannot get resource").count();
    assert_eq!(refused, 1, "it is said once:\n{}", scene.log(0));
    let mut again = role;
    again["metadata"] = json!({ "name": "twill" });
    scene
        .server
        .kubectl_with(&["apply", "--filename", "-"], &again.to_string())
        .unwrap();
    scene.daemons[0].wait_ready(READY).unwrap();
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_an_error_that_names_it() {
    let scene = Scene::new(1, Stack::V4, VXLAN, &[]);
    let nowhere = scene.cluster.directory().join("nowhere");
    let mut daemon = scene.node(0).start(&scene.command_as(nowhere)).unwrap();
    let status = daemon.process().wait(READY).unwrap();
    assert_eq!(status.code(), Some(2));
    let log = daemon.process().log_text();
    assert!(
        log.contains("nowhere") && log.contains("kubeconfig"),
        "{log}"
    );
}
