//! Writing the four messages that there are many of: neighbours, FDB entries,
//! nexthop objects and routes. A batch is one buffer for one `sendmsg`.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::entry::{Hop, Nexthop, NexthopId, Route, RouteKey, RouteTarget};
use crate::link::{IfIndex, Mac};

use super::wire::*;

/// Whether a put may overwrite what is there under the same name.
pub(super) fn put_flags(replace: bool) -> u16 {
    NLM_F_CREATE | if replace { NLM_F_REPLACE } else { NLM_F_EXCL }
}

/// Netlink messages, one after the other.
#[derive(Default)]
pub(super) struct Messages {
    bytes: Vec<u8>,
    /// Where the last message starts.
    last: usize,
    count: usize,
}

impl Messages {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Asks for an acknowledgement of the last message.
    pub(super) fn acknowledge_last(&mut self) {
        let at = self.last + 6;
        let flags = u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]) | NLM_F_ACK;
        self.bytes[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
    }

    /// Adds a message that is serialised already, payload only.
    pub(super) fn raw(&mut self, kind: u16, flags: u16, seq: u32, payload: &[u8]) {
        self.message(kind, flags, seq, |m| m.put(payload));
    }

    pub(super) fn neighbour(&mut self, seq: u32, link: IfIndex, ip: IpAddr, mac: Option<Mac>) {
        let (kind, flags) = put_or_delete(mac.is_some(), RTM_NEWNEIGH, RTM_DELNEIGH);
        self.message(kind, flags, seq, |m| {
            m.neighbour_header(family(ip), link, 0);
            m.address_attr(NDA_DST, ip);
            if let Some(mac) = mac {
                m.attr(NDA_LLADDR, &mac.0);
            }
        });
    }

    pub(super) fn fdb(&mut self, seq: u32, link: IfIndex, mac: Mac, dst: IpAddr, put: bool) {
        let (kind, flags) = put_or_delete(put, RTM_NEWNEIGH, RTM_DELNEIGH);
        self.message(kind, flags, seq, |m| {
            m.neighbour_header(AF_BRIDGE, link, NTF_SELF);
            m.attr(NDA_LLADDR, &mac.0);
            m.address_attr(NDA_DST, dst);
        });
    }

    pub(super) fn nexthop(&mut self, seq: u32, id: NexthopId, nexthop: &Nexthop, put: (u8, bool)) {
        let (protocol, replace) = put;
        let (family, flags) = match nexthop {
            Nexthop::Hop(hop) => (family(hop.gateway), hop_flags(hop)),
            Nexthop::Group(_) => (AF_UNSPEC, 0),
        };
        self.message(RTM_NEWNEXTHOP, put_flags(replace), seq, |m| {
            m.put(&[family, 0, protocol, 0]);
            m.put(&flags.to_ne_bytes());
            m.attr(NHA_ID, &id.0.to_ne_bytes());
            match nexthop {
                Nexthop::Hop(hop) => {
                    m.address_attr(NHA_GATEWAY, hop.gateway);
                    m.attr(NHA_OIF, &hop.link.0.to_ne_bytes());
                }
                Nexthop::Group(members) => m.nested(NHA_GROUP, |m| {
                    for id in members {
                        // struct nexthop_grp: an id, and a weight of 0 for 1.
                        m.put(&id.0.to_ne_bytes());
                        m.put(&[0; 4]);
                    }
                }),
            }
        });
    }

    pub(super) fn nexthop_removal(&mut self, seq: u32, id: NexthopId) {
        self.message(RTM_DELNEXTHOP, 0, seq, |m| {
            m.put(&[0; 8]);
            m.attr(NHA_ID, &id.0.to_ne_bytes());
        });
    }

    pub(super) fn route(&mut self, seq: u32, key: &RouteKey, route: &Route, replace: bool) {
        self.route_message((RTM_NEWROUTE, put_flags(replace)), seq, key, route);
    }

    pub(super) fn route_removal(&mut self, seq: u32, key: &RouteKey, route: &Route) {
        // The kernel compares several gateways in the order in which it got them;
        // key and protocol say enough.
        let route = match route.target {
            RouteTarget::Gateways(_) => &Route {
                target: RouteTarget::Other,
                protocol: route.protocol,
            },
            _ => route,
        };
        self.route_message((RTM_DELROUTE, 0), seq, key, route);
    }

    /// Asks for the route that leads to an address (`RTM_F_FIB_MATCH`: as it
    /// stands in the table).
    pub(super) fn way_to(&mut self, seq: u32, address: IpAddr) {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        self.message(RTM_GETROUTE, 0, seq, |m| {
            m.put(&[family(address), bits, 0, 0, 0, 0, 0, 0]);
            m.put(&RTM_F_FIB_MATCH.to_ne_bytes());
            m.address_attr(RTA_DST, address);
        });
    }

    pub(super) fn address(&mut self, seq: u32, link: IfIndex, network: &IpNetwork, put: bool) {
        let (kind, flags) = put_or_delete(put, RTM_NEWADDR, RTM_DELADDR);
        self.message(kind, flags, seq, |m| {
            m.put(&[
                family(network.ip()),
                network.prefix(),
                IFA_F_NODAD,
                RT_SCOPE_UNIVERSE,
            ]);
            m.put(&link.0.to_ne_bytes());
            m.address_attr(IFA_LOCAL, network.ip());
            m.address_attr(IFA_ADDRESS, network.ip());
        });
    }

    fn route_message(
        &mut self,
        (kind, flags): (u16, u16),
        seq: u32,
        key: &RouteKey,
        route: &Route,
    ) {
        let (rtm_type, rtm_flags) = match &route.target {
            RouteTarget::Unreachable => (RTN_UNREACHABLE, 0),
            RouteTarget::Gateway(hop) => (RTN_UNICAST, hop_flags(hop)),
            RouteTarget::Gateways(_) | RouteTarget::Nexthop(_) => (RTN_UNICAST, 0),
            RouteTarget::Other => (RTN_UNSPEC, 0),
        };
        self.message(kind, flags, seq, |m| {
            let prefix = &key.prefix;
            m.put(&[family(prefix.ip()), prefix.prefix(), 0, 0]);
            m.put(&[RT_TABLE_MAIN, route.protocol, RT_SCOPE_UNIVERSE, rtm_type]);
            m.put(&rtm_flags.to_ne_bytes());
            m.address_attr(RTA_DST, prefix.ip());
            if key.metric != 0 {
                m.attr(RTA_PRIORITY, &key.metric.to_ne_bytes());
            }
            match &route.target {
                RouteTarget::Nexthop(id) => m.attr(RTA_NH_ID, &id.0.to_ne_bytes()),
                RouteTarget::Gateway(hop) => {
                    m.gateway(prefix.ip(), hop.gateway);
                    m.attr(RTA_OIF, &hop.link.0.to_ne_bytes());
                }
                RouteTarget::Gateways(hops) => m.nested(RTA_MULTIPATH, |m| {
                    hops.iter().for_each(|hop| m.shared_hop(prefix.ip(), hop));
                }),
                RouteTarget::Unreachable | RouteTarget::Other => {}
            }
        });
    }

    /// One of several hops of a route: struct rtnexthop, with 0 for one share.
    fn shared_hop(&mut self, destination: IpAddr, hop: &Hop) {
        let start = self.bytes.len();
        let [flags, ..] = hop_flags(hop).to_le_bytes();
        self.put(&[0, 0, flags, 0]);
        self.put(&hop.link.0.to_ne_bytes());
        self.gateway(destination, hop.gateway);
        self.close(start);
    }

    /// A gateway of another family than the destination has an attribute of its
    /// own (RFC 8950).
    fn gateway(&mut self, destination: IpAddr, gateway: IpAddr) {
        if family(destination) == family(gateway) {
            return self.address_attr(RTA_GATEWAY, gateway);
        }
        self.nested(RTA_VIA, |m| {
            m.put(&u16::from(family(gateway)).to_ne_bytes());
            match gateway {
                IpAddr::V4(ip) => m.put(&ip.octets()),
                IpAddr::V6(ip) => m.put(&ip.octets()),
            }
        });
    }

    fn message(&mut self, kind: u16, flags: u16, seq: u32, body: impl FnOnce(&mut Self)) {
        self.last = self.bytes.len();
        self.count += 1;
        self.put(&[0; 4]);
        self.put(&kind.to_ne_bytes());
        self.put(&(flags | NLM_F_REQUEST).to_ne_bytes());
        self.put(&seq.to_ne_bytes());
        self.put(&[0; 4]);
        body(self);
        let length =
            u32::try_from(self.bytes.len() - self.last).expect("a message is far below 4 GiB");
        self.bytes[self.last..self.last + 4].copy_from_slice(&length.to_ne_bytes());
        self.align();
    }

    fn neighbour_header(&mut self, family: u8, link: IfIndex, flags: u8) {
        self.put(&[family, 0, 0, 0]);
        self.put(&link.0.to_ne_bytes());
        self.put(&NUD_PERMANENT.to_ne_bytes());
        self.put(&[flags, 0]);
    }

    fn address_attr(&mut self, kind: u16, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.attr(kind, &ip.octets()),
            IpAddr::V6(ip) => self.attr(kind, &ip.octets()),
        }
    }

    fn attr(&mut self, kind: u16, value: &[u8]) {
        self.nested(kind, |m| m.put(value));
    }

    /// An attribute whose value `body` writes.
    fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.put(&[0; 2]);
        self.put(&kind.to_ne_bytes());
        body(self);
        self.close(start);
        self.align();
    }

    /// Writes the length of what begins at `start` into its first two bytes.
    fn close(&mut self, start: usize) {
        let length = u16::try_from(self.bytes.len() - start)
            .expect("a group has at most MAX_MEMBERS members, of some 30 bytes each");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

fn hop_flags(hop: &Hop) -> u32 {
    if hop.onlink { RTNH_F_ONLINK } else { 0 }
}

fn put_or_delete(put: bool, new: u16, delete: u16) -> (u16, u16) {
    if put {
        (new, put_flags(true))
    } else {
        (delete, 0)
    }
}

/// A request for a dump: a header for the kind, with what narrows it down.
pub(super) fn dump_request(seq: u32, what: &DumpOf) -> Messages {
    let mut messages = Messages::default();
    let flags = NLM_F_DUMP;
    match *what {
        DumpOf::Links => messages.message(RTM_GETLINK, flags, seq, |m| m.put(&[0; 16])),
        DumpOf::Addresses => messages.message(RTM_GETADDR, flags, seq, |m| m.put(&[0; 8])),
        DumpOf::Neighbours { family, link } => messages.message(RTM_GETNEIGH, flags, seq, |m| {
            m.put(&[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            m.attr(NDA_IFINDEX, &link.0.to_ne_bytes());
        }),
        DumpOf::Nexthops => messages.message(RTM_GETNEXTHOP, flags, seq, |m| m.put(&[0; 8])),
        DumpOf::Routes { family, protocol } => messages.message(RTM_GETROUTE, flags, seq, |m| {
            m.put(&[family, 0, 0, 0, RT_TABLE_MAIN, protocol, 0, 0, 0, 0, 0, 0]);
        }),
    }
    messages
}

/// What to dump.
#[derive(Clone, Copy, Debug)]
pub(super) enum DumpOf {
    Links,
    Addresses,
    Neighbours { family: u8, link: IfIndex },
    Nexthops,
    Routes { family: u8, protocol: u8 },
}

impl DumpOf {
    pub(super) fn table(&self) -> &'static str {
        match self {
            DumpOf::Links => "links",
            DumpOf::Addresses => "addresses",
            DumpOf::Neighbours {
                family: AF_BRIDGE, ..
            } => "FDB",
            DumpOf::Neighbours { .. } => "neighbours",
            DumpOf::Nexthops => "nexthops",
            DumpOf::Routes { .. } => "routes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
    use netlink_packet_route::RouteNetlinkMessage;
    use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute};
    use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteProtocol};

    /// netlink-packet-route is the independent reader of what we write.
    fn read(messages: &Messages) -> RouteNetlinkMessage {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(messages.bytes()).unwrap();
        match message.payload {
            NetlinkPayload::InnerMessage(inner) => inner,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_neighbour_reads_as_it_was_written() {
        let mut messages = Messages::default();
        let ip: IpAddr = "10.244.60.0".parse().unwrap();
        messages.neighbour(1, IfIndex(5), ip, Some(Mac([2, 0, 0, 0, 0, 9])));
        let RouteNetlinkMessage::NewNeighbour(neighbour) = read(&messages) else {
            panic!()
        };
        assert_eq!(neighbour.header.ifindex, 5);
        assert!(
            neighbour
                .attributes
                .contains(&NeighbourAttribute::Destination(ip.into()))
        );
        let mac = NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 9]);
        assert!(neighbour.attributes.contains(&mac));
        let _ = NeighbourAddress::from(ip);
    }

    #[test]
    fn a_route_names_its_nexthop_metric_and_protocol() {
        let mut messages = Messages::default();
        let key = RouteKey {
            prefix: "fd00::/64".parse().unwrap(),
            metric: 1024,
        };
        let route = Route {
            target: RouteTarget::Nexthop(NexthopId(7)),
            protocol: 84,
        };
        messages.route(1, &key, &route, true);
        let RouteNetlinkMessage::NewRoute(message) = read(&messages) else {
            panic!()
        };
        assert_eq!(message.header.protocol, RouteProtocol::Other(84));
        assert_eq!(message.header.destination_prefix_length, 64);
        let dst = RouteAttribute::Destination(RouteAddress::Inet6("fd00::".parse().unwrap()));
        assert!(message.attributes.contains(&dst));
        assert!(message.attributes.contains(&RouteAttribute::Priority(1024)));
    }

    #[test]
    fn only_the_last_message_of_a_batch_asks_for_an_acknowledgement() {
        let mut messages = Messages::default();
        messages.nexthop_removal(1, NexthopId(1));
        let second = messages.bytes().len();
        messages.nexthop_removal(2, NexthopId(2));
        messages.acknowledge_last();
        let flags =
            |at: usize| u16::from_ne_bytes([messages.bytes()[at + 6], messages.bytes()[at + 7]]);
        assert_eq!(
            (flags(0) & NLM_F_ACK, flags(second) & NLM_F_ACK),
            (0, NLM_F_ACK)
        );
    }
}
