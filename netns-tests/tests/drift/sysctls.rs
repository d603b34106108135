//! Forwarding and router advertisements.

use crate::{HOST_GW, Scene, VXLAN};

fn set(scene: &Scene, name: &str, value: &str) {
    let before = scene.changes();
    scene
        .node()
        .namespace()
        .set_sysctls(&[(name, value)])
        .unwrap();
    scene.is_whole(name);
    assert!(scene.changes() > before);
}

#[test]
fn forwarding_that_is_switched_off_is_on_again() {
    for backend in [VXLAN, HOST_GW] {
        let scene = Scene::new(backend);
        set(&scene, "net/ipv4/ip_forward", "0");
        set(&scene, "net/ipv6/conf/all/forwarding", "0");
    }
}

#[test]
fn the_device_takes_no_router_advertisements_for_long() {
    let scene = Scene::new(VXLAN);
    set(&scene, "net/ipv6/conf/flannel.1/accept_ra", "2");
    set(&scene, "net/ipv6/conf/flannel-v6.1/accept_ra", "1");
}
