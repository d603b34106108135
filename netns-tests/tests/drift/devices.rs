//! The VTEP device.

use crate::{Scene, VXLAN};
use netns_tests::PREFIX;

#[test]
fn a_deleted_device_is_made_again_with_its_mac_and_all_that_was_on_it() {
    let scene = Scene::new(VXLAN);
    let leases = || {
        scene
            .network
            .etcd
            .list(&format!("{PREFIX}/subnets"))
            .unwrap()
    };
    let before = leases();
    scene.comes_back_after_each(&["ip link del flannel.1", "ip link del flannel-v6.1"]);
    assert_eq!(leases(), before, "the lease names the same MAC");
}

#[test]
fn a_device_that_is_set_down_is_up_again_with_all_that_was_on_it() {
    Scene::new(VXLAN).comes_back_after_each(&[
        "ip link set flannel.1 down",
        "ip link set flannel-v6.1 down",
    ]);
}

#[test]
fn the_devices_mtu_and_mac_are_set_right_again() {
    Scene::new(VXLAN).comes_back_after_each(&[
        "ip link set flannel.1 mtu 1300",
        // Below 1280 bytes the kernel takes IPv6 off a link.
        "ip link set flannel-v6.1 mtu 1000",
        "ip link set flannel.1 address 02:00:00:00:00:99",
        "ip link set flannel.1 alias nobodys",
    ]);
}

#[test]
fn a_device_that_somebody_made_in_the_place_of_ours_is_made_again() {
    let mut scene = Scene::new(VXLAN);
    scene.run_behind_its_back(&[
        "ip link del flannel.1",
        "ip link add flannel.1 up type vxlan id 7 dstport 4789 local 10.99.0.1 dev eth0",
    ]);
    scene.is_whole("another device of the same name");
}

#[test]
fn a_renamed_device_gives_way_to_one_of_the_right_name() {
    Scene::new(VXLAN).comes_back(&[
        "ip link set flannel.1 down",
        "ip link set flannel.1 name elsewhere",
    ]);
}
