//! What is to be done, in which order, and how it went.
//!
//! Make before break: links, addresses, neighbours, FDB entries, nexthops and
//! routes are put in this order; then what is stale goes in reverse.

use std::time::Instant;

use crate::change::{Change, Refusal};
use crate::delta::{Delta, Due, State};
use crate::entry::NexthopId;
use crate::link::Address;
use crate::sysctl::Sysctl;

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
        changes.iter().for_each(|change| self.sent(change));
        changes
    }

    /// Takes in how a batch went. Returns the refusals that are new: a change
    /// that is refused again for the same reason is not.
    pub fn settle(
        &mut self,
        changes: &[Change],
        refusals: &[Refusal],
        now: Instant,
    ) -> Vec<(Change, Refusal)> {
        let mut refusals = refusals.iter().peekable();
        let mut fresh = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            match refusals.next_if(|refusal| refusal.index == index) {
                Some(refusal) if is_fine(change, refusal.errno) => self.done(change),
                Some(refusal) => {
                    self.dump_needed |= refusal.errno == libc::ENOBUFS;
                    if self.refuse(change, refusal, now) == 1 {
                        fresh.push((change.clone(), refusal.clone()));
                    }
                }
                None => self.done(change),
            }
        }
        fresh
    }

    fn release_due(&mut self, now: Instant) {
        let due = match std::mem::take(&mut self.retry_now) {
            true => Due::Always,
            false => Due::By(now),
        };
        self.devices.release(due);
        self.addresses.release(due);
        self.sysctls.release(due);
        self.neighbours.release(due);
        self.fdb.release(due);
        self.nexthops.release(due);
        self.routes.release(due);
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

    fn sent(&mut self, change: &Change) {
        match change {
            Change::PutDevice { name, .. } | Change::RemoveDevice { name } => {
                self.devices.sent(name)
            }
            Change::PutAddress { link, network } | Change::RemoveAddress { link, network } => {
                self.addresses.sent(&Address {
                    link: *link,
                    network: *network,
                })
            }
            Change::PutSysctl { sysctl, .. } => self.sysctls.sent(sysctl),
            Change::PutNeighbour { link, ip, .. } | Change::RemoveNeighbour { link, ip } => {
                self.neighbours.sent(&(*link, *ip))
            }
            Change::PutFdb { link, mac, .. } | Change::RemoveFdb { link, mac, .. } => {
                self.fdb.sent(&(*link, *mac))
            }
            Change::PutNexthop { id, .. } | Change::RemoveNexthop { id } => self.nexthops.sent(id),
            Change::PutRoute { key, .. } | Change::RemoveRoute { key, .. } => self.routes.sent(key),
        }
    }

    fn done(&mut self, change: &Change) {
        match change {
            Change::PutDevice { name, want, .. } => self.devices.done(name, Some(want.clone())),
            Change::RemoveDevice { name } => self.devices.done(name, None),
            Change::PutAddress { link, network } => {
                self.addresses.done(
                    &Address {
                        link: *link,
                        network: *network,
                    },
                    Some(()),
                );
            }
            Change::RemoveAddress { link, network } => {
                self.addresses.done(
                    &Address {
                        link: *link,
                        network: *network,
                    },
                    None,
                );
            }
            Change::PutSysctl { sysctl, value } => self.sysctls.done(sysctl, Some(*value)),
            Change::PutNeighbour { link, ip, mac } => {
                self.neighbours.done(&(*link, *ip), Some(*mac))
            }
            Change::RemoveNeighbour { link, ip } => self.neighbours.done(&(*link, *ip), None),
            Change::PutFdb { link, mac, dst } => self.fdb.done(&(*link, *mac), Some(*dst)),
            Change::RemoveFdb { link, mac, .. } => self.fdb.done(&(*link, *mac), None),
            Change::PutNexthop { id, hop, .. } => self.nexthops.done(id, Some(*hop)),
            Change::RemoveNexthop { id } => self.nexthops.done(id, None),
            Change::PutRoute { key, route, .. } => self.routes.done(key, Some(*route)),
            Change::RemoveRoute { key, .. } => self.routes.done(key, None),
        }
    }

    fn refuse(&mut self, change: &Change, refusal: &Refusal, now: Instant) -> u32 {
        let refusal = refusal.clone();
        match change {
            Change::PutDevice { name, .. } | Change::RemoveDevice { name } => {
                self.devices.refuse(name, refusal, now)
            }
            Change::PutAddress { link, network } | Change::RemoveAddress { link, network } => {
                self.addresses.refuse(
                    &Address {
                        link: *link,
                        network: *network,
                    },
                    refusal,
                    now,
                )
            }
            Change::PutSysctl { sysctl, .. } => self.sysctls.refuse(sysctl, refusal, now),
            Change::PutNeighbour { link, ip, .. } | Change::RemoveNeighbour { link, ip } => {
                self.neighbours.refuse(&(*link, *ip), refusal, now)
            }
            Change::PutFdb { link, mac, .. } | Change::RemoveFdb { link, mac, .. } => {
                self.fdb.refuse(&(*link, *mac), refusal, now)
            }
            Change::PutNexthop { id, .. } | Change::RemoveNexthop { id } => {
                self.nexthops.refuse(id, refusal, now)
            }
            Change::PutRoute { key, .. } | Change::RemoveRoute { key, .. } => {
                self.routes.refuse(key, refusal, now)
            }
        }
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

/// Errors that say no more than that the work was done already.
fn is_fine(change: &Change, errno: i32) -> bool {
    match change {
        Change::PutAddress { .. } => errno == libc::EEXIST,
        // A kernel without IPv6 takes no router advertisements either.
        Change::PutSysctl {
            sysctl: Sysctl::AcceptRa(_),
            ..
        } => errno == libc::ENOENT,
        removal if removal.is_removal() => {
            matches!(
                errno,
                libc::ENOENT | libc::ESRCH | libc::ENODEV | libc::EADDRNOTAVAIL
            )
        }
        _ => false,
    }
}
