use super::net::*;
use crate::policy::AnyCommunity;
use crate::speaker::outbox::{MOST_QUEUED, WINDOW};
use crate::speaker::{Input, Origination};
use crate::wire::Community;

fn many(
    n: u32,
    from: u32,
) -> std::collections::BTreeMap<crate::Prefix, crate::speaker::Origination> {
    let net = |i: u32| {
        crate::Prefix::new(
            std::net::Ipv4Addr::from_bits((20 << 24) + (i << 8)).into(),
            24,
        )
        .unwrap()
    };
    (from..from + n)
        .map(|i| (net(i), Default::default()))
        .collect()
}

#[test]
fn a_peer_that_takes_nothing_delays_nobody_and_is_told_the_present_state_later() {
    let mut net = Net::new(vec![
        (1, config(1, 65001, &[(2, 65002), (3, 65003)])),
        (2, config(2, 65002, &[(1, 65001)])),
        (3, config(3, 65003, &[(1, 65001)])),
    ]);
    net.settle();
    net.stuck = vec![3];
    net.input(1, Input::Originate(many(2000, 0)));
    net.settle();
    net.input(1, Input::Originate(many(100, 0)));
    net.settle();
    assert_eq!(
        (net.nodes[&2].kernel.len(), net.nodes[&3].kernel.len()),
        (100, 0)
    );
    net.stuck.clear();
    net.cut(1, 3);
    net.pass(seconds(5));
    assert_eq!(net.nodes[&3].kernel.len(), 100);
}

/// Routes that need a message of nearly 4,096 octets each.
fn bulky(
    n: u32,
    round: u32,
) -> std::collections::BTreeMap<crate::Prefix, crate::speaker::Origination> {
    let communities = (0..950).map(|c| AnyCommunity::Standard(Community(c)));
    let said = |med| Origination {
        med: Some(med),
        local_pref: None,
        communities: communities.clone().collect(),
    };
    many(n, 0)
        .into_keys()
        .zip(0..)
        .map(|(net, i)| (net, said(round * n + i)))
        .collect()
}

#[test]
fn what_a_stuck_peer_costs_is_bounded() {
    let mut net = Net::new(vec![
        (1, config(1, 65001, &[(2, 65002)])),
        (2, config(2, 65002, &[(1, 65001)])),
    ]);
    net.settle();
    net.stuck = vec![2];
    for round in 0..20 {
        net.input(1, Input::Originate(bulky(50, round)));
        net.settle();
    }
    let sent = net.nodes[&1].sent[&2];
    let (prefixes, octets) = net.nodes[&1].speaker.peers(net.now).next().unwrap().waiting;
    assert!(prefixes > 0 && prefixes <= 50, "{prefixes}");
    assert!(octets <= MOST_QUEUED + 300_000, "{octets}");
    assert!(sent <= WINDOW + 300_000, "{sent}");
}
