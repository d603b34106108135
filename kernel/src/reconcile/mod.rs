//! All tables together: what is wanted, what is there, whose it is, and in
//! which order it is put right.

mod fight;
mod observe;
pub(crate) use observe::PROTOCOL_BOOT;
mod order;
mod rows;
mod settle;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use ipnetwork::IpNetwork;

use crate::delta::Delta;
use crate::entry::{Entry, Hop, HopName, Key, NexthopId, Route, RouteKey, RouteTarget, To};
use crate::link::{Address, IfIndex, Link, Mac, VxlanDevice};
use crate::nexthops::Nexthops;
use crate::speaker::{Interest, Notification};
use crate::sysctl::Sysctl;

pub use fight::Fight;
pub use rows::{Detail, Row, Status};

/// By what we know that something in the kernel is ours.
///
/// Besides: devices with our `ifalias` or of a name that is wanted, and
/// everything permanent on these devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ownership {
    /// Routes and nexthop objects of this `rtm_protocol`.
    pub protocol: u8,
    /// `proto boot` routes that leave through a device of ours, or that stand
    /// where we want one, are flannel's, and are taken over.
    pub adopt_boot_routes: bool,
}

/// Which changes may be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Nothing is taken away: not all is known yet that may be wanted.
    PutsOnly,
    /// What is stale goes too.
    All,
}

/// Want against have over all tables. It does no I/O: feed it with wishes,
/// dumps and notifications, and carry out what is [`pending`](Self::pending).
#[derive(Debug)]
pub struct Reconciler {
    ownership: Ownership,
    /// Nexthop objects are used; otherwise each route has its own gateway.
    objects: bool,
    names: Nexthops,
    /// Hops by name, kept only where the kernel has no nexthop objects.
    inline_hops: BTreeMap<HopName, Hop>,
    links: BTreeMap<IfIndex, Link>,
    /// In the kernel's order: the first of a link is its primary one.
    link_addresses: Vec<Address>,
    devices: Delta<String, VxlanDevice>,
    addresses: Delta<Address, ()>,
    sysctls: Delta<Sysctl, u32>,
    neighbours: Delta<(IfIndex, IpAddr), Mac>,
    fdb: Delta<(IfIndex, Mac), IpAddr>,
    nexthops: Delta<NexthopId, Hop>,
    routes: Delta<RouteKey, Route>,
    /// Routes that flannel may have left.
    leftovers: Vec<(RouteKey, Route)>,
    dump_needed: bool,
    /// What was refused can go well: a link came up, for example.
    retry_now: bool,
    /// What the operator has to be told.
    fights: Vec<Fight>,
    /// Batches of changes that the kernel has not answered yet.
    on_their_way: usize,
    /// What was told meanwhile: before or after those changes, nobody knows.
    told_meanwhile: Vec<Notification>,
}

impl Reconciler {
    /// Knows nothing and wants nothing; needs a first
    /// [`resync`](Self::resync) before hops and routes are wanted.
    pub fn new(ownership: Ownership) -> Reconciler {
        Reconciler {
            ownership,
            objects: true,
            names: Nexthops::default(),
            inline_hops: BTreeMap::new(),
            links: BTreeMap::new(),
            link_addresses: Vec::new(),
            devices: Delta::default(),
            addresses: Delta::default(),
            sysctls: Delta::default(),
            neighbours: Delta::default(),
            fdb: Delta::default(),
            nexthops: Delta::default(),
            routes: Delta::default(),
            leftovers: Vec::new(),
            dump_needed: true,
            retry_now: false,
            fights: Vec::new(),
            on_their_way: 0,
            told_meanwhile: Vec::new(),
        }
    }

    /// The kernel shall hold this. Hops before the routes that name them.
    pub fn want(&mut self, entry: Entry) {
        match entry {
            Entry::Device(name, device) => self.want_device(name, device),
            Entry::Address(link, network) => self.addresses.want(Address { link, network }, ()),
            Entry::Sysctl(sysctl, value) => self.sysctls.want(sysctl, value),
            Entry::Neighbour(link, ip, mac) => self.neighbours.want((link, ip), mac),
            Entry::Fdb(link, mac, dst) => self.fdb.want((link, mac), dst),
            Entry::Hop(name, hop) => self.want_hop(name, hop),
            Entry::Route(key, to) => self.want_route(key, to),
        }
    }

    /// The kernel need not hold this any more.
    pub fn unwant(&mut self, key: &Key) {
        match key {
            Key::Device(name) => self.devices.unwant(name),
            Key::Address(link, network) => {
                self.addresses.unwant(&Address {
                    link: *link,
                    network: *network,
                });
            }
            Key::Sysctl(sysctl) => self.forget_sysctl(sysctl),
            Key::Neighbour(link, ip) => self.neighbours.unwant(&(*link, *ip)),
            Key::Fdb(link, mac) => self.fdb.unwant(&(*link, *mac)),
            Key::Hop(name) => self.unwant_hop(*name),
            Key::Route(key) => self.routes.unwant(key),
        }
    }

    /// The kernel shall hold all of this. Of two wishes of the same name the
    /// later one counts.
    pub fn want_all(&mut self, entries: Vec<Entry>) {
        let (mut neighbours, mut fdb, mut routes) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                Entry::Neighbour(link, ip, mac) => neighbours.push(((link, ip), mac)),
                Entry::Fdb(link, mac, dst) => fdb.push(((link, mac), dst)),
                Entry::Route(key, to) => routes.extend(self.route(to).map(|route| (key, route))),
                other => self.want(other),
            }
        }
        self.neighbours.want_all(neighbours);
        self.fdb.want_all(fdb);
        self.routes.want_all(routes);
    }

    /// The names of all that is wanted, routes before the hops that they name.
    pub fn wanted_keys(&self) -> impl Iterator<Item = Key> + '_ {
        let routes = wanted(&self.routes).map(|key| Key::Route(*key));
        let hops = self
            .names
            .names()
            .chain(self.inline_hops.keys().copied())
            .map(Key::Hop);
        let fdb = wanted(&self.fdb).map(|(link, mac)| Key::Fdb(*link, *mac));
        let neighbours = wanted(&self.neighbours).map(|(link, ip)| Key::Neighbour(*link, *ip));
        let sysctls = wanted(&self.sysctls).map(|sysctl| Key::Sysctl(sysctl.clone()));
        let addresses = wanted(&self.addresses).map(|a| Key::Address(a.link, a.network));
        let devices = wanted(&self.devices).map(|name| Key::Device(name.clone()));
        routes
            .chain(hops)
            .chain(fdb)
            .chain(neighbours)
            .chain(sysctls)
            .chain(addresses)
            .chain(devices)
    }

    /// What a dump has to contain to be taken in by [`resync`](Self::resync).
    pub fn interest(&self, boot_routes: bool) -> Interest {
        Interest {
            protocol: self.ownership.protocol,
            links: self.own_links().collect(),
            boot_routes: boot_routes && self.ownership.adopt_boot_routes,
            sysctls: wanted(&self.sysctls).cloned().collect(),
        }
    }

    /// Whether only a dump can tell what the kernel holds.
    pub fn needs_dump(&self) -> bool {
        self.dump_needed
    }

    /// Asks for a dump, as after a long while or on an operator's demand.
    pub fn doubt(&mut self) {
        self.dump_needed = true;
    }

    /// All links by number, ours or not.
    pub fn links(&self) -> &BTreeMap<IfIndex, Link> {
        &self.links
    }

    /// All addresses of all links, the primary one of a link first.
    pub fn link_addresses(&self) -> &[Address] {
        &self.link_addresses
    }

    /// The link of this name.
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// When a refused change is due again.
    pub fn next_due(&self) -> Option<Instant> {
        let due = [
            self.devices.next_due(),
            self.addresses.next_due(),
            self.sysctls.next_due(),
            self.neighbours.next_due(),
            self.fdb.next_due(),
            self.nexthops.next_due(),
            self.routes.next_due(),
        ];
        due.into_iter().flatten().min()
    }

    /// Whether somebody wants this.
    pub fn wants(&self, key: &Key) -> bool {
        fn wants<K: Ord + Clone, V: PartialEq + Clone>(delta: &Delta<K, V>, key: &K) -> bool {
            delta.entry(key).is_some_and(|state| state.want().is_some())
        }
        match key {
            Key::Device(name) => wants(&self.devices, name),
            Key::Address(link, network) => wants(
                &self.addresses,
                &Address {
                    link: *link,
                    network: *network,
                },
            ),
            Key::Sysctl(sysctl) => wants(&self.sysctls, sysctl),
            Key::Neighbour(link, ip) => wants(&self.neighbours, &(*link, *ip)),
            Key::Fdb(link, mac) => wants(&self.fdb, &(*link, *mac)),
            Key::Hop(name) => self.names.id(*name).is_some() || self.inline_hops.contains_key(name),
            Key::Route(key) => wants(&self.routes, key),
        }
    }

    /// The devices that are wanted are there as wanted.
    pub fn has_its_devices(&self) -> bool {
        self.devices.drift() == 0
    }

    /// How many entries are not as wanted.
    pub fn drift(&self) -> usize {
        self.devices.drift()
            + self.addresses.drift()
            + self.sysctls.drift()
            + self.neighbours.drift()
            + self.fdb.drift()
            + self.nexthops.drift()
            + self.routes.drift()
    }

    fn want_device(&mut self, name: String, device: VxlanDevice) {
        let there = self.link_named(&name).map(|link| link.index);
        self.devices.want(name, device);
        if let Some(index) = there {
            self.observe_device(index);
        }
    }

    fn want_hop(&mut self, name: HopName, hop: Hop) {
        if self.objects {
            let there = &self.nexthops;
            let id = self.names.assign(name, hop, |id| there.entry(id).is_some());
            self.nexthops.want(id, hop);
        } else if let Some(old) = self.inline_hops.insert(name, hop)
            && old != hop
        {
            self.move_inline_routes(old, hop);
        }
    }

    fn unwant_hop(&mut self, name: HopName) {
        self.inline_hops.remove(&name);
        if let Some(id) = self.names.release(name) {
            self.nexthops.unwant(&id);
        }
    }

    fn want_route(&mut self, key: RouteKey, to: To) {
        if let Some(route) = self.route(to) {
            self.routes.want(key, route);
        }
    }

    /// The route that leads there; a hop has to be wanted before the routes that
    /// name it.
    fn route(&self, to: To) -> Option<Route> {
        let target = match to {
            To::Unreachable => Some(RouteTarget::Unreachable),
            To::Via(name) if self.objects => self.names.id(name).map(RouteTarget::Nexthop),
            To::Via(name) => self
                .inline_hops
                .get(&name)
                .copied()
                .map(RouteTarget::Gateway),
        };
        debug_assert!(target.is_some(), "{to:?} names a hop that is not wanted");
        Some(Route {
            target: target?,
            protocol: self.ownership.protocol,
        })
    }

    /// Without nexthop objects, a hop that changes moves its routes one by one.
    fn move_inline_routes(&mut self, old: Hop, new: Hop) {
        let through = |route: &Route| route.target == RouteTarget::Gateway(old);
        let moved: Vec<RouteKey> = self
            .routes
            .iter()
            .filter(|(_, state)| state.want().is_some_and(through))
            .map(|(key, _)| *key)
            .collect();
        let target = RouteTarget::Gateway(new);
        for key in moved {
            self.routes.want(
                key,
                Route {
                    target,
                    protocol: self.ownership.protocol,
                },
            );
        }
    }

    /// A sysctl is not put back when it is not wanted any more: nobody knows
    /// what else relies on it.
    fn forget_sysctl(&mut self, sysctl: &Sysctl) {
        self.sysctls.unwant(sysctl);
        self.sysctls.observe_gone(sysctl);
    }

    /// The links that are ours: everything permanent on them is ours too.
    fn own_links(&self) -> impl Iterator<Item = IfIndex> + '_ {
        let own = |link: &&Link| link.vxlan.is_some() && self.devices.entry(&link.name).is_some();
        self.links.values().filter(own).map(|link| link.index)
    }

    /// Whether anything of ours hangs on this link: it is ours, carries a device
    /// of ours, or leads to a hop.
    fn uses_link(&self, index: IfIndex) -> bool {
        let through = |hop: &Hop| hop.link == index;
        let carries = |device: &VxlanDevice| device.lower == index;
        let mut devices = self.devices.iter().filter_map(|(_, state)| state.want());
        let mut hops = self
            .nexthops
            .iter()
            .flat_map(|(_, state)| state.want().into_iter().chain(state.have()))
            .chain(self.inline_hops.values());
        self.owns_link(index) || devices.any(carries) || hops.any(through)
    }

    /// What happened to entries came from their device or link.
    fn forgive_entries(&mut self) {
        self.addresses.forgive();
        self.neighbours.forgive();
        self.fdb.forgive();
        self.nexthops.forgive();
        self.routes.forgive();
    }

    fn owns_link(&self, index: IfIndex) -> bool {
        let link = self.links.get(&index);
        link.is_some_and(|link| link.vxlan.is_some() && self.devices.entry(&link.name).is_some())
    }
}

fn wanted<K: Ord + Clone, V: PartialEq + Clone>(delta: &Delta<K, V>) -> impl Iterator<Item = &K> {
    delta
        .iter()
        .filter(|(_, state)| state.want().is_some())
        .map(|(key, _)| key)
}

/// Link-local IPv6 addresses come and go by themselves.
fn is_link_local(network: &IpNetwork) -> bool {
    matches!(network.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests;
