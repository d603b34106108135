//! A program that insists.

use crate::{SOON, Scene, VXLAN, VXLAN_PEER};
use lab::{Process, eventually};
use netns_tests::{READY, block_routes, subnet_key};

/// Puts a route of its own in the place of ours as fast as it can.
fn insist(scene: &Scene) -> Process {
    let mut command = scene.node().namespace().command("sh");
    let replace = "ip route replace 10.244.60.0/24 via 10.99.0.254 proto static";
    command.args(["-c", &format!("while :; do {replace} && echo; done")]);
    let log = scene.network.cluster.directory().join("insist.log");
    Process::start("a program that insists", command, &log).unwrap()
}

#[test]
fn a_program_that_insists_is_not_fought_at_full_speed_and_delays_nobody_else() {
    let mut scene = Scene::new(VXLAN);
    let other = VXLAN_PEER.replace("fe:d9:bd:bd:f9:6d", "fe:d9:bd:bd:f9:6e");
    scene
        .network
        .etcd
        .put(&subnet_key("10.244.61.0-24"), &other)
        .unwrap();
    let routes = || block_routes(scene.node()).unwrap().len();
    eventually("the other route is there", SOON, || routes() == 3).unwrap();
    scene.whole = netns_tests::data_plane(scene.node()).unwrap();

    let before = scene.changes();
    let mut opponent = insist(&scene);
    eventually("five hundred blows", READY, || {
        opponent.log_text().len() >= 500
    })
    .unwrap();
    let changes = scene.changes() - before;
    // Three at once, then 50, 100, 200 ... ms apart: 14 until they are half a minute apart.
    assert!((4..20).contains(&changes), "{changes} changes");
    scene.run(&["ip route del 10.244.61.0/24"]);
    eventually("the other route is back", SOON, || {
        let routes = block_routes(scene.node()).unwrap();
        routes.iter().any(|route| route.dst == "10.244.61.0/24")
    })
    .unwrap();
    opponent.kill().unwrap();
    scene.is_whole("the program has stopped");
}

#[test]
fn a_program_that_insists_is_named_once_with_its_protocol() {
    let mut scene = Scene::new(VXLAN);
    let opponent = insist(&scene);
    let named = "route 10.244.60.0/24 metric 0: another program made it a route via 10.99.0.254";
    eventually("it is named", READY, || {
        scene.daemon.process().log_text().contains(named)
    })
    .unwrap();
    let blows = opponent.log_text().len();
    eventually("three hundred more blows", READY, || {
        opponent.log_text().len() >= blows + 300
    })
    .unwrap();
    let log = scene.daemon.process().log_text();
    assert_eq!(log.matches("another program").count(), 1, "{log}");
    let line = log.lines().find(|line| line.contains(named)).unwrap();
    assert!(
        line.contains("WARN") && line.contains("of protocol static"),
        "{line}"
    );
}
