//! A value that flannel wrote, put by etcdctl, yields the kernel state that flannel would make.

use crate::{DUAL_VXLAN, HOST_GW, V4_HOST_GW, V4_VXLAN, V6_VXLAN, VXLAN, becomes, daemon, network};
use lab::kernel_view::{Family, Route, fdb, neighbours};
use lab::{Namespace, Node, Stack};
use netns_tests::{block_routes, subnet_key};

/// `DST via GATEWAY dev DEV [onlink] proto N [metric N]`, as `ip route` would say it.
fn spoken(route: &Route) -> String {
    let (gateway, dev) = (
        route.gateway.as_deref().unwrap_or("-"),
        route.dev.as_deref().unwrap_or("-"),
    );
    let onlink = if route.is_onlink() { " onlink" } else { "" };
    let metric = route
        .metric
        .map(|metric| format!(" metric {metric}"))
        .unwrap_or_default();
    let proto = route.protocol.as_deref().unwrap_or("-");
    assert!(
        matches!(route.scope.as_deref(), None | Some("global")),
        "{route:?}"
    );
    format!(
        "{} via {gateway} dev {dev}{onlink} proto {proto}{metric}",
        route.dst
    )
}

fn routes_of(node: &Node) -> Vec<String> {
    let mut spoken: Vec<String> = block_routes(node).unwrap().iter().map(spoken).collect();
    spoken.sort();
    spoken
}

/// Neighbour and FDB entries of a VTEP device, without the multicast entries that the kernel makes.
fn entries_of(namespace: &Namespace, family: Family, device: &str) -> Vec<String> {
    let neighbours = neighbours(namespace, family, device).unwrap().into_iter();
    let neighbours =
        neighbours.filter(|entry| entry.state.iter().any(|state| state == "PERMANENT"));
    let neighbours =
        neighbours.map(|entry| format!("neigh {} lladdr {}", entry.dst, entry.lladdr.unwrap()));
    let fdb = fdb(namespace, device)
        .unwrap()
        .into_iter()
        .filter(|entry| entry.dst.is_some());
    let fdb = fdb.map(|entry| {
        format!(
            "fdb {} dst {} {} {}",
            entry.mac,
            entry.dst.unwrap(),
            entry.flags.join(","),
            entry.state
        )
    });
    neighbours.chain(fdb).collect()
}

#[test]
fn a_dual_stack_vxlan_value() {
    let network = network(1, Stack::Dual, VXLAN);
    let node = network.node();
    let _daemon = daemon(&network, node);
    network
        .etcd
        .put(&subnet_key("10.244.60.0-24&fd00:244:0:22::-64"), DUAL_VXLAN)
        .unwrap();
    let want = [
        "10.244.60.0/24 via 10.244.60.0 dev flannel.1 onlink proto 84",
        "fd00:244:0:22::/64 via fd00:244:0:22:: dev flannel-v6.1 onlink proto 84 metric 1024",
    ];
    becomes(&want.map(str::to_owned).to_vec(), || routes_of(node));
    assert_eq!(
        entries_of(node.namespace(), Family::V4, "flannel.1"),
        [
            "neigh 10.244.60.0 lladdr fe:d9:bd:bd:f9:6d",
            "fdb fe:d9:bd:bd:f9:6d dst 10.99.0.2 self permanent"
        ]
    );
    assert_eq!(
        entries_of(node.namespace(), Family::V6, "flannel-v6.1"),
        [
            "neigh fd00:244:0:22:: lladdr 8e:0b:ad:ce:b3:2c",
            "fdb 8e:0b:ad:ce:b3:2c dst fd99::2 self permanent"
        ]
    );
}

#[test]
fn an_ipv4_vxlan_value() {
    let network = network(1, Stack::V4, VXLAN);
    let node = network.node();
    let _daemon = daemon(&network, node);
    network
        .etcd
        .put(&subnet_key("10.244.60.0-24"), V4_VXLAN)
        .unwrap();
    let want = ["10.244.60.0/24 via 10.244.60.0 dev flannel.1 onlink proto 84".to_owned()].to_vec();
    becomes(&want, || routes_of(node));
    assert_eq!(
        entries_of(node.namespace(), Family::V4, "flannel.1"),
        [
            "neigh 10.244.60.0 lladdr c6:d2:32:6f:8f:44",
            "fdb c6:d2:32:6f:8f:44 dst 192.168.64.3 self permanent"
        ]
    );
}

#[test]
fn an_ipv6_only_vxlan_value() {
    let network = network(1, Stack::V6, VXLAN);
    let node = network.node();
    let _daemon = daemon(&network, node);
    network
        .etcd
        .put(&subnet_key("0.0.0.0-0&fd00:244:0:e::-64"), V6_VXLAN)
        .unwrap();
    let want = "fd00:244:0:e::/64 via fd00:244:0:e:: dev flannel-v6.1 onlink proto 84 metric 1024";
    becomes(&vec![want.to_owned()], || routes_of(node));
    assert_eq!(
        entries_of(node.namespace(), Family::V6, "flannel-v6.1"),
        [
            "neigh fd00:244:0:e:: lladdr 8e:0b:ad:ce:b3:2c",
            "fdb 8e:0b:ad:ce:b3:2c dst fd99::2 self permanent"
        ]
    );
}

#[test]
fn a_host_gw_value() {
    let network = network(2, Stack::V4, HOST_GW);
    let node = &network.cluster.nodes[1];
    let _daemon = daemon(&network, node);
    network
        .etcd
        .put(&subnet_key("10.244.60.0-24"), V4_HOST_GW)
        .unwrap();
    let want = ["10.244.60.0/24 via 10.99.0.1 dev eth0 proto 84".to_owned()].to_vec();
    becomes(&want, || routes_of(node));
}

#[test]
fn a_deleted_key_takes_its_entries_with_it() {
    let network = network(1, Stack::V4, VXLAN);
    let node = network.node();
    let _daemon = daemon(&network, node);
    let key = subnet_key("10.244.60.0-24");
    network.etcd.put(&key, V4_VXLAN).unwrap();
    becomes(&1, || routes_of(node).len());
    network.etcd.ctl(&["del", &key]).unwrap();
    becomes(&(0, 0), || {
        (
            routes_of(node).len(),
            entries_of(node.namespace(), Family::V4, "flannel.1").len(),
        )
    });
}

#[test]
fn a_renewal_by_put_changes_nothing() {
    let network = network(1, Stack::V4, VXLAN);
    let node = network.node();
    let _daemon = daemon(&network, node);
    let (renewed, next) = (subnet_key("10.244.60.0-24"), subnet_key("10.244.61.0-24"));
    network.etcd.put(&renewed, V4_VXLAN).unwrap();
    becomes(&1, || routes_of(node).len());
    let before = block_routes(node).unwrap();
    network.etcd.put(&renewed, V4_VXLAN).unwrap();
    // The next event is handled after the renewal: its route says that the renewal has been seen.
    network
        .etcd
        .put(
            &next,
            &V4_VXLAN.replace("64.3", "64.4").replace("8f:44", "8f:45"),
        )
        .unwrap();
    becomes(&2, || routes_of(node).len());
    assert!(block_routes(node).unwrap().contains(&before[0]));
}

#[test]
fn a_peer_of_another_backend_is_left_alone() {
    let network = network(1, Stack::V4, VXLAN);
    let node = network.node();
    let _daemon = daemon(&network, node);
    let other = r#"{"PublicIP":"10.99.0.7","PublicIPv6":null,"BackendType":"host-gw"}"#;
    network
        .etcd
        .put(&subnet_key("10.244.59.0-24"), other)
        .unwrap();
    network
        .etcd
        .put(&subnet_key("10.244.60.0-24"), V4_VXLAN)
        .unwrap();
    becomes(&1, || routes_of(node).len());
    assert!(routes_of(node)[0].starts_with("10.244.60.0/24"));
}
