//! Whatever is written reads back; whatever comes is read without panic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::generate::{attributes, prefix4, prefix6};
use super::{EXTERNAL, INTERNAL};
use crate::wire::{
    Attributes, HEADER, Kind, MAX_EXTENDED, MAX_MESSAGE, NextHop, Open, Prefixes, Rules, Update,
    decode_message, decode_update, encode_announce, encode_withdraw, frame,
};

/// Reads all messages in the bytes as UPDATEs.
fn read_all(mut bytes: &[u8], rules: &Rules) -> Vec<Update> {
    let mut updates = Vec::new();
    while let Some((kind, length)) = frame(bytes, rules.max_message).unwrap() {
        assert_eq!(kind, Kind::Update);
        updates.push(decode_update(&bytes[HEADER..length], rules).unwrap());
        bytes = &bytes[length..];
    }
    assert_eq!(bytes, &[] as &[u8]);
    updates
}

fn announced(updates: Vec<Update>, attributes: &Attributes) -> Vec<Prefixes> {
    let all = updates.into_iter().flat_map(|update| {
        assert_eq!(update.faults, []);
        update.announced
    });
    all.map(|a| {
        assert_eq!(&a.attributes, attributes);
        a.prefixes
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ipv4_routes_read_back_as_they_are_packed(attributes in attributes(), nets in vec(prefix4(), 1..3000)) {
        for max_message in [MAX_MESSAGE, MAX_EXTENDED] {
            let rules = Rules { max_message, ..INTERNAL };
            let mut out = Vec::new();
            encode_announce(&attributes, &nets, &rules, &mut out).unwrap();
            let read = announced(read_all(&out, &rules), &attributes);
            let read: Vec<_> = read.iter().flat_map(Prefixes::iter).collect();
            prop_assert_eq!(read, nets.iter().map(|n| (*n).into()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn ipv6_routes_read_back_as_they_are_packed(mut attributes in attributes(), nets in vec(prefix6(), 1..500)) {
        attributes.next_hop = NextHop::V6("fd99::10".parse().unwrap(), Some("fe80::10".parse().unwrap()));
        let mut out = Vec::new();
        encode_announce(&attributes, &nets, &INTERNAL, &mut out).unwrap();
        let read = announced(read_all(&out, &INTERNAL), &attributes);
        let read: Vec<_> = read.iter().flat_map(Prefixes::iter).collect();
        prop_assert_eq!(read, nets.iter().map(|n| (*n).into()).collect::<Vec<_>>());
    }

    #[test]
    fn a_speaker_with_two_octets_passes_the_path_on_unharmed(attributes in attributes()) {
        let rules = Rules { four_octet_as: false, ..INTERNAL };
        let mut out = Vec::new();
        encode_announce(&attributes, &["10.0.0.0/8".parse::<crate::Prefix>().unwrap()].map(|p| match p {
            crate::Prefix::V4(p) => p,
            crate::Prefix::V6(_) => unreachable!(),
        }), &rules, &mut out).unwrap();
        announced(read_all(&out, &rules), &attributes);
    }

    #[test]
    fn withdrawals_read_back_as_they_are_packed(v4 in vec(prefix4(), 1..2000), v6 in vec(prefix6(), 1..500)) {
        let mut out = Vec::new();
        encode_withdraw(&v4, &EXTERNAL, &mut out);
        encode_withdraw(&v6, &EXTERNAL, &mut out);
        let read: Vec<_> = read_all(&out, &EXTERNAL).into_iter().flat_map(|u| u.withdrawn).collect();
        let read: Vec<_> = read.iter().flat_map(Prefixes::iter).collect();
        let sent = v4.iter().map(|n| (*n).into()).chain(v6.iter().map(|n| (*n).into()));
        prop_assert_eq!(read, sent.collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = frame(&bytes, MAX_MESSAGE);
        let _ = Open::decode(&bytes);
        for kind in [Kind::Open, Kind::Update, Kind::Notification, Kind::Keepalive, Kind::RouteRefresh] {
            for rules in [EXTERNAL, INTERNAL, Rules { four_octet_as: false, extended_next_hop: true, ..EXTERNAL }] {
                let _ = decode_message(kind, &bytes, &rules);
            }
        }
    }

    #[test]
    fn a_well_formed_update_with_some_octets_changed_makes_no_panic_either(
        attributes in attributes(),
        nets in vec(prefix4(), 1..20),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut out = Vec::new();
        encode_announce(&attributes, &nets, &INTERNAL, &mut out).unwrap();
        let mut body = out[HEADER..].to_vec();
        for (at, value) in changes {
            let at = at.index(body.len());
            body[at] = value;
        }
        let _ = decode_update(&body, &INTERNAL);
        let _ = decode_update(&body[..cut.index(body.len())], &EXTERNAL);
    }
}

#[test]
fn attributes_that_leave_no_room_are_refused_and_nothing_is_written() {
    let mut attributes = Attributes::originated(NextHop::V4([10, 99, 0, 10].into()));
    attributes.communities = (0..1100).map(crate::wire::Community).collect();
    let Ok(crate::Prefix::V4(net)) = "10.0.0.0/8".parse() else {
        unreachable!()
    };
    let mut out = Vec::new();
    let refused = encode_announce::<crate::Prefix4>(&attributes, &[net], &EXTERNAL, &mut out);
    assert_eq!(refused.unwrap_err().limit, 4096);
    assert_eq!(out, []);
    let long = Rules {
        max_message: MAX_EXTENDED,
        ..EXTERNAL
    };
    assert!(encode_announce::<crate::Prefix4>(&attributes, &[net], &long, &mut out).is_ok());
}
