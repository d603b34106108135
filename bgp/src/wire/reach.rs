//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760, RFC 2545, RFC 8950; errors: RFC 7606 section 5.3 and 7.11).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::family::Family;
use crate::wire::attributes::NextHop;
use crate::wire::fault::Wrong;
use crate::wire::nlri::Prefixes;
use crate::wire::reader::Reader;
use crate::wire::rules::Rules;

/// Routes of one family and their next hop; `None` where the address can be nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MpReach {
    pub(crate) next_hop: Option<NextHop>,
    pub(crate) prefixes: Prefixes,
}

/// Reads MP_REACH_NLRI. `None` inside: a family that was not agreed on.
pub(crate) fn decode_reach(value: &[u8], rules: &Rules) -> Result<Option<MpReach>, Wrong> {
    let broken = || Wrong::reset(9, &[]);
    let mut reader = Reader::new(value);
    let family = family(&mut reader).ok_or_else(broken)?;
    let length = reader.u8().ok_or_else(broken)?;
    let hop = reader.take(length.into()).ok_or_else(broken)?;
    let _reserved = reader.u8().ok_or_else(broken)?;
    let Some(family) = family.filter(|f| rules.families.has(*f)) else {
        return Ok(None);
    };
    let next_hop = next_hop(family, hop, rules.extended_next_hop).ok_or_else(broken)?;
    let prefixes = Prefixes::decode(family, reader.rest()).ok_or_else(broken)?;
    Ok(Some(MpReach {
        next_hop: Some(next_hop).filter(|hop| is_possible(*hop)),
        prefixes,
    }))
}

/// Reads MP_UNREACH_NLRI. `None` inside: a family that was not agreed on.
pub(crate) fn decode_unreach(value: &[u8], rules: &Rules) -> Result<Option<Prefixes>, Wrong> {
    let broken = || Wrong::reset(9, &[]);
    let mut reader = Reader::new(value);
    let family = family(&mut reader).ok_or_else(broken)?;
    match family.filter(|f| rules.families.has(*f)) {
        Some(family) => Prefixes::decode(family, reader.rest())
            .ok_or_else(broken)
            .map(Some),
        None => Ok(None),
    }
}

fn family(reader: &mut Reader<'_>) -> Option<Option<Family>> {
    let (afi, safi) = (reader.u16()?, reader.u8()?);
    Some(Family::of(afi, safi))
}

fn next_hop(family: Family, octets: &[u8], extended: bool) -> Option<NextHop> {
    let mut reader = Reader::new(octets);
    match (family, octets.len()) {
        (Family::Ipv4, 4) => reader.array::<4>().map(|a| NextHop::V4(Ipv4Addr::from(a))),
        (Family::Ipv4, 16 | 32) if !extended => None,
        (_, 16) => reader
            .array::<16>()
            .map(|a| NextHop::V6(Ipv6Addr::from(a), None)),
        (_, 32) => {
            let (global, local): ([u8; 16], [u8; 16]) = (reader.array()?, reader.array()?);
            let local = Some(Ipv6Addr::from(local)).filter(Ipv6Addr::is_unicast_link_local);
            Some(NextHop::V6(Ipv6Addr::from(global), local))
        }
        _ => None,
    }
}

/// Whether the address can be that of a machine (RFC 4271 section 6.3).
pub(crate) fn is_possible(hop: NextHop) -> bool {
    match hop {
        NextHop::V4(a) => a.octets()[0] != 0 && !a.is_loopback() && a.octets()[0] < 224,
        NextHop::V6(a, _) => !a.is_unspecified() && !a.is_loopback() && !a.is_multicast(),
    }
}
