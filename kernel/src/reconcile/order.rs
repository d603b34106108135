//! What is to be done, and in which order.
//!
//! Make before break: links, addresses, neighbours, FDB entries, nexthops and
//! their groups and routes are put in this order; then what is stale goes in
//! reverse.

use std::net::IpAddr;
use std::time::Instant;

use crate::change::Change;
use crate::delta::{Delta, Due, State};
use crate::entry::{Family, Nexthop, NexthopId, Route, RouteKey, RouteTarget};

use super::{Held, Reconciler, Scope};

impl Reconciler {
    /// At most `limit` changes that are due, in the order in which they have to
    /// be made. They count as on their way and are not given again until
    /// [`settle`](Self::settle) has told how they went. Devices come by
    /// themselves: what hangs on them needs their numbers.
    pub fn pending(&mut self, now: Instant, scope: Scope<'_>, limit: usize) -> Vec<Change> {
        self.release_due(now);
        let mut changes: Vec<Change> = self.puts().take(limit).collect();
        let is_device = |change: &&Change| matches!(change, Change::PutDevice { .. });
        let devices = changes.iter().take_while(is_device).count();
        if devices > 0 {
            changes.truncate(devices);
        } else if changes.len() < limit {
            let room = limit - changes.len();
            let removals: Vec<Change> = match scope {
                Scope::PutsOnly => Vec::new(),
                Scope::Held(held) => self.stale_routes_but(held).take(room).collect(),
                Scope::All => self.removals().take(room).collect(),
            };
            changes.extend(removals);
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
        let devices = wants(&self.devices).map(|(name, want, have, _)| Change::PutDevice {
            name: name.clone(),
            have: have.cloned(),
            want: want.clone(),
        });
        let addresses = wants(&self.addresses).map(|(a, ..)| Change::PutAddress {
            link: a.link,
            network: a.network,
        });
        let sysctls = wants(&self.sysctls).map(|(sysctl, value, ..)| Change::PutSysctl {
            sysctl: sysctl.clone(),
            value: *value,
        });
        let neighbours =
            wants(&self.neighbours).map(|((link, ip), mac, ..)| Change::PutNeighbour {
                link: *link,
                ip: *ip,
                mac: *mac,
            });
        let fdb = wants(&self.fdb).map(|((link, mac), dst, ..)| Change::PutFdb {
            link: *link,
            mac: *mac,
            dst: *dst,
        });
        let nexthops = |groups: bool| {
            let wants = wants(&self.nexthops);
            let of_kind = wants.filter(move |(_, nexthop, ..)| is_group(nexthop) == groups);
            of_kind.map(|(id, nexthop, _, replace)| Change::PutNexthop {
                id: *id,
                nexthop: nexthop.clone(),
                replace,
            })
        };
        let routes = wants(&self.routes).map(|(key, route, _, replace)| Change::PutRoute {
            key: *key,
            route: route.clone(),
            replace,
        });
        devices
            .chain(addresses)
            .chain(sysctls)
            .chain(neighbours)
            .chain(fdb)
            .chain(nexthops(false))
            .chain(nexthops(true))
            .chain(routes)
    }

    fn removals(&self) -> impl Iterator<Item = Change> + '_ {
        let routes = stale(&self.routes).map(remove_route);
        // Looked for when there is nothing else to do: it takes a look at each
        // route.
        let nexthops = std::iter::once_with(|| self.unused_nexthops()).flatten();
        let nexthops = nexthops.map(|id| Change::RemoveNexthop { id });
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
        routes
            .chain(nexthops)
            .chain(fdb)
            .chain(neighbours)
            .chain(addresses)
            .chain(devices)
    }

    /// Stale routes without those that are held.
    fn stale_routes_but<'a>(&'a self, held: &'a dyn Held) -> impl Iterator<Item = Change> + 'a {
        self.routes.removals().flat_map(move |(route, keys)| {
            let gateways = self.gateways(route);
            let keeps = [Family::V4, Family::V6].map(|family| held.keeps(family, &gateways));
            let [keeps_v4, keeps_v6] = keeps;
            let kept = move |key: &RouteKey| match key.prefix.is_ipv4() {
                true => keeps_v4,
                false => keeps_v6,
            };
            let keys = (!(keeps_v4 && keeps_v6))
                .then_some(keys)
                .into_iter()
                .flatten();
            let keys = keys.filter(move |key| !kept(key));
            keys.map(move |key| remove_route((key, route)))
        })
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
    /// groups have. Groups come before hops.
    fn unused_nexthops(&self) -> Vec<NexthopId> {
        let stale: Vec<(&NexthopId, &Nexthop)> = stale(&self.nexthops).collect();
        if stale.is_empty() {
            return Vec::new();
        }
        let in_use = self.nexthops_in_use();
        let (groups, hops): (Vec<_>, Vec<_>) = stale
            .into_iter()
            .filter(|(id, _)| !in_use.contains(id))
            .partition(|(_, nexthop)| is_group(nexthop));
        groups.into_iter().chain(hops).map(|(id, _)| *id).collect()
    }
}

fn is_group(nexthop: &Nexthop) -> bool {
    matches!(nexthop, Nexthop::Group(_))
}

fn remove_route((key, route): (&RouteKey, &Route)) -> Change {
    Change::RemoveRoute {
        key: *key,
        route: route.clone(),
    }
}

/// Pending puts: key, want, have, and whether an entry of that name may be
/// overwritten because it is, or was, ours.
fn wants<K: Ord + Clone, V: Ord + Clone>(
    delta: &Delta<K, V>,
) -> impl Iterator<Item = (&K, &V, Option<&V>, bool)> {
    delta.puts().filter_map(|(key, state)| match state {
        State::Missing { want, lost } => Some((key, want, None, *lost)),
        State::Wrong(wrong) => Some((key, &wrong.want, Some(&wrong.have), true)),
        State::InSync(_) | State::Stale { .. } => None,
    })
}

fn stale<K: Ord + Clone, V: Ord + Clone>(delta: &Delta<K, V>) -> impl Iterator<Item = (&K, &V)> {
    let removals = delta.removals();
    removals.flat_map(|(have, keys)| keys.map(move |key| (key, have)))
}
