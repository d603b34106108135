//! How a batch went, and who undoes it.

use std::net::IpAddr;
use std::time::Instant;

use crate::change::{Change, Refusal};
use crate::delta::Contest;
use crate::entry::{Key, Nexthop, NexthopId, Route};
use crate::link::{Address, Mac};
use crate::sysctl::Sysctl;

use super::rows::key_of;
use super::{Fight, Reconciler};

impl Reconciler {
    /// Takes in how a batch went. Returns the refusals that are new: a change
    /// that is refused again for the same reason is not.
    pub fn settle(
        &mut self,
        changes: &[Change],
        refusals: &[Refusal],
        now: Instant,
    ) -> Vec<(Change, Refusal)> {
        self.all_nexthops_used = false;
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
        let is_nexthop = |change: &Change| matches!(change, Change::PutNexthop { .. });
        if changes.iter().any(is_nexthop) {
            self.regroup();
        }
        self.on_their_way = self
            .on_their_way
            .saturating_sub(usize::from(!changes.is_empty()));
        if self.on_their_way == 0 {
            // Taken to come after the changes: at worst one is made twice.
            for notification in std::mem::take(&mut self.told_meanwhile) {
                self.observe(notification);
            }
        }
        fresh
    }

    /// The fights that have broken out since the last call: entries that somebody
    /// else changes as often as they are put right. Each is told once, until it
    /// has been calm for a minute.
    pub fn fights(&mut self) -> Vec<Fight> {
        std::mem::take(&mut self.fights)
    }

    /// The change is on its way. Tells of a fight that it makes apparent.
    pub(super) fn sent(&mut self, change: &Change, now: Instant) -> Option<Fight> {
        match change {
            Change::PutDevice { name, .. } | Change::RemoveDevice { name } => {
                let contest = self.devices.sent(name, now);
                told(contest, Key::Device(name.clone()), |_| {
                    "one with other settings".into()
                })
            }
            Change::PutAddress { link, network } | Change::RemoveAddress { link, network } => {
                let address = Address {
                    link: *link,
                    network: *network,
                };
                let contest = self.addresses.sent(&address, now);
                told(contest, Key::Address(*link, *network), |()| {
                    "an address of our device".into()
                })
            }
            Change::PutSysctl { sysctl, .. } => {
                let contest = self.sysctls.sent(sysctl, now);
                told(contest, Key::Sysctl(sysctl.clone()), u32::to_string)
            }
            Change::PutNeighbour { link, ip, .. } | Change::RemoveNeighbour { link, ip } => {
                let contest = self.neighbours.sent(&(*link, *ip), now);
                told(contest, Key::Neighbour(*link, *ip), Mac::to_string)
            }
            Change::PutFdb { link, mac, .. } | Change::RemoveFdb { link, mac, .. } => {
                let contest = self.fdb.sent(&(*link, *mac), now);
                told(contest, Key::Fdb(*link, *mac), IpAddr::to_string)
            }
            Change::PutNexthop { id, nexthop, .. } => {
                let contest = self.nexthops.sent(id, now);
                told(contest, key_of(*id, nexthop), Nexthop::to_string)
            }
            Change::RemoveNexthop { id } => {
                self.nexthops.sent(id, now);
                None
            }
            Change::PutRoute { key, .. } | Change::RemoveRoute { key, .. } => {
                let contest = self.routes.sent(key, now);
                told(contest, Key::Route(*key), Route::to_string)
            }
        }
    }

    fn done(&mut self, change: &Change) {
        match change {
            Change::PutDevice { name, have, want } => {
                if have.is_some() {
                    // Whatever it takes to adjust a device costs some of its
                    // entries, and the kernel does not tell us of our own doing.
                    self.dump_needed = true;
                    self.forgive_entries();
                }
                self.devices.done(name, Some((**want).clone()));
            }
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
            Change::PutNexthop {
                id,
                nexthop,
                replace,
            } => self.nexthop_done(*id, nexthop, *replace),
            Change::RemoveNexthop { id } => self.nexthops.done(id, None),
            Change::PutRoute { key, route, .. } => self.routes.done(key, Some(route.clone())),
            Change::RemoveRoute { key, .. } => self.routes.done(key, None),
        }
    }

    fn nexthop_done(&mut self, id: NexthopId, nexthop: &Nexthop, replaced: bool) {
        let was_refused = self.nexthops.refusal(&id).is_some();
        if replaced || was_refused {
            // Routes that went with it, or were refused for want of it.
            self.retry_now = true;
            self.routes.forgive();
        }
        self.nexthops.done(&id, Some(nexthop.clone()));
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

fn told<V>(
    contest: Option<Contest<V>>,
    key: Key,
    words: impl FnOnce(&V) -> String,
) -> Option<Fight> {
    let Contest { times, instead } = contest?;
    let instead = instead.as_ref().map(words);
    Some(Fight {
        key,
        times,
        instead,
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
