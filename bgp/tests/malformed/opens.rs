//! Headers, states and OPENs: RFC 4271 section 4.1, 6.1, 6.2, RFC 6608, RFC 5492, RFC 9072.

use crate::bench::{Case, Expected, Phase, case};
use crate::raw::*;
use Expected::{Accept, Close, Reset, Unchanged};

pub fn headers() -> Vec<Case> {
    const S: &str = "RFC 4271 6.1";
    let marker = |octet: usize, value| {
        let mut bytes = message(KEEPALIVE, &[]);
        bytes[octet] = value;
        bytes
    };
    let zero = [&[0; 16][..], &[0, 19, 4]].concat();
    vec![
        case("a marker of zeros", S, zero, Reset(1, 1)),
        case(
            "a marker with one bit clear",
            S,
            marker(15, 0xfe),
            Reset(1, 1),
        ),
        case(
            "a marker whose first octet is wrong",
            S,
            marker(0, 0),
            Reset(1, 1),
        ),
        case("length 0", S, sized(KEEPALIVE, 0, &[]), Reset(1, 2)),
        case("length 18", S, sized(KEEPALIVE, 18, &[]), Reset(1, 2)),
        case(
            "an UPDATE of 4,097 octets",
            "RFC 8654 4",
            message(UPDATE, &[0; 4078]),
            Reset(1, 2),
        ),
        case(
            "length 65,535",
            S,
            sized(UPDATE, 65535, &[0; 100]),
            Reset(1, 2),
        ),
        case("type 0", S, message(0, &[]), Reset(1, 3)),
        case("type 6", S, message(6, &[]), Reset(1, 3)),
        case("type 255", S, message(255, &[]), Reset(1, 3)),
        case(
            "a KEEPALIVE with a body",
            S,
            message(KEEPALIVE, &[0]),
            Reset(1, 2),
        ),
        case(
            "an UPDATE of 22 octets",
            S,
            message(UPDATE, &[0; 3]),
            Reset(1, 2),
        ),
        case(
            "a ROUTE-REFRESH of 22 octets",
            "RFC 7313 5",
            message(REFRESH, &[0, 1, 0]),
            Reset(1, 2),
        ),
        case(
            "a ROUTE-REFRESH of 24 octets",
            "RFC 7313 5",
            message(REFRESH, &[0, 1, 0, 1, 0]),
            Reset(1, 2),
        ),
        case(
            "a refresh of an unknown family",
            "RFC 2918 4",
            message(REFRESH, &[0x40, 4, 0, 0x85]),
            Unchanged,
        ),
        case(
            "a refresh of an unknown kind",
            "RFC 7313 5",
            message(REFRESH, &[0, 1, 9, 1]),
            Unchanged,
        ),
    ]
}

pub fn notifications() -> Vec<Case> {
    const S: &str = "RFC 4271 6.4: a NOTIFICATION is never answered";
    vec![
        case(
            "a NOTIFICATION of 20 octets",
            S,
            message(NOTIFICATION, &[6]),
            Close,
        ),
        case(
            "a NOTIFICATION that is too long",
            S,
            sized(NOTIFICATION, 5000, &[6, 2]),
            Close,
        ),
        case("Cease", S, message(NOTIFICATION, &[6, 2]), Close),
        case(
            "an unknown code",
            S,
            message(NOTIFICATION, &[200, 200, 1, 2, 3]),
            Close,
        ),
        case(
            "a Hard Reset with nothing in it",
            "RFC 8538 3.1",
            message(NOTIFICATION, &[6, 9]),
            Close,
        ),
    ]
}

fn at(
    phase: Phase,
    name: &'static str,
    source: &'static str,
    bytes: Vec<u8>,
    expected: Expected,
) -> Case {
    Case {
        phase,
        ..case(name, source, bytes, expected)
    }
}

pub fn states() -> Vec<Case> {
    const S: &str = "RFC 6608 4";
    let routes = || update(&[], &BASE, NET);
    let refresh = || message(REFRESH, &[0, 1, 0, 1]);
    vec![
        case("OPEN in Established", S, open(65010), Reset(5, 3)),
        at(
            Phase::OpenSent,
            "KEEPALIVE in OpenSent",
            S,
            message(KEEPALIVE, &[]),
            Reset(5, 1),
        ),
        at(
            Phase::OpenSent,
            "UPDATE in OpenSent",
            S,
            routes(),
            Reset(5, 1),
        ),
        at(
            Phase::OpenSent,
            "ROUTE-REFRESH in OpenSent",
            S,
            refresh(),
            Reset(5, 1),
        ),
        at(
            Phase::OpenConfirm,
            "UPDATE in OpenConfirm",
            S,
            routes(),
            Reset(5, 2),
        ),
        at(
            Phase::OpenConfirm,
            "OPEN in OpenConfirm",
            S,
            open(65010),
            Reset(5, 2),
        ),
        at(
            Phase::OpenConfirm,
            "ROUTE-REFRESH in OpenConfirm",
            S,
            refresh(),
            Reset(5, 2),
        ),
        at(
            Phase::OpenSent,
            "NOTIFICATION in OpenSent",
            "RFC 4271 6.4",
            message(NOTIFICATION, &[2, 2]),
            Close,
        ),
    ]
}

fn opening(name: &'static str, source: &'static str, bytes: Vec<u8>, expected: Expected) -> Case {
    at(Phase::OpenSent, name, source, bytes, expected)
}

pub fn opens() -> Vec<Case> {
    const S: &str = "RFC 4271 6.2";
    let asn4 = |asn, asn4| {
        OpenParts {
            asn,
            parameters: parameter(&capabilities(asn4)),
            ..parts()
        }
        .message()
    };
    let hold = |hold| OpenParts { hold, ..parts() }.message();
    let version = |version| OpenParts { version, ..parts() }.message();
    let id = |id| OpenParts { id, ..parts() }.message();
    let mut short = parts().message();
    short.truncate(28);
    short[16..18].copy_from_slice(&[0, 28]);
    let mut same_id = id([10, 99, 0, 1]);
    same_id[20..22].copy_from_slice(&65001_u16.to_be_bytes());
    let at_end = same_id.len() - 4;
    same_id[at_end..].copy_from_slice(&65001_u32.to_be_bytes());
    vec![
        opening(
            "an OPEN as it should be",
            "RFC 4271 4.2",
            parts().message(),
            Accept,
        ),
        opening("an OPEN of 28 octets", S, short, Reset(1, 2)),
        opening("version 3", S, version(3), Reset(2, 1)),
        opening("version 5", S, version(5), Reset(2, 1)),
        opening("the wrong AS", S, asn4(65099, 65099), Reset(2, 2)),
        opening(
            "the wrong AS in four octets only",
            "RFC 6793 4.2.3",
            asn4(23456, 65099),
            Reset(2, 2),
        ),
        opening("AS 0", "RFC 7607 2", asn4(0, 0), Reset(2, 2)),
        opening(
            "AS 0 in four octets only",
            "RFC 7607 2",
            asn4(65010, 0),
            Reset(2, 2),
        ),
        opening("a hold time of 1 s", S, hold(1), Reset(2, 6)),
        opening("a hold time of 2 s", S, hold(2), Reset(2, 6)),
        opening("no hold time", S, hold(0), Accept),
        opening("the longest hold time", S, hold(65535), Accept),
        opening("identifier 0", "RFC 6286 2.2", id([0; 4]), Reset(2, 3)),
        opening(
            "our identifier from another AS",
            "RFC 6286 2.1",
            id([10, 99, 0, 1]),
            Accept,
        ),
        Case {
            internal: true,
            ..opening(
                "our identifier within our AS",
                "RFC 6286 2.2",
                same_id,
                Reset(2, 3),
            )
        },
    ]
}

pub fn parameters() -> Vec<Case> {
    const S: &str = "RFC 4271 6.2: recognised and malformed";
    const X: &str = "RFC 9072 2";
    let with = |parameters: &[u8]| {
        OpenParts {
            parameters: parameters.to_vec(),
            ..parts()
        }
        .message()
    };
    let as4 = capability(65, &65010_u32.to_be_bytes());
    let v4 = capability(1, &[0, 1, 0, 1]);
    let behind = |head: &[u8], rest: &[u8]| with(&[head, rest].concat());
    let separate = [&[2, 6][..], &v4, &[2, 6], &as4].concat();
    vec![
        opening("no parameters", "RFC 4271 4.2", with(&[0]), Accept),
        opening(
            "a parameter for each capability",
            "RFC 5492 4",
            behind(&[16], &separate),
            Accept,
        ),
        opening(
            "an unknown parameter",
            S,
            with(&[5, 99, 3, 1, 2, 3]),
            Reset(2, 4),
        ),
        opening(
            "the authentication parameter of old",
            S,
            with(&[5, 1, 3, 1, 2, 3]),
            Reset(2, 4),
        ),
        opening(
            "a parameter that runs over",
            S,
            with(&[6, 2, 32, 2, 0, 6, 0]),
            Reset(2, 0),
        ),
        opening(
            "parameters that run over the message",
            S,
            behind(&[64, 2, 6], &as4),
            Reset(2, 0),
        ),
        opening(
            "octets behind the parameters",
            S,
            behind(&[2, 2, 6], &as4),
            Reset(2, 0),
        ),
        opening(
            "a parameter without a length",
            S,
            with(&[1, 2]),
            Reset(2, 0),
        ),
        opening(
            "a length of 255 and no parameters",
            S,
            with(&[255]),
            Reset(2, 0),
        ),
        opening(
            "the longer form",
            X,
            behind(&[255, 255, 0, 9, 2, 0, 6], &as4),
            Accept,
        ),
        opening(
            "the longer form that runs over",
            X,
            behind(&[255, 255, 0, 128, 2, 0, 6], &as4),
            Reset(2, 0),
        ),
        opening(
            "the longer form cut off in its length",
            X,
            with(&[255, 255, 0]),
            Reset(2, 0),
        ),
        opening(
            "the longer form cut off in a parameter",
            X,
            with(&[255, 255, 0, 2, 0, 1]),
            Reset(2, 0),
        ),
    ]
}

pub fn can() -> Vec<Case> {
    const S: &str = "RFC 5492, RFC 4271 6.2: recognised and malformed";
    let as4 = capability(65, &65010_u32.to_be_bytes());
    let v4 = capability(1, &[0, 1, 0, 1]);
    let with = |extra: &[u8]| {
        OpenParts {
            parameters: parameter(&[&v4, &as4, extra].concat()),
            ..parts()
        }
        .message()
    };
    let only = |all: &[u8]| {
        OpenParts {
            parameters: parameter(all),
            ..parts()
        }
        .message()
    };
    let one = |code, value: &[u8]| with(&capability(code, value));
    let foreign = [capability(1, &[0, 25, 0, 70]), as4.clone()].concat();
    vec![
        opening(
            "a capability that runs over",
            S,
            only(&[1, 32, 0, 1, 0, 1]),
            Reset(2, 0),
        ),
        opening("a capability without a length", S, only(&[1]), Reset(2, 0)),
        opening(
            "multiprotocol of 3 octets",
            "RFC 4760 8",
            one(1, &[0, 1, 0]),
            Reset(2, 0),
        ),
        opening(
            "multiprotocol of none",
            "RFC 4760 8",
            one(1, &[]),
            Reset(2, 0),
        ),
        opening(
            "multiprotocol of 5 octets",
            "RFC 4760 8",
            one(1, &[0, 1, 0, 1, 0]),
            Reset(2, 0),
        ),
        opening(
            "four-octet AS of 2 octets",
            "RFC 6793 3",
            one(65, &[0xfd, 0xf2]),
            Reset(2, 0),
        ),
        opening(
            "four-octet AS of none",
            "RFC 6793 3",
            one(65, &[]),
            Reset(2, 0),
        ),
        opening(
            "route refresh with a value",
            "RFC 2918 2",
            one(2, &[0]),
            Reset(2, 0),
        ),
        opening(
            "extended message with a value",
            "RFC 8654 3",
            one(6, &[0]),
            Reset(2, 0),
        ),
        opening(
            "graceful restart of 1 octet",
            "RFC 4724 3",
            one(64, &[0]),
            Reset(2, 0),
        ),
        opening(
            "graceful restart of 3 octets",
            "RFC 4724 3",
            one(64, &[0, 120, 0]),
            Reset(2, 0),
        ),
        opening(
            "next hop encoding of 5 octets",
            "RFC 8950 4",
            one(5, &[0, 1, 0, 1, 0]),
            Reset(2, 0),
        ),
        opening(
            "an unknown capability",
            "RFC 5492 3",
            one(200, &[0xde, 0xad]),
            Accept,
        ),
        opening(
            "a host name that is cut off",
            "draft-walton-bgp-hostname",
            one(73, &[255, b'a']),
            Accept,
        ),
        opening(
            "many paths in an unknown mode",
            "RFC 7911 4",
            one(69, &[0, 1, 1, 7]),
            Accept,
        ),
        opening(
            "the same family three times",
            "RFC 5492 4",
            with(&[&v4[..], &v4].concat()),
            Accept,
        ),
        opening(
            "only families that we do not speak",
            "RFC 4760 8, RFC 5492 3",
            only(&foreign),
            Reset(2, 7),
        ),
    ]
}
