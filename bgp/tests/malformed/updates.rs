//! UPDATEs as a whole: RFC 4271 section 6.3, RFC 7606 section 3 to 5.

use crate::bench::{Case, Expected, case};
use crate::raw::*;
use Expected::{Accept, Reset, Unchanged, Withdraw};

pub fn lengths() -> Vec<Case> {
    const S: &str = "RFC 4271 6.3, RFC 7606 4";
    let base = BASE.concat();
    let rest = [&base[..], NET].concat();
    let length = base.len() as u16;
    let wraps = [24, 10, 253, 9];
    vec![
        case(
            "withdrawn routes run over",
            S,
            lying_update(4000, &[], length, &rest),
            Reset(3, 1),
        ),
        case(
            "65,535 octets of withdrawn routes",
            S,
            lying_update(65535, &[], length, &rest),
            Reset(3, 1),
        ),
        case(
            "attributes run over",
            S,
            lying_update(0, &[], 2000, &rest),
            Reset(3, 1),
        ),
        case(
            "65,535 octets of attributes",
            S,
            lying_update(0, &[], 65535, &rest),
            Reset(3, 1),
        ),
        case(
            "lengths whose sum wraps",
            S,
            lying_update(4, &wraps, 65536_u32.wrapping_sub(27) as u16, &rest),
            Reset(3, 1),
        ),
    ]
}

pub fn routes() -> Vec<Case> {
    const S: &str = "RFC 7606 5.3 and 3 j";
    const OK: &str = "RFC 4271 4.3";
    let announce = |routes: &[u8]| update(&[], &BASE, routes);
    let withdraw = |routes: &[u8]| update(routes, &[], &[]);
    let dirty_host_bits = [&[24, 10, 200, 1][..], &[23, 10, 201, 255]].concat();
    let multicast = [nets(&["224.0.0.0/4", "240.0.0.0/8"]), NET.to_vec()].concat();
    let default = [&[0], NET].concat();
    vec![
        case(
            "a length of 33",
            S,
            announce(&[33, 10, 254, 1, 1, 128]),
            Reset(3, 10),
        ),
        case("a length of 255", S, announce(&[255; 33]), Reset(3, 10)),
        case("a route cut off", S, announce(&[24, 10, 254]), Reset(3, 10)),
        case(
            "the second route cut off",
            S,
            announce(&[NET, &[32, 10, 254, 1]].concat()),
            Reset(3, 10),
        ),
        case(
            "a withdrawn length of 33",
            S,
            withdraw(&[33, 10, 254, 1, 1, 128]),
            Reset(3, 10),
        ),
        case(
            "a withdrawn route cut off",
            S,
            withdraw(&[24, 10]),
            Reset(3, 10),
        ),
        case(
            "bits behind the length",
            OK,
            announce(&dirty_host_bits),
            Accept,
        ),
        case(
            "multicast and class E beside a route",
            "RFC 4271 6.3",
            announce(&multicast),
            Accept,
        ),
        case(
            "a default route beside a route",
            OK,
            announce(&default),
            Accept,
        ),
        case(
            "a route three times",
            OK,
            announce(&[NET, NET, NET].concat()),
            Accept,
        ),
        case(
            "withdrawn and announced",
            OK,
            update(NET, &BASE, NET),
            Accept,
        ),
        case(
            "an unknown route withdrawn",
            "RFC 4271 3.1",
            withdraw(&[24, 10, 253, 7]),
            Unchanged,
        ),
        case("the route withdrawn", OK, withdraw(NET), Withdraw),
        case("End-of-RIB", "RFC 4724 2", update(&[], &[], &[]), Unchanged),
        case(
            "attributes for nothing",
            "RFC 7606 5.2",
            update(&[], &BASE, &[]),
            Unchanged,
        ),
        case("as long as can be", "RFC 4271 4.1", longest(), Accept),
    ]
}

/// An UPDATE of exactly 4,096 octets.
fn longest() -> Vec<u8> {
    let fixed = update(&[], &BASE, NET).len();
    let padding = attribute(0xc0, 200, &vec![7; 4096 - fixed - 4]);
    let bytes = update(&[], &[BASE[0], BASE[1], BASE[2], &padding], NET);
    assert_eq!(bytes.len(), 4096);
    bytes
}

fn with(extra: &[u8]) -> Vec<u8> {
    update(&[], &[ORIGIN, PATH, HOP, extra], NET)
}

pub fn lists() -> Vec<Case> {
    const CUT: &str = "RFC 7606 4";
    const MISSING: &str = "RFC 7606 3 d";
    const TWICE: &str = "RFC 7606 3 g";
    let of = |attributes: &[&[u8]]| update(&[], attributes, NET);
    vec![
        case("a header cut off", CUT, with(&[0x40, 1]), Withdraw),
        case(
            "an extended length cut off",
            CUT,
            with(&[0x50, 8, 0]),
            Withdraw,
        ),
        case("one octet", CUT, of(&[&[0x40]]), Withdraw),
        case(
            "a value that runs over",
            CUT,
            with(&[0xc0, 8, 40, 0xfd, 0xf2, 0, 1]),
            Withdraw,
        ),
        case(
            "an extended value that runs over",
            CUT,
            with(&[0xd0, 8, 0xff, 0xff, 1]),
            Withdraw,
        ),
        case(
            "the first that runs over",
            CUT,
            of(&[&[0x40, 1, 200, 0], PATH, HOP]),
            Withdraw,
        ),
        case("none at all", MISSING, of(&[]), Withdraw),
        case("no ORIGIN", MISSING, of(&[PATH, HOP]), Withdraw),
        case("no AS_PATH", MISSING, of(&[ORIGIN, HOP]), Withdraw),
        case("no NEXT_HOP", MISSING, of(&[ORIGIN, PATH]), Withdraw),
        case(
            "only an unknown one",
            MISSING,
            of(&[&attribute(0xe0, 31, &[0x46; 16])]),
            Withdraw,
        ),
        case(
            "an empty unknown one alone",
            MISSING,
            of(&[&[0xc0, 255, 0]]),
            Withdraw,
        ),
        case("ORIGIN twice", TWICE, with(&[0x40, 1, 1, 2]), Accept),
        case(
            "AS_PATH twice, the second broken",
            TWICE,
            with(&[0x40, 2, 2, 9, 1]),
            Accept,
        ),
        case(
            "NEXT_HOP twice",
            TWICE,
            with(&[0x40, 3, 4, 10, 99, 0, 11]),
            Accept,
        ),
        case(
            "MED twice",
            TWICE,
            with(&[attribute(0x80, 4, &[0, 0, 0, 1]), attribute(0x80, 4, &[9])].concat()),
            Accept,
        ),
        case("any order", "RFC 4271 5", of(&[HOP, PATH, ORIGIN]), Accept),
        case(
            "low flag bits set",
            "RFC 4271 4.3",
            of(&[&[0x4f, 1, 1, 0], PATH, HOP]),
            Accept,
        ),
        case(
            "an extended length for one octet",
            "RFC 7606 4",
            of(&[&extended(0x40, 1, &[0]), PATH, HOP]),
            Accept,
        ),
    ]
}

pub fn unknown() -> Vec<Case> {
    const S: &str = "RFC 4271 5";
    vec![
        case(
            "well-known and unknown",
            "RFC 4271 6.3",
            with(&[0x40, 200, 1, 1]),
            Reset(3, 2),
        ),
        case("optional transitive", S, with(&[0xc0, 200, 1, 1]), Accept),
        case(
            "optional non-transitive",
            S,
            with(&[0x80, 201, 1, 1]),
            Accept,
        ),
        case(
            "optional transitive and empty",
            S,
            with(&[0xc0, 202, 0]),
            Accept,
        ),
        case("type 0", S, with(&[0xc0, 0, 1, 0]), Accept),
        case("type 255", S, with(&[0xc0, 255, 1, 0]), Accept),
        case(
            "3,000 octets",
            S,
            with(&attribute(0xc0, 99, &[0xaa; 3000])),
            Accept,
        ),
        case(
            "tunnel encapsulation that is broken",
            S,
            with(&[0xc0, 23, 3, 0, 7, 0]),
            Accept,
        ),
        case(
            "entropy label",
            "RFC 7447",
            with(&[0xe0, 28, 3, 1, 2, 3]),
            Accept,
        ),
        case(
            "ATTR_SET that is broken",
            S,
            with(&[0xc0, 128, 2, 0, 0]),
            Accept,
        ),
        case(
            "prefix SID that is broken",
            S,
            with(&[0xc0, 40, 4, 5, 0, 255, 0]),
            Accept,
        ),
        case(
            "AIGP that runs over",
            S,
            with(&[0x80, 26, 4, 1, 0, 255, 0]),
            Accept,
        ),
        case(
            "PMSI that is broken",
            S,
            with(&[0xc0, 22, 4, 0, 6, 0, 0]),
            Accept,
        ),
    ]
}

pub fn together() -> Vec<Case> {
    const NONE: &str = "RFC 7606 5.2: no route to withdraw";
    const STRONGEST: &str = "RFC 7606 3 h and i";
    let bad_origin: &[u8] = &[0x40, 1, 1, 7];
    let bad_med: &[u8] = &[0x80, 4, 1, 0];
    let discarded: &[u8] = &[0x40, 6, 1, 0];
    let reach = attribute(0x80, 14, &reach("2001:db8:fff4::/48"));
    let bad_then_good = [
        update(&[], &[bad_origin, PATH, HOP], &[24, 10, 201, 1]),
        with(&[]),
    ]
    .concat();
    let three = [message(KEEPALIVE, &[]), with(&[]), message(KEEPALIVE, &[])].concat();
    vec![
        case(
            "a bad ORIGIN and only withdrawn routes",
            NONE,
            update(NET, &[bad_origin], &[]),
            Reset(3, 6),
        ),
        case(
            "a bad ORIGIN and no routes",
            NONE,
            update(&[], &[bad_origin, PATH, HOP], &[]),
            Reset(3, 6),
        ),
        case(
            "a list cut off and no routes",
            NONE,
            update(&[], &[&[0x40, 1]], &[]),
            Reset(3, 1),
        ),
        case(
            "something to drop and only withdrawn routes",
            NONE,
            update(NET, &[ORIGIN, PATH, HOP, discarded], &[]),
            Withdraw,
        ),
        case(
            "drop and withdraw",
            STRONGEST,
            with(&[discarded, bad_med].concat()),
            Withdraw,
        ),
        case(
            "withdraw and reset",
            STRONGEST,
            update(&[], &[bad_origin, PATH, HOP, &reach, &reach], NET),
            Reset(3, 1),
        ),
        case(
            "a bad UPDATE and then a good one",
            "RFC 7606 1",
            bad_then_good,
            Accept,
        ),
        case("three messages at once", "RFC 4271 4.1", three, Accept),
    ]
}
