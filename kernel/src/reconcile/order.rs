//! What is to be done, and in which order.
//!
//! Make before break: links, addresses, neighbours, FDB entries, nexthops and
//! their groups and routes are put in this order; then what is stale goes in
//! reverse.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use crate::change::Change;
use crate::delta::{Delta, Due, State};
use crate::entry::{Nexthop, NexthopId, Route, RouteTarget};

use super::{Reconciler, Scope};

impl Reconciler {
    /// At most `limit` changes that are due, in the order in which they have to
    /// be made. They count as on their way and are not given again until
    /// [`settle`](Self::settle) has told how they went. Devices come by
    /// themselves: what hangs on them needs their numbers.
    pub fn pending(&mut self, now: Instant, scope: Scope<'_>, limit: usize) -> Vec<Change> {
        self.release_due(now);
        let mut changes = Vec::with_capacity(self.drift().min(limit));
        changes.extend(self.puts().take(limit));
        let is_device = |change: &&Change| matches!(change, Change::PutDevice { .. });
        let devices = changes.iter().take_while(is_device).count();
        if devices > 0 {
            changes.truncate(devices);
        } else if changes.len() < limit {
            let room = limit - changes.len();
            changes.extend(self.removals(scope, room));
        }
        self.on_their_way += usize::from(!changes.is_empty());
        for change in &changes {
            let fight = self.sent(change, now);
            self.fights.extend(fight);
        }
        changes
    }

    fn release_due(&mut self, now: Instant) {
        let due = match std::mem::take(&mut self.retry_now) {
            true => Due::Always,
            false => Due::By(now),
        };
        self.devices.release(due, now);
        self.addresses.release(due, now);
        self.sysctls.release(due, now);
        self.neighbours.release(due, now);
        self.fdb.release(due, now);
        self.nexthops.release(due, now);
        self.routes.release(due, now);
    }

    fn puts(&self) -> impl Iterator<Item = Change> + '_ {
        let devices = self.devices.wishes().map(|wish| Change::PutDevice {
            name: wish.key.clone(),
            have: wish.have.cloned().map(Box::new),
            want: Box::new(wish.want.clone()),
        });
        let addresses = self.addresses.wishes().map(|wish| Change::PutAddress {
            link: wish.key.link,
            network: wish.key.network,
        });
        let sysctls = self.sysctls.wishes().map(|wish| Change::PutSysctl {
            sysctl: wish.key.clone(),
            value: *wish.want,
        });
        let neighbours = self.neighbours.wishes().map(|wish| Change::PutNeighbour {
            link: wish.key.0,
            ip: wish.key.1,
            mac: *wish.want,
        });
        let fdb = self.fdb.wishes().map(|wish| Change::PutFdb {
            link: wish.key.0,
            mac: wish.key.1,
            dst: *wish.want,
        });
        let nexthops = |groups: bool| {
            let wishes = self.nexthops.wishes();
            let of_kind = wishes.filter(move |wish| is_group(wish.want) == groups);
            of_kind.map(|wish| Change::PutNexthop {
                id: *wish.key,
                nexthop: wish.want.clone(),
                replace: wish.replace,
            })
        };
        devices
            .chain(addresses)
            .chain(sysctls)
            .chain(neighbours)
            .chain(fdb)
            .chain(nexthops(false))
            .chain(nexthops(true))
            .chain(self.routes.puts())
    }

    fn removals(&mut self, scope: Scope<'_>, limit: usize) -> Vec<Change> {
        let held = match scope {
            Scope::PutsOnly => return Vec::new(),
            Scope::Held(held) => Some(held),
            Scope::All => None,
        };
        let keeps = |family, route: &Route| {
            held.is_some_and(|held| held.keeps(family, &self.gateways(route)))
        };
        let mut removals: Vec<Change> = self.routes.removals(keeps).take(limit).collect();
        if held.is_none() && removals.len() < limit {
            let nexthops = self.unused_nexthops().into_iter();
            let nexthops = nexthops.map(|id| Change::RemoveNexthop { id });
            let others = nexthops.chain(self.other_removals());
            removals.extend(others.take(limit - removals.len()));
        }
        removals
    }

    /// What goes after routes and nexthops.
    fn other_removals(&self) -> impl Iterator<Item = Change> + '_ {
        let fdb = stale(&self.fdb).map(|((link, mac), dst)| Change::RemoveFdb {
            link: *link,
            mac: *mac,
            dst: *dst,
        });
        let neighbours = stale(&self.neighbours).map(|((link, ip), _)| Change::RemoveNeighbour {
            link: *link,
            ip: *ip,
        });
        let addresses = stale(&self.addresses).map(|(a, ())| Change::RemoveAddress {
            link: a.link,
            network: a.network,
        });
        let devices =
            stale(&self.devices).map(|(name, _)| Change::RemoveDevice { name: name.clone() });
        fdb.chain(neighbours).chain(addresses).chain(devices)
    }

    /// The gateways that a route in the kernel leads through.
    fn gateways(&self, route: &Route) -> Vec<IpAddr> {
        let nexthop = |id: &NexthopId| self.nexthops.entry(id).and_then(State::have);
        let hop = |id: &NexthopId| match nexthop(id)? {
            Nexthop::Hop(hop) => Some(hop.gateway),
            Nexthop::Group(_) => None,
        };
        match &route.target {
            RouteTarget::Gateway(hop) => vec![hop.gateway],
            RouteTarget::Gateways(hops) => hops.iter().map(|hop| hop.gateway).collect(),
            RouteTarget::Nexthop(id) => match nexthop(id) {
                Some(Nexthop::Hop(hop)) => vec![hop.gateway],
                Some(Nexthop::Group(members)) => members.iter().filter_map(hop).collect(),
                None => Vec::new(),
            },
            RouteTarget::Unreachable | RouteTarget::Other => Vec::new(),
        }
    }

    /// The kernel removes a nexthop's routes with it, so one that a wanted
    /// route still names stays until that route has moved, and a hop until its
    /// groups have. Groups come before hops. All routes are looked at, so not
    /// again before something has happened to one.
    fn unused_nexthops(&mut self) -> Vec<NexthopId> {
        if self.all_nexthops_used || stale(&self.nexthops).next().is_none() {
            return Vec::new();
        }
        let in_use = self.nexthops_in_use();
        let unused = stale(&self.nexthops).filter(|(id, _)| !in_use.contains(id));
        let (groups, hops): (Vec<_>, Vec<_>) = unused.partition(|(_, nexthop)| is_group(nexthop));
        let unused = groups.into_iter().chain(hops).map(|(id, _)| *id);
        let unused: Vec<NexthopId> = unused.collect();
        self.all_nexthops_used = unused.is_empty();
        unused
    }

    /// Ids of nexthop objects that routes of ours, or groups, name at this moment,
    /// without those that are to go themselves.
    fn nexthops_in_use(&self) -> BTreeSet<NexthopId> {
        let mut in_use: BTreeSet<NexthopId> = self.routes.nexthops().collect();
        let named =
            |id, state: &State<Nexthop>| state.there_to_stay().is_some() || in_use.contains(id);
        let groups = self.nexthops.iter().filter(|(id, state)| named(id, state));
        let members = groups.filter_map(|(_, state)| match state.have()? {
            Nexthop::Group(members) => Some(members),
            Nexthop::Hop(_) => None,
        });
        let members: Vec<NexthopId> = members.flatten().copied().collect();
        in_use.extend(members);
        in_use
    }
}

fn is_group(nexthop: &Nexthop) -> bool {
    matches!(nexthop, Nexthop::Group(_))
}

fn stale<K: Ord + Clone, V: Ord + Clone>(delta: &Delta<K, V>) -> impl Iterator<Item = (&K, &V)> {
    let removals = delta.removals(|_| false);
    removals.flat_map(|(have, keys)| keys.map(move |key| (key, have)))
}
