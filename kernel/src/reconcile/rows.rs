//! The state of every entry, for those who look inside.

use std::net::IpAddr;

use crate::delta::{Delta, Refused, State};
use crate::entry::{
    GroupName, Hop, HopName, Key, Nexthop, NexthopId, Route, RouteKey, RouteTarget,
};
use crate::link::{Mac, VxlanDevice};

use super::Reconciler;

/// One entry: what is wanted, what is there, and why it is not the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its name. Nexthop objects go by what the kernel knows of them: a hop by its
    /// gateway, a group by its id.
    pub key: Key,
    /// What is wanted.
    pub want: Option<Detail>,
    /// What is there.
    pub have: Option<Detail>,
    /// Why the kernel refused it, and how often in a row.
    pub refused: Option<(String, u32)>,
}

/// Whether the kernel agrees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It holds what is wanted.
    InSync,
    /// It lacks it.
    Missing,
    /// It holds something else.
    Wrong,
    /// It holds it although it is not wanted.
    Stale,
    /// It refused the change.
    Refused,
}

/// The content of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Detail {
    /// A device's settings.
    Device(VxlanDevice),
    /// It is there, and that is all that there is to it.
    Present,
    /// A sysctl's value.
    Value(u32),
    /// The MAC of a neighbour.
    Mac(Mac),
    /// The underlay address of an FDB entry.
    Underlay(IpAddr),
    /// A hop, or a route through it; nexthop objects are resolved.
    Via(Hop),
    /// A group of hops, or a route through several; nexthop objects are resolved.
    Over(Vec<Hop>),
    /// A route to nowhere.
    Unreachable,
    /// Something that is not ours to make.
    Other,
}

impl Row {
    /// Whether the kernel agrees.
    pub fn status(&self) -> Status {
        match (&self.want, &self.have) {
            _ if self.refused.is_some() => Status::Refused,
            (Some(want), Some(have)) if want == have => Status::InSync,
            (Some(_), Some(_)) => Status::Wrong,
            (Some(_), None) => Status::Missing,
            (None, _) => Status::Stale,
        }
    }
}

impl Reconciler {
    /// All entries, in the order in which they are put.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        let devices = rows_of(
            &self.devices,
            |k| Key::Device(k.clone()),
            |v| Detail::Device(v.clone()),
        );
        let addresses = rows_of(
            &self.addresses,
            |a| Key::Address(a.link, a.network),
            |()| Detail::Present,
        );
        let sysctls = rows_of(
            &self.sysctls,
            |k| Key::Sysctl(k.clone()),
            |v| Detail::Value(*v),
        );
        let neighbours = rows_of(
            &self.neighbours,
            |(link, ip)| Key::Neighbour(*link, *ip),
            |v| Detail::Mac(*v),
        );
        let fdb = rows_of(
            &self.fdb,
            |(link, mac)| Key::Fdb(*link, *mac),
            |v| Detail::Underlay(*v),
        );
        devices
            .chain(addresses)
            .chain(sysctls)
            .chain(neighbours)
            .chain(fdb)
            .chain(self.nexthop_rows())
            .chain(self.routes())
    }

    /// The routes.
    pub fn routes(&self) -> impl Iterator<Item = Row> + '_ {
        let routes = self.routes.iter();
        routes.map(|(key, state)| self.route_row(key, &state))
    }

    /// One route, if it is wanted or there.
    pub fn route(&self, key: &RouteKey) -> Option<Row> {
        let state = self.routes.entry(key)?;
        Some(self.route_row(*key, &state))
    }

    fn route_row(&self, key: RouteKey, state: &State<Route>) -> Row {
        Row {
            key: Key::Route(key),
            want: state.want().map(|route| self.resolve(route, State::want)),
            have: state.have().map(|route| self.resolve_have(route)),
            refused: self.routes.refusal(&key).map(refused),
        }
    }

    /// How many of our routes in the kernel are not wanted, and how many there
    /// are.
    pub fn stale_routes(&self) -> (usize, usize) {
        let there = self.routes.iter().filter(|(_, s)| s.have().is_some());
        there.fold((0, 0), |(stale, all), (_, state)| {
            (stale + usize::from(state.want().is_none()), all + 1)
        })
    }

    fn nexthop_rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.nexthops.iter().filter_map(move |(id, state)| {
            let detail = |of| move |nexthop| self.resolve_nexthop(nexthop, of);
            Some(Row {
                key: key_of(*id, state.want().or(state.have())?),
                want: state.want().map(detail(State::want)),
                have: state.have().map(detail(State::have)),
                refused: self.nexthops.refusal(id).map(refused),
            })
        })
    }

    /// A route of the kernel whose nexthop object is gone is gone itself.
    fn resolve_have(&self, route: &Route) -> Detail {
        match route.target {
            RouteTarget::Nexthop(_) => self.resolve(route, State::have),
            _ if route.protocol != self.ownership.protocol => Detail::Other,
            _ => self.resolve(route, State::have),
        }
    }

    fn resolve(&self, route: &Route, of: Side) -> Detail {
        match &route.target {
            RouteTarget::Gateway(hop) => Detail::Via(*hop),
            RouteTarget::Gateways(hops) => Detail::Over(hops.to_vec()),
            RouteTarget::Unreachable => Detail::Unreachable,
            RouteTarget::Other => Detail::Other,
            RouteTarget::Nexthop(id) => {
                let nexthop = self.nexthops.entry(id).and_then(of);
                nexthop.map_or(Detail::Other, |nexthop| self.resolve_nexthop(nexthop, of))
            }
        }
    }

    fn resolve_nexthop(&self, nexthop: &Nexthop, of: Side) -> Detail {
        let member = |id| match self.nexthops.entry(id).and_then(of)? {
            Nexthop::Hop(hop) => Some(*hop),
            Nexthop::Group(_) => None,
        };
        match nexthop {
            Nexthop::Hop(hop) => Detail::Via(*hop),
            Nexthop::Group(members) => {
                let mut hops: Vec<Hop> = members.iter().filter_map(member).collect();
                hops.sort_unstable();
                Detail::Over(hops)
            }
        }
    }
}

/// What is wanted, or what is there.
type Side = fn(&State<Nexthop>) -> Option<&Nexthop>;

/// By what an operator finds a nexthop object in the kernel.
pub(super) fn key_of(id: NexthopId, nexthop: &Nexthop) -> Key {
    match nexthop {
        Nexthop::Hop(hop) => Key::Hop(HopName(hop.gateway)),
        Nexthop::Group(_) => Key::Group(GroupName(id.0)),
    }
}

fn rows_of<'a, K: Ord + Clone, V: Ord + Clone>(
    delta: &'a Delta<K, V>,
    key: impl Fn(&K) -> Key + 'a,
    detail: impl Fn(&V) -> Detail + 'a,
) -> impl Iterator<Item = Row> + 'a {
    delta.iter().map(move |(k, state)| Row {
        key: key(k),
        want: state.want().map(&detail),
        have: state.have().map(&detail),
        refused: delta.refusal(k).map(refused),
    })
}

fn refused(refused: &Refused) -> (String, u32) {
    (refused.refusal.to_string(), refused.tries)
}
