//! Single entries and whole tables.

use crate::{HOST_GW, Scene, VXLAN};

#[test]
fn routes_that_are_deleted_come_back() {
    for backend in [VXLAN, HOST_GW] {
        Scene::new(backend).comes_back_after_each(&[
            "ip route del 10.244.60.0/24",
            "ip -6 route del fd00:244:0:22::/64",
            "ip route flush type unreachable",
            "ip -6 route flush type unreachable",
        ]);
    }
}

#[test]
fn routes_that_another_daemon_replaces_are_taken_back() {
    for backend in [VXLAN, HOST_GW] {
        Scene::new(backend).comes_back_after_each(&[
            "ip route replace 10.244.60.0/24 via 10.99.0.254",
            "ip route replace 10.244.60.0/24 via 10.99.0.254 proto bird",
            "ip -6 route replace fd00:244:0:22::/64 via fd99::fe proto static",
            "ip route change 10.244.60.0/24 dev eth0 proto 84",
        ]);
    }
}

/// `ip route flush` of Debian 12 cannot: it names both a route's nexthop and its gateway, which the kernel refuses.
fn flush(scene: &Scene, family: &str) -> Vec<String> {
    let namespace = scene.node().namespace();
    let listed = lab::ip(namespace, &[family, "route", "show", "proto", "84"]).unwrap();
    let prefix = |line: &str| {
        let prefix = line.trim_start_matches("unreachable ").split(' ').next();
        format!("ip {family} route del {} proto 84", prefix.unwrap())
    };
    listed.lines().map(prefix).collect()
}

#[test]
fn a_table_that_loses_all_of_our_routes_at_once_has_them_again() {
    for backend in [VXLAN, HOST_GW] {
        let scene = Scene::new(backend);
        let all = [flush(&scene, "-4"), flush(&scene, "-6")].concat();
        assert_eq!(all.len(), 4);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        scene.comes_back(&all);
    }
}

#[test]
fn nexthops_that_are_deleted_or_replaced_come_back_with_their_routes() {
    for backend in [VXLAN, HOST_GW] {
        let scene = Scene::new(backend);
        scene.comes_back(&["ip nexthop flush proto 84"]);
        let objects = lab::kernel_view::nexthops(scene.node().namespace()).unwrap();
        let v4 = objects
            .iter()
            .find(|object| !object.gateway.as_ref().unwrap().contains(':'));
        let id = v4.unwrap().id;
        let replace = format!("ip nexthop replace id {id} via 10.99.0.77 dev eth0 proto static");
        let blackhole = format!("ip nexthop replace id {id} blackhole proto 84");
        let delete = format!("ip nexthop del id {id}");
        scene.comes_back_after_each(&[&replace, &blackhole, &delete]);
    }
}

#[test]
fn neighbours_come_back() {
    let scene = Scene::new(VXLAN);
    scene.comes_back_after_each(&[
        "ip neigh del 10.244.60.0 dev flannel.1",
        "ip neigh replace 10.244.60.0 lladdr 02:00:00:00:00:77 dev flannel.1 nud permanent",
        "ip neigh flush dev flannel.1 nud permanent",
        "ip -6 neigh del fd00:244:0:22:: dev flannel-v6.1",
        "ip -6 neigh replace fd00:244:0:22:: lladdr fe:d9:bd:bd:f9:6d dev flannel-v6.1 nud reachable",
        "ip neigh add 10.244.61.0 lladdr 02:00:00:00:00:61 dev flannel.1 nud permanent",
    ]);
}

#[test]
fn fdb_entries_come_back() {
    let scene = Scene::new(VXLAN);
    scene.comes_back_after_each(&[
        "bridge fdb del fe:d9:bd:bd:f9:6d dev flannel.1",
        "bridge fdb replace fe:d9:bd:bd:f9:6d dev flannel.1 self permanent dst 10.99.0.77",
        "bridge fdb replace fe:d9:bd:bd:f9:6d dev flannel.1 self permanent dst 10.99.0.2 port 9999",
        "bridge fdb del 8e:0b:ad:ce:b3:2c dev flannel-v6.1",
        "bridge fdb add 00:00:00:00:00:00 dev flannel.1 self permanent dst 10.99.0.77",
    ]);
}

#[test]
fn the_addresses_of_the_device_come_back_and_others_go() {
    let network = Scene::new(VXLAN);
    network.comes_back_after_each(&[
        "ip -4 addr flush dev flannel.1",
        "ip -6 addr flush dev flannel-v6.1 scope global",
        "ip addr add 10.244.99.9/32 dev flannel.1",
    ]);
}
