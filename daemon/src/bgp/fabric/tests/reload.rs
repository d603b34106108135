//! Other settings, and peers that are no more.

use bgp::speaker::PeerConfig;

use super::*;
use crate::config::{NodeFilter, PeerChoice, Secret, TcpChoice, Ttl};

/// A mesh in which the settings name the node 2 as a peer.
fn naming_two() -> BgpChoice {
    let mut peer = PeerConfig::new(address(2), bgp::Asn(64_512));
    peer.import = bgp::policy::Import::Policy(bgp::policy::Policy::everything());
    let one = PeerChoice {
        name: "two".into(),
        on: NodeFilter::default(),
        tcp: TcpChoice {
            port: 179,
            source: None,
            key: None,
            key_file: None,
            ttl: Ttl::Hops(64),
        },
        peer,
    };
    BgpChoice {
        peers: vec![one],
        ..BgpChoice::default()
    }
}

/// Three nodes, of which the first knows the second from its settings.
fn three() -> World {
    let mut world = World::mesh(&[1, 2, 3]);
    world.tell(1, Input::Choice(Arc::new(naming_two())));
    world.pass(Duration::from_secs(10));
    world.at(1).names.clear();
    world
}

/// The peers of node 1 whose session went.
fn downs(world: &mut World) -> Vec<String> {
    let told = world.at(1).names.iter();
    let downs = told.filter(|(_, event)| matches!(event, Event::Down { .. }));
    downs.map(|(name, _)| name.clone()).collect()
}

fn is_up(world: &mut World, name: &str) -> bool {
    let now = world.now;
    let speaker = world.at(1).fabric.speaker();
    let found = speaker.peers(now).find(|peer| peer.name.0 == name);
    found.is_some_and(|peer| peer.session.is_some())
}

#[test]
fn another_key_of_one_peer_resets_the_session_with_it_and_no_other() {
    let mut world = three();
    let mut choice = naming_two();
    choice.peers[0].tcp.key = Some(Secret::from("secret".to_owned()));
    world.tell(1, Input::Choice(Arc::new(choice)));
    world.pass(Duration::from_secs(10));
    assert_eq!(downs(&mut world), ["two"]);
    assert!(is_up(&mut world, "two"));
}

#[test]
fn another_key_of_a_peer_that_is_shut_down_makes_no_session() {
    let mut world = three();
    let mut choice = naming_two();
    choice.peers[0].peer.shutdown = Some("new cable".into());
    world.tell(1, Input::Choice(Arc::new(choice.clone())));
    choice.peers[0].tcp.key = Some(Secret::from("secret".to_owned()));
    world.tell(1, Input::Choice(Arc::new(choice)));
    world.pass(Duration::from_secs(10));
    assert!(!is_up(&mut world, "two"));
}

#[test]
fn another_key_of_the_mesh_resets_its_sessions_and_no_other() {
    let mut world = three();
    let choice = BgpChoice {
        key: Some(Secret::from("secret".to_owned())),
        ..naming_two()
    };
    world.tell(1, Input::Choice(Arc::new(choice)));
    world.pass(Duration::from_secs(10));
    assert_eq!(downs(&mut world), ["node3"]);
}

#[test]
fn other_timers_policies_and_ports_reset_nobody() {
    let mut world = three();
    let mut choice = naming_two();
    (choice.hold_time, choice.sync_time) = (30, Duration::from_secs(7));
    (choice.restart_time, choice.helper_time) = (choice.sync_time, choice.sync_time);
    choice.max_paths = 1;
    choice.announce = [("10.96.0.0/16".parse().unwrap(), Default::default())].into();
    choice.peers[0].tcp.port = 1790;
    choice.peers[0].peer.hold_time = 60;
    choice.peers[0].peer.import = bgp::policy::Import::Unset;
    choice.peers[0].peer.export = None;
    choice.peers[0].peer.max_prefixes = Some(bgp::speaker::MaxPrefixes {
        limit: 10,
        warn: 8,
        restart: None,
    });
    world.tell(1, Input::Choice(Arc::new(choice)));
    world.pass(Duration::from_secs(10));
    assert_eq!(downs(&mut world), [""; 0]);
    assert_eq!(
        world.at(1).routes(),
        routes(&[("10.244.3.0/24", &[3])]),
        "nothing is taken from the second"
    );
}

#[test]
fn a_peer_that_is_no_more_is_not_connected_to_and_its_name_is_forgotten() {
    let mut world = World::mesh(&[1, 2]);
    let lease = remote(9, &local(1));
    world.tell(1, Input::Leases(vec![(block(9), Some(lease))]));
    let id = {
        let known = world.at(1).fabric.speaker();
        known.peer_named(&PeerName("node9".into())).unwrap()
    };
    world.tell(1, Input::Leases(vec![(block(9), None)]));
    assert_eq!(world.at(1).given_up, [id]);
    assert_eq!(world.at(1).fabric.names.get(&id), None);
}

/// What is told of the peer of before is told of it by its name, though its number means another at that time.
#[test]
fn a_number_that_is_given_away_in_the_same_breath_names_both_peers() {
    let mut world = World::mesh(&[1, 2]);
    let lease = remote(3, &local(1));
    world.tell(
        1,
        Input::Leases(vec![(block(2), None), (block(3), Some(lease))]),
    );
    let told = world.at(1).names.clone();
    let of = |what: fn(&Event) -> bool| {
        let found = told.iter().rev().find(|(_, event)| what(event));
        found.map(|(name, event)| (name.clone(), event.peer()))
    };
    let gone = of(|event| matches!(event, Event::Forgotten(..))).unwrap();
    let new = of(|event| matches!(event, Event::Known(..))).unwrap();
    assert_eq!((gone.0.as_str(), new.0.as_str()), ("node2", "node3"));
    assert_eq!(gone.1, new.1);
}
