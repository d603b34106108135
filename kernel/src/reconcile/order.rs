//! What is to be done, and in which order.
//!
//! Make before break: links, addresses, neighbours, FDB entries, nexthops and
//! routes are put in this order; then what is stale goes in reverse.

use std::time::Instant;

use crate::change::Change;
use crate::delta::{Delta, Due, State};
use crate::entry::NexthopId;

use super::{Reconciler, Scope};

impl Reconciler {
    /// At most `limit` changes that are due, in the order in which they have to
    /// be made. They count as on their way and are not given again until
    /// [`settle`](Self::settle) has told how they went. Devices come by
    /// themselves: what hangs on them needs their numbers.
    pub fn pending(&mut self, now: Instant, scope: Scope, limit: usize) -> Vec<Change> {
        self.release_due(now);
        let mut changes: Vec<Change> = self.puts().take(limit).collect();
        let is_device = |change: &&Change| matches!(change, Change::PutDevice { .. });
        let devices = changes.iter().take_while(is_device).count();
        if devices > 0 {
            changes.truncate(devices);
        } else if scope == Scope::All && changes.len() < limit {
            let room = limit - changes.len();
            let removals: Vec<Change> = self.removals().take(room).collect();
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
        let nexthops = wants(&self.nexthops).map(|(id, hop, _, replace)| Change::PutNexthop {
            id: *id,
            hop: *hop,
            replace,
        });
        let routes = wants(&self.routes).map(|(key, route, _, replace)| Change::PutRoute {
            key: *key,
            route: *route,
            replace,
        });
        devices
            .chain(addresses)
            .chain(sysctls)
            .chain(neighbours)
            .chain(fdb)
            .chain(nexthops)
            .chain(routes)
    }

    fn removals(&self) -> impl Iterator<Item = Change> + '_ {
        let routes = stale(&self.routes).map(|(key, route)| Change::RemoveRoute {
            key: *key,
            route: *route,
        });
        let nexthops = self
            .unused_nexthops()
            .into_iter()
            .map(|id| Change::RemoveNexthop { id });
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

    /// The kernel removes a nexthop's routes with it, so one that a wanted
    /// route still names stays until that route has moved.
    fn unused_nexthops(&self) -> Vec<NexthopId> {
        let mut stale = stale(&self.nexthops).map(|(id, _)| *id).peekable();
        if stale.peek().is_none() {
            return Vec::new();
        }
        let in_use = self.nexthops_in_use();
        stale.filter(|id| !in_use.contains(id)).collect()
    }
}

/// Pending puts: key, want, have, and whether an entry of that name may be
/// overwritten because it is, or was, ours.
fn wants<K: Ord + Clone, V: PartialEq + Clone>(
    delta: &Delta<K, V>,
) -> impl Iterator<Item = (&K, &V, Option<&V>, bool)> {
    delta.pending().filter_map(|(key, state)| match state {
        State::Missing { want, lost } => Some((key, want, None, *lost)),
        State::Wrong(wrong) => Some((key, &wrong.want, Some(&wrong.have), true)),
        State::InSync(_) | State::Stale { .. } => None,
    })
}

fn stale<K: Ord + Clone, V: PartialEq + Clone>(
    delta: &Delta<K, V>,
) -> impl Iterator<Item = (&K, &V)> {
    delta.pending().filter_map(|(key, state)| match state {
        State::Stale { have } => Some((key, have)),
        State::InSync(_) | State::Missing { .. } | State::Wrong(_) => None,
    })
}
