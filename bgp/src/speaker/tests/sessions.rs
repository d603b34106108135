use super::net::*;
use crate::peer::Next;
use crate::policy::Import;
use crate::session::Cause;
use crate::speaker::{Event, Input, ListenRange, MaxPrefixes};
use crate::wire::Cease;

fn told(event: &Event) -> Option<(u8, u8, Option<String>)> {
    match event {
        Event::Down {
            cause: Cause::TheySaid(why),
            ..
        } => Some((why.code, why.subcode, why.text())),
        _ => None,
    }
}

#[test]
fn a_mesh_comes_up_with_one_session_for_each_pair_and_nothing_goes_down() {
    let net = Net::mesh(5);
    for n in 1..=5 {
        assert_eq!(net.events(n, |e| matches!(e, Event::Up(_))), 4);
        assert_eq!(net.downs(n), 0);
        assert_eq!(net.nodes[&n].kernel.len(), 4);
    }
    assert_eq!(net.hops(1, "10.244.3.0/24"), ["10.99.0.3"]);
}

#[test]
fn a_stranger_is_turned_away_and_one_from_a_listen_range_is_a_peer_while_it_stays() {
    let stranger = || (2, config(2, 65002, &[(1, 65001)]));
    let mut net = Net::new(vec![(1, config(1, 65001, &[])), stranger()]);
    net.settle();
    assert_eq!(net.events(1, |e| matches!(e, Event::Stranger(_))), 1);

    let mut listening = config(1, 65001, &[]);
    listening.listen = vec![ListenRange {
        range: prefix("10.99.0.0/24"),
        peer: open_peer(0, 65002),
    }];
    let mut net = Net::new(vec![(1, listening), stranger()]);
    net.originate(2, &["192.0.2.0/24"]);
    net.settle();
    assert_eq!(net.hops(1, "192.0.2.0/24"), ["10.99.0.2"]);
    net.kill(2);
    assert_eq!(net.hops(1, "192.0.2.0/24"), [] as [&str; 0]);
    assert_eq!(net.nodes[&1].speaker.peers(net.now).count(), 0);
    assert_eq!(net.events(1, |e| matches!(e, Event::Forgotten(..))), 1);
}

#[test]
fn who_came_from_a_listen_range_follows_what_is_said_of_it_and_goes_with_it() {
    let mut listening = config(1, 65001, &[]);
    listening.listen = vec![ListenRange {
        range: prefix("10.99.0.0/24"),
        peer: open_peer(0, 65002),
    }];
    let stranger = (2, config(2, 65002, &[(1, 65001)]));
    let mut net = Net::new(vec![(1, listening.clone()), stranger]);
    net.originate(2, &["192.0.2.0/24"]);
    net.settle();
    listening.listen[0].peer.import = Import::Unset;
    net.input(1, Input::Reconfigure(Box::new(listening.clone())));
    net.settle();
    assert_eq!((net.nodes[&1].kernel.len(), net.downs(1)), (0, 0));
    listening.listen.clear();
    net.input(1, Input::Reconfigure(Box::new(listening)));
    net.settle();
    assert_eq!(net.downs(2), 1);
    assert_eq!(net.nodes[&1].speaker.peers(net.now).count(), 0);
}

#[test]
fn a_peer_that_is_shut_down_is_told_why_and_loses_its_routes() {
    let mut net = Net::mesh(2);
    let mut shut = open_peer(2, 65000);
    shut.shutdown = Some("disk swap".to_owned());
    net.input(1, Input::SetPeer(name(2), Box::new(shut)));
    net.settle();
    let told: Vec<_> = net.nodes[&2].events.iter().filter_map(told).collect();
    assert_eq!(
        told,
        [(6, Cease::HardReset as u8, Some("disk swap".to_owned()))]
    );
    assert_eq!(
        (net.nodes[&1].kernel.len(), net.nodes[&2].kernel.len()),
        (0, 0)
    );
    net.pass(seconds(300));
    assert_eq!(net.events(1, |e| matches!(e, Event::Up(_))), 1);
    net.input(1, Input::SetPeer(name(2), Box::new(open_peer(2, 65000))));
    net.settle();
    assert_eq!(net.nodes[&1].kernel.len(), 1);
}

#[test]
fn a_peer_above_its_limit_is_closed_and_comes_back_at_its_time() {
    let mut net = Net::mesh(2);
    let mut limited = open_peer(2, 65000);
    limited.max_prefixes = Some(MaxPrefixes {
        limit: 3,
        warn: 2,
        restart: Some(seconds(300)),
    });
    net.input(1, Input::SetPeer(name(2), Box::new(limited)));
    net.originate(2, &["10.244.2.0/24", "10.0.0.0/24", "10.0.1.0/24"]);
    net.settle();
    assert_eq!(net.events(1, |e| matches!(e, Event::ManyPrefixes(_, 3))), 1);
    assert_eq!(net.downs(1), 0);
    net.originate(
        2,
        &["10.244.2.0/24", "10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"],
    );
    net.settle();
    assert_eq!(
        net.events(1, |e| matches!(e, Event::TooManyPrefixes(_, 4))),
        1
    );
    assert_eq!(net.nodes[&1].kernel.len(), 0);
    net.originate(2, &["10.244.2.0/24"]);
    net.pass(seconds(200));
    assert_eq!(net.nodes[&1].kernel.len(), 0);
    net.pass(seconds(200));
    assert_eq!(net.nodes[&1].kernel.len(), 1);
}

#[test]
fn a_reset_ends_a_hold_after_too_many_prefixes_and_opens_no_peer_that_is_shut() {
    let mut net = Net::mesh(2);
    let mut limited = net.nodes[&1].config.peers[&name(2)].clone();
    limited.max_prefixes = Some(MaxPrefixes {
        limit: 1,
        warn: 0,
        restart: None,
    });
    net.input(1, Input::SetPeer(name(2), Box::new(limited.clone())));
    net.originate(2, &["10.244.2.0/24", "10.0.0.0/24"]);
    net.settle();
    let next = |net: &Net| net.nodes[&1].speaker.peers(net.now).next().unwrap().next;
    assert_eq!(next(&net), Next::Released(None));
    net.originate(2, &["10.244.2.0/24"]);
    net.input(1, Input::Reset(name(2), String::new()));
    net.pass(seconds(60));
    assert_eq!(net.nodes[&1].kernel.len(), 1);
    limited.shutdown = Some("disk swap".to_owned());
    net.input(1, Input::SetPeer(name(2), Box::new(limited)));
    net.input(1, Input::Reset(name(2), String::new()));
    net.pass(seconds(60));
    assert_eq!(next(&net), Next::Wanted);
    assert_eq!(net.nodes[&1].kernel.len(), 0);
}

#[test]
fn a_change_of_policy_limits_or_timers_and_new_peers_end_no_session() {
    let mut net = Net::mesh(3);
    let mut changed = net.nodes[&1].config.clone();
    for peer in changed.peers.values_mut() {
        peer.hold_time = 30;
        peer.export = Some(crate::policy::Policy::originated());
        peer.allow_own_as = 1;
        peer.max_prefixes = Some(MaxPrefixes {
            limit: 100,
            warn: 0,
            restart: None,
        });
    }
    changed.peers.insert(name(9), open_peer(9, 65000));
    changed.guard.protected = [prefix("10.250.0.0/16")].into_iter().collect();
    net.input(1, Input::Reconfigure(Box::new(changed)));
    net.pass(seconds(60));
    for n in 1..=3 {
        assert_eq!(net.downs(n), 0);
        assert_eq!(net.nodes[&n].kernel.len(), 2);
    }
}

#[test]
fn only_the_session_that_must_ends_when_the_settings_change() {
    let mut net = Net::mesh(3);
    let mut changed = net.nodes[&1].config.clone();
    changed.peers.get_mut(&name(2)).unwrap().families = crate::Families::IPV4;
    changed.peers.remove(&name(3));
    net.input(1, Input::Reconfigure(Box::new(changed)));
    net.pass(seconds(5));
    assert_eq!(net.downs(1), 2);
    assert_eq!(net.downs(2), 1);
    assert_eq!(
        net.nodes[&1]
            .kernel
            .keys()
            .map(|p| p.to_string())
            .collect::<Vec<_>>(),
        ["10.244.2.0/24"]
    );
    let told: Vec<_> = net.nodes[&3].events.iter().filter_map(told).collect();
    assert_eq!(told[0].0, 6);
}

#[test]
fn a_reset_by_an_operator_brings_a_new_session_and_keeps_the_routes_meanwhile() {
    let mut net = Net::mesh(2);
    net.input(1, Input::Reset(name(2), "try again".to_owned()));
    net.settle();
    assert_eq!(
        net.events(2, |e| told(e) == Some((6, 4, Some("try again".to_owned())))),
        1
    );
    net.pass(seconds(2));
    assert_eq!(
        (net.nodes[&1].kernel.len(), net.nodes[&2].kernel.len()),
        (1, 1)
    );
    assert_eq!(net.events(1, |e| matches!(e, Event::Up(_))), 2);
}

#[test]
fn who_stops_for_good_says_so_and_nobody_keeps_its_routes() {
    let mut net = Net::mesh(3);
    net.input(2, Input::Stop("decommissioned".to_owned()));
    net.settle();
    for n in [1, 3] {
        let told: Vec<_> = net.nodes[&n].events.iter().filter_map(told).collect();
        assert_eq!(
            told,
            [(6, Cease::HardReset as u8, Some("decommissioned".to_owned()))]
        );
        assert_eq!(net.nodes[&n].kernel.len(), 1);
    }
}
