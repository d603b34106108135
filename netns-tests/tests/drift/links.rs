//! The underlay.

use crate::{HOST_GW, SOON, Scene, VXLAN};
use lab::eventually;
use netns_tests::block_routes;

/// `eth0` as its file of settings would bring it up.
const UP: [&str; 5] = [
    "ip link set eth0 up",
    "ip addr replace 10.99.0.1/24 dev eth0",
    "ip addr replace fd99::1/64 dev eth0 nodad",
    "ip route replace default via 10.99.0.254",
    "ip -6 route replace default via fd99::fe",
];

#[test]
fn an_underlay_link_that_goes_down_and_up_has_its_direct_routes_again() {
    let scene = Scene::new(HOST_GW);
    scene.run(&["ip link set eth0 down"]);
    let routes = || block_routes(scene.node()).unwrap().len();
    eventually("the kernel has dropped them", SOON, || routes() == 0).unwrap();
    scene.run(&UP);
    scene.is_whole("eth0 down and up");
}

#[test]
fn a_cable_that_is_pulled_and_put_back_leaves_direct_routes_whole() {
    let scene = Scene::new(HOST_GW);
    let cable = |state| {
        let underlay = &scene.network.cluster.underlay;
        underlay.set_port(1, 1, state).unwrap();
    };
    cable("down");
    let routes = || block_routes(scene.node()).unwrap().len();
    eventually("the kernel has dropped them", SOON, || routes() == 0).unwrap();
    cable("up");
    scene.is_whole("the cable is back");
}

#[test]
fn a_flapping_underlay_ends_whole_and_is_nobodys_fight() {
    for backend in [VXLAN, HOST_GW] {
        let mut scene = Scene::new(backend);
        for _ in 0..6 {
            scene.run(&["ip link set eth0 down"]);
            scene.run(&UP);
            scene.is_whole("a flap");
        }
        let log = scene.daemon.process().log_text();
        assert!(!log.contains("another program"), "{log}");
    }
}

/// As `systemctl restart networking` does: everything is taken away, and comes back piece by piece.
#[test]
fn restarting_networking_leaves_all_whole() {
    for backend in [VXLAN, HOST_GW] {
        let scene = Scene::new(backend);
        scene.run(&["ip addr flush dev eth0", "ip link set eth0 down"]);
        scene.run(&UP);
        scene.is_whole("networking was restarted");
    }
}
