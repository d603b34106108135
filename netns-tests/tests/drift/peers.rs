//! What becomes of other nodes' entries when their leases change, and somebody meddles.

use crate::{Scene, VXLAN, VXLAN_PEER};
use lab::eventually;
use netns_tests::{READY, block_routes, data_plane, subnet_key};

const PEER_KEY: &str = crate::PEER_BLOCK;
const OTHER_KEY: &str = "10.244.61.0-24";
const OLD_MAC: &str = "fe:d9:bd:bd:f9:6d";
const NEW_MAC: &str = "fe:d9:bd:bd:f9:6e";

fn ours(scene: &Scene) -> Vec<String> {
    let routes = block_routes(scene.node()).unwrap().into_iter();
    routes.map(|route| route.dst).collect()
}

fn forget(scene: &Scene) {
    let key = subnet_key(PEER_KEY);
    scene.network.etcd.ctl(&["del", &key]).unwrap();
}

fn mentions(scene: &Scene, word: &str) -> bool {
    let plane = data_plane(scene.node()).unwrap();
    plane.iter().any(|line| line.contains(word))
}

/// flannel retries for 51.7 s, and all other leases wait.
#[test]
fn a_route_that_is_gone_when_its_lease_goes_holds_up_no_other_lease() {
    let mut scene = Scene::new(VXLAN);
    scene.daemon.process().freeze().unwrap();
    scene.run(&["ip route del 10.244.60.0/24"]);
    forget(&scene);
    let other = VXLAN_PEER.replace(OLD_MAC, NEW_MAC);
    scene
        .network
        .etcd
        .put(&subnet_key(OTHER_KEY), &other)
        .unwrap();
    scene.daemon.process().thaw().unwrap();
    eventually("the other lease's route alone", READY, || {
        ours(&scene) == ["10.244.61.0/24"]
    })
    .unwrap();
    let log = scene.daemon.process().log_text();
    assert!(!log.contains("refused"), "{log}");
}

#[test]
fn a_node_that_leaves_while_the_daemon_is_down_is_gone_after_its_start() {
    let mut scene = Scene::new(VXLAN);
    scene.daemon.terminate().unwrap();
    forget(&scene);
    assert_eq!(ours(&scene).len(), 2, "the kernel keeps what it has");
    scene.daemon = scene.node().start(&scene.command).unwrap();
    scene.daemon.wait_ready(READY).unwrap();
    eventually("nothing of it is left", READY, || {
        ![
            "10.244.60",
            "fd00:244:0:22",
            OLD_MAC,
            "10.99.0.2",
            "fd99::2",
        ]
        .iter()
        .any(|word| mentions(&scene, word))
    })
    .unwrap();
}

#[test]
fn another_mac_of_a_node_takes_the_place_of_the_old_one_and_nothing_is_left() {
    let scene = Scene::new(VXLAN);
    let changed = VXLAN_PEER.replace(OLD_MAC, NEW_MAC);
    scene
        .network
        .etcd
        .put(&subnet_key(PEER_KEY), &changed)
        .unwrap();
    eventually("the new one alone", READY, || {
        mentions(&scene, NEW_MAC) && !mentions(&scene, OLD_MAC)
    })
    .unwrap();
    let plane = data_plane(scene.node()).unwrap();
    assert_eq!(plane.len(), scene.whole.len(), "{plane:#?}");
}
