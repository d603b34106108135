//! A peer that says anything at all.

use std::net::SocketAddr;
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;

use super::net::*;
use crate::ident::{Asn, RouterId};
use crate::peer::ConnId;
use crate::speaker::{Event, Input, Output, Speaker};
use crate::wire::{
    AsPath, Attributes, Capabilities, NextHop, Open, Refresh, RefreshKind, encode_announce,
    encode_end_of_rib, encode_keepalive, encode_open, encode_refresh, encode_withdraw,
};

const CONN: ConnId = ConnId(1);

/// A speaker with an external peer whose session is up.
#[allow(
    clippy::disallowed_methods,
    reason = "tests need some instant to begin with"
)]
fn speaker() -> (Speaker, Instant) {
    let now = Instant::now();
    let mut config = config(1, 65001, &[(2, 65002)]);
    config
        .peers
        .values_mut()
        .for_each(|peer| peer.passive = true);
    let mut speaker = Speaker::new(config, false, 1, now);
    let end = |n| SocketAddr::from((address(n), 179));
    speaker.handle_input(
        Input::Accepted {
            conn: CONN,
            local: end(1),
            remote: end(2),
        },
        now,
    );
    let capabilities = Capabilities {
        families: crate::Families::BOTH,
        route_refresh: true,
        enhanced_refresh: true,
        four_octet_as: Some(Asn(65002)),
        ..Capabilities::default()
    };
    let open = Open {
        asn: Asn(65002),
        hold_time: 90,
        router_id: RouterId(address(2)),
        capabilities,
    };
    speaker.handle_input(Input::Bytes(CONN, &encode_open(&open)), now);
    speaker.handle_input(Input::Bytes(CONN, &encode_keepalive()), now);
    (speaker, now)
}

/// Octets that go out on the connection, none of which the peer takes.
fn drain(speaker: &mut Speaker) -> usize {
    let outputs = std::iter::from_fn(|| speaker.poll_output());
    let sent = outputs.map(|output| {
        if let Output::Send(_, bytes) = output {
            bytes.len()
        } else {
            0
        }
    });
    sent.sum()
}

fn announcement(n: u8) -> Vec<u8> {
    let hop = NextHop::V4(address(2));
    let said = Attributes {
        as_path: AsPath::of(&[Asn(65002), Asn(n.into())]),
        ..Attributes::originated(hop)
    };
    let rules = crate::wire::Rules {
        peering: crate::Peering::External,
        peer_asn: Asn(65001),
        enforce_first_as: true,
        four_octet_as: true,
        families: crate::Families::BOTH,
        extended_next_hop: false,
        max_message: 4096,
    };
    let net = crate::Prefix4::new([10, n, 0, 0].into(), 16).unwrap();
    let mut out = Vec::new();
    encode_announce(&said, &[net], &rules, &mut out).unwrap();
    encode_withdraw(&[net], &rules, &mut out);
    encode_announce(&said, &[net], &rules, &mut out).unwrap();
    out
}

fn framed() -> impl Strategy<Value = Vec<u8>> {
    (0..7_u8, vec(any::<u8>(), 0..80)).prop_map(|(kind, body)| {
        let mut message = vec![0xff; 16];
        message.extend_from_slice(&(19 + body.len() as u16).to_be_bytes());
        message.push(kind);
        message.extend_from_slice(&body);
        message
    })
}

fn bent() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(n, at, value)| {
        let mut message = announcement(n);
        // The header stays: what is behind it is the harder part.
        let at = 19 + at.index(message.len() - 19);
        message[at] = value;
        message
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_peer_says_ends_its_session_at_most(
        said in vec(prop_oneof![3 => bent(), 2 => any::<u8>().prop_map(announcement), 1 => framed()], 1..20),
        cut in 1..64_usize,
    ) {
        let (mut speaker, now) = speaker();
        for piece in said.concat().chunks(cut) {
            speaker.handle_input(Input::Bytes(CONN, piece), now);
            drain(&mut speaker);
        }
        speaker.handle_timeout(now + seconds(1000));
        drain(&mut speaker);
    }
}

#[test]
fn asking_without_end_costs_one_walk_at_a_time() {
    let (mut speaker, now) = speaker();
    drain(&mut speaker);
    let request = encode_refresh(Refresh {
        family: crate::Family::Ipv4,
        kind: RefreshKind::Request,
    });
    speaker.handle_input(
        Input::Originate([(prefix("192.0.2.0/24"), Default::default())].into()),
        now,
    );
    let mut sent = 0;
    for _ in 0..100_000 {
        speaker.handle_input(Input::Bytes(CONN, &request), now);
        sent += drain(&mut speaker);
    }
    let (prefixes, octets) = speaker.peers(now).next().unwrap().waiting;
    assert!(
        sent < 600_000 && prefixes == 0 && octets < 1000,
        "{sent} {octets}"
    );
}

#[test]
fn marking_without_end_makes_nothing_stale_the_second_time() {
    let (mut speaker, now) = speaker();
    speaker.handle_input(Input::Bytes(CONN, &announcement(1)), now);
    let mark = |kind| {
        encode_refresh(Refresh {
            family: crate::Family::Ipv4,
            kind,
        })
    };
    let refreshed = [
        mark(RefreshKind::Begin),
        announcement(1),
        mark(RefreshKind::End),
    ]
    .concat();
    speaker.handle_input(Input::Bytes(CONN, &refreshed), now);
    assert!(speaker.explain(prefix("10.1.0.0/16")).is_some());
    let empty = [mark(RefreshKind::Begin), mark(RefreshKind::End)].concat();
    speaker.handle_input(Input::Bytes(CONN, &empty), now);
    assert!(speaker.explain(prefix("10.1.0.0/16")).is_some());
    speaker.handle_input(Input::Bytes(CONN, &empty), now + seconds(10));
    assert!(speaker.explain(prefix("10.1.0.0/16")).is_none());
}

#[test]
fn what_a_peer_said_is_installed_before_it_is_told_that_this_was_all() {
    let (mut speaker, now) = speaker();
    drain(&mut speaker);
    let said = [announcement(1), encode_end_of_rib(crate::Family::Ipv4)].concat();
    speaker.handle_input(Input::Bytes(CONN, &said), now);
    let outputs: Vec<_> = std::iter::from_fn(|| speaker.poll_output()).collect();
    let at = |wanted: fn(&Output) -> bool| outputs.iter().position(wanted).unwrap();
    let installed = at(|output| matches!(output, Output::Routes(_)));
    assert!(installed < at(|output| matches!(output, Output::Event(Event::Synced(..)))));
}
