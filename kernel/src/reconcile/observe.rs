//! Taking in what the kernel says: dumps and notifications.

use std::collections::BTreeMap;

use crate::entry::{NexthopId, Route, RouteKey, RouteTarget};
use crate::link::{Address, IfIndex, Link, is_link_local};
use crate::speaker::{Dump, Notification};

use super::Reconciler;

/// `RTPROT_BOOT`: what a program that names no protocol installs, as flannel.
pub(crate) const PROTOCOL_BOOT: u8 = 3;

impl Reconciler {
    /// Takes in all links and all addresses.
    pub fn observe_links(&mut self, links: Vec<Link>, addresses: Vec<Address>) {
        let links = links.into_iter().map(|link| (link.index, link)).collect();
        let after: BTreeMap<IfIndex, Link> = links;
        let lost = |link: &&Link| lost_entries(link, after.get(&link.index));
        let lost: Vec<IfIndex> = self.links.values().filter(lost).map(|l| l.index).collect();
        lost.into_iter().for_each(|index| self.lose_entries(index));
        self.links = after;
        let ours: Vec<_> = self
            .links
            .values()
            .filter_map(|link| self.as_own_device(link))
            .collect();
        self.devices.resync(ours);
        self.link_addresses = addresses;
        let own: Vec<_> = self
            .link_addresses
            .iter()
            .filter(|a| self.is_own_address(a))
            .map(|a| (*a, ()))
            .collect();
        self.addresses.resync(own);
    }

    /// Takes in a dump that was made for [`interest`](Reconciler::interest).
    pub fn resync(&mut self, dump: Dump) {
        self.dump_needed = false;
        self.objects = dump.nexthops.is_some();
        let nexthops = dump.nexthops.unwrap_or_default();
        self.names.resync(&nexthops, &dump.foreign_nexthops);
        self.nexthops.resync(nexthops);
        self.regroup();
        self.neighbours.resync(dump.neighbours);
        self.fdb.resync(dump.fdb);
        self.sysctls.resync(dump.sysctls);
        let leftovers = self.routes.resync(dump.routes, self.ownership.protocol);
        self.leftovers.extend(leftovers);
        self.all_nexthops_used = false;
    }

    /// Takes what flannel left for ours: its `proto boot` routes that leave
    /// through a device of ours, or stand just where a route is wanted. To be
    /// called when all wishes are known, since only they tell flannel's routes
    /// from an admin's.
    pub fn adopt_leftovers(&mut self) {
        for (key, route) in std::mem::take(&mut self.leftovers) {
            if self.is_flannels(&key, &route) {
                self.routes.observe(&key, route);
            }
        }
    }

    /// Routes that flannel or an admin may have left, and of which nobody knows
    /// yet by whom.
    pub fn leftovers(&self) -> impl Iterator<Item = &RouteKey> {
        self.leftovers.iter().map(|(key, _)| key)
    }

    /// Takes in something that the kernel told of its own accord.
    pub fn observe(&mut self, notification: Notification) {
        self.all_nexthops_used = false;
        if self.on_their_way > 0 && self.is_about_an_entry(&notification) {
            self.told_meanwhile.push(notification.clone());
        }
        match notification {
            Notification::Link(link) => self.observe_link(link),
            Notification::LinkGone(index) => self.observe_link_gone(index),
            Notification::Address(address) => {
                if !self.link_addresses.contains(&address) {
                    self.link_addresses.push(address);
                    // Gateways that were out of reach may be on the link.
                    self.retry_now |= self.uses_link(address.link);
                }
                if self.is_own_address(&address) {
                    self.addresses.observe(address, ());
                }
            }
            Notification::AddressGone(address) => {
                self.link_addresses.retain(|known| *known != address);
                self.addresses.observe_gone(&address);
            }
            Notification::Neighbour(link, ip, mac) if self.owns_link(link) => {
                self.neighbours.observe((link, ip), mac);
            }
            Notification::NeighbourGone(link, ip) => self.neighbours.observe_gone(&(link, ip)),
            Notification::Fdb(link, mac, dst) if self.owns_link(link) => {
                self.fdb.observe((link, mac), dst);
            }
            Notification::FdbGone(link, mac) => self.fdb.observe_gone(&(link, mac)),
            Notification::Neighbour(..) | Notification::Fdb(..) => {}
            Notification::Nexthop(id, nexthop, protocol) => match nexthop {
                Some(nexthop) if protocol == self.ownership.protocol => {
                    self.nexthops.observe(id, nexthop);
                }
                // What others put in the place of ours is overwritten like nothing.
                _ => self.nexthops.observe_gone(&id),
            },
            Notification::NexthopGone(id) => self.observe_nexthop_gone(id),
            Notification::Route {
                key,
                route,
                replaced,
            } => self.observe_route(key, route, replaced),
            Notification::RouteGone(key, route) => self.observe_route_gone(key, &route),
            Notification::Sysctl(sysctl, value) => {
                if self.sysctls.entry(&sysctl).is_some() {
                    self.sysctls.observe(sysctl, value);
                }
            }
            Notification::Overrun => self.dump_needed = true,
            Notification::ForeignRoutes => {}
        }
    }

    /// Whether this is about an entry that a change on its way may be about, too.
    /// Devices are read anew after each change of theirs.
    fn is_about_an_entry(&self, notification: &Notification) -> bool {
        match notification {
            Notification::Address(address) | Notification::AddressGone(address) => {
                self.owns_link(address.link)
            }
            Notification::Neighbour(link, ..)
            | Notification::NeighbourGone(link, _)
            | Notification::Fdb(link, ..)
            | Notification::FdbGone(link, _) => self.owns_link(*link),
            Notification::Nexthop(id, ..) | Notification::NexthopGone(id) => {
                self.nexthops.entry(id).is_some()
            }
            Notification::Route { key, .. } | Notification::RouteGone(key, _) => {
                self.routes.entry(key).is_some()
            }
            Notification::Sysctl(..) => true,
            Notification::Link(_)
            | Notification::LinkGone(_)
            | Notification::ForeignRoutes
            | Notification::Overrun => false,
        }
    }

    /// Takes in the device with this number, if it is ours.
    pub(super) fn observe_device(&mut self, index: IfIndex) {
        let device = self
            .links
            .get(&index)
            .and_then(|link| self.as_own_device(link));
        if let Some((name, device)) = device {
            self.devices.observe(name, device);
        }
    }

    fn observe_link(&mut self, link: Link) {
        let index = link.index;
        if let Some(before) = self.links.get(&index) {
            let lost = lost_entries(before, Some(&link));
            let up = came_up(before, &link);
            let renamed = (before.name != link.name).then(|| before.name.clone());
            if lost {
                self.lose_entries(index);
            }
            self.retry_now |= up && self.uses_link(index);
            if let Some(name) = renamed {
                self.devices.observe_gone(&name);
            }
        }
        self.links.insert(index, link);
        self.observe_device(index);
    }

    fn observe_link_gone(&mut self, index: IfIndex) {
        self.lose_entries(index);
        let Some(link) = self.links.remove(&index) else {
            return;
        };
        self.link_addresses.retain(|address| address.link != index);
        let addresses: Vec<Address> = self
            .addresses
            .iter()
            .map(|(a, _)| *a)
            .filter(|a| a.link == index)
            .collect();
        for address in addresses {
            self.addresses.observe_gone(&address);
        }
        if self.link_named(&link.name).is_none() {
            self.devices.observe_gone(&link.name);
        }
    }

    /// The kernel flushes what hangs on a link that goes, without a word about
    /// each. Whoever takes the link away is no enemy of the single entries.
    fn lose_entries(&mut self, index: IfIndex) {
        if self.uses_link(index) {
            self.dump_needed = true;
            self.forgive_entries();
        }
    }

    fn observe_nexthop_gone(&mut self, id: NexthopId) {
        if self
            .nexthops
            .entry(&id)
            .is_some_and(|state| state.have().is_some())
        {
            self.nexthops.observe_gone(&id);
            // Its routes went with it, and IPv4 ones without a notification.
            self.dump_needed = true;
        }
    }

    fn observe_route(&mut self, key: RouteKey, route: Route, replaced: bool) {
        let ours = route.protocol == self.ownership.protocol;
        let took_ours = replaced && self.routes.entry(&key).is_some_and(|s| s.have().is_some());
        if ours || took_ours {
            self.routes.observe(&key, route);
        }
    }

    fn observe_route_gone(&mut self, key: RouteKey, route: &Route) {
        if self.routes.entry(&key).is_some_and(|state| {
            state
                .have()
                .is_some_and(|have| have.protocol == route.protocol)
        }) {
            self.routes.observe_gone(&key);
        }
    }

    fn as_own_device(&self, link: &Link) -> Option<(String, crate::link::VxlanDevice)> {
        let device = link.vxlan.clone()?;
        let known = self.devices.entry(&link.name).is_some();
        (device.ours || known).then(|| (link.name.clone(), device))
    }

    fn is_own_address(&self, address: &Address) -> bool {
        self.owns_link(address.link) && !is_link_local(address.network.ip())
    }

    fn is_flannels(&self, key: &RouteKey, route: &Route) -> bool {
        let RouteTarget::Gateway(hop) = route.target else {
            return false;
        };
        let wanted = || {
            self.routes
                .entry(key)
                .is_some_and(|state| state.want().is_some())
        };
        route.protocol == PROTOCOL_BOOT && (self.owns_link(hop.link) || wanted())
    }
}

/// Whether the kernel dropped entries that hung on this link, because it is
/// gone, went down, or lost its carrier (`fib_netdev_event`,
/// `nh_netdev_event`).
fn lost_entries(before: &Link, after: Option<&Link>) -> bool {
    after.is_none_or(|after| (before.up && !after.up) || (before.carrier && !after.carrier))
}

/// Whether entries that were refused while the link was down can be put.
fn came_up(before: &Link, after: &Link) -> bool {
    (!before.up && after.up) || (!before.carrier && after.carrier)
}
