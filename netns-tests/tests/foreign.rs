//! What others made in the same kernel stays as it is, whatever the daemon does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::{Namespace, Node, Plan, Shape, Stack, eventually, ip, ip_batch, output};
use netns_tests::{PodNetwork, READY, block_routes, config, subnet_key};
use std::collections::BTreeSet;

const VXLAN: &str = r#"{"Type":"vxlan"}"#;
const HOST_GW: &str = r#"{"Type":"host-gw"}"#;

/// An administrator's network, another overlay, another routing daemon, and things that look a little like ours.
const FOREIGN: [&str; 27] = [
    "link add admin0 up type bridge",
    "addr add 172.20.0.1/24 dev admin0",
    "addr add fd20::1/64 dev admin0 nodad",
    "link add other9 up type vxlan id 9 local 10.99.0.1 dstport 4789 nolearning",
    "addr add 10.9.0.1/32 dev other9",
    "link add flannel.77 up type vxlan id 77 local 10.99.0.1 dstport 8477 nolearning",
    "addr add 10.77.0.0/32 dev flannel.77",
    "neigh add 10.77.1.0 lladdr 02:00:00:00:77:01 dev flannel.77 nud permanent",
    "route add 10.77.1.0/24 via 10.77.1.0 dev flannel.77 onlink",
    "route add 203.0.113.0/24 via 10.99.0.254 proto static",
    "route add 198.51.100.0/24 via 10.99.0.254",
    "route add 10.244.250.0/24 via 172.20.0.9 proto bird",
    "route add 10.244.0.0/16 via 172.20.0.9 metric 500",
    "route add blackhole 192.0.2.0/24",
    "route add 10.244.60.0/24 via 172.20.0.9 metric 77 proto zebra",
    "route add 10.244.60.0/24 via 172.20.0.9 table 100",
    "route add 10.1.0.0/16 via 172.20.0.9 table 100 proto 84",
    "rule add from 172.20.0.0/24 lookup 100 priority 1000",
    "rule add fwmark 0x7 lookup 100 priority 1001",
    "neigh add 10.99.0.99 lladdr 02:00:00:00:00:99 dev eth0 nud permanent",
    "neigh add 172.20.0.9 lladdr 02:00:00:00:00:09 dev admin0 nud permanent",
    "neigh add proxy 10.244.60.7 dev admin0",
    "nexthop add id 4242 via 172.20.0.9 dev admin0",
    // In the range of numbers that Twill takes its own from.
    "nexthop add id 1342177300 via 172.20.0.9 dev admin0 proto zebra",
    "nexthop add id 4243 group 4242",
    "route add 203.0.114.0/24 nhid 4243 proto zebra",
    "link add pod0 up type veth peer name pod1",
];

const FOREIGN_V6: [&str; 4] = [
    "route add fd30::/64 via fd20::9 proto static",
    "route add fd00:244:0:fa::/64 via fd20::9 metric 77 proto zebra",
    "route add fd31::/64 via fd20::9 table 100",
    "rule add from fd20::/64 lookup 100 priority 1000",
];

/// The tables of the kernel, without what is ours: protocol 84 in the main table, and the devices `flannel.1` and
/// `flannel-v6.1`.
fn foreign_state(namespace: &Namespace) -> BTreeSet<String> {
    let questions = [
        "-4 -o route show table all",
        "-6 -o route show table all",
        "-4 rule show",
        "-6 rule show",
        "-4 neigh show nud permanent",
        "-4 neigh show proxy",
        "-6 neigh show nud permanent",
        "nexthop show",
        "-o addr show",
    ];
    let mut state = BTreeSet::new();
    for question in questions {
        let words: Vec<&str> = question.split(' ').collect();
        let said = ip(namespace, &words).unwrap();
        let foreign = said.lines().filter(|line| !is_ours(line));
        // How long IPv6 still waits for duplicates is nobody's doing.
        state.extend(foreign.map(|line| line.replace("tentative ", "").trim().to_owned()));
    }
    state.insert(ip(namespace, &["-o", "link", "show", "admin0"]).unwrap());
    for device in ["other9", "flannel.77", "pod0"] {
        let link = ip(namespace, &["-d", "-o", "link", "show", device]).unwrap();
        let mut fdb = namespace.command("bridge");
        fdb.args(["fdb", "show", "dev", device]);
        state.extend([link, output(namespace, &mut fdb).unwrap()]);
    }
    state
}

fn is_ours(line: &str) -> bool {
    let on_our_device = ["flannel.1 ", "flannel-v6.1 "]
        .iter()
        .any(|device| format!("{line} ").contains(device));
    let in_main = !line.contains("table 100");
    on_our_device || (line.contains("proto 84") && in_main)
}

fn make_foreign(node: &Node) {
    let namespace = node.namespace();
    ip_batch(namespace, &FOREIGN.map(str::to_owned)).unwrap();
    for line in FOREIGN_V6 {
        let words: Vec<&str> = ["-6"].into_iter().chain(line.split(' ')).collect();
        ip(namespace, &words).unwrap();
    }
    let entry = "fdb add 02:00:00:00:09:09 dev other9 self permanent dst 10.99.0.99";
    let mut bridge = namespace.command("bridge");
    bridge.args(entry.split(' '));
    output(namespace, &mut bridge).unwrap();
}

fn peer(backend: &str, mac: &str) -> String {
    let underlay = r#""PublicIP":"10.99.0.2","PublicIPv6":"fd99::2""#;
    if backend == HOST_GW {
        return format!(r#"{{{underlay},"BackendType":"host-gw"}}"#);
    }
    let vtep = format!(r#"{{"VNI":1,"VtepMAC":"{mac}"}}"#);
    format!(r#"{{{underlay},"BackendType":"vxlan","BackendData":{vtep},"BackendV6Data":{vtep}}}"#)
}

/// Start, a peer that comes, changes and goes, drift that is repaired, stop, cleanup.
fn foreign_things_stay(backend: &str) {
    let plan = Plan {
        nodes: 1,
        shape: Shape::OneSwitch,
        stack: Stack::Dual,
    };
    let network = PodNetwork::new(plan, 1, &config(Stack::Dual, backend)).unwrap();
    let (node, key) = (
        network.node(),
        subnet_key("10.244.60.0-24&fd00:244:0:22::-64"),
    );
    make_foreign(node);
    let before = foreign_state(node.namespace());
    assert!(before.len() > 40, "{before:#?}");
    let same = |when: &str| {
        let after = foreign_state(node.namespace());
        let gone: Vec<_> = before.difference(&after).collect();
        let new: Vec<_> = after.difference(&before).collect();
        assert!(
            gone.is_empty() && new.is_empty(),
            "{when}: gone {gone:#?}, new {new:#?}"
        );
    };
    let has_routes = |count: usize| {
        let routes = || block_routes(node).unwrap().len();
        eventually("the routes to the peer", READY, || routes() == count).unwrap();
    };

    let command = network.command().args(&["--vanished-grace", "0s"]);
    let mut daemon = node.start(&command).unwrap();
    daemon.wait_ready(READY).unwrap();
    same("after the start");
    for mac in ["02:00:00:00:00:01", "02:00:00:00:00:02"] {
        network.etcd.put(&key, &peer(backend, mac)).unwrap();
        has_routes(2);
        same("with a peer");
    }
    ip(node.namespace(), &["nexthop", "flush", "proto", "84"]).unwrap();
    has_routes(2);
    if backend == VXLAN {
        ip(node.namespace(), &["link", "del", "flannel.1"]).unwrap();
        has_routes(2);
    }
    same("after a repair");
    network.etcd.ctl(&["del", &key]).unwrap();
    has_routes(0);
    daemon.terminate().unwrap();
    same("after the stop");
    node.twill_says(&network.command(), &["cleanup"]).unwrap();
    same("after twill cleanup");
}

#[test]
fn foreign_things_stay_beside_vxlan() {
    foreign_things_stay(VXLAN);
}

#[test]
fn foreign_things_stay_beside_direct_routes() {
    foreign_things_stay(HOST_GW);
}

#[test]
fn a_foreign_route_just_where_ours_belongs_stays_until_it_goes_and_others_are_not_delayed() {
    let plan = Plan {
        nodes: 1,
        shape: Shape::OneSwitch,
        stack: Stack::V4,
    };
    let network = PodNetwork::new(plan, 1, &config(Stack::V4, VXLAN)).unwrap();
    let node = network.node();
    let theirs = "10.244.60.0/24 via 10.99.0.254 proto static";
    let words = |verb: &'static str| ["route", verb].into_iter().chain(theirs.split(' '));
    ip(node.namespace(), &words("add").collect::<Vec<_>>()).unwrap();
    let mut daemon = node.start(&network.command()).unwrap();
    daemon.wait_ready(READY).unwrap();
    for (block, mac) in [
        ("10.244.60.0-24", "02:00:00:00:00:60"),
        ("10.244.61.0-24", "02:00:00:00:00:61"),
    ] {
        network
            .etcd
            .put(&subnet_key(block), &peer(VXLAN, mac))
            .unwrap();
    }
    let ours = || -> Vec<String> {
        let routes = block_routes(node).unwrap().into_iter();
        routes.map(|route| route.dst).collect()
    };
    eventually("the other route", READY, || ours() == ["10.244.61.0/24"]).unwrap();
    let there = ip(node.namespace(), &["route", "show", "10.244.60.0/24"]).unwrap();
    assert!(there.contains("proto static"), "{there}");
    let log = || daemon_log(node);
    eventually("it is named", READY, || {
        log().contains("the kernel refused route 10.244.60.0/24")
    })
    .unwrap();
    ip(node.namespace(), &words("del").collect::<Vec<_>>()).unwrap();
    eventually("both routes", READY, || ours().len() == 2).unwrap();
}

fn daemon_log(node: &Node) -> String {
    std::fs::read_to_string(node.directory().join("twill.log")).unwrap()
}
