//! What flannel left is adopted or removed; what is nobody's business stays.

use crate::{V4_VXLAN, VXLAN, becomes, daemon, network};
use lab::kernel_view::{Family, fdb, link, neighbours, routes};
use lab::{Namespace, Stack, bridge, ip, ip_batch};
use netns_tests::{PodNetwork, block_routes, subnet_key};

const OWN_MAC: &str = "02:11:22:33:44:55";

/// The kernel as flannel leaves it on node1, whose block was 10.244.5.0/24: one peer that still has its lease
/// (10.244.60.0/24), one that left while nobody ran (10.244.61.0/24).
fn as_flannel_left_it(namespace: &Namespace) {
    let lines = [
        "link add flannel.1 address 02:11:22:33:44:55 mtu 1450 type vxlan id 1 local 10.99.0.1 dev eth0 dstport 8472 nolearning",
        "addr add 10.244.5.0/32 dev flannel.1",
        "link set flannel.1 up",
        "neigh add 10.244.60.0 lladdr c6:d2:32:6f:8f:44 dev flannel.1 nud permanent",
        "neigh add 10.244.61.0 lladdr c6:d2:32:6f:8f:61 dev flannel.1 nud permanent",
        "route add 10.244.60.0/24 via 10.244.60.0 dev flannel.1 onlink",
        "route add 10.244.61.0/24 via 10.244.61.0 dev flannel.1 onlink",
    ];
    ip_batch(namespace, &lines.map(str::to_owned)).unwrap();
    for (mac, dst) in [
        ("c6:d2:32:6f:8f:44", "192.168.64.3"),
        ("c6:d2:32:6f:8f:61", "192.168.64.61"),
    ] {
        bridge(
            namespace,
            &[
                "fdb",
                "add",
                mac,
                "dev",
                "flannel.1",
                "self",
                "permanent",
                "dst",
                dst,
            ],
        )
        .unwrap();
    }
}

fn where_flannel_ran() -> PodNetwork {
    let network = network(1, Stack::V4, VXLAN);
    as_flannel_left_it(network.node().namespace());
    let own = format!(
        r#"{{"PublicIP":"10.99.0.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{OWN_MAC}"}}}}"#
    );
    network
        .etcd
        .put(&subnet_key("10.244.5.0-24"), &own)
        .unwrap();
    network
        .etcd
        .put(&subnet_key("10.244.60.0-24"), V4_VXLAN)
        .unwrap();
    network
}

#[test]
fn the_device_of_flannel_is_kept_with_its_mac_and_the_block_too() {
    let network = where_flannel_ran();
    let node = network.node();
    let before = link(node.namespace(), "flannel.1").unwrap().unwrap();
    let _daemon = daemon(&network, node);
    let after = link(node.namespace(), "flannel.1").unwrap().unwrap();
    assert_eq!(
        (after.ifindex, after.address),
        (before.ifindex, Some(OWN_MAC.to_owned()))
    );
    assert_eq!(
        node.subnet_env().unwrap().subnet.unwrap().to_string(),
        "10.244.5.1/24"
    );
    let lease = network.etcd.list(&subnet_key("10.244.5.0-24")).unwrap();
    assert!(lease[0].1.contains(OWN_MAC), "{lease:?}");
}

#[test]
fn the_routes_of_flannel_become_ours_and_its_stale_entries_go() {
    let network = where_flannel_ran();
    let namespace = network.node().namespace().clone();
    let _daemon = daemon(&network, network.node());
    becomes(&vec!["10.244.60.0/24 84".to_owned()], || {
        let onlink = routes(&namespace, Family::V4)
            .unwrap()
            .into_iter()
            .filter(|route| route.dev.as_deref() == Some("flannel.1"));
        onlink
            .map(|route| format!("{} {}", route.dst, route.protocol.unwrap()))
            .collect()
    });
    let gateways: Vec<String> = neighbours(&namespace, Family::V4, "flannel.1")
        .unwrap()
        .into_iter()
        .map(|entry| entry.dst)
        .collect();
    assert_eq!(gateways, ["10.244.60.0"]);
    let remotes: Vec<String> = fdb(&namespace, "flannel.1")
        .unwrap()
        .into_iter()
        .filter_map(|entry| entry.dst)
        .collect();
    assert_eq!(remotes, ["192.168.64.3"]);
}

/// What the machine's administrator and other programs have made.
const FOREIGN: [&str; 8] = [
    "link add admin0 up type bridge",
    "addr add 172.20.0.1/24 dev admin0",
    "route add 203.0.113.0/24 via 10.99.0.254 proto static",
    "route add 198.51.100.0/24 via 10.99.0.254",
    "route add 10.244.250.0/24 via 172.20.0.9 proto bird",
    "neigh add 10.99.0.99 lladdr 02:00:00:00:00:99 dev eth0 nud permanent",
    "link add other9 up type vxlan id 9 local 10.99.0.1 dstport 4789 nolearning",
    "nexthop add id 4242 via 172.20.0.9 dev admin0",
];

/// All of it, as text.
fn foreign_state(namespace: &Namespace) -> Vec<String> {
    let routes = routes(namespace, Family::V4).unwrap().into_iter();
    let routes = routes.filter(|route| {
        route.dev.as_deref() == Some("admin0") || route.gateway.as_deref() == Some("10.99.0.254")
    });
    let neighbours = neighbours(namespace, Family::V4, "eth0")
        .unwrap()
        .into_iter();
    let neighbours = neighbours.filter(|entry| entry.dst == "10.99.0.99");
    // An address loses this of its own accord, when nobody else has it.
    let addresses = ip(namespace, &["-o", "addr", "show", "dev", "admin0"])
        .unwrap()
        .replace("tentative ", "");
    let rest = [
        addresses,
        ip(namespace, &["nexthop", "show", "id", "4242"]).unwrap(),
        bridge(namespace, &["fdb", "show", "dev", "other9"]).unwrap(),
    ];
    let routes = routes.map(|route| format!("{route:?}"));
    routes
        .chain(neighbours.map(|entry| format!("{entry:?}")))
        .chain(rest)
        .collect()
}

#[test]
fn what_others_made_stays_as_it_is_through_start_change_stop_and_cleanup() {
    let network = network(1, Stack::V4, VXLAN);
    let node = network.node();
    ip_batch(node.namespace(), &FOREIGN.map(str::to_owned)).unwrap();
    let entry = [
        "fdb",
        "add",
        "02:00:00:00:09:09",
        "dev",
        "other9",
        "self",
        "permanent",
        "dst",
        "10.99.0.99",
    ];
    bridge(node.namespace(), &entry).unwrap();
    let before = foreign_state(node.namespace());
    assert_eq!(before.len(), 4 + 1 + 3 + 1, "{before:#?}");

    let mut daemon = daemon(&network, node);
    network
        .etcd
        .put(&subnet_key("10.244.60.0-24"), V4_VXLAN)
        .unwrap();
    becomes(&1, || block_routes(node).unwrap().len());
    network
        .etcd
        .ctl(&["del", &subnet_key("10.244.60.0-24")])
        .unwrap();
    becomes(&0, || block_routes(node).unwrap().len());
    assert_eq!(
        foreign_state(node.namespace()),
        before,
        "while the daemon ran"
    );

    daemon.terminate().unwrap();
    node.twill_says(&network.command(), &["cleanup"]).unwrap();
    assert_eq!(
        foreign_state(node.namespace()),
        before,
        "after twill cleanup"
    );
}
