//! Routes in as few bytes as it takes: a full table of the internet is a million
//! of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

use crate::entry::{NexthopId, Route, RouteKey, RouteTarget};

/// A [`RouteKey`] of one family, sorted alike. Packed, it has 9 or 21 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(Rust, packed)]
pub(super) struct Key<A> {
    address: A,
    length: u8,
    metric: u32,
}

pub(super) type Key4 = Key<u32>;
pub(super) type Key6 = Key<u128>;

/// A [`RouteKey`] by its family.
pub(super) enum OfFamily {
    V4(Key4),
    V6(Key6),
}

impl From<&RouteKey> for OfFamily {
    fn from(key: &RouteKey) -> OfFamily {
        let (length, metric) = (key.prefix.prefix(), key.metric);
        match key.prefix.ip() {
            IpAddr::V4(ip) => OfFamily::V4(Key {
                address: ip.to_bits(),
                length,
                metric,
            }),
            IpAddr::V6(ip) => OfFamily::V6(Key {
                address: ip.to_bits(),
                length,
                metric,
            }),
        }
    }
}

impl<A: Copy> Key<A> {
    /// The first and the last key that its prefix can have.
    pub(super) fn of_prefix(&self) -> (Key<A>, Key<A>) {
        let with = |metric| Key { metric, ..*self };
        (with(0), with(u32::MAX))
    }
}

/// A key that has been made from a [`RouteKey`], and can be made one again.
pub(super) trait Name: Copy + Ord {
    fn route_key(&self) -> RouteKey;
}

impl Name for Key4 {
    fn route_key(&self) -> RouteKey {
        let network = Ipv4Network::new(Ipv4Addr::from_bits(self.address), self.length);
        let prefix = IpNetwork::V4(network.expect("the length of a prefix that was one before"));
        let metric = self.metric;
        RouteKey { prefix, metric }
    }
}

impl Name for Key6 {
    fn route_key(&self) -> RouteKey {
        let network = Ipv6Network::new(Ipv6Addr::from_bits(self.address), self.length);
        let prefix = IpNetwork::V6(network.expect("the length of a prefix that was one before"));
        let metric = self.metric;
        RouteKey { prefix, metric }
    }
}

/// The number of a [`Route`] in its [`Targets`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Target(u32);

/// What the numbers of routes mean. Of a million routes there are few different
/// ones: they lead through a nexthop object each, and are ours.
///
/// ```text
///   0 to 2^31 - 1   a route of ours through the nexthop object of this id
///   from 2^31       the place in `others`
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Targets {
    ours: u8,
    others: Vec<Route>,
    places: BTreeMap<Route, u32>,
}

const OTHERS: u32 = 1 << 31;

impl Targets {
    /// Routes of the protocol `ours` are usual.
    pub(super) fn new(ours: u8) -> Targets {
        Targets {
            ours,
            others: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// The number of a route.
    pub(super) fn number(&mut self, route: Route) -> Target {
        match route.target {
            RouteTarget::Nexthop(id) if route.protocol == self.ours && id.0 < OTHERS => {
                Target(id.0)
            }
            _ => Target(OTHERS + self.place(route)),
        }
    }

    /// The route of this number.
    pub(super) fn route(&self, target: Target) -> Route {
        match target.0.checked_sub(OTHERS) {
            None => Route {
                target: RouteTarget::Nexthop(NexthopId(target.0)),
                protocol: self.ours,
            },
            Some(place) => self.others[place as usize].clone(),
        }
    }

    fn place(&mut self, route: Route) -> u32 {
        if let Some(place) = self.places.get(&route) {
            return *place;
        }
        let place = u32::try_from(self.others.len()).expect("far fewer than there are routes");
        self.others.push(route.clone());
        self.places.insert(route, place);
        place
    }
}
