//! Twill with each of the five: sessions, families, keys, timers.

use crate::scene::{Between, Pair, ROUTE, Scene, TWILL, peer};
use crate::{SOON, with_each};
use lab::{Namespace, eventually, output};
use netns_tests::peers::{Brand, Neighbour};
use netns_tests::raw_bgp::{RawPeer, RawSetup};
use std::time::Duration;

fn nothing(_: &mut Neighbour) {}

#[test]
fn routes_of_both_families_go_both_ways_over_ebgp() {
    with_each(Brand::ALL, |brand| {
        let mut pair = Pair::new(brand, &Between::default(), nothing);
        pair.is_up();
        pair.routes_go_both_ways();
        pair.speaker
            .announce("10.3.0.0/16".parse().unwrap())
            .unwrap();
        pair.scene.has("10.3.0.0/16", "10.99.0.2");
        pair.speaker
            .withdraw("10.3.0.0/16".parse().unwrap())
            .unwrap();
        pair.scene.has_not("10.3.0.0/16");
    });
}

#[test]
fn routes_of_both_families_go_both_ways_over_ibgp() {
    let between = Between {
        asn: 64_512,
        ..Between::default()
    };
    with_each(Brand::ALL, |brand| {
        let mut pair = Pair::new(brand, &between, nothing);
        pair.is_up();
        pair.routes_go_both_ways();
    });
}

#[test]
fn ipv6_goes_both_ways_over_ipv6() {
    let between = Between {
        over_ipv6: true,
        ..Between::default()
    };
    with_each(Brand::ALL, |brand| {
        let mut pair = Pair::new(brand, &between, nothing);
        pair.is_up();
        pair.routes_go_both_ways();
    });
}

#[test]
fn as_numbers_of_four_octets_are_understood() {
    let between = Between {
        own_as: 4_200_000_001,
        asn: 4_200_000_002,
        ..Between::default()
    };
    with_each(Brand::ALL, |brand| {
        let mut pair = Pair::new(brand, &between, nothing);
        pair.is_up();
        pair.routes_go_both_ways();
    });
}

#[test]
fn sessions_with_a_key_come_up() {
    with_each(Brand::ALL, |brand| {
        // Who has no key on its listening socket connects.
        let passive = !brand.listens_with_a_password();
        let between = Between {
            lines: format!("password = \"a-secret\"\npassive = {passive}"),
            ..Between::default()
        };
        let mut pair = Pair::new(brand, &between, |neighbour| {
            neighbour.password = Some("a-secret".into());
        });
        pair.is_up();
        pair.routes_go_both_ways();
    });
}

#[test]
fn a_peer_with_another_key_gets_no_session() {
    with_each([Brand::Bird, Brand::Frr], |brand| {
        let between = Between {
            lines: "password = \"a-secret\"".into(),
            ..Between::default()
        };
        let pair = Pair::new(brand, &between, |neighbour| {
            neighbour.password = Some("another".into());
        });
        let dropped =
            || md5_failures(pair.scene.node.namespace()) + md5_failures(&pair.other.namespace);
        eventually(
            "packets with a wrong key are dropped at both ends",
            SOON,
            || dropped() > 4,
        )
        .unwrap();
        assert!(!pair.scene.is_up("other") && !pair.speaker.is_up(TWILL));
    });
}

#[test]
fn sessions_with_ttl_security_come_up() {
    let between = Between {
        lines: "ttl-security = 1".into(),
        ..Between::default()
    };
    with_each(Brand::ALL, |brand| {
        let mut pair = Pair::new(brand, &between, |neighbour| neighbour.gtsm = true);
        pair.is_up();
        pair.routes_go_both_ways();
    });
}

#[test]
fn a_peer_that_may_be_further_away_gets_no_session_with_ttl_security() {
    let mut scene = Scene::new(&peer(
        "far",
        "10.99.0.2",
        65_002,
        "ttl-security = 1\npassive = true",
    ));
    scene.is_ready();
    let machine = scene.machine(2);
    let setup = RawSetup::new(machine.addresses.v4.unwrap().into(), TWILL, 65_002);
    // Its packets have the system's usual TTL, 64.
    let opened = RawPeer::open(&machine.namespace, &setup, Duration::from_millis(100));
    assert!(opened.is_err());
    assert!(!scene.is_up("far"));
}

#[test]
fn a_peer_that_asks_is_told_everything_again() {
    with_each(
        Brand::ALL
            .into_iter()
            .filter(|brand| brand.asks_for_a_refresh()),
        |brand| {
            let mut pair = Pair::new(brand, &Between::default(), nothing);
            pair.is_up();
            pair.routes_go_both_ways();
            let updates = || pair.speaker.updates_from(pair.twill).unwrap();
            let before = updates();
            pair.speaker.refresh(pair.twill).unwrap();
            eventually("it is told again", SOON, || updates() > before).unwrap();
            assert!(pair.scene.is_up("other") && pair.knows(pair.scene.blocks()[0]));
        },
    );
}

#[test]
fn a_peer_that_is_asked_tells_again_and_stays() {
    with_each(Brand::ALL, |brand| {
        let mut pair = Pair::new(brand, &Between::default(), nothing);
        pair.is_up();
        pair.routes_go_both_ways();
        pair.scene.says(&["bgp", "refresh", "other"]);
        pair.speaker
            .announce("10.3.0.0/16".parse().unwrap())
            .unwrap();
        pair.scene.has("10.3.0.0/16", "10.99.0.2");
        pair.routes_go_both_ways();
        assert!(pair.scene.is_up("other"));
    });
}

#[test]
fn a_peer_that_is_silent_for_the_hold_time_is_gone_and_comes_back() {
    let between = Between {
        lines: "hold-time = \"3s\"\ngraceful-restart = false".into(),
        ..Between::default()
    };
    with_each(Brand::ALL, |brand| {
        let mut pair = Pair::new(brand, &between, |neighbour| neighbour.hold_time = 3);
        pair.is_up();
        pair.routes_go_both_ways();
        pair.speaker.freeze().unwrap();
        pair.scene.has_not(ROUTE);
        assert!(!pair.scene.is_up("other"));
        pair.speaker.thaw().unwrap();
        pair.is_up();
        pair.routes_go_both_ways();
    });
}

/// The first packets of both connections are held back until both ends have sent theirs.
#[test]
fn two_ends_that_connect_at_once_end_with_one_session() {
    let between = Between {
        held: true,
        ..Between::default()
    };
    with_each(Brand::ALL, |brand| {
        let mut pair = Pair::new(brand, &between, nothing);
        let connecting = |namespace: &Namespace| sockets(namespace, "syn-sent") > 0;
        eventually("both ends connect", SOON, || {
            connecting(pair.scene.node.namespace()) && connecting(&pair.other.namespace)
        })
        .unwrap();
        pair.let_go();
        pair.is_up();
        pair.routes_go_both_ways();
        eventually("one connection is left", SOON, || {
            sockets(pair.scene.node.namespace(), "established") == 1
        })
        .unwrap();
        assert!(pair.scene.is_up("other"));
    });
}

/// How many TCP connections with port 179 are in this state.
fn sockets(namespace: &Namespace, state: &str) -> usize {
    let mut command = namespace.command("ss");
    command.args([
        "-H",
        "-t",
        "-n",
        "state",
        state,
        "( sport = :179 or dport = :179 )",
    ]);
    output(namespace, &mut command).unwrap().lines().count()
}

/// How many segments were dropped for their MD5 signature: wrong, missing or unexpected.
fn md5_failures(namespace: &Namespace) -> u64 {
    let text = namespace.run(|| std::fs::read_to_string("/proc/thread-self/net/netstat"));
    let text = text.unwrap().unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let named = names.split(' ').zip(values.split(' '));
    let md5 = named.filter(|(name, _)| name.starts_with("TCPMD5"));
    md5.filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
}
