//! Hops and groups of hops: as nexthop objects of the kernel, or inside of each
//! route where the kernel has none.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::delta::State;
use crate::entry::{GroupName, Hop, HopName, Nexthop, NexthopId, Route, RouteKey, RouteTarget, To};
use crate::link::IfIndex;

use super::Reconciler;

/// What routes lead through where there are no nexthop objects.
#[derive(Debug, Default)]
pub(super) struct Inline {
    hops: BTreeMap<HopName, Hop>,
    groups: BTreeMap<GroupName, Vec<HopName>>,
    /// Which of these a wanted route leads through.
    routes: BTreeMap<RouteKey, To>,
}

impl Inline {
    pub(super) fn hops(&self) -> impl Iterator<Item = HopName> + '_ {
        self.hops.keys().copied()
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = GroupName> + '_ {
        self.groups.keys().copied()
    }

    /// The target of a route that leads there.
    fn target(&self, to: To) -> Option<RouteTarget> {
        match to {
            To::Unreachable => Some(RouteTarget::Unreachable),
            To::Via(name) => self.hops.get(&name).copied().map(RouteTarget::Gateway),
            To::Over(name) => {
                let hops = self.groups.get(&name)?.iter();
                through(hops.filter_map(|hop| self.hops.get(hop)).copied().collect())
            }
        }
    }

    /// The routes that lead through this hop, alone or with others.
    fn routes_through(&self, hop: HopName) -> Vec<(RouteKey, To)> {
        let has = |name: &GroupName| self.groups.get(name).is_some_and(|g| g.contains(&hop));
        self.routes_that(|to| match to {
            To::Via(name) => *name == hop,
            To::Over(name) => has(name),
            To::Unreachable => false,
        })
    }

    fn routes_that(&self, lead: impl Fn(&To) -> bool) -> Vec<(RouteKey, To)> {
        let routes = self.routes.iter().filter(|(_, to)| lead(to));
        routes.map(|(key, to)| (*key, *to)).collect()
    }
}

/// The target of a route through these hops, as it reads when the kernel tells
/// of it.
pub(crate) fn through(mut hops: Vec<Hop>) -> Option<RouteTarget> {
    hops.sort_unstable();
    match hops[..] {
        [] => None,
        [hop] => Some(RouteTarget::Gateway(hop)),
        _ => Some(RouteTarget::Gateways(Arc::from(hops))),
    }
}

impl Reconciler {
    pub(super) fn want_hop(&mut self, name: HopName, hop: Hop) -> bool {
        if self.objects {
            let (there, hop) = (&self.nexthops, Nexthop::Hop(hop));
            let id = self
                .names
                .assign(name, &hop, |id| there.entry(id).is_some());
            return self.nexthops.want(id, hop);
        }
        let before = self.inline.hops.insert(name, hop);
        if before != Some(hop) {
            self.move_routes(self.inline.routes_through(name));
        }
        before.is_some()
    }

    pub(super) fn unwant_hop(&mut self, name: HopName) {
        self.all_nexthops_used = false;
        self.inline.hops.remove(&name);
        if let Some(id) = self.names.release(name) {
            self.nexthops.unwant(&id);
        }
    }

    pub(super) fn wants_hop(&self, name: HopName) -> bool {
        self.names.hop(name).is_some() || self.inline.hops.contains_key(&name)
    }

    pub(super) fn want_group(&mut self, name: GroupName, hops: Vec<HopName>) -> bool {
        if !self.objects {
            let before = self.inline.groups.insert(name, hops);
            let over = |to: &To| *to == To::Over(name);
            self.move_routes(self.inline.routes_that(over));
            return before.is_some();
        }
        let members = hops.iter().filter_map(|hop| self.names.hop(*hop));
        let mut members: Vec<NexthopId> = members.collect();
        debug_assert_eq!(
            members.len(),
            hops.len(),
            "{name:?} names a hop that is not wanted"
        );
        members.sort_unstable();
        members.dedup();
        let there = &self.nexthops;
        let taken = |id: &NexthopId| there.entry(id).is_some();
        let id = self.names.assign_group(name, members.clone(), taken);
        self.nexthops.want(id, self.group_of(&members))
    }

    pub(super) fn unwant_group(&mut self, name: GroupName) {
        self.all_nexthops_used = false;
        self.inline.groups.remove(&name);
        if let Some(id) = self.names.release_group(name) {
            self.nexthops.unwant(&id);
        }
    }

    pub(super) fn wants_group(&self, name: GroupName) -> bool {
        self.names.group(name).is_some() || self.inline.groups.contains_key(&name)
    }

    pub(super) fn want_route(&mut self, key: RouteKey, to: To) -> bool {
        let route = self.route_to(key, to);
        route.is_some_and(|route| self.routes.want(&key, route))
    }

    pub(super) fn unwant_route(&mut self, key: &RouteKey) {
        self.inline.routes.remove(key);
        self.routes.unwant(key);
    }

    pub(super) fn take_back_route(&mut self, key: &RouteKey) {
        self.inline.routes.remove(key);
        self.routes.take_back(key);
    }

    /// The route that leads there; hops and groups have to be wanted before the
    /// routes that name them.
    pub(super) fn route_to(&mut self, key: RouteKey, to: To) -> Option<Route> {
        if !self.objects {
            self.inline.routes.insert(key, to);
        }
        let target = match to {
            To::Unreachable => Some(RouteTarget::Unreachable),
            To::Via(name) if self.objects => self.names.hop(name).map(RouteTarget::Nexthop),
            To::Over(name) if self.objects => self.names.group(name).map(RouteTarget::Nexthop),
            To::Via(_) | To::Over(_) => self.inline.target(to),
        };
        debug_assert!(target.is_some(), "{to:?} names a hop that is not wanted");
        Some(Route {
            target: target?,
            protocol: self.ownership.protocol,
        })
    }

    /// The kernel may have refused objects of hops, or taken them after all:
    /// groups go on without them, or with them again.
    pub(super) fn regroup(&mut self) {
        let groups = self.names.groups();
        let groups = groups.map(|(_, id, members)| (id, self.group_of(members)));
        let groups: Vec<_> = groups.collect();
        for (id, group) in groups {
            let wanted = self.nexthops.entry(&id).and_then(State::want);
            if wanted != Some(&group) {
                self.nexthops.want(id, group);
                // What leads through it was refused for want of it.
                self.retry_now = true;
            }
        }
    }

    /// Whether anything of ours leads through this link.
    pub(super) fn has_hop_through(&self, index: IfIndex) -> bool {
        let states = self.nexthops.iter().map(|(_, state)| state);
        let held = states.flat_map(|state| state.want().into_iter().chain(state.have()));
        let hops = held.filter_map(|nexthop| match nexthop {
            Nexthop::Hop(hop) => Some(hop),
            Nexthop::Group(_) => None,
        });
        hops.chain(self.inline.hops.values())
            .any(|hop| hop.link == index)
    }

    /// A group with an object that is not there is refused as a whole, so one
    /// that the kernel does not take is left out, unless it is all of them.
    fn group_of(&self, members: &[NexthopId]) -> Nexthop {
        let accepted = |id: &&NexthopId| self.nexthops.refusal(id).is_none();
        let accepted: Vec<NexthopId> = members.iter().filter(accepted).copied().collect();
        Nexthop::Group(match accepted[..] {
            [] => members.into(),
            _ => accepted.into(),
        })
    }

    /// Without nexthop objects, a hop or group that changes moves its routes one
    /// by one.
    fn move_routes(&mut self, routes: Vec<(RouteKey, To)>) {
        for (key, to) in routes {
            self.want_route(key, to);
        }
    }
}
