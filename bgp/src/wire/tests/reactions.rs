//! What UPDATEs with errors lead to. The table of all cases, with a whole speaker, is in `tests/malformed.rs`.

use super::{EXTERNAL, INTERNAL};
use crate::wire::{Rules, Severity, Update, decode_update};

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xf2];
const HOP: &[u8] = &[0x40, 3, 4, 10, 99, 0, 10];
const NET: &[u8] = &[24, 10, 200, 1];
const REACH6: &[u8] = &[
    0x80, 14, 28, 0, 2, 1, 16, 0xfd, 0x99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 48, 0x20,
    1, 0x0d, 0xb8, 0, 1,
];

fn body(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut body = (withdrawn.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(withdrawn);
    body.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    body.extend_from_slice(&attributes);
    body.extend_from_slice(nlri);
    body
}

fn read(attributes: &[&[u8]], rules: &Rules) -> Update {
    decode_update(&body(&[], attributes, NET), rules).unwrap()
}

fn reset(body: &[u8]) -> (u8, u8) {
    let why = decode_update(body, &EXTERNAL).unwrap_err();
    (why.code, why.subcode)
}

fn is_withdrawn(update: &Update) -> bool {
    update.announced.is_empty()
        && update.withdrawn.len() == 1
        && update
            .faults
            .iter()
            .any(|f| f.severity == Severity::Withdraw)
}

fn reach6() -> Vec<u8> {
    let mut reach = REACH6.to_vec();
    reach[2] = (reach.len() - 3) as u8;
    reach
}

#[test]
fn a_well_formed_update_announces() {
    let update = read(&[ORIGIN, PATH, HOP], &EXTERNAL);
    assert_eq!(update.announced.len(), 1);
    assert_eq!(update.faults, []);
    assert_eq!(
        update.announced[0]
            .prefixes
            .iter()
            .next()
            .unwrap()
            .to_string(),
        "10.200.1.0/24"
    );
}

#[test]
fn routes_of_both_families_may_share_an_update() {
    let update =
        decode_update(&body(&[], &[ORIGIN, PATH, HOP, &reach6()], NET), &EXTERNAL).unwrap();
    let hops: Vec<_> = update
        .announced
        .iter()
        .map(|a| a.attributes.next_hop.to_string())
        .collect();
    assert_eq!(hops, ["fd99::10", "10.99.0.10"]);
    assert_eq!(
        update.announced[0].attributes.as_path,
        update.announced[1].attributes.as_path
    );
}

#[test]
fn a_cut_off_list_of_attributes_withdraws_the_routes_behind_it() {
    for cut in [
        &[0x40, 1][..],
        &[0x50, 8, 0],
        &[0xc0, 8, 40, 1, 2, 3, 4],
        &[0x40],
    ] {
        assert!(
            is_withdrawn(&read(&[ORIGIN, PATH, HOP, cut], &EXTERNAL)),
            "{cut:?}"
        );
    }
}

#[test]
fn what_is_mandatory_and_missing_withdraws() {
    for attributes in [&[PATH, HOP][..], &[ORIGIN, HOP], &[ORIGIN, PATH], &[]] {
        assert!(is_withdrawn(&read(attributes, &EXTERNAL)));
    }
    let without_origin = decode_update(&body(&[], &[PATH, &reach6()], &[]), &EXTERNAL).unwrap();
    assert!(is_withdrawn(&without_origin));
}

#[test]
fn of_two_the_first_counts_and_two_multiprotocol_ones_end_the_session() {
    let update = read(
        &[ORIGIN, PATH, HOP, &[0x40, 1, 1, 2], &[0x40, 2, 1, 9]],
        &EXTERNAL,
    );
    assert_eq!(update.announced.len(), 1);
    assert_eq!(update.faults.len(), 2);
    assert_eq!(
        reset(&body(&[], &[&reach6(), ORIGIN, PATH, &reach6()], &[])),
        (3, 1)
    );
    assert_eq!(
        reset(&body(
            &[],
            &[&[0x80, 15, 3, 0, 2, 1], &[0x80, 15, 3, 0, 2, 1]],
            &[]
        )),
        (3, 1)
    );
}

#[test]
fn an_error_with_no_route_to_withdraw_ends_the_session() {
    assert_eq!(reset(&body(NET, &[&[0x40, 1, 1, 7]], &[])), (3, 6));
    assert_eq!(
        reset(&body(&[], &[&[0x40, 1, 1, 7], PATH, HOP], &[])),
        (3, 6)
    );
    let discard = decode_update(
        &body(NET, &[ORIGIN, PATH, HOP, &[0x40, 6, 1, 0]], &[]),
        &EXTERNAL,
    )
    .unwrap();
    assert_eq!((discard.withdrawn.len(), discard.faults.len()), (1, 1));
}

#[test]
fn the_strongest_of_several_errors_counts() {
    let worst = read(
        &[ORIGIN, PATH, HOP, &[0x40, 6, 1, 0], &[0x80, 4, 1, 0]],
        &EXTERNAL,
    );
    assert!(is_withdrawn(&worst));
    let many: Vec<&[u8]> = std::iter::repeat_n(ORIGIN, 50)
        .chain([PATH, HOP, &[0x80, 4, 0][..]])
        .collect();
    let many = read(&many, &EXTERNAL);
    assert!(is_withdrawn(&many) && many.faults.len() <= 9);
}

#[test]
fn lengths_that_run_over_the_message_end_the_session_whatever_their_sum() {
    for (withdrawn, attributes) in [(4000_u16, 0_u16), (65535, 0), (0, 2000), (0, 65535)] {
        let mut body = withdrawn.to_be_bytes().to_vec();
        body.extend_from_slice(&attributes.to_be_bytes());
        body.extend_from_slice(NET);
        assert_eq!(reset(&body), (3, 1));
    }
    let mut wraps = vec![0, 4, 24, 10, 253, 9];
    wraps.extend_from_slice(&(65536_u32 - 27).to_be_bytes()[2..]);
    assert_eq!(reset(&wraps), (3, 1));
}

#[test]
fn routes_that_cannot_be_read_end_the_session() {
    for nlri in [
        &[33, 1, 2, 3, 4, 5][..],
        &[24, 10, 254],
        &[255; 33],
        &[24, 10, 200, 1, 32, 10],
    ] {
        assert_eq!(reset(&body(&[], &[ORIGIN, PATH, HOP], nlri)), (3, 10));
        assert_eq!(reset(&body(nlri, &[], &[])), (3, 10));
    }
}

#[test]
fn an_external_peer_may_not_send_what_is_internal_and_an_internal_one_must_send_it_well() {
    for attribute in [
        &[0x40, 5, 3, 0, 0, 100][..],
        &[0x80, 9, 3, 1, 2, 3],
        &[0x80, 10, 0],
        &[0x80, 10, 5, 1, 2, 3, 4, 5],
    ] {
        let update = read(&[ORIGIN, PATH, HOP, attribute], &EXTERNAL);
        assert_eq!((update.announced.len(), update.faults.len()), (1, 1));
        assert!(is_withdrawn(&read(
            &[ORIGIN, PATH, HOP, attribute],
            &INTERNAL
        )));
    }
}

#[test]
fn unknown_attributes_are_passed_on_dropped_or_refused_by_their_flags() {
    let update = read(
        &[ORIGIN, PATH, HOP, &[0xc0, 200, 1, 9], &[0x80, 201, 1, 9]],
        &EXTERNAL,
    );
    let unknown = &update.announced[0].attributes.unknown;
    assert_eq!(
        (unknown.len(), unknown[0].code, &*unknown[0].value),
        (1, 200, &[9][..])
    );
    assert_eq!(
        reset(&body(&[], &[ORIGIN, PATH, HOP, &[0x40, 200, 0]], NET)),
        (3, 2)
    );
}

#[test]
fn a_family_that_was_not_agreed_on_is_ignored() {
    let rules = Rules {
        families: crate::family::Families::IPV4,
        ..EXTERNAL
    };
    let update = decode_update(&body(&[], &[ORIGIN, PATH, &reach6()], &[]), &rules).unwrap();
    assert_eq!(update, Update::default());
    let foreign = [0x80, 14, 12, 0, 25, 70, 4, 1, 2, 3, 4, 0, 2, 4, 1];
    let update = decode_update(&body(&[], &[ORIGIN, PATH, &foreign], &[]), &EXTERNAL).unwrap();
    assert_eq!(update, Update::default());
}

#[test]
fn a_broken_multiprotocol_attribute_ends_the_session() {
    for (cut, value) in [(0, 0), (3, 3), (11, 11), (20, 20), (26, 26)] {
        let mut reach = reach6()[..3 + cut].to_vec();
        reach[2] = value;
        assert_eq!(reset(&body(&[], &[ORIGIN, PATH, &reach], &[])), (3, 9));
    }
    assert_eq!(reset(&body(&[], &[&[0x80, 15, 2, 0, 2]], &[])), (3, 9));
}

#[test]
fn an_ipv4_route_with_an_ipv6_next_hop_needs_the_agreement() {
    let mut reach = reach6()[..24].to_vec();
    reach.extend_from_slice(NET);
    (reach[2], reach[4]) = ((reach.len() - 3) as u8, 1);
    let body = body(&[], &[ORIGIN, PATH, &reach], &[]);
    assert_eq!(reset(&body), (3, 9));
    let rules = Rules {
        extended_next_hop: true,
        ..EXTERNAL
    };
    let update = decode_update(&body, &rules).unwrap();
    assert_eq!(
        update.announced[0].attributes.next_hop.to_string(),
        "fd99::10"
    );
}

#[test]
fn end_of_rib_is_told_from_an_empty_withdrawal() {
    use crate::family::Family;
    let end = |bytes: &[u8]| decode_update(bytes, &EXTERNAL).unwrap().end_of_rib;
    assert_eq!(end(&[0, 0, 0, 0]), Some(Family::Ipv4));
    assert_eq!(
        end(&body(&[], &[&[0x80, 15, 3, 0, 2, 1]], &[])),
        Some(Family::Ipv6)
    );
    assert_eq!(
        end(&body(&[], &[ORIGIN, &[0x80, 15, 3, 0, 2, 1]], &[])),
        None
    );
    assert_eq!(end(&body(NET, &[&[0x80, 15, 3, 0, 2, 1]], &[])), None);
    assert_eq!(end(&body(&[], &[ORIGIN, PATH, HOP], &[])), None);
}
