//! One thing that the kernel can hold ([`Entry`]) and its name there ([`Key`]).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use crate::link::{IfIndex, Mac, VxlanDevice};
use crate::sysctl::Sysctl;

/// A wish: something that the kernel shall hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A VXLAN device of ours, by name.
    Device(String, VxlanDevice),
    /// An address on a link of ours.
    Address(IfIndex, IpNetwork),
    /// A sysctl and its value.
    Sysctl(Sysctl, u32),
    /// A permanent neighbour: this address is at this MAC.
    Neighbour(IfIndex, IpAddr, Mac),
    /// An FDB entry: frames to this MAC go to this underlay address.
    Fdb(IfIndex, Mac, IpAddr),
    /// A hop that routes can name.
    Hop(HopName, Hop),
    /// Several hops that routes can name together, each with the same share.
    Group(GroupName, Vec<HopName>),
    /// A route.
    Route(RouteKey, To),
}

/// What names an [`Entry`] among those of its kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    /// A device by name.
    Device(String),
    /// An address on a link.
    Address(IfIndex, IpNetwork),
    /// A sysctl.
    Sysctl(Sysctl),
    /// The neighbour with this address on a link.
    Neighbour(IfIndex, IpAddr),
    /// The FDB entry of this MAC on a device.
    Fdb(IfIndex, Mac),
    /// A hop by name.
    Hop(HopName),
    /// A group of hops by name.
    Group(GroupName),
    /// A route by destination and metric.
    Route(RouteKey),
}

impl Entry {
    /// Its name.
    pub fn key(&self) -> Key {
        match self {
            Entry::Device(name, _) => Key::Device(name.clone()),
            Entry::Address(link, network) => Key::Address(*link, *network),
            Entry::Sysctl(sysctl, _) => Key::Sysctl(sysctl.clone()),
            Entry::Neighbour(link, ip, _) => Key::Neighbour(*link, *ip),
            Entry::Fdb(link, mac, _) => Key::Fdb(*link, *mac),
            Entry::Hop(name, _) => Key::Hop(*name),
            Entry::Group(name, _) => Key::Group(*name),
            Entry::Route(key, _) => Key::Route(*key),
        }
    }
}

/// The name by which routes refer to a hop: the address of the VTEP or of the
/// node behind it. Routes follow when the hop of that name changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HopName(pub IpAddr);

/// The name by which routes refer to several hops together: a number that the
/// wisher gives, one for each set of hops. Routes follow when the group of that
/// name gets other hops.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupName(pub u32);

/// Where packets go next. The gateway of an IPv4 route may be an IPv6 address
/// (RFC 8950).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Hop {
    /// The next machine's (or VTEP's) address.
    pub gateway: IpAddr,
    /// The link that leads to it.
    pub link: IfIndex,
    /// The gateway need not be in a connected prefix of the link (`onlink`).
    pub onlink: bool,
}

/// The kernel's number of a nexthop object (`RTM_NEWNEXTHOP`, `NHA_ID`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NexthopId(pub u32);

/// What a nexthop object holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Nexthop {
    /// One hop.
    Hop(Hop),
    /// Other objects, each of one hop, that share the packets evenly. Their
    /// numbers are in order.
    Group(Box<[NexthopId]>),
}

/// The family of a route's destination.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A route's destination and metric; the table is always `main`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RouteKey {
    /// Destination.
    pub prefix: IpNetwork,
    /// Priority, lower wins. IPv6 has no 0: the kernel makes it 1024.
    pub metric: u32,
}

impl RouteKey {
    /// A route to `prefix` with this metric; 0 is the kernel's own default of
    /// its family.
    pub fn with_metric(prefix: IpNetwork, metric: u32) -> RouteKey {
        match metric {
            0 => RouteKey::with_default_metric(prefix),
            metric => RouteKey { prefix, metric },
        }
    }

    /// A route to `prefix` with the kernel's own default metric of its family.
    pub fn with_default_metric(prefix: IpNetwork) -> RouteKey {
        let metric = if prefix.is_ipv4() { 0 } else { 1024 };
        RouteKey { prefix, metric }
    }

    /// A route to `prefix` that loses to every other one.
    pub fn of_last_resort(prefix: IpNetwork) -> RouteKey {
        RouteKey {
            prefix,
            metric: u32::MAX,
        }
    }
}

/// Where a wanted route leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// Through the hop of this name.
    Via(HopName),
    /// Through the hops of the group of this name, a share of the packets each.
    Over(GroupName),
    /// Nowhere: the sender is told so (`RTN_UNREACHABLE`).
    Unreachable,
}

/// A route as the kernel has it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Route {
    /// Where it leads.
    pub target: RouteTarget,
    /// Who installed it (`rtm_protocol`).
    pub protocol: u8,
}

/// Where a route of the kernel leads.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RouteTarget {
    /// Through a nexthop object.
    Nexthop(NexthopId),
    /// Through a gateway of its own.
    Gateway(Hop),
    /// Through several gateways of its own, in order and with even shares.
    Gateways(Arc<[Hop]>),
    /// Nowhere, and the sender is told so.
    Unreachable,
    /// Something that we never install: a bare device, a blackhole, uneven
    /// shares.
    Other,
}

/// The names of `/etc/iproute2/rt_protos` that an operator is likely to meet.
fn protocol_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        2 => "kernel",
        3 => "boot",
        4 => "static",
        9 => "ra",
        11 => "zebra",
        12 => "bird",
        16 => "dhcp",
        42 => "babel",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        _ => return None,
    })
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on link {}", self.gateway, self.link)
    }
}

impl fmt::Display for NexthopId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Nexthop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Nexthop::Hop(hop) => hop.fmt(f),
            Nexthop::Group(members) => write!(f, "a group of {}", Listed(members)),
        }
    }
}

/// Things with commas between them.
pub(crate) struct Listed<'a, T>(pub(crate) &'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, item) in self.0.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{item}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            RouteTarget::Nexthop(id) => write!(f, "a route by nexthop {}", id.0)?,
            RouteTarget::Gateway(hop) => write!(f, "a route via {hop}")?,
            RouteTarget::Gateways(hops) => write!(f, "a route via {}", Listed(hops))?,
            RouteTarget::Unreachable => f.write_str("an unreachable route")?,
            RouteTarget::Other => f.write_str("another kind of route")?,
        }
        match protocol_name(self.protocol) {
            Some(name) => write!(f, " of protocol {name}"),
            None => write!(f, " of protocol {}", self.protocol),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Device(name) => write!(f, "device {name}"),
            Key::Address(link, network) => write!(f, "address {network} on link {link}"),
            Key::Sysctl(sysctl) => write!(f, "sysctl {sysctl}"),
            Key::Neighbour(link, ip) => write!(f, "neighbour {ip} on link {link}"),
            Key::Fdb(link, mac) => write!(f, "FDB entry {mac} on link {link}"),
            Key::Hop(HopName(ip)) => write!(f, "nexthop {ip}"),
            Key::Group(GroupName(number)) => write!(f, "nexthop group {number}"),
            Key::Route(key) => write!(f, "route {} metric {}", key.prefix, key.metric),
        }
    }
}
