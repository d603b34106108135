//! What must come of messages that are not as they should be: built octet by octet from the RFCs, said to a whole speaker.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking, and its files are one program"
)]

mod attributes;
mod bench;
mod opens;
mod raw;
mod updates;

use bench::{Case, outcome};

fn check(cases: &[Case]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let found = outcome(case);
            let text = || {
                format!(
                    "{} ({}): {found:?} instead of {:?}",
                    case.name, case.source, case.expected
                )
            };
            (found != case.expected).then(text)
        })
        .collect();
    assert_eq!(wrong, [] as [String; 0]);
}

#[test]
fn broken_headers_end_the_session_with_the_reason() {
    check(&opens::headers());
}

#[test]
fn a_notification_is_never_answered() {
    check(&opens::notifications());
}

#[test]
fn messages_in_the_wrong_state_end_the_session() {
    check(&opens::states());
}

#[test]
fn an_open_that_we_cannot_take_is_refused_with_the_reason() {
    check(&opens::opens());
    check(&opens::parameters());
    check(&opens::can());
}

#[test]
fn an_update_whose_parts_cannot_be_told_apart_ends_the_session() {
    check(&updates::lengths());
    check(&updates::routes());
}

#[test]
fn a_broken_list_of_attributes_withdraws_what_it_is_about() {
    check(&updates::lists());
    check(&updates::unknown());
}

#[test]
fn the_strongest_reaction_counts() {
    check(&updates::together());
}

#[test]
fn each_attribute_has_its_own_reaction() {
    check(&attributes::origins());
    check(&attributes::paths());
    check(&attributes::next_hops());
    check(&attributes::numbers());
    check(&attributes::communities());
    check(&attributes::reflected());
    check(&attributes::four_octets());
}

#[test]
fn broken_multiprotocol_attributes_end_the_session_and_bad_next_hops_do_not() {
    check(&attributes::reaches());
    check(&attributes::unreaches());
}
