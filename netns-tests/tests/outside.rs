//! Pods and the world beyond the pod network: masquerade, and hosts whose FORWARD policy is drop, by nftables and by the
//! legacy iptables; and what flannel left there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::kernel_view::addresses;
use lab::probe::{ping_between, source_is_kept, udp_source};
use lab::{Node, Plan, Shape, Signal, Stack, eventually, ip, output};
use netns_tests::{PodNetwork, READY, config};
use std::net::IpAddr;

const VXLAN: &str = r#"{"Type":"vxlan"}"#;
const HOST_GW: &str = r#"{"Type":"host-gw"}"#;

/// Two nodes and etcd's host, which is the outside and has no route to any pod. No daemon runs yet.
fn nodes(stack: Stack, backend: &str) -> PodNetwork {
    let plan = Plan {
        nodes: 2,
        shape: Shape::OneSwitch,
        stack,
    };
    PodNetwork::new(plan, 1, &config(stack, backend)).unwrap()
}

/// Daemons with these flags, and a pod on each node.
fn run(mut network: PodNetwork, flags: &[&str]) -> PodNetwork {
    for node in &network.cluster.nodes {
        let command = network.command().args(flags);
        network.daemons.push(node.start(&command).unwrap());
    }
    for daemon in &mut network.daemons {
        daemon.wait_ready(READY).unwrap();
    }
    network.add_pods(1).unwrap();
    eventually("the pods reach each other", READY, || reach(&network)).unwrap();
    network
}

fn network(stack: Stack, flags: &[&str]) -> PodNetwork {
    run(nodes(stack, VXLAN), flags)
}

fn reach(network: &PodNetwork) -> bool {
    ping_between(&network.pods[0], &network.pods[1]).is_ok()
}

/// The source address that the outside sees at this address of its own of a packet from the first pod, if it gets an
/// answer.
fn seen_at(network: &PodNetwork, there: IpAddr) -> Option<IpAddr> {
    let outside = network.etcd.living().unwrap().namespace();
    udp_source(network.pods[0].namespace(), outside, there).ok()
}

/// The address of the outside on the underlay, of the family of another address.
fn outside(network: &PodNetwork, like: IpAddr) -> IpAddr {
    let namespace = network.etcd.living().unwrap().namespace();
    let all = addresses(namespace, "eth0").unwrap();
    let global = all.into_iter().filter(|address| address.scope == "global");
    let mut parsed = global.map(|address| address.local.parse::<IpAddr>().unwrap());
    parsed.find(|ip| ip.is_ipv4() == like.is_ipv4()).unwrap()
}

/// What the outside sees in each family, and the address that the node has in it.
fn seen_outside(network: &PodNetwork) -> Vec<(Option<IpAddr>, IpAddr)> {
    let own = network.node().addresses();
    own.iter()
        .map(|own| (seen_at(network, outside(network, own)), own))
        .collect()
}

/// Runs a command line of the shell in a node.
fn run_in(node: &Node, program: &str, args: &str) -> String {
    let mut command = node.namespace().command("sh");
    command.args(["-c", &format!("{program} {args}")]);
    output(node.namespace(), &mut command).unwrap()
}

fn nft(node: &Node, args: &str) -> String {
    let mut command = node.namespace().command("nft");
    command.args(args.split(' '));
    output(node.namespace(), &mut command).unwrap()
}

fn hang_up(network: &mut PodNetwork) {
    let process = network.daemons[0].process();
    process.signal(Signal::SIGHUP).unwrap();
}

fn log(node: &Node) -> String {
    std::fs::read_to_string(node.directory().join("twill.log")).unwrap()
}

fn drop_what_is_forwarded(node: &Node) {
    for family in ["ip", "ip6"] {
        nft(node, &format!("add table {family} filter"));
        nft(
            node,
            &format!(
                "add chain {family} filter FORWARD {{ type filter hook forward priority 0 ; policy drop ; }}"
            ),
        );
    }
}

#[test]
fn with_masquerade_the_outside_sees_the_node_and_pods_see_each_other() {
    for backend in [VXLAN, HOST_GW] {
        for stack in [Stack::V4, Stack::V6, Stack::Dual] {
            let network = run(nodes(stack, backend), &["--ip-masq"]);
            for (seen, node) in seen_outside(&network) {
                assert_eq!(seen, Some(node), "{backend} {stack:?}");
            }
            source_is_kept(&network.pods[0], &network.pods[1]).unwrap();
            source_is_kept(&network.pods[1], &network.pods[0]).unwrap();
        }
    }
}

#[test]
fn destinations_that_know_the_pods_see_their_own_addresses() {
    let direct = "--no-masq-to=203.0.113.0/24,2001:db8:7::/48";
    let network = run(nodes(Stack::Dual, VXLAN), &["--ip-masq", direct]);
    let there = network.etcd.living().unwrap().namespace();
    let (node, pod) = (network.node(), &network.pods[0]);
    for (node_address, pod) in node.addresses().iter().zip(pod.addresses().iter()) {
        let (own, len) = if pod.is_ipv4() {
            ("203.0.113.7", 32)
        } else {
            ("2001:db8:7::7", 128)
        };
        let via = outside(&network, pod).to_string();
        let (back, here) = (format!("{pod}/{len}"), node_address.to_string());
        ip(
            there,
            &["addr", "add", &format!("{own}/{len}"), "dev", "lo"],
        )
        .unwrap();
        ip(there, &["route", "add", &back, "via", &here]).unwrap();
        ip(node.namespace(), &["route", "add", own, "via", &via]).unwrap();
        assert_eq!(seen_at(&network, own.parse().unwrap()), Some(pod));
    }
    for (seen, node) in seen_outside(&network) {
        assert_eq!(seen, Some(node), "others are still masqueraded");
    }
}

#[test]
fn without_masquerade_the_outside_cannot_answer() {
    let network = network(Stack::Dual, &[]);
    assert!(
        seen_outside(&network)
            .iter()
            .all(|(seen, _)| seen.is_none())
    );
}

#[test]
fn flannels_flag_against_random_ports_is_understood() {
    for (flags, random) in [
        (&["--ip-masq"][..], true),
        (&["--ip-masq", "-ip-masq-fully-random-disable"], false),
    ] {
        let network = network(Stack::V4, flags);
        let rules = nft(network.node(), "list table inet twill");
        assert_eq!(rules.contains("masquerade fully-random"), random, "{rules}");
        assert!(rules.contains("masquerade"));
    }
}

#[test]
fn rules_that_somebody_flushes_come_back() {
    let network = network(Stack::V4, &["--ip-masq"]);
    let node = network.node();
    drop_what_is_forwarded(node);
    for harm in ["flush ruleset", "delete table inet twill"] {
        nft(node, harm);
        if harm == "flush ruleset" {
            drop_what_is_forwarded(node);
        }
        eventually("the rules are there again", READY, || {
            let rules = nft(node, "list ruleset");
            [
                "masquerade",
                "sender is no known VTEP",
                "twill pods: from",
                "twill pods: to",
            ]
            .iter()
            .all(|part| rules.contains(part))
        })
        .unwrap();
    }
    nft(node, "flush chain ip filter FORWARD");
    eventually("pods reach each other", READY, || reach(&network)).unwrap();
    assert!(seen_outside(&network)[0].0.is_some());
}

#[test]
fn pods_reach_each_other_though_the_hosts_forward_policy_is_drop() {
    for stack in [Stack::V4, Stack::V6] {
        let network = network(stack, &[]);
        drop_what_is_forwarded(network.node());
        eventually("pods reach each other", READY, || reach(&network)).unwrap();
    }
}

#[test]
fn an_operator_who_wants_no_rules_in_forward_gets_none() {
    let mut network = network(Stack::V4, &["-iptables-forward-rules=false"]);
    drop_what_is_forwarded(network.node());
    hang_up(&mut network);
    let node = network.node();
    nft(node, "delete table inet twill");
    eventually("the guard is there again", READY, || {
        nft(node, "list tables").contains("inet twill")
    })
    .unwrap();
    assert!(!nft(node, "list ruleset").contains("twill pods"));
}

#[test]
fn pods_reach_each_other_though_the_legacy_iptables_drops_what_is_forwarded() {
    for (stack, program) in [
        (Stack::V4, "iptables-legacy"),
        (Stack::V6, "ip6tables-legacy"),
    ] {
        let mut network = nodes(stack, VXLAN);
        for node in &network.cluster.nodes {
            run_in(node, program, "-P FORWARD DROP");
        }
        network = run(network, &["--ip-masq"]);
        let node = network.node();
        let rules = run_in(node, program, "-S FORWARD");
        assert_eq!(rules.matches("twill pods: ").count(), 2, "{rules}");

        run_in(node, program, "-F FORWARD");
        hang_up(&mut network);
        let node = network.node();
        eventually("the rules are back after SIGHUP", READY, || {
            run_in(node, program, "-S FORWARD") == rules
        })
        .unwrap();

        network.daemons[0].terminate().unwrap();
        let node = network.node();
        node.twill_says(&network.command(), &["cleanup"]).unwrap();
        assert_eq!(run_in(node, program, "-S FORWARD"), "-P FORWARD DROP\n");
    }
}

#[test]
fn without_the_program_the_operator_is_told_once_what_to_run() {
    let network = nodes(Stack::V4, VXLAN);
    let node = network.node();
    run_in(node, "iptables-legacy", "-P FORWARD DROP");
    let command = network.command().env("PATH", "/nonexistent");
    let mut daemon = node.start(&command).unwrap();
    daemon.wait_ready(READY).unwrap();
    let told = "iptables-legacy-save: not installed; its table filter is in use, and if its FORWARD policy is drop, pods reach each other only after `iptables-legacy -A FORWARD -s 10.244.0.0/16 -j ACCEPT` and `iptables-legacy -A FORWARD -d 10.244.0.0/16 -j ACCEPT`";
    eventually("the operator is told", READY, || log(node).contains(told)).unwrap();
    assert_eq!(
        log(node).matches("iptables-legacy-save").count(),
        1,
        "{}",
        log(node)
    );
}

/// flannel's rules as it writes them, for the pool 10.244.0.0/16 (or fd00:244::/48).
fn put_flannels_rules(node: &Node, program: &str) {
    let (net, block, multicast) = if program.starts_with("ip6") {
        ("fd00:244::/48", "fd00:244:0:5::/64", "ff00::/8")
    } else {
        ("10.244.0.0/16", "10.244.5.0/24", "224.0.0.0/4")
    };
    let masq = "-m comment --comment 'flanneld masq' -j";
    let forward = "-m comment --comment 'flanneld forward' -j";
    for rule in [
        "-t nat -N FLANNEL-POSTRTG".to_owned(),
        format!("-t nat -A POSTROUTING {masq} FLANNEL-POSTRTG"),
        format!("-t nat -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 {masq} RETURN"),
        format!("-t nat -A FLANNEL-POSTRTG -s {block} -d {net} {masq} RETURN"),
        format!("-t nat -A FLANNEL-POSTRTG -s {net} -d {block} {masq} RETURN"),
        format!("-t nat -A FLANNEL-POSTRTG ! -s {net} -d {block} {masq} RETURN"),
        format!(
            "-t nat -A FLANNEL-POSTRTG -s {net} ! -d {multicast} {masq} MASQUERADE --random-fully"
        ),
        format!("-t nat -A FLANNEL-POSTRTG ! -s {net} -d {net} {masq} MASQUERADE --random-fully"),
        "-N FLANNEL-FWD".to_owned(),
        format!("-A FORWARD {forward} FLANNEL-FWD"),
        format!("-A FLANNEL-FWD -s {net} {forward} ACCEPT"),
        format!("-A FLANNEL-FWD -d {net} {forward} ACCEPT"),
    ] {
        run_in(node, program, &rule);
    }
}

/// What flannel makes with `EnableNFTables`.
fn put_flannels_tables(node: &Node) {
    for (family, table, net) in [
        ("ip", "flannel-ipv4", "10.244.0.0/16"),
        ("ip6", "flannel-ipv6", "fd00:244::/48"),
    ] {
        for command in [
            format!("add table {family} {table}"),
            format!(
                "add chain {family} {table} postrtg {{ type nat hook postrouting priority srcnat ; }}"
            ),
            format!(
                "add rule {family} {table} postrtg {family} saddr {net} masquerade fully-random"
            ),
            format!(
                "add chain {family} {table} forward {{ type filter hook forward priority filter ; }}"
            ),
            format!("add rule {family} {table} forward {family} saddr {net} accept"),
        ] {
            nft(node, &command);
        }
    }
}

const PROGRAMS: [&str; 4] = [
    "iptables-nft",
    "ip6tables-nft",
    "iptables-legacy",
    "ip6tables-legacy",
];

/// Rules of somebody else, then flannel's in all the places where it can have put them.
fn put_everything_of_flannel(node: &Node) -> Vec<String> {
    for program in PROGRAMS {
        run_in(node, program, "-t nat -A POSTROUTING -o docker0 -j RETURN");
        run_in(node, program, "-A FORWARD -i docker0 -j ACCEPT");
    }
    let before = saved(node);
    for program in PROGRAMS {
        put_flannels_rules(node, program);
    }
    put_flannels_tables(node);
    before
}

fn saved(node: &Node) -> Vec<String> {
    let rules = |program: &&str| run_in(node, program, "-S") + &run_in(node, program, "-t nat -S");
    PROGRAMS.iter().map(rules).collect()
}

#[test]
fn what_flannel_left_goes_at_take_over_and_what_is_others_stays() {
    let network = nodes(Stack::Dual, VXLAN);
    let node = network.node();
    let before = put_everything_of_flannel(node);
    let mut daemon = node.start(&network.command().args(&["--ip-masq"])).unwrap();
    daemon.wait_ready(READY).unwrap();
    eventually("flannel's rules are gone", READY, || saved(node) == before).unwrap();
    let tables = nft(node, "list tables");
    assert!(
        !tables.contains("flannel") && tables.contains("inet twill"),
        "{tables}"
    );
}

#[test]
fn cleanup_removes_what_flannel_left_and_a_dry_run_names_it() {
    let network = nodes(Stack::Dual, VXLAN);
    let node = network.node();
    let before = put_everything_of_flannel(node);
    let (with_flannel, command) = (saved(node), network.command());
    let dry = node
        .twill_says(&command, &["cleanup", "--dry-run"])
        .unwrap();
    for part in [
        "would remove flannel's nftables chain ip nat FLANNEL-POSTRTG",
        "would remove flannel's nftables table ip6 flannel-ipv6",
        "would remove flannel's rules from table nat of iptables-legacy",
        "would remove flannel's rules from table filter of ip6tables-legacy",
    ] {
        assert!(dry.contains(part), "{part} not in {dry}");
    }
    assert_eq!(saved(node), with_flannel);
    node.twill_says(&command, &["cleanup"]).unwrap();
    assert_eq!(saved(node), before);
    assert!(!nft(node, "list tables").contains("flannel"));
}

#[test]
fn a_daemon_without_masquerade_takes_back_what_one_with_it_put() {
    let mut network = network(Stack::V4, &["--ip-masq"]);
    network.daemons[0].terminate().unwrap();
    assert!(
        nft(network.node(), "list ruleset").contains("masquerade"),
        "exit changes nothing"
    );
    let node = network.node();
    let mut next = node.start(&network.command()).unwrap();
    next.wait_ready(READY).unwrap();
    assert!(!nft(node, "list ruleset").contains("masquerade"));
    let flags = ["--tunnel-guard=false"];
    next.terminate().unwrap();
    let mut last = node.start(&network.command().args(&flags)).unwrap();
    last.wait_ready(READY).unwrap();
    assert_eq!(nft(node, "list ruleset"), "");
}
