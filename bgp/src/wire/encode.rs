//! Writing UPDATEs: attributes once, then as many routes as a message holds.

use crate::family::Family;
use crate::family::UNICAST;
use crate::ident::Peering;
use crate::prefix::Net;
use crate::wire::attribute::{OPTIONAL, PARTIAL, TRANSITIVE, WELL_KNOWN, code, encode};
use crate::wire::attributes::{Attributes, NextHop};
use crate::wire::message::{HEADER, Kind, message};
use crate::wire::nlri;
use crate::wire::rules::Rules;

/// Attributes that leave no room for a route in the longest message of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the attributes take {octets} octets, which leaves no room for a route in a message of {limit}; the routes are not announced"
)]
pub struct TooLong {
    /// Octets of the attributes.
    pub octets: usize,
    /// The longest message of the session.
    pub limit: usize,
}

/// Room that a message without routes and attributes takes: header, two lengths.
const EMPTY: usize = HEADER + 4;

/// Appends UPDATEs that announce these routes, each as full as can be.
pub fn encode_announce<P: Net>(
    attributes: &Attributes,
    nets: &[P],
    rules: &Rules,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    let classic = match attributes.next_hop {
        NextHop::V4(_) if P::FAMILY == Family::Ipv4 => true,
        NextHop::V4(_) | NextHop::V6(..) => false,
    };
    let mut shared = Vec::with_capacity(128);
    encode_attributes(attributes, classic, rules, &mut shared);
    let reach = if classic {
        Vec::new()
    } else {
        reach_head::<P>(attributes.next_hop)
    };
    let octets = EMPTY + shared.len() + reach_octets(reach.len());
    let longest = 1 + usize::from(P::BITS / 8);
    let Some(room) = rules
        .max_message
        .checked_sub(octets)
        .filter(|room| *room >= longest)
    else {
        return Err(TooLong {
            octets: shared.len() + reach.len(),
            limit: rules.max_message,
        });
    };
    for packed in Pack::new(nets, room) {
        out.extend_from_slice(&message(Kind::Update, |body| {
            body.extend_from_slice(&[0, 0]);
            if classic {
                put_block(body, |body| body.extend_from_slice(&shared));
                packed.iter().for_each(|net| nlri::encode(net, body));
            } else {
                put_block(body, |body| {
                    put_multiprotocol(code::MP_REACH, &reach, packed, body);
                    body.extend_from_slice(&shared);
                });
            }
        }));
    }
    Ok(())
}

/// Appends UPDATEs that withdraw these routes, each as full as can be.
pub fn encode_withdraw<P: Net>(nets: &[P], rules: &Rules, out: &mut Vec<u8>) {
    let head = family_octets::<P>();
    let classic = P::FAMILY == Family::Ipv4;
    let taken = EMPTY + if classic { 0 } else { reach_octets(head.len()) };
    for packed in Pack::new(nets, rules.max_message - taken) {
        out.extend_from_slice(&message(Kind::Update, |body| {
            if classic {
                put_block(body, |body| {
                    packed.iter().for_each(|net| nlri::encode(net, body))
                });
                body.extend_from_slice(&[0, 0]);
            } else {
                body.extend_from_slice(&[0, 0]);
                put_block(body, |body| {
                    put_multiprotocol(code::MP_UNREACH, &head, packed, body)
                });
            }
        }));
    }
}

/// Cuts routes into pieces of at most `room` octets.
struct Pack<'a, P> {
    nets: &'a [P],
    room: usize,
}

impl<'a, P: Net> Pack<'a, P> {
    fn new(nets: &'a [P], room: usize) -> Pack<'a, P> {
        Pack { nets, room }
    }
}

impl<'a, P: Net> Iterator for Pack<'a, P> {
    type Item = &'a [P];

    fn next(&mut self) -> Option<&'a [P]> {
        let mut octets = 0;
        let fits = |net: &&P| {
            octets += nlri::encoded_len(*net);
            octets <= self.room
        };
        let count = self.nets.iter().take_while(fits).count();
        let (packed, rest) = self.nets.split_at(count);
        self.nets = rest;
        (count > 0).then_some(packed)
    }
}

/// Two octets of length, then what `fill` appends.
fn put_block(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    fill(out);
    let length = (out.len() - at - 2) as u16;
    out[at..at + 2].copy_from_slice(&length.to_be_bytes());
}

/// MP_REACH_NLRI or MP_UNREACH_NLRI, always with the extended length.
fn put_multiprotocol<P: Net>(code: u8, head: &[u8], nets: &[P], out: &mut Vec<u8>) {
    out.extend_from_slice(&[OPTIONAL | 0x10, code]);
    put_block(out, |out| {
        out.extend_from_slice(head);
        nets.iter().for_each(|net| nlri::encode(net, out));
    });
}

/// Octets that a multiprotocol attribute takes beside its routes; none where there is none.
fn reach_octets(head: usize) -> usize {
    if head == 0 { 0 } else { 4 + head }
}

fn family_octets<P: Net>() -> Vec<u8> {
    let [a, b] = P::FAMILY.afi().to_be_bytes();
    vec![a, b, UNICAST]
}

/// MP_REACH_NLRI up to its routes.
fn reach_head<P: Net>(next_hop: NextHop) -> Vec<u8> {
    let mut head = family_octets::<P>();
    let octets = match next_hop {
        NextHop::V4(address) => address.octets().to_vec(),
        NextHop::V6(global, None) => global.octets().to_vec(),
        NextHop::V6(global, Some(local)) => [global.octets(), local.octets()].concat(),
    };
    head.push(octets.len() as u8);
    head.extend_from_slice(&octets);
    head.push(0);
    head
}

/// All attributes but the multiprotocol ones. What an external peer must not see is left out.
fn encode_attributes(attributes: &Attributes, classic: bool, rules: &Rules, out: &mut Vec<u8>) {
    let internal = rules.peering == Peering::Internal;
    encode_mandatory(attributes, classic, rules, out);
    if let Some(med) = attributes.med {
        encode(OPTIONAL, code::MED, &med.to_be_bytes(), out);
    }
    if internal {
        let local_pref = attributes
            .local_pref
            .unwrap_or(Attributes::DEFAULT_LOCAL_PREF);
        encode(WELL_KNOWN, code::LOCAL_PREF, &local_pref.to_be_bytes(), out);
    }
    if attributes.atomic_aggregate {
        encode(WELL_KNOWN, code::ATOMIC_AGGREGATE, &[], out);
    }
    encode_aggregator(attributes, rules, out);
    put_list(
        code::COMMUNITIES,
        &attributes.communities,
        |c| c.0.to_be_bytes(),
        out,
    );
    if internal {
        encode_reflected(attributes, out);
    }
    put_list(
        code::EXTENDED_COMMUNITIES,
        &attributes.extended_communities,
        |c| c.0,
        out,
    );
    if !rules.four_octet_as && attributes.as_path.needs_four_octets() {
        encode(
            OPTIONAL | TRANSITIVE,
            code::AS4_PATH,
            attributes.as_path.wire(),
            out,
        );
    }
    put_list(
        code::LARGE_COMMUNITIES,
        &attributes.large_communities,
        large,
        out,
    );
    for unknown in &attributes.unknown {
        encode(
            OPTIONAL | TRANSITIVE | PARTIAL,
            unknown.code,
            &unknown.value,
            out,
        );
    }
}

/// ORIGIN, AS_PATH, and NEXT_HOP where the routes stand in the classic place.
fn encode_mandatory(attributes: &Attributes, classic: bool, rules: &Rules, out: &mut Vec<u8>) {
    encode(WELL_KNOWN, code::ORIGIN, &[attributes.origin as u8], out);
    match rules.four_octet_as {
        true => encode(WELL_KNOWN, code::AS_PATH, attributes.as_path.wire(), out),
        false => encode(
            WELL_KNOWN,
            code::AS_PATH,
            &attributes.as_path.two_octet_wire(),
            out,
        ),
    }
    if let (true, NextHop::V4(address)) = (classic, attributes.next_hop) {
        encode(WELL_KNOWN, code::NEXT_HOP, &address.octets(), out);
    }
}

/// What reflectors within an AS have added (RFC 4456).
fn encode_reflected(attributes: &Attributes, out: &mut Vec<u8>) {
    if let Some(id) = attributes.originator_id {
        encode(
            OPTIONAL,
            code::ORIGINATOR_ID,
            &id.to_bits().to_be_bytes(),
            out,
        );
    }
    let list: Vec<u8> = attributes
        .cluster_list
        .iter()
        .flat_map(|id| id.to_be_bytes())
        .collect();
    if !list.is_empty() {
        encode(OPTIONAL, code::CLUSTER_LIST, &list, out);
    }
}

fn encode_aggregator(attributes: &Attributes, rules: &Rules, out: &mut Vec<u8>) {
    let Some(aggregator) = attributes.aggregator else {
        return;
    };
    let id = aggregator.router_id.to_bits().to_be_bytes();
    let wide = [aggregator.asn.0.to_be_bytes(), id].concat();
    if rules.four_octet_as {
        return encode(OPTIONAL | TRANSITIVE, code::AGGREGATOR, &wide, out);
    }
    let narrow = [&aggregator.asn.two_octets().to_be_bytes()[..], &id].concat();
    encode(OPTIONAL | TRANSITIVE, code::AGGREGATOR, &narrow, out);
    if aggregator.asn.0 > u32::from(u16::MAX) {
        encode(OPTIONAL | TRANSITIVE, code::AS4_AGGREGATOR, &wide, out);
    }
}

fn put_list<T: Copy, const N: usize>(
    code: u8,
    items: &[T],
    octets: impl Fn(T) -> [u8; N],
    out: &mut Vec<u8>,
) {
    if !items.is_empty() {
        let value: Vec<u8> = items.iter().flat_map(|item| octets(*item)).collect();
        encode(OPTIONAL | TRANSITIVE, code, &value, out);
    }
}

fn large(community: crate::wire::community::LargeCommunity) -> [u8; 12] {
    let mut octets = [0; 12];
    for (part, into) in community.0.iter().zip(octets.as_chunks_mut::<4>().0) {
        *into = part.to_be_bytes();
    }
    octets
}
