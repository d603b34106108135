//! An independent codec, zettabgp, reads what ours writes, and ours reads what it writes, for what is well formed and within
//! what it supports. Why it is not the codec itself: docs/decisions/0010-own-bgp-codec.md.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;
use zettabgp::prelude::*;

use super::INTERNAL;
use super::generate::{attributes, prefix4, prefix6};
use crate::ident::Asn;
use crate::prefix::{Prefix4, Prefix6};
use crate::wire::{
    Attributes, Community, HEADER, NextHop, Open, Origin, Prefixes, decode_update, encode_announce,
};

/// IPv4 in the classic place, four-octet AS numbers, no guessing about path identifiers.
fn params() -> BgpSessionParams {
    let mut params = BgpSessionParams::new(
        65001,
        90,
        BgpTransportMode::IPv4,
        Ipv4Addr::new(10, 99, 0, 1),
        vec![],
    );
    params.fuzzy_pathid = false;
    params
}

fn theirs(message: &[u8]) -> BgpUpdateMessage {
    let mut update = BgpUpdateMessage::new();
    update.decode_from(&params(), &message[HEADER..]).unwrap();
    update
}

fn their_path(update: &BgpUpdateMessage) -> Vec<Asn> {
    let items = &update.get_attr_aspath().unwrap().value;
    let asns = items.iter().flat_map(|item| match item {
        BgpASitem::Seq(seq) => seq.value.iter().map(|a| Asn(a.value)),
        BgpASitem::Set(_) => panic!("no sets are sent"),
    });
    asns.collect()
}

fn check_attributes(update: &BgpUpdateMessage, ours: &Attributes) {
    assert_eq!(their_path(update), ours.as_path.iter().collect::<Vec<_>>());
    let communities: Vec<_> = update
        .get_attr_communitylist()
        .into_iter()
        .flat_map(|l| &l.value)
        .collect();
    assert_eq!(communities.len(), ours.communities.len());
    assert!(
        communities
            .iter()
            .zip(&ours.communities)
            .all(|(a, b)| a.value == b.0)
    );
    let large: Vec<_> = update
        .get_attr_largecommunitylist()
        .into_iter()
        .flat_map(|l| &l.value)
        .collect();
    assert!(
        large
            .iter()
            .zip(&ours.large_communities)
            .all(|(a, b)| [a.ga, a.ldp1, a.ldp2] == b.0)
    );
    for attribute in &update.attrs {
        match attribute {
            BgpAttrItem::MED(med) => assert_eq!(Some(med.value), ours.med),
            BgpAttrItem::LocalPref(pref) => assert_eq!(Some(pref.value), ours.local_pref),
            BgpAttrItem::Origin(origin) => assert_eq!(origin.value as u8, ours.origin as u8),
            _ => (),
        }
    }
}

/// What they support: no unknown attributes, no flags of one that is empty.
fn supported() -> impl Strategy<Value = Attributes> {
    attributes().prop_map(|attributes| Attributes {
        unknown: Vec::new(),
        ..attributes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn they_read_the_ipv4_routes_that_we_write(attributes in supported(), nets in vec(prefix4(), 1..200)) {
        let mut out = Vec::new();
        encode_announce(&attributes, &nets, &INTERNAL, &mut out).unwrap();
        let update = theirs(&out);
        check_attributes(&update, &attributes);
        prop_assert_eq!(update.get_attr_nexthop().unwrap().value, attributes.next_hop.address());
        let BgpAddrs::IPV4U(read) = update.updates else { panic!("{:?}", update.updates) };
        let read: Vec<_> = read.iter().map(|p| Prefix4::new(p.addr, p.prefixlen).unwrap()).collect();
        prop_assert_eq!(read, nets);
    }

    #[test]
    fn they_read_the_ipv6_routes_that_we_write(mut attributes in supported(), nets in vec(prefix6(), 1..100)) {
        attributes.next_hop = NextHop::V6("fd99::10".parse().unwrap(), None);
        let mut out = Vec::new();
        encode_announce(&attributes, &nets, &INTERNAL, &mut out).unwrap();
        let update = theirs(&out);
        check_attributes(&update, &attributes);
        let BgpAddrs::IPV6U(read) = &update.get_mpupdates().unwrap().addrs else { panic!("{update:?}") };
        let read: Vec<_> = read.iter().map(|p| Prefix6::new(p.addr, p.prefixlen).unwrap()).collect();
        prop_assert_eq!(read, nets);
    }

    #[test]
    fn we_read_the_routes_that_they_write(
        nets in vec(prefix4(), 1..100),
        path in vec(1..u32::MAX, 1..50),
        communities in vec(any::<u32>(), 1..20),
        (med, local_pref) in any::<(u32, u32)>(),
    ) {
        let mut update = BgpUpdateMessage::new();
        update.updates = BgpAddrs::IPV4U(nets.iter().map(|p| BgpAddrV4::new(p.address(), crate::Net::length(p))).collect());
        // Version 0.6.0 writes a sequence with the type of a set and a set with that of a sequence.
        let path: BTreeSet<u32> = path.into_iter().collect();
        let seq = BgpASset { value: path.iter().map(|a| BgpAS::new(*a)).collect() };
        let set: BTreeSet<BgpCommunity> = communities.iter().map(|c| BgpCommunity { value: *c }).collect();
        update.attrs = vec![
            BgpAttrItem::Origin(BgpOrigin::new(BgpAttrOrigin::Egp)),
            BgpAttrItem::ASPath(BgpASpath { value: vec![BgpASitem::Set(seq)] }),
            BgpAttrItem::NextHop(BgpNextHop::new(Ipv4Addr::new(10, 99, 0, 10).into())),
            BgpAttrItem::MED(BgpMED::new(med)),
            BgpAttrItem::LocalPref(BgpLocalpref::new(local_pref)),
            BgpAttrItem::CommunityList(BgpCommunityList { value: set.clone() }),
        ];
        let mut buffer = vec![0; 8192];
        let length = update.encode_to(&params(), &mut buffer).unwrap();
        let read = decode_update(&buffer[..length], &INTERNAL).unwrap();
        prop_assert_eq!(&read.faults, &[]);
        let announced = &read.announced[0];
        prop_assert_eq!(&announced.prefixes, &Prefixes::V4(nets));
        let ours = &announced.attributes;
        prop_assert_eq!(ours.as_path.iter().map(|a| a.0).collect::<Vec<_>>(), path.into_iter().collect::<Vec<_>>());
        prop_assert_eq!((ours.med, ours.local_pref, ours.origin), (Some(med), Some(local_pref), Origin::Egp));
        prop_assert_eq!(&ours.communities, &set.iter().map(|c| Community(c.value)).collect::<Vec<_>>());
    }
}

#[test]
fn we_read_their_open() {
    let caps = vec![
        BgpCapability::SafiIPv4u,
        BgpCapability::SafiIPv6u,
        BgpCapability::CapRR,
        BgpCapability::CapASN32(70_000),
    ];
    let mut buffer = vec![0; 4096];
    let mut theirs = BgpOpenMessage::new();
    (theirs.as_num, theirs.hold_time, theirs.caps) = (70_000, 30, caps);
    let length = theirs.encode_to(&params(), &mut buffer).unwrap();
    let open = Open::decode(&buffer[..length]).unwrap();
    assert_eq!((open.asn, open.hold_time), (Asn(70_000), 30));
    assert_eq!(open.capabilities.families, crate::Families::BOTH);
    assert!(open.capabilities.route_refresh);
}
