use super::net::*;
use crate::family::Family;
use crate::speaker::{Event, Input, SyncedBy};
use crate::wire::{Refresh, RefreshKind, encode_end_of_rib, encode_refresh};

fn synced(net: &Net, at: u8, of: u8, by: SyncedBy) -> bool {
    let id = net.id(at, of);
    net.events(at, |event| *event == Event::Synced(id, Family::Ipv4, by)) > 0
}

#[test]
fn a_node_that_is_killed_and_comes_back_loses_no_route_on_either_side() {
    let mut net = Net::mesh(3);
    net.kill(2);
    net.pass(seconds(5));
    for n in [1, 3] {
        assert_eq!(net.nodes[&n].kernel.len(), 2, "kept while it is away");
    }
    net.revive(2);
    net.originate(2, &["10.244.2.0/24"]);
    net.settle();
    for n in 1..=3 {
        assert_eq!(net.nodes[&n].kernel.len(), 2);
    }
    assert!(synced(&net, 2, 1, SyncedBy::EndOfRib) && synced(&net, 1, 2, SyncedBy::EndOfRib));
}

#[test]
fn what_a_node_does_not_announce_any_more_after_its_restart_goes_with_its_end_of_rib() {
    let mut net = Net::mesh(2);
    net.originate(2, &["10.244.2.0/24", "10.96.0.0/16"]);
    net.settle();
    net.kill(2);
    assert_eq!(net.nodes[&1].kernel.len(), 2);
    net.revive(2);
    net.originate(2, &["10.244.2.0/24"]);
    net.settle();
    assert_eq!(net.nodes[&1].kernel.len(), 1);
}

#[test]
fn a_node_that_does_not_come_back_loses_its_routes_at_its_time_and_nobody_elses() {
    let mut net = Net::mesh(3);
    net.kill(2);
    net.pass(seconds(119));
    assert_eq!(net.nodes[&1].kernel.len(), 2);
    net.pass(seconds(2));
    assert_eq!(net.nodes[&1].kernel.len(), 1);
    assert!(synced(&net, 1, 2, SyncedBy::Timer));
}

#[test]
fn one_dead_peer_delays_neither_routes_nor_announcements_nor_anybody_elses_end_of_rib() {
    let mut net = Net::mesh(3);
    net.kill(2);
    net.kill(1);
    net.revive(1);
    net.originate(1, &["10.244.1.0/24"]);
    net.node(1).kernel.clear();
    net.settle();
    assert_eq!(net.hops(1, "10.244.3.0/24"), ["10.99.0.3"]);
    assert_eq!(net.hops(3, "10.244.1.0/24"), ["10.99.0.1"]);
    assert!(synced(&net, 1, 3, SyncedBy::EndOfRib));
    assert!(!synced(&net, 1, 2, SyncedBy::EndOfRib) && !synced(&net, 1, 2, SyncedBy::Timer));
    net.pass(seconds(121));
    assert!(synced(&net, 1, 2, SyncedBy::Timer));
}

#[test]
fn all_nodes_restarted_at_once_find_each_other_and_nothing_is_withdrawn() {
    let mut net = Net::mesh(4);
    for n in 1..=4 {
        net.node(n).alive = false;
    }
    for n in 1..=4 {
        net.revive(n);
        net.originate(n, &[&format!("10.244.{n}.0/24")]);
    }
    net.settle();
    net.pass(seconds(10));
    for n in 1..=4 {
        assert_eq!(net.nodes[&n].kernel.len(), 3);
        assert_eq!(net.downs(n), 0);
    }
}

#[test]
fn a_session_that_fails_again_before_end_of_rib_gives_up_what_was_stale() {
    let mut net = Net::mesh(2);
    net.originate(2, &["10.244.2.0/24", "10.96.0.0/16"]);
    net.settle();
    net.kill(2);
    net.stuck = vec![1];
    net.revive(2);
    net.originate(2, &["10.244.2.0/24"]);
    net.settle();
    assert_eq!(net.nodes[&1].kernel.len(), 2);
    net.stuck.clear();
    net.cut(1, 2);
    net.pass(seconds(5));
    assert_eq!(net.nodes[&1].kernel.len(), 1);
}

fn mark(kind: RefreshKind) -> Vec<u8> {
    let family = Family::Ipv4;
    encode_refresh(Refresh { family, kind })
}

#[test]
fn a_peer_that_dies_while_it_tells_all_again_keeps_what_it_had_not_come_to() {
    let mut net = Net::mesh(2);
    net.originate(2, &["10.244.2.0/24", "10.96.0.0/16"]);
    net.settle();
    net.say(2, 1, &mark(RefreshKind::Begin));
    net.kill(2);
    net.pass(seconds(5));
    assert_eq!(net.nodes[&1].kernel.len(), 2);
    net.revive(2);
    net.originate(2, &["10.244.2.0/24"]);
    net.settle();
    assert_eq!(net.nodes[&1].kernel.len(), 1);
}

/// Node 3 is told routes of node 1 by node 2, which has restarted and owes it End-of-RIB, since node 1 is not there.
fn end_of_rib_is_owed() -> Net {
    let mut net = Net::new(vec![
        (1, config(1, 65001, &[(2, 65002)])),
        (2, config(2, 65002, &[(1, 65001), (3, 65003)])),
        (3, config(3, 65003, &[(2, 65002)])),
    ]);
    net.originate(1, &["192.0.2.0/24"]);
    net.settle();
    net.kill(2);
    net.node(1).alive = false;
    net.revive(2);
    net.settle();
    assert_eq!(net.hops(3, "192.0.2.0/24"), ["10.99.0.2"]);
    net
}

#[test]
fn marks_of_a_refresh_take_nothing_away_before_end_of_rib() {
    let mut net = end_of_rib_is_owed();
    net.say(2, 3, &mark(RefreshKind::Begin));
    net.say(2, 3, &mark(RefreshKind::End));
    assert_eq!(net.hops(3, "192.0.2.0/24"), ["10.99.0.2"]);
    net.say(2, 3, &encode_end_of_rib(Family::Ipv4));
    assert_eq!(net.nodes[&3].kernel.len(), 0);
}

#[test]
fn who_owes_end_of_rib_tells_again_without_marks() {
    let mut net = end_of_rib_is_owed();
    net.input(3, Input::Refresh(name(2)));
    net.settle();
    assert!(net.nodes[&3].sent.contains_key(&5), "it was asked");
    assert!(!net.nodes[&2].sent.contains_key(&5), "it marked");
    assert_eq!(net.hops(3, "192.0.2.0/24"), ["10.99.0.2"]);
}

#[test]
fn end_of_rib_within_a_refresh_takes_nothing_away() {
    let mut net = Net::mesh(2);
    net.say(2, 1, &mark(RefreshKind::Begin));
    net.say(2, 1, &encode_end_of_rib(Family::Ipv4));
    assert_eq!(net.nodes[&1].kernel.len(), 1);
    net.say(2, 1, &mark(RefreshKind::End));
    assert_eq!(net.nodes[&1].kernel.len(), 0);
}

#[test]
fn without_graceful_restart_routes_go_with_the_session() {
    let without = |n: u8, asn, other: u8, other_asn| {
        let mut config = config(n, asn, &[(other, other_asn)]);
        config
            .peers
            .values_mut()
            .for_each(|peer| peer.graceful_restart = false);
        (n, config)
    };
    let mut net = Net::new(vec![
        without(1, 65001, 2, 65002),
        without(2, 65002, 1, 65001),
    ]);
    net.originate(2, &["192.0.2.0/24"]);
    net.settle();
    assert_eq!(net.nodes[&1].kernel.len(), 1);
    net.kill(2);
    assert_eq!(net.nodes[&1].kernel.len(), 0);
}

#[test]
fn who_passes_routes_on_says_end_of_rib_only_after_hearing_the_others_again() {
    let mut net = end_of_rib_is_owed();
    net.revive(1);
    net.originate(1, &["192.0.2.0/24"]);
    net.pass(seconds(40));
    assert_eq!(net.hops(3, "192.0.2.0/24"), ["10.99.0.2"]);
    assert!(synced(&net, 3, 2, SyncedBy::EndOfRib));
}

#[test]
fn a_silent_peer_is_given_up_after_the_hold_time_and_its_routes_are_kept_for_the_restart_time() {
    let mut net = Net::mesh(2);
    net.stuck = vec![1];
    net.node(2).alive = false;
    net.pass(seconds(91));
    assert_eq!(net.downs(1), 1);
    assert_eq!(net.nodes[&1].kernel.len(), 1);
    net.pass(seconds(121));
    assert_eq!(net.nodes[&1].kernel.len(), 0);
}
