//! Pods that come, talk, are looked at, and go.

use super::*;
use lab::eventually;
use lab::probe::{ping, tcp_source, udp_source};
use netns_tests::{Call, DEBIAN_PLUGINS};
use serde_json::json;
use std::path::Path;

/// `(what goes wrong, where, how)`: each is noticed by CHECK.
const HARM: [(&str, bool, &str); 8] = [
    ("does not have", true, "addr del 10.244.72.2/32 dev eth0"),
    ("no default route", true, "route del default"),
    (
        "does not know 169.254.1.1",
        true,
        "neigh del 169.254.1.1 dev eth0",
    ),
    ("is down", true, "link set eth0 down"),
    ("MTU", true, "link set eth0 mtu 1400"),
    ("no route to 10.244.72.2", false, "route del 10.244.72.2"),
    (
        "does not know 10.244.72.2",
        false,
        "neigh del 10.244.72.2 dev LINK",
    ),
    ("not on the node", false, "link del LINK"),
];

#[test]
fn pods_of_a_node_reach_each_other_the_node_and_are_reached_with_their_own_addresses() {
    let (node, a, b) = (dual(), pod("a"), pod("b"));
    let (of_a, of_b) = (addresses(&node.add("a", &a)), addresses(&node.add("b", &b)));
    assert_eq!(
        of_a,
        [
            "10.244.72.2".parse::<IpAddr>().unwrap(),
            "fd00:244:0:50::2".parse().unwrap()
        ]
    );
    let of_node: [IpAddr; 2] = ["10.99.0.1".parse().unwrap(), "fd99::1".parse().unwrap()];
    for family in 0..2 {
        ping(&a, of_b[family], PATIENCE).unwrap();
        assert_eq!(udp_source(&a, &b, of_b[family]).unwrap(), of_a[family]);
        assert_eq!(tcp_source(&b, &a, of_a[family]).unwrap(), of_b[family]);
        assert_eq!(
            tcp_source(&a, &node.namespace, of_node[family]).unwrap(),
            of_a[family]
        );
        assert_eq!(
            tcp_source(&node.namespace, &a, of_a[family]).unwrap(),
            of_node[family]
        );
        // To itself, by its own address.
        assert_eq!(tcp_source(&a, &a, of_a[family]).unwrap(), of_a[family]);
    }
}

#[test]
fn nobody_asks_for_a_mac_address_or_waits_for_duplicates() {
    let (node, a) = (dual(), pod("a"));
    node.add("a", &a);
    let own = ip(&a, &["-o", "addr", "show", "dev", "eth0"]).unwrap();
    assert!(
        !own.contains("tentative") && own.contains("fe80::"),
        "{own}"
    );
    for namespace in [&a, &node.namespace] {
        // What the kernel knows from a pod's router solicitation is STALE: it has not asked.
        let neighbours = ip(namespace, &["neigh"]).unwrap();
        let permanent = neighbours.matches("PERMANENT").count();
        let asked = ["INCOMPLETE", "REACHABLE", "DELAY", "PROBE", "FAILED"];
        assert_eq!(permanent, 2, "{neighbours}");
        assert!(
            !asked.iter().any(|state| neighbours.contains(state)),
            "{neighbours}"
        );
    }
}

#[test]
fn a_node_of_one_family_has_pods_of_that_family() {
    for (v4, v6, want) in [(V4, None, "10.244.72.2"), (None, V6, "fd00:244:0:50::2")] {
        let (node, a) = (PluginNode::new(v4, v6).unwrap(), pod("a"));
        let own = addresses(&node.add("a", &a));
        assert_eq!(own, [want.parse::<IpAddr>().unwrap()]);
        ping(&node.namespace, own[0], PATIENCE).unwrap();
    }
}

#[test]
fn ipv6_works_where_the_runtime_turned_it_off() {
    let (node, a) = (dual(), pod("a"));
    for namespace in [&a, &node.namespace] {
        namespace
            .set_sysctls(&[("net/ipv6/conf/default/disable_ipv6", "1")])
            .unwrap();
    }
    let own = addresses(&node.add("a", &a));
    ping(&node.namespace, own[1], PATIENCE).unwrap();
}

#[test]
fn del_leaves_nothing_with_and_without_the_namespace_and_twice() {
    let node = dual();
    for netns_stays in [true, false] {
        let a = pod("a");
        let path = a.path();
        node.add("a", &a);
        assert_eq!(ours(&node).len(), 3);
        if !netns_stays {
            drop(a);
        }
        for _ in 0..2 {
            let said = node.call("DEL", "a", &path, &Value::Null);
            assert!(said.success && said.json.is_null(), "{said:?}");
        }
        nothing_is_left(&node);
    }
}

#[test]
fn check_is_content_with_what_add_made_and_names_each_thing_that_is_gone() {
    for (want, inside, harm) in HARM {
        let (node, a) = (dual(), pod("a"));
        let result = node.add("a", &a);
        let check = || node.call("CHECK", "a", &a.path(), &json!({ "prevResult": result }));
        assert!(check().success, "{:?}", check());
        let link = result["interfaces"][0]["name"].as_str().unwrap();
        let harm = harm.replace("LINK", link);
        ip(
            if inside { &a } else { &node.namespace },
            &harm.split(' ').collect::<Vec<_>>(),
        )
        .unwrap();
        let said = check();
        let details = said.json["details"].as_str().unwrap_or_default();
        assert!(
            said.code() == 104 && details.contains(want),
            "{harm}: {said:?}"
        );
    }
}

#[test]
fn the_link_bears_the_pods_name_and_the_daemons_mtu_and_its_routes_our_protocol() {
    let (node, a) = (dual(), pod("a"));
    let call = netns_tests::Call {
        plugin: netns_tests::twill_cni(),
        command: "ADD",
        container: "a",
        netns: a.path(),
        args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0",
        config: node.config("1.1.0", &Value::Null),
    };
    let said = call.run(&node.namespace);
    let name = said.json["interfaces"][0]["name"].as_str().unwrap();
    let link = ip(&node.namespace, &["link", "show", name]).unwrap();
    assert!(
        link.contains("alias shop/web-0") && link.contains("mtu 1450"),
        "{link}"
    );
    assert_eq!(ours(&node).len(), 3, "{:?}", ours(&node));
}

#[test]
fn an_add_of_the_same_attachment_is_refused_and_harms_nothing() {
    let (node, a) = (dual(), pod("a"));
    let own = addresses(&node.add("a", &a));
    for container in ["a", "b"] {
        let said = node.call("ADD", container, &a.path(), &Value::Null);
        assert_eq!(said.code(), 100, "{said:?}");
    }
    ping(&node.namespace, own[0], PATIENCE).unwrap();
    assert_eq!(node.held().len(), 1);
}

#[test]
fn pods_come_and_go_while_there_is_no_daemon_and_a_new_block_serves_new_pods() {
    let (node, a, b) = (dual(), pod("a"), pod("b"));
    let old = addresses(&node.add("a", &a));
    node.write_subnet_file(Some("10.244.9.1/24"), None);
    let new = addresses(&node.add("b", &b));
    assert_eq!(new, ["10.244.9.2".parse::<IpAddr>().unwrap()]);
    ping(&a, new[0], PATIENCE).unwrap();
    ping(&b, old[0], PATIENCE).unwrap();
    std::fs::remove_file(node.subnet_file()).unwrap();
    for container in ["a", "b"] {
        assert!(node.call("DEL", container, &a.path(), &Value::Null).success);
    }
    nothing_is_left(&node);
}

#[test]
fn a_lost_state_gives_no_address_twice() {
    let (node, a, b) = (dual(), pod("a"), pod("b"));
    let of_a = addresses(&node.add("a", &a));
    std::fs::remove_dir_all(node.state()).unwrap();
    let of_b = addresses(&node.add("b", &b));
    assert!(
        of_a.iter().all(|own| !of_b.contains(own)),
        "{of_a:?} {of_b:?}"
    );
    // GC knows links by their names alone.
    let valid = json!({ "cni.dev/valid-attachments": [{ "containerID": "b", "ifname": "eth0" }] });
    assert!(node.call("GC", "", &a.path(), &valid).success);
    assert_eq!((ours(&node).len(), node.held().len()), (3, 1));
    ping(&node.namespace, of_b[0], PATIENCE).unwrap();
}

#[test]
fn a_full_block_is_named_and_pods_that_vanished_make_room_after_a_rest() {
    let node = PluginNode::new(Some("10.244.72.1/30"), None).unwrap();
    let (a, b) = (pod("a"), pod("b"));
    node.add("a", &a);
    let more = json!({ "restSeconds": 1 });
    assert_eq!(node.call("ADD", "b", &b.path(), &more).code(), 101);
    drop(a);
    // The kernel takes the link away when it gets to it.
    eventually("the link goes with its namespace", PATIENCE, || {
        ours(&node).is_empty()
    })
    .unwrap();
    assert_eq!(node.call("ADD", "b", &b.path(), &json!({})).code(), 11);
    eventually("there is room", PATIENCE, || {
        node.call("ADD", "b", &b.path(), &more).success
    })
    .unwrap();
}

#[test]
fn a_requested_address_is_given_or_refused_with_the_reason() {
    let (node, a, b) = (dual(), pod("a"), pod("b"));
    let more = json!({ "args": { "cni": { "ips": ["10.244.72.77/24"] } } });
    let said = node.call("ADD", "a", &a.path(), &more);
    assert_eq!(
        addresses(&said.json)[0],
        "10.244.72.77".parse::<IpAddr>().unwrap()
    );
    let said = node.call("ADD", "b", &b.path(), &more);
    assert!(
        said.code() == 102
            && said.json["details"]
                .as_str()
                .unwrap()
                .contains("container a"),
        "{said:?}"
    );
    assert_eq!(node.held().len(), 1);
}

/// Adds a pod by Debian's `bridge`, as flannel's plugin does, and returns its addresses.
fn on_a_bridge(node: &PluginNode, pod: &Namespace) -> Vec<IpAddr> {
    let ranges = json!([
        [{ "subnet": "10.244.72.0/24", "rangeStart": "10.244.72.100" }],
        [{ "subnet": "fd00:244:0:50::/64", "rangeStart": "fd00:244:0:50::100" }],
    ]);
    let directory = node.state().with_file_name("networks");
    let said = Call {
        plugin: Path::new(DEBIAN_PLUGINS).join("bridge"),
        command: "ADD",
        container: "old",
        netns: pod.path(),
        args: "",
        config: json!({
            "cniVersion": "1.0.0", "name": "flannels", "type": "bridge", "bridge": "cni0", "isDefaultGateway": true,
            "ipam": { "type": "host-local", "dataDir": directory, "ranges": ranges },
        }),
    }
    .run(&node.namespace);
    assert!(said.success, "{}", said.json);
    addresses(&said.json)
}

#[test]
fn pods_that_flannels_plugin_left_on_its_bridge_reach_ours_and_are_reached() {
    let (node, old, new) = (dual(), pod("old"), pod("new"));
    let of_old = on_a_bridge(&node, &old);
    let of_new = addresses(&node.add("new", &new));
    for family in 0..2 {
        assert_eq!(
            tcp_source(&old, &new, of_new[family]).unwrap(),
            of_old[family]
        );
        assert_eq!(
            tcp_source(&new, &old, of_old[family]).unwrap(),
            of_new[family]
        );
    }
    let said = node.call("DEL", "new", &new.path(), &Value::Null);
    assert!(said.success, "{}", said.json);
    for family in ["-4", "-6"] {
        let answered = ip(&node.namespace, &[family, "neigh", "show", "proxy"]).unwrap();
        assert_eq!(answered, "");
    }
}
