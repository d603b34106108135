//! Each attribute by its own rules: RFC 7606 section 7 and the documents that came after.

use crate::bench::{Case, Expected, case};
use crate::raw::*;
use Expected::{Accept, Reset, Withdraw};

fn with(extra: &[u8]) -> Vec<u8> {
    update(&[], &[ORIGIN, PATH, HOP, extra], NET)
}

fn internal(name: &'static str, source: &'static str, extra: &[u8], expected: Expected) -> Case {
    let [origin, path, hop, preference] = INTERNAL_BASE;
    // A second LOCAL_PREF would be dropped, so the one to be judged takes its place.
    let first = if extra.get(1) == Some(&5) {
        &[]
    } else {
        preference
    };
    Case {
        internal: true,
        ..case(
            name,
            source,
            update(&[], &[origin, path, hop, first, extra], NET),
            expected,
        )
    }
}

pub fn origins() -> Vec<Case> {
    const S: &str = "RFC 7606 7.1";
    const FLAGS: &str = "RFC 7606 3 c";
    let origin = |bytes: &[u8]| update(&[], &[bytes, PATH, HOP], NET);
    vec![
        case("ORIGIN of no octet", S, origin(&[0x40, 1, 0]), Withdraw),
        case(
            "ORIGIN of two octets",
            S,
            origin(&[0x40, 1, 2, 0, 0]),
            Withdraw,
        ),
        case("ORIGIN 3", S, origin(&[0x40, 1, 1, 3]), Withdraw),
        case("ORIGIN 255", S, origin(&[0x40, 1, 1, 255]), Withdraw),
        case("ORIGIN optional", FLAGS, origin(&[0xc0, 1, 1, 0]), Withdraw),
        case(
            "ORIGIN non-transitive",
            FLAGS,
            origin(&[0x00, 1, 1, 0]),
            Withdraw,
        ),
        case(
            "ORIGIN partial",
            "RFC 4271 4.3",
            origin(&[0x60, 1, 1, 0]),
            Withdraw,
        ),
    ]
}

pub fn paths() -> Vec<Case> {
    const S: &str = "RFC 7606 7.2";
    let path = |value: &[u8]| update(&[], &[ORIGIN, &attribute(0x40, 2, value), HOP], NET);
    let peer = [0, 0, 0xfd, 0xf2];
    let segment = |kind: u8, asns: &[u32]| {
        let octets: Vec<u8> = asns.iter().flat_map(|asn| asn.to_be_bytes()).collect();
        [&[kind, asns.len() as u8], &octets[..]].concat()
    };
    let two = |a: Vec<u8>, b: &[u8]| path(&[&a, b].concat());
    let long = [
        segment(2, &[65010; 200]),
        segment(2, &[64901; 200]),
        segment(2, &[64902; 200]),
    ]
    .concat();
    let optional = update(
        &[],
        &[ORIGIN, &attribute(0xc0, 2, &segment(2, &[65010])), HOP],
        NET,
    );
    vec![
        case("AS_PATH optional", "RFC 7606 3 c", optional, Withdraw),
        case(
            "segment type 0",
            S,
            path(&[&[0, 1], &peer[..]].concat()),
            Withdraw,
        ),
        case(
            "segment type 5",
            S,
            path(&[&[5, 1], &peer[..]].concat()),
            Withdraw,
        ),
        case(
            "an empty segment",
            S,
            two(segment(2, &[65010]), &[2, 0]),
            Withdraw,
        ),
        case(
            "a segment that runs over",
            S,
            path(&[&[2, 255], &peer[..]].concat()),
            Withdraw,
        ),
        case(
            "one octet left",
            S,
            two(segment(2, &[65010]), &[2]),
            Withdraw,
        ),
        case(
            "two octets where four were agreed on",
            "RFC 6793 4.1",
            path(&[2, 1, 0xfd, 0xf2]),
            Withdraw,
        ),
        case(
            "AS 0",
            "RFC 7607 2",
            path(&segment(2, &[65010, 0])),
            Withdraw,
        ),
        case(
            "AS_SET",
            "RFC 9774 3",
            two(segment(2, &[65010]), &segment(1, &[65301, 65302])),
            Withdraw,
        ),
        case(
            "AS_CONFED_SEQUENCE",
            "RFC 5065 5",
            path(&segment(3, &[65010])),
            Withdraw,
        ),
        case(
            "AS_CONFED_SET",
            "RFC 5065 5",
            two(segment(2, &[65010]), &segment(4, &[65300])),
            Withdraw,
        ),
        case(
            "an empty path from an external peer",
            "RFC 4271 6.3",
            path(&[]),
            Withdraw,
        ),
        case(
            "a path that begins with another AS",
            "RFC 4271 6.3",
            path(&segment(2, &[64999, 65010])),
            Withdraw,
        ),
        case(
            "our AS in the path",
            "RFC 4271 9.1.2",
            path(&segment(2, &[65010, 65001, 64999])),
            Withdraw,
        ),
        case(
            "AS_TRANS in the path",
            "RFC 6793 3",
            path(&segment(2, &[65010, 23456])),
            Accept,
        ),
        case(
            "600 hops in three segments",
            "RFC 4271 4.3",
            path(&long),
            Accept,
        ),
    ]
}

pub fn next_hops() -> Vec<Case> {
    const S: &str = "RFC 7606 7.3";
    const HOST: &str = "RFC 4271 6.3";
    let hop = |value: &[u8]| update(&[], &[ORIGIN, PATH, &attribute(0x40, 3, value)], NET);
    let optional = update(
        &[],
        &[ORIGIN, PATH, &attribute(0xc0, 3, &[10, 99, 0, 10])],
        NET,
    );
    vec![
        case("NEXT_HOP optional", "RFC 7606 3 c", optional, Withdraw),
        case("NEXT_HOP of 3 octets", S, hop(&[10, 99, 0]), Withdraw),
        case(
            "NEXT_HOP of 5 octets",
            S,
            hop(&[10, 99, 0, 10, 0]),
            Withdraw,
        ),
        case("NEXT_HOP of none", S, hop(&[]), Withdraw),
        case("NEXT_HOP of 16 octets", S, hop(&HOP6), Withdraw),
        case("NEXT_HOP 0.0.0.0", HOST, hop(&[0; 4]), Withdraw),
        case("NEXT_HOP 127.0.0.1", HOST, hop(&[127, 0, 0, 1]), Withdraw),
        case("NEXT_HOP 224.0.0.1", HOST, hop(&[224, 0, 0, 1]), Withdraw),
        case("NEXT_HOP 255.255.255.255", HOST, hop(&[255; 4]), Withdraw),
        case(
            "NEXT_HOP is our address",
            HOST,
            hop(&[10, 99, 0, 1]),
            Withdraw,
        ),
        case(
            "NEXT_HOP of another network",
            "RFC 4271 5.1.3",
            hop(&[172, 31, 9, 9]),
            Accept,
        ),
    ]
}

pub fn numbers() -> Vec<Case> {
    const MED: &str = "RFC 7606 7.4";
    const PREF: &str = "RFC 7606 7.5";
    const ATOMIC: &str = "RFC 7606 7.6";
    const AGGREGATOR: &str = "RFC 7606 7.7";
    let aggregator = |value: &[u8]| with(&attribute(0xc0, 7, value));
    vec![
        case(
            "MED of 3 octets",
            MED,
            with(&[0x80, 4, 3, 0, 0, 0]),
            Withdraw,
        ),
        case(
            "MED of 5 octets",
            MED,
            with(&[0x80, 4, 5, 0, 0, 0, 0, 0]),
            Withdraw,
        ),
        case("MED of none", MED, with(&[0x80, 4, 0]), Withdraw),
        case(
            "MED transitive",
            "RFC 7606 3 c",
            with(&[0xc0, 4, 4, 0, 0, 0, 0]),
            Withdraw,
        ),
        case(
            "LOCAL_PREF from outside",
            PREF,
            with(&[0x40, 5, 4, 0, 0, 0, 100]),
            Accept,
        ),
        case(
            "LOCAL_PREF of 3 octets from outside",
            PREF,
            with(&[0x40, 5, 3, 0, 0, 100]),
            Accept,
        ),
        internal(
            "LOCAL_PREF of 3 octets",
            PREF,
            &[0x40, 5, 3, 0, 0, 100],
            Withdraw,
        ),
        internal("what an internal peer may send", "RFC 4271 5", &[], Accept),
        case("ATOMIC_AGGREGATE", ATOMIC, with(&[0x40, 6, 0]), Accept),
        case(
            "ATOMIC_AGGREGATE of 1 octet",
            ATOMIC,
            with(&[0x40, 6, 1, 0]),
            Accept,
        ),
        case(
            "ATOMIC_AGGREGATE optional",
            "RFC 7606 3 c",
            with(&[0xc0, 6, 0]),
            Withdraw,
        ),
        case(
            "AGGREGATOR of 5 octets",
            AGGREGATOR,
            aggregator(&[0, 0, 0xfd, 0xe9, 10]),
            Accept,
        ),
        case(
            "AGGREGATOR of 6 where 8 were agreed on",
            AGGREGATOR,
            aggregator(&[0xfd, 0xe9, 10, 99, 0, 1]),
            Accept,
        ),
        case("AGGREGATOR of none", AGGREGATOR, aggregator(&[]), Accept),
        case(
            "AGGREGATOR of AS 0",
            "RFC 7607 2",
            aggregator(&[0, 0, 0, 0, 10, 99, 0, 1]),
            Accept,
        ),
    ]
}

pub fn communities() -> Vec<Case> {
    const S: &str = "RFC 7606 7.8";
    let many: Vec<u8> = (0..500_u16)
        .flat_map(|n| [0xfd, 0xf2, (n >> 8) as u8, n as u8])
        .collect();
    let large = [0, 0, 0xfd, 0xf2, 0, 0, 0, 1, 0, 0, 0, 2].repeat(2);
    vec![
        case(
            "COMMUNITIES of 5 octets",
            S,
            with(&[0xc0, 8, 5, 1, 2, 3, 4, 5]),
            Withdraw,
        ),
        case("COMMUNITIES of none", S, with(&[0xc0, 8, 0]), Withdraw),
        case(
            "COMMUNITIES non-transitive",
            "RFC 7606 3 c",
            with(&[0x80, 8, 4, 1, 2, 3, 4]),
            Withdraw,
        ),
        case(
            "500 communities",
            "RFC 1997",
            with(&attribute(0xc0, 8, &many)),
            Accept,
        ),
        case(
            "extended communities of 7 octets",
            "RFC 7606 7.14",
            with(&attribute(0xc0, 16, &[0; 7])),
            Withdraw,
        ),
        case(
            "extended communities of none",
            "RFC 7606 7.14",
            with(&[0xc0, 16, 0]),
            Withdraw,
        ),
        case(
            "an extended community of an unknown kind",
            "RFC 4360",
            with(&attribute(0xc0, 16, &[0xbf; 8])),
            Accept,
        ),
        case(
            "large communities of 13 octets",
            "RFC 8092 6",
            with(&attribute(0xc0, 32, &[0; 13])),
            Withdraw,
        ),
        case(
            "large communities of none",
            "RFC 8092 6",
            with(&[0xc0, 32, 0]),
            Withdraw,
        ),
        case(
            "a large community twice",
            "RFC 8092 3",
            with(&attribute(0xc0, 32, &large)),
            Accept,
        ),
    ]
}

pub fn reflected() -> Vec<Case> {
    const ID: &str = "RFC 7606 7.9";
    const LIST: &str = "RFC 7606 7.10";
    const LOOP: &str = "RFC 4456 8";
    vec![
        case(
            "ORIGINATOR_ID from outside",
            ID,
            with(&[0x80, 9, 4, 1, 2, 3, 4]),
            Accept,
        ),
        case(
            "ORIGINATOR_ID of 3 octets from outside",
            ID,
            with(&[0x80, 9, 3, 1, 2, 3]),
            Accept,
        ),
        internal(
            "ORIGINATOR_ID of 3 octets",
            ID,
            &[0x80, 9, 3, 1, 2, 3],
            Withdraw,
        ),
        internal(
            "our own ORIGINATOR_ID",
            LOOP,
            &[0x80, 9, 4, 10, 99, 0, 1],
            Withdraw,
        ),
        internal(
            "another's ORIGINATOR_ID",
            LOOP,
            &[0x80, 9, 4, 10, 99, 0, 9],
            Accept,
        ),
        case(
            "CLUSTER_LIST from outside",
            LIST,
            with(&[0x80, 10, 4, 1, 2, 3, 4]),
            Accept,
        ),
        case(
            "CLUSTER_LIST of none from outside",
            LIST,
            with(&[0x80, 10, 0]),
            Accept,
        ),
        internal(
            "CLUSTER_LIST of 5 octets",
            LIST,
            &[0x80, 10, 5, 1, 2, 3, 4, 5],
            Withdraw,
        ),
        internal("CLUSTER_LIST of none", LIST, &[0x80, 10, 0], Withdraw),
        internal(
            "us in the CLUSTER_LIST",
            LOOP,
            &[0x80, 10, 8, 1, 2, 3, 4, 10, 99, 0, 1],
            Withdraw,
        ),
    ]
}

pub fn four_octets() -> Vec<Case> {
    const S: &str = "RFC 6793 4.1 and 6";
    let path = [2, 2, 0, 0, 0xfd, 0xf2, 0, 0, 0xfd, 0xe7];
    vec![
        case(
            "AS4_PATH from a new speaker",
            S,
            with(&attribute(0xc0, 17, &path)),
            Accept,
        ),
        case(
            "AS4_PATH with a confederation",
            S,
            with(&[0xc0, 17, 6, 3, 1, 0, 0, 0xfd, 0xf2]),
            Accept,
        ),
        case(
            "AS4_PATH that is broken",
            S,
            with(&[0xc0, 17, 6, 0, 1, 0, 1, 0, 1]),
            Accept,
        ),
        case(
            "AS4_AGGREGATOR from a new speaker",
            S,
            with(&[0xc0, 18, 8, 0, 0, 0xfd, 0xe9, 10, 99, 0, 1]),
            Accept,
        ),
        case(
            "AS4_AGGREGATOR of 7 octets",
            S,
            with(&attribute(0xc0, 18, &[0; 7])),
            Accept,
        ),
    ]
}

const NET6: &str = "2001:db8:1::/48";

fn six(name: &'static str, source: &'static str, attributes: &[&[u8]], expected: Expected) -> Case {
    Case {
        net: NET6,
        ..case(name, source, update(&[], attributes, &[]), expected)
    }
}

pub fn reaches() -> Vec<Case> {
    const S: &str = "RFC 7606 7.11 and 5.3";
    const HOST: &str = "RFC 4271 6.3, RFC 2545";
    let good = reach(NET6);
    let of = |value: &[u8]| attribute(0x80, 14, value);
    let name = |name, value: &[u8], expected| six(name, S, &[&of(value), ORIGIN, PATH], expected);
    let by = |hop: &[u8]| reach_by(hop, &nets(&[NET6]));
    let local = [
        &HOP6[..],
        &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10],
    ]
    .concat();
    let mut reserved = good.clone();
    reserved[20] = 7;
    let mut far = good.clone();
    far[3] = 255;
    let loopback = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let mut multicast = HOP6;
    multicast[0] = 0xff;
    vec![
        name("as it should be", &good, Accept),
        name("with a link-local next hop beside", &by(&local), Accept),
        name("a reserved octet that is not 0", &reserved, Accept),
        name("a next hop of 5 octets", &by(&HOP6[..5]), Reset(3, 9)),
        name("a next hop of none", &by(&[]), Reset(3, 9)),
        name("a next hop that runs over", &far, Reset(3, 9)),
        name("3 octets", &good[..3], Reset(3, 9)),
        name("cut off in the next hop", &good[..12], Reset(3, 9)),
        name("cut off behind the next hop", &good[..20], Reset(3, 9)),
        name("no octet", &[], Reset(3, 9)),
        name("a length of 129", &reach_by(&HOP6, &[129; 18]), Reset(3, 9)),
        name(
            "a route cut off",
            &reach_by(&HOP6, &[64, 0x20, 1]),
            Reset(3, 9),
        ),
        six(
            "next hop ::",
            HOST,
            &[&of(&by(&[0; 16])), ORIGIN, PATH],
            Withdraw,
        ),
        six(
            "next hop ::1",
            HOST,
            &[&of(&by(&loopback)), ORIGIN, PATH],
            Withdraw,
        ),
        six(
            "a multicast next hop",
            HOST,
            &[&of(&by(&multicast)), ORIGIN, PATH],
            Withdraw,
        ),
        six(
            "transitive",
            "RFC 7606 3 c",
            &[&attribute(0xc0, 14, &good), ORIGIN, PATH],
            Withdraw,
        ),
        six(
            "well-known",
            "RFC 7606 3 c",
            &[&attribute(0x40, 14, &good), ORIGIN, PATH],
            Withdraw,
        ),
        six(
            "without ORIGIN",
            "RFC 7606 3 d",
            &[&of(&good), PATH],
            Withdraw,
        ),
        six(
            "without AS_PATH",
            "RFC 7606 3 d",
            &[&of(&good), ORIGIN],
            Withdraw,
        ),
        six(
            "NEXT_HOP beside",
            "RFC 4760 3",
            &[ORIGIN, PATH, HOP, &of(&good)],
            Accept,
        ),
        six(
            "a broken NEXT_HOP beside",
            "RFC 4760 3",
            &[ORIGIN, PATH, &[0x40, 3, 3, 1, 2, 3], &of(&good)],
            Accept,
        ),
        six(
            "twice",
            "RFC 7606 3 g",
            &[&of(&good), ORIGIN, PATH, &of(&good)],
            Reset(3, 1),
        ),
    ]
}

pub fn unreaches() -> Vec<Case> {
    const S: &str = "RFC 7606 7.12 and 5.3";
    let of = |value: &[u8]| attribute(0x80, 15, value);
    let this = [&[0, 2, 1][..], &nets(&[NET6])].concat();
    let other = [&[0, 2, 1][..], &nets(&["2001:db8:dead::/48"])].concat();
    let foreign = [0, 25, 70, 4, 1, 2, 3, 4, 0, 2, 4, 1, 2, 3, 4];
    let in_v4 = [&[0, 1, 1, 4, 10, 99, 0, 10, 0][..], NET].concat();
    let v4_by_v6 = [&[0, 1, 1, 16], &HOP6[..], &[0], NET].concat();
    let both = [
        &of(&this)[..],
        &attribute(0x80, 14, &reach(NET6)),
        ORIGIN,
        PATH,
    ];
    vec![
        six("a route withdrawn", "RFC 4760 4", &[&of(&this)], Withdraw),
        six(
            "an unknown route withdrawn",
            "RFC 4760 4",
            &[&of(&other)],
            Expected::Unchanged,
        ),
        six(
            "End-of-RIB of IPv6",
            "RFC 4724 2",
            &[&of(&[0, 2, 1])],
            Expected::Unchanged,
        ),
        six("2 octets", S, &[&of(&[0, 2])], Reset(3, 9)),
        six(
            "a withdrawn length of 129",
            S,
            &[&of(&[&[0, 2, 1][..], &[129; 18]].concat())],
            Reset(3, 9),
        ),
        six(
            "a withdrawn route cut off",
            S,
            &[&of(&[0, 2, 1, 64, 0x20])],
            Reset(3, 9),
        ),
        six(
            "withdrawn twice",
            "RFC 7606 3 g",
            &[&of(&this), &of(&this)],
            Reset(3, 1),
        ),
        six("withdrawn and announced", "RFC 4271 4.3", &both, Accept),
        six(
            "a family that was not agreed on",
            "RFC 4760 7",
            &[ORIGIN, PATH, &attribute(0x80, 14, &foreign)],
            Expected::Unchanged,
        ),
        case(
            "IPv4 in MP_REACH_NLRI",
            "RFC 4760 3",
            update(&[], &[&attribute(0x80, 14, &in_v4), ORIGIN, PATH], &[]),
            Accept,
        ),
        case(
            "IPv4 by an IPv6 next hop that was not agreed on",
            "RFC 8950 3",
            update(&[], &[&attribute(0x80, 14, &v4_by_v6), ORIGIN, PATH], &[]),
            Reset(3, 9),
        ),
    ]
}
