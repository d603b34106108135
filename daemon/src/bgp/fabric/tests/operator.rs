//! What an operator sees and has done.

use super::*;
use crate::bgp::orders;
use crate::config::{PeerChoice, TcpChoice, Ttl};
use crate::control::Order;

/// The settings with a peer that is shut, which bears the name of a node and the address of another.
fn with_peer(name: &str, number: u8) -> BgpChoice {
    let mut peer = speaker::PeerConfig::new(address(number), bgp::Asn(64_512));
    peer.shutdown = Some("new cable".into());
    let tcp = TcpChoice {
        port: 179,
        source: None,
        key: None,
        key_file: None,
        ttl: Ttl::Hops(64),
    };
    BgpChoice {
        peers: vec![PeerChoice {
            name: name.into(),
            on: Default::default(),
            tcp,
            peer,
        }],
        ..BgpChoice::default()
    }
}

fn order(world: &mut World, order: &Order) -> Result<String, String> {
    let now = world.now;
    let done = orders::carry_out(order, &mut world.at(1).fabric, now);
    world.settle();
    done
}

fn reset(peer: &str) -> Order {
    let (peer, reason) = (peer.to_owned(), "new cable".to_owned());
    Order::Reset { peer, reason }
}

fn refresh(peer: &str) -> Order {
    Order::Refresh {
        peer: peer.to_owned(),
        ask: true,
        tell: true,
    }
}

#[test]
fn an_order_for_nobody_says_who_there_is() {
    let mut world = World::mesh(&[1, 2, 3]);
    for nobody in [reset("node9"), refresh("node9")] {
        assert_eq!(
            order(&mut world, &nobody).unwrap_err(),
            "no BGP peer is called \"node9\"; there are node2, node3"
        );
    }
    let many: Vec<u8> = (1..=20).collect();
    let mut world = World::mesh(&many);
    let why = order(&mut world, &reset("\u{1b}[2J")).unwrap_err();
    assert!(
        why.contains("and 7 more") && !why.contains('\u{1b}'),
        "{why}"
    );
}

#[test]
fn a_reset_tells_the_reason_begins_a_session_and_touches_nobody_else() {
    let mut world = World::mesh(&[1, 2, 3]);
    let done = order(&mut world, &reset("node2")).unwrap();
    assert_eq!(
        done,
        "the session with node2 is ended after 0 s, the peer is told \"new cable\"; connecting"
    );
    world.pass(Duration::from_secs(5));
    let sessions = |world: &mut World, number: u8, peer: &str| {
        let fabric = &world.at(number).fabric;
        let id = fabric.named(peer).unwrap();
        let past = fabric.past(id).unwrap().clone();
        (past.ups, past.trouble.map(|(why, _)| why))
    };
    let told = "the peer ended it: 6/4 administrative reset: \"new cable\"";
    assert_eq!(sessions(&mut world, 2, "node1"), (2, Some(told.to_owned())));
    assert_eq!(sessions(&mut world, 1, "node3"), (1, None));
    assert_eq!(world.at(1).routes().len(), 2);
}

#[test]
fn what_cannot_be_done_is_refused_with_a_way_out() {
    let mut world = World::with(&[1, 2], with_peer("tor", 9));
    let why = order(&mut world, &reset("tor")).unwrap_err();
    assert!(why.contains("shut down by the settings"), "{why}");
    let why = order(&mut world, &refresh("tor")).unwrap_err();
    assert!(why.contains("no session with tor"), "{why}");
    let done = order(&mut world, &refresh("node2")).unwrap();
    assert!(
        done.starts_with("asked node2 for all its routes again; telling"),
        "{done}"
    );
}

#[test]
fn who_drains_is_the_last_choice_until_it_is_over() {
    let mut world = World::mesh(&[1, 2]);
    let heard = |world: &mut World| {
        let prefix = "10.244.1.0/24".parse().unwrap();
        let explained = world.at(2).fabric.speaker().explain(prefix).unwrap();
        explained.paths[0].attributes.local_pref
    };
    for (on, preference) in [(true, Some(0)), (false, Some(100))] {
        let done = order(&mut world, &Order::Drain { on }).unwrap();
        assert!(done.contains("1 at once"), "{done}");
        assert_eq!(heard(&mut world), preference);
        let again = order(&mut world, &Order::Drain { on }).unwrap();
        assert!(!again.contains("at once"), "{again}");
    }
}

#[test]
fn a_peer_of_the_settings_with_the_address_of_a_node_takes_its_place() {
    let mut world = World::with(&[1, 2, 3], with_peer("tor", 2));
    let fabric = &world.at(1).fabric;
    let id = fabric.named("tor").unwrap();
    let view = fabric.speaker().peer(id, Instant::now()).unwrap();
    assert!(matches!(fabric.kind(&view), Kind::Configured));
    assert!(fabric.named("node2").is_err() && fabric.named("node3").is_ok());
}

#[test]
fn a_peer_of_the_settings_with_the_name_of_a_node_keeps_it() {
    let mut world = World::with(&[1, 2], with_peer("node2", 9));
    let fabric = &world.at(1).fabric;
    assert!(fabric.named("node2").is_ok() && fabric.named("node2@10.99.0.2").is_ok());
    assert_eq!(world.at(1).routes(), routes(&[("10.244.2.0/24", &[2])]));
}
