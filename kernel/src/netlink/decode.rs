//! Reading what the kernel sends: dumps and notifications have one format.

use std::net::IpAddr;

use crate::link::{IfIndex, Mac};
use crate::speaker::Notification;

use super::decode_link;
use super::decode_route::{self, Object, object};
use super::wire::*;

/// One message of a datagram.
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) seq: u32,
    pub(crate) payload: &'a [u8],
}

/// The messages of a datagram; what is cut off or malformed ends it.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let payload = bytes.get(16..length)?;
        let message = Message {
            kind: u16_at(bytes, 4)?,
            flags: u16_at(bytes, 6)?,
            seq: u32_at(bytes, 8)?,
            payload,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The errno (0: done) and the kernel's own words of an acknowledgement.
pub(crate) fn acknowledgement(message: &Message<'_>) -> (i32, Option<String>) {
    let errno = u32_at(message.payload, 0).map_or(libc::EIO, |e| e.cast_signed().saturating_neg());
    // With NETLINK_CAP_ACK only the header of the request stands before the
    // attributes (netlink_ack() in net/netlink/af_netlink.c).
    let text = attrs(message.payload.get(20..).unwrap_or_default())
        .find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG)
        .map(|(_, value)| {
            String::from_utf8_lossy(value)
                .trim_end_matches('\0')
                .to_owned()
        });
    (errno, text)
}

/// What a message says, if it is about something that can concern us.
pub(super) fn notification(message: &Message<'_>) -> Option<Notification> {
    let payload = message.payload;
    match message.kind {
        RTM_NEWNEIGH => neighbour(payload, true),
        RTM_DELNEIGH => neighbour(payload, false),
        RTM_NEWROUTE => {
            let (key, route) = decode_route::route(payload)?;
            Some(Notification::Route {
                key,
                route,
                replaced: message.flags & NLM_F_REPLACE != 0,
            })
        }
        RTM_DELROUTE => {
            let (key, route) = decode_route::route(payload)?;
            Some(Notification::RouteGone(key, route))
        }
        RTM_NEWNEXTHOP => {
            let object = object(payload)?;
            let Object {
                id,
                protocol,
                nexthop,
            } = object;
            Some(Notification::Nexthop(id, nexthop, protocol))
        }
        RTM_DELNEXTHOP => object(payload).map(|object| Notification::NexthopGone(object.id)),
        RTM_NEWLINK => decode_link::link(payload).map(Notification::Link),
        RTM_DELLINK => decode_link::link_gone(payload).map(Notification::LinkGone),
        RTM_NEWADDR => decode_link::link_address(payload).map(Notification::Address),
        RTM_DELADDR => decode_link::link_address(payload).map(Notification::AddressGone),
        _ => None,
    }
}

fn neighbour(payload: &[u8], new: bool) -> Option<Notification> {
    let family = *payload.first()?;
    let link = IfIndex(u32_at(payload, 4)?);
    let permanent = u16_at(payload, 8)? & NUD_PERMANENT != 0;
    // An answer on behalf of others is an entry of another table.
    if *payload.get(10)? & NTF_PROXY != 0 {
        return None;
    }
    let (mut ip, mut mac, mut detour) = (None, None, false);
    for (kind, value) in attrs(payload.get(12..)?) {
        match kind {
            NDA_DST => ip = address(value),
            NDA_LLADDR => mac = value.try_into().ok().map(Mac),
            NDA_PORT | NDA_VNI | NDA_IFINDEX => detour = true,
            _ => {}
        }
    }
    let there = new && permanent;
    // One with a port, segment or link of its own leads elsewhere than its
    // address says; told to remove "any address", the kernel removes it.
    if let (AF_BRIDGE, true, Some(dst)) = (family, detour, ip) {
        ip = unspecified(super::wire::family(dst));
    }
    match family {
        AF_BRIDGE => Some(match (ip, there) {
            (Some(dst), true) => Notification::Fdb(link, mac?, dst),
            _ => Notification::FdbGone(link, mac?),
        }),
        AF_INET | AF_INET6 => Some(match (mac, there) {
            (Some(mac), true) => Notification::Neighbour(link, ip?, mac),
            _ => Notification::NeighbourGone(link, ip?),
        }),
        _ => None,
    }
}

pub(crate) fn attrs(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        // The two top bits say "nested" and "network byte order".
        let kind = u16_at(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub(crate) fn address(value: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(value).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(value).ok().map(IpAddr::from);
    v4().or_else(v6)
}

pub(super) fn unspecified(family: u8) -> Option<IpAddr> {
    match family {
        AF_INET => Some(IpAddr::from([0; 4])),
        AF_INET6 => Some(IpAddr::from([0; 16])),
        _ => None,
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Hop, Nexthop, NexthopId, Route, RouteKey, RouteTarget};
    use crate::netlink::encode::Messages;
    use proptest::prelude::*;

    fn read(written: &Messages) -> Vec<Notification> {
        messages(written.bytes())
            .filter_map(|m| notification(&m))
            .collect()
    }

    #[test]
    fn what_is_written_reads_back() {
        let hop = Hop {
            gateway: "10.244.60.0".parse().unwrap(),
            link: IfIndex(5),
            onlink: true,
        };
        let key = RouteKey {
            prefix: "10.244.60.0/24".parse().unwrap(),
            metric: 0,
        };
        let route = Route {
            target: RouteTarget::Nexthop(NexthopId(9)),
            protocol: 84,
        };
        let mac = Mac([2, 0, 0, 0, 0, 9]);
        let mut written = Messages::default();
        written.neighbour(1, hop.link, hop.gateway, Some(mac));
        written.fdb(2, hop.link, mac, hop.gateway, true);
        let nexthop = Nexthop::Hop(hop);
        let group = Nexthop::Group([NexthopId(9), NexthopId(11)].into());
        written.nexthop(3, NexthopId(9), &nexthop, (84, true));
        written.nexthop(4, NexthopId(12), &group, (84, true));
        written.route(5, &key, &route, true);
        assert_eq!(
            read(&written),
            [
                Notification::Neighbour(hop.link, hop.gateway, mac),
                Notification::Fdb(hop.link, mac, hop.gateway),
                Notification::Nexthop(NexthopId(9), Some(nexthop), 84),
                Notification::Nexthop(NexthopId(12), Some(group), 84),
                Notification::Route {
                    key,
                    route,
                    replaced: true
                },
            ]
        );
    }

    #[test]
    fn a_route_of_several_gateways_of_both_families_reads_back() {
        let hop = |gateway: &str, link| Hop {
            gateway: gateway.parse().unwrap(),
            link: IfIndex(link),
            onlink: link == 5,
        };
        let key = RouteKey {
            prefix: "10.244.60.0/24".parse().unwrap(),
            metric: 7,
        };
        let hops = vec![hop("10.0.0.1", 5), hop("fd00::1", 6)];
        for hops in [&hops[..1], &hops[1..], &hops] {
            let target = match hops {
                [hop] => RouteTarget::Gateway(*hop),
                hops => RouteTarget::Gateways(hops.into()),
            };
            let route = Route {
                target,
                protocol: 84,
            };
            let mut written = Messages::default();
            written.route(1, &key, &route, false);
            let replaced = false;
            assert_eq!(
                read(&written),
                [Notification::Route {
                    key,
                    route,
                    replaced
                }]
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes) {
                let _ = (notification(&message), acknowledgement(&message));
            }
            for kind in [RTM_NEWROUTE, RTM_NEWNEXTHOP] {
                let message = Message { kind, flags: 0, seq: 0, payload: &bytes };
                let address = IpAddr::from([10, 0, 0, 1]);
                let _ = (notification(&message), decode_route::resolved(&bytes, address, 84));
            }
        }
    }
}
