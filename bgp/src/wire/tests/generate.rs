//! Well-formed attributes and routes by chance.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::ident::{Asn, RouterId};
use crate::prefix::{Prefix4, Prefix6};
use crate::wire::{
    Aggregator, AsPath, Attributes, Community, ExtendedCommunity, LargeCommunity, NextHop, Origin,
    Unknown,
};

pub(crate) fn prefix4() -> impl Strategy<Value = Prefix4> {
    (any::<u32>(), 0..=32_u8)
        .prop_map(|(a, len)| Prefix4::new(Ipv4Addr::from_bits(a), len).unwrap())
}

pub(crate) fn prefix6() -> impl Strategy<Value = Prefix6> {
    (any::<u128>(), 0..=128_u8)
        .prop_map(|(a, len)| Prefix6::new(Ipv6Addr::from_bits(a), len).unwrap())
}

fn as_path() -> impl Strategy<Value = AsPath> {
    vec(1..u32::MAX, 0..300).prop_map(|asns| {
        let asns: Vec<Asn> = std::iter::once(65010).chain(asns).map(Asn).collect();
        AsPath::of(&asns)
    })
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items.dedup();
    items
}

fn communities()
-> impl Strategy<Value = (Vec<Community>, Vec<LargeCommunity>, Vec<ExtendedCommunity>)> {
    (
        vec(any::<u32>().prop_map(Community), 0..70).prop_map(sorted),
        vec(any::<[u32; 3]>().prop_map(LargeCommunity), 0..4).prop_map(sorted),
        vec(any::<[u8; 8]>().prop_map(ExtendedCommunity), 0..4).prop_map(sorted),
    )
}

/// Attributes that an internal peer may send.
pub(crate) fn attributes() -> impl Strategy<Value = Attributes> {
    let origin = prop_oneof![
        Just(Origin::Igp),
        Just(Origin::Egp),
        Just(Origin::Incomplete)
    ];
    let id = any::<u32>().prop_map(RouterId::from_bits);
    let aggregator = (1..u32::MAX, id.clone()).prop_map(|(asn, router_id)| Aggregator {
        asn: Asn(asn),
        router_id,
    });
    let unknown = vec((200..=255_u8, vec(any::<u8>(), 0..300)), 0..2).prop_map(|all| {
        let all = all.into_iter().map(|(code, value)| Unknown {
            code,
            value: value.into(),
        });
        let mut all = sorted(all.collect::<Vec<_>>());
        all.dedup_by_key(|u| u.code);
        all
    });
    let numbers = (
        option::of(any::<u32>()),
        any::<u32>(),
        any::<bool>(),
        option::of(aggregator),
    );
    let reflected = (option::of(id), vec(any::<u32>(), 0..3));
    (
        as_path(),
        origin,
        numbers,
        communities(),
        reflected,
        unknown,
    )
        .prop_map(
            |(
                as_path,
                origin,
                (med, local_pref, atomic_aggregate, aggregator),
                communities,
                reflected,
                unknown,
            )| Attributes {
                as_path,
                origin,
                med,
                local_pref: Some(local_pref),
                atomic_aggregate,
                aggregator,
                communities: communities.0,
                large_communities: communities.1,
                extended_communities: communities.2,
                originator_id: reflected.0,
                cluster_list: reflected.1,
                unknown,
                ..Attributes::originated(NextHop::V4(Ipv4Addr::new(10, 99, 0, 10)))
            },
        )
}
