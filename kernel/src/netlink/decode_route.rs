//! Reading routes and nexthop objects.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::entry::{Hop, Nexthop, NexthopId, Route, RouteKey, RouteTarget};
use crate::link::IfIndex;
use crate::reconcile::through;
use crate::speaker::Resolved;

use super::decode::{address, attrs, u16_at, u32_at, unspecified};
use super::wire::*;

/// A route of the table `main`.
pub(super) fn route(payload: &[u8]) -> Option<(RouteKey, Route)> {
    let read = read(payload)?;
    if read.table != u32::from(RT_TABLE_MAIN) {
        return None;
    }
    let target = match (read.kind, read.id) {
        (RTN_UNREACHABLE, _) => RouteTarget::Unreachable,
        (RTN_UNICAST, Some(id)) => RouteTarget::Nexthop(id),
        (RTN_UNICAST, None) if read.is_plain => {
            let hops = read.hops.iter().map(Leg::hop).collect::<Option<Vec<_>>>();
            hops.and_then(through).unwrap_or(RouteTarget::Other)
        }
        _ => RouteTarget::Other,
    };
    let (prefix, metric, protocol) = (read.prefix, read.metric, read.protocol);
    Some((RouteKey { prefix, metric }, Route { target, protocol }))
}

/// The way to `address` that the kernel's answer names, unless it is a route of
/// the protocol `ours`, or leads to no other machine. Of several hops that can be
/// used it is the first.
pub(super) fn resolved(payload: &[u8], address: IpAddr, ours: u8) -> Option<Resolved> {
    let read = read(payload)?;
    if read.kind != RTN_UNICAST || read.protocol == ours {
        return None;
    }
    let usable = |leg: &&Leg| leg.flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN) == 0;
    let leg = read.hops.iter().find(usable)?;
    // fib_check_nh() wants a gateway in a route of the scope `link`.
    let is_wide = address.is_ipv4() && read.scope == RT_SCOPE_UNIVERSE;
    let onlink = leg.flags & RTNH_F_ONLINK != 0 || (leg.gateway.is_none() && is_wide);
    let hop = Hop {
        gateway: leg.gateway.unwrap_or(address),
        link: leg.link?,
        onlink,
    };
    let metric = read.metric;
    Some(Resolved { hop, metric })
}

/// What stands in a message about a route.
struct Read {
    prefix: IpNetwork,
    metric: u32,
    table: u32,
    protocol: u8,
    scope: u8,
    kind: u8,
    id: Option<NexthopId>,
    hops: Vec<Leg>,
    /// Nothing happens to packets on the way, and each hop has the same share.
    is_plain: bool,
}

/// One of the hops of a route, which may lack a gateway.
#[derive(Default)]
struct Leg {
    gateway: Option<IpAddr>,
    link: Option<IfIndex>,
    flags: u32,
}

impl Leg {
    fn hop(&self) -> Option<Hop> {
        Some(Hop {
            gateway: self.gateway?,
            link: self.link?,
            onlink: self.flags & RTNH_F_ONLINK != 0,
        })
    }
}

fn read(payload: &[u8]) -> Option<Read> {
    let (family, length) = (*payload.first()?, *payload.get(1)?);
    // A route for a source prefix or a type of service stands beside the one
    // for all others.
    if (*payload.get(2)?, *payload.get(3)?) != (0, 0) {
        return None;
    }
    let mut table = u32::from(*payload.get(4)?);
    let (protocol, scope, kind) = (*payload.get(5)?, *payload.get(6)?, *payload.get(7)?);
    let mut leg = Leg {
        flags: u32_at(payload, 8)?,
        ..Leg::default()
    };
    let (mut dst, mut metric, mut id) = (unspecified(family)?, 0, None);
    let (mut hops, mut is_plain) = (Vec::new(), true);
    for (attr, value) in attrs(payload.get(12..)?) {
        match attr {
            RTA_DST => dst = address(value)?,
            RTA_PRIORITY => metric = u32_at(value, 0)?,
            RTA_TABLE => table = u32_at(value, 0)?,
            RTA_OIF => leg.link = u32_at(value, 0).map(IfIndex),
            RTA_NH_ID => id = u32_at(value, 0).map(NexthopId),
            RTA_MULTIPATH => is_plain &= read_legs(value, &mut hops),
            _ => is_plain &= read_gateway((attr, value), &mut leg),
        }
    }
    if hops.is_empty() {
        hops.push(leg);
    }
    let prefix = IpNetwork::new(dst, length).ok()?;
    Some(Read {
        prefix,
        metric,
        table,
        protocol,
        scope,
        kind,
        id,
        hops,
        is_plain,
    })
}

/// Several hops: each a struct rtnexthop with attributes. False if one is more
/// than a gateway and a link, or they share unevenly.
fn read_legs(mut bytes: &[u8], into: &mut Vec<Leg>) -> bool {
    let mut is_plain = true;
    while let (Some(length), Some(&[_, _, flags, share, ..])) =
        (u16_at(bytes, 0), bytes.first_chunk::<8>())
    {
        let length = usize::from(length);
        let Some(attributes) = bytes.get(8..length) else {
            return false;
        };
        let mut leg = Leg {
            link: u32_at(bytes, 4).map(IfIndex),
            flags: u32::from(flags),
            gateway: None,
        };
        is_plain &= share == 0;
        for attr in attrs(attributes) {
            is_plain &= read_gateway(attr, &mut leg);
        }
        into.push(leg);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    is_plain && bytes.is_empty()
}

/// False if packets are wrapped on the way.
fn read_gateway((attr, value): (u16, &[u8]), leg: &mut Leg) -> bool {
    match attr {
        RTA_GATEWAY => leg.gateway = address(value),
        RTA_VIA => leg.gateway = value.get(2..).and_then(address),
        _ => {}
    }
    attr != RTA_ENCAP
}

/// A nexthop object; it has no content when it is something that we never make.
pub(super) struct Object {
    pub(super) id: NexthopId,
    pub(super) protocol: u8,
    pub(super) nexthop: Option<Nexthop>,
}

pub(super) fn object(payload: &[u8]) -> Option<Object> {
    let protocol = *payload.get(2)?;
    let onlink = u32_at(payload, 4)? & RTNH_F_ONLINK != 0;
    let (mut id, mut gateway, mut link, mut group) = (None, None, None, None);
    let mut is_plain = true;
    for (kind, value) in attrs(payload.get(8..)?) {
        match kind {
            NHA_ID => id = u32_at(value, 0).map(NexthopId),
            NHA_GATEWAY => gateway = address(value),
            NHA_OIF => link = u32_at(value, 0).map(IfIndex),
            NHA_GROUP => group = Some(members(value)),
            NHA_GROUP_TYPE => is_plain &= u16_at(value, 0) == Some(NEXTHOP_GRP_TYPE_MPATH),
            NHA_BLACKHOLE | NHA_ENCAP | NHA_FDB => is_plain = false,
            _ => {}
        }
    }
    let hop = |gateway, link| Hop {
        gateway,
        link,
        onlink,
    };
    let nexthop = match (group, gateway, link) {
        (Some(members), ..) => members.map(|members| Nexthop::Group(members.into())),
        (None, Some(gateway), Some(link)) => Some(Nexthop::Hop(hop(gateway, link))),
        _ => None,
    };
    Some(Object {
        id: id?,
        protocol,
        nexthop: nexthop.filter(|_| is_plain),
    })
}

/// The members of a group (struct nexthop_grp), if they share evenly.
fn members(value: &[u8]) -> Option<Vec<NexthopId>> {
    let (entries, rest) = value.as_chunks::<8>();
    let even = entries.iter().all(|entry| entry[4..6] == [0, 0]);
    let ids = entries
        .iter()
        .filter_map(|entry| u32_at(entry, 0).map(NexthopId));
    let mut ids: Vec<NexthopId> = ids.collect();
    ids.sort_unstable();
    (even && rest.is_empty() && !ids.is_empty()).then_some(ids)
}
