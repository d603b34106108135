//! UPDATE: routes that come and go (RFC 4271 section 4.3 and 6.3, RFC 7606).

use crate::family::Family;
use crate::wire::attribute::{CutOff, Walk};
use crate::wire::attributes::{Attributes, NextHop};
use crate::wire::collect::Collected;
use crate::wire::fault::{Fault, Severity};
use crate::wire::nlri::Prefixes;
use crate::wire::notification::Notification;
use crate::wire::reader::Reader;
use crate::wire::rules::Rules;

/// Routes that come and go. What stands in both lists is announced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// Routes that go, also those that an error makes us take back (RFC 7606, "treat as withdraw").
    pub withdrawn: Vec<Prefixes>,
    /// Routes that come: at most one list in the classic place, one in MP_REACH_NLRI.
    pub announced: Vec<Announced>,
    /// End-of-RIB (RFC 4724 section 2): all that the peer has to say of this family has been said.
    pub end_of_rib: Option<Family>,
    /// What was wrong with it, at most nine.
    pub faults: Vec<Fault>,
}

/// Routes with the same attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// What is said about them.
    pub attributes: Attributes,
    /// Which they are.
    pub prefixes: Prefixes,
}

/// Reads the body of an UPDATE. An error ends the session; what RFC 7606 lets it survive is among the faults.
pub fn decode_update(body: &[u8], rules: &Rules) -> Result<Update, Notification> {
    let [withdrawn, attributes, nlri] = split(body).ok_or(Notification::new(3, 1))?;
    let classic = |bytes| Prefixes::decode(Family::Ipv4, bytes).ok_or(Notification::new(3, 10));
    let (mut withdrawn, mut nlri) = (classic(withdrawn)?, classic(nlri)?);
    let said_nothing = withdrawn.is_empty() && attributes.is_empty() && nlri.is_empty();
    let has_routes = !nlri.is_empty();
    if !rules.families.has(Family::Ipv4) {
        (withdrawn, nlri) = (Prefixes::V4(Vec::new()), Prefixes::V4(Vec::new()));
    }
    let collected = decode_attributes(attributes, has_routes, rules)?;
    let only_unreach = withdrawn.is_empty() && !has_routes && !collected.says_more_than_unreach();
    let mut update = assemble(collected, withdrawn, nlri);
    update.end_of_rib = match &update.withdrawn[..] {
        [] if said_nothing => Some(Family::Ipv4),
        [prefixes] if only_unreach && prefixes.is_empty() => Some(prefixes.family()),
        _ => None,
    };
    update.end_of_rib = update.end_of_rib.filter(|f| rules.families.has(*f));
    update.withdrawn.retain(|prefixes| !prefixes.is_empty());
    Ok(update)
}

/// The three parts: withdrawn routes, attributes, routes. `None` where a length runs over the end.
fn split(body: &[u8]) -> Option<[&[u8]; 3]> {
    let mut reader = Reader::new(body);
    let length = reader.u16()?;
    let withdrawn = reader.take(length.into())?;
    let length = reader.u16()?;
    let attributes = reader.take(length.into())?;
    Some([withdrawn, attributes, reader.rest()])
}

/// Reads the attributes of an UPDATE. `has_routes`: whether routes follow them in the classic place. Where an error asks to
/// withdraw and no routes can be seen, the session must end (RFC 7606 section 5.2).
fn decode_attributes(
    bytes: &[u8],
    has_routes: bool,
    rules: &Rules,
) -> Result<Collected, Notification> {
    let mut collected = Collected::new();
    let mut cut_off = false;
    for attribute in Walk(Reader::new(bytes)) {
        match attribute {
            Ok(raw) => collected.take(raw, rules)?,
            Err(CutOff) => cut_off = true,
        }
    }
    if cut_off {
        collected.blame(0, Severity::Withdraw, 1, "the list is cut off");
    }
    collected.finish(has_routes, rules);
    match collected.worst() {
        Some(fault)
            if fault.severity == Severity::Withdraw
                && !has_routes
                && !collected.has_reach()
                && (cut_off || collected.says_more_than_unreach()) =>
        {
            Err(Notification::new(3, fault.subcode).with(&[]))
        }
        _ => Ok(collected),
    }
}

fn assemble(collected: Collected, withdrawn: Prefixes, nlri: Prefixes) -> Update {
    let refused = collected
        .worst()
        .is_some_and(|w| w.severity == Severity::Withdraw);
    let mut update = Update::default();
    update
        .withdrawn
        .extend(Some(withdrawn).filter(|p| !p.is_empty()));
    update.withdrawn.extend(collected.unreach);
    let mut attributes = Some(collected.attributes);
    let reach = collected
        .reach
        .map(|reach| (reach.next_hop, reach.prefixes));
    for (next_hop, prefixes) in reach.into_iter().chain([(collected.next_hop, nlri)]) {
        if prefixes.is_empty() {
            continue;
        }
        match (next_hop, refused) {
            (Some(next_hop), false) => announce(&mut update, &mut attributes, next_hop, prefixes),
            _ => update.withdrawn.push(prefixes),
        }
    }
    update.faults = collected.faults;
    update
}

/// Two lists of routes in one UPDATE are rare, so the first gets the attributes and the second a copy of them.
fn announce(
    update: &mut Update,
    attributes: &mut Option<Attributes>,
    next_hop: NextHop,
    prefixes: Prefixes,
) {
    let first = || update.announced.first().map(|a| a.attributes.clone());
    if let Some(mut attributes) = attributes.take().or_else(first) {
        attributes.next_hop = next_hop;
        update.announced.push(Announced {
            attributes,
            prefixes,
        });
    }
}

/// Reads the attributes alone, for those who fuzz: the bytes between "Total Path Attribute Length" and the routes.
pub fn decode_attributes_only(bytes: &[u8], rules: &Rules) -> Result<Vec<Fault>, Notification> {
    decode_attributes(bytes, true, rules).map(|collected| collected.faults)
}
