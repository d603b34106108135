//! Names, addresses and ranges that are there twice on one node.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::super::{ConfigError, Source};
use super::reader::Place;
use super::{BgpChoice, ListenChoice, PeerChoice};

/// Among which entries there must be no two alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Among {
    /// Those that are on the same nodes, whichever these are.
    SameFilter,
    /// All: they are on one node.
    OneNode,
}

/// Refuses two of the same name, address or range.
pub(super) fn refuse(choice: &BgpChoice, among: Among, file: &Source) -> Result<(), ConfigError> {
    let nodes = |on| (among == Among::SameFilter).then_some(on);
    let (peers, ranges) = (&choice.peers, &choice.listen);
    if let Some((_, one)) = twins(peers, |one| (nodes(&one.on), &one.name)) {
        return Err(refused(
            &peer(file, one).key("name"),
            &one.name,
            "another peer has the name",
        ));
    }
    if let Some((first, one)) = twins(peers, |one| (nodes(&one.on), one.peer.address)) {
        let why = format!("it is that of {}", peer(file, first));
        return Err(refused(
            &peer(file, one).key("address"),
            one.peer.address,
            &why,
        ));
    }
    if let Some((_, one)) = twins(ranges, |one| (nodes(&one.on), one.range.range)) {
        return Err(refused(
            &range(file, one).key("range"),
            one.range.range,
            "another has the range",
        ));
    }
    Ok(())
}

/// The first entry with a key that an earlier one has, and that one before it.
fn twins<'a, T, K: Ord>(all: &'a [T], key: impl Fn(&'a T) -> K) -> Option<(&'a T, &'a T)> {
    let mut seen = BTreeMap::new();
    all.iter()
        .find_map(|one| Some((seen.insert(key(one), one)?, one)))
}

fn refused(place: &Place<'_>, value: impl Display, why: &str) -> ConfigError {
    place.refuses(
        value,
        format!("{why}: want one for each, or nodes and labels that no node fits both of"),
    )
}

/// Where the peer stands.
pub(super) fn peer<'a>(file: &'a Source, one: &PeerChoice) -> Place<'a> {
    Place::new(file, "bgp.peer").named(&one.name)
}

/// Where the range stands.
pub(super) fn range<'a>(file: &'a Source, one: &ListenChoice) -> Place<'a> {
    Place::new(file, "bgp.listen").named(&one.range.range.to_string())
}
