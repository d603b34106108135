//! All tables together: what is wanted, what is there, whose it is, and in
//! which order it is put right.

mod fight;
mod hops;
mod observe;
pub(crate) use hops::through;
pub(crate) use observe::PROTOCOL_BOOT;
mod order;
mod rows;
mod settle;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::delta::Delta;
use crate::entry::{Entry, Family, Key, Nexthop, NexthopId, Route, RouteKey};
use crate::link::{Address, IfIndex, Link, Mac, VxlanDevice};
use crate::nexthops::Nexthops;
use crate::routes::Routes;
use crate::speaker::{Interest, Notification};
use crate::sysctl::Sysctl;

pub use fight::Fight;
pub use rows::{Detail, Row, Status};

use hops::Inline;

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
#[derive(Clone, Copy)]
pub enum Scope<'a> {
    /// Nothing is taken away: not all is known yet that may be wanted.
    PutsOnly,
    /// Stale routes go unless they are held; all other things stay. Those that were
    /// [taken back](Reconciler::take_back) are never held.
    Held(&'a dyn Held),
    /// What is stale goes too.
    All,
}

/// Which stale routes stay for the time being. It may answer differently from
/// one [`Reconciler::pending`] to the next, and is asked once for each family
/// and each set of gateways.
pub trait Held {
    /// Whether stale routes of `family` through these gateways stay. Routes to
    /// nowhere have no gateways.
    fn keeps(&self, family: Family, gateways: &[IpAddr]) -> bool;
}

/// Want against have over all tables. It does no I/O: feed it with wishes,
/// dumps and notifications, and carry out what is [`pending`](Self::pending).
#[derive(Debug)]
pub struct Reconciler {
    ownership: Ownership,
    /// Nexthop objects are used; otherwise each route has its own gateway.
    objects: bool,
    names: Nexthops,
    /// Hops and groups by name, kept only where the kernel has no nexthop objects.
    inline: Inline,
    links: BTreeMap<IfIndex, Link>,
    /// In the kernel's order: the first of a link is its primary one.
    link_addresses: Vec<Address>,
    devices: Delta<String, VxlanDevice>,
    addresses: Delta<Address, ()>,
    sysctls: Delta<Sysctl, u32>,
    neighbours: Delta<(IfIndex, IpAddr), Mac>,
    fdb: Delta<(IfIndex, Mac), IpAddr>,
    nexthops: Delta<NexthopId, Nexthop>,
    routes: Routes,
    /// Routes that flannel may have left.
    leftovers: Vec<(RouteKey, Route)>,
    dump_needed: bool,
    /// Stale nexthop objects were looked at, and all of them are used.
    all_nexthops_used: bool,
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
            inline: Inline::default(),
            links: BTreeMap::new(),
            link_addresses: Vec::new(),
            devices: Delta::default(),
            addresses: Delta::default(),
            sysctls: Delta::default(),
            neighbours: Delta::default(),
            fdb: Delta::default(),
            nexthops: Delta::default(),
            routes: Routes::new(ownership.protocol),
            leftovers: Vec::new(),
            dump_needed: true,
            all_nexthops_used: false,
            retry_now: false,
            fights: Vec::new(),
            on_their_way: 0,
            told_meanwhile: Vec::new(),
        }
    }

    /// The kernel shall hold this. Hops before the groups that name them, and
    /// both before the routes that do. Says whether something was wanted there already.
    pub fn want(&mut self, entry: Entry) -> bool {
        match entry {
            Entry::Device(name, device) => self.want_device(name, device),
            Entry::Address(link, network) => self.addresses.want(Address { link, network }, ()),
            Entry::Sysctl(sysctl, value) => self.sysctls.want(sysctl, value),
            Entry::Neighbour(link, ip, mac) => self.neighbours.want((link, ip), mac),
            Entry::Fdb(link, mac, dst) => self.fdb.want((link, mac), dst),
            Entry::Hop(name, hop) => self.want_hop(name, hop),
            Entry::Group(name, hops) => self.want_group(name, hops),
            Entry::Route(key, to) => self.want_route(key, to),
        }
    }

    /// The kernel need not hold this any more. Routes before the groups that they
    /// name, and both before the hops.
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
            Key::Group(name) => self.unwant_group(*name),
            Key::Route(key) => self.unwant_route(key),
        }
    }

    /// The same, and for sure: whoever told the route has taken it back, so that
    /// nobody [holds](Held) it.
    pub fn take_back(&mut self, key: &Key) {
        match key {
            Key::Route(key) => self.take_back_route(key),
            other => self.unwant(other),
        }
    }

    /// The names of all that is wanted, routes before the groups and
    /// hops that they name.
    pub fn wanted_keys(&self) -> impl Iterator<Item = Key> + '_ {
        let routes = self
            .routes
            .iter()
            .filter(|(_, state)| state.want().is_some());
        let routes = routes.map(|(key, _)| Key::Route(key));
        let groups = self.names.groups().map(|(name, ..)| name);
        let groups = groups.chain(self.inline.groups());
        let groups = groups.map(Key::Group);
        let hops = self.names.hops().chain(self.inline.hops()).map(Key::Hop);
        let fdb = wanted(&self.fdb).map(|(link, mac)| Key::Fdb(*link, *mac));
        let neighbours = wanted(&self.neighbours).map(|(link, ip)| Key::Neighbour(*link, *ip));
        let sysctls = wanted(&self.sysctls).map(|sysctl| Key::Sysctl(sysctl.clone()));
        let addresses = wanted(&self.addresses).map(|a| Key::Address(a.link, a.network));
        let devices = wanted(&self.devices).map(|name| Key::Device(name.clone()));
        routes
            .chain(groups)
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
            neighbours: self.neighbours.size().max(self.fdb.size()),
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
        fn wants<K: Ord + Clone, V: Ord + Clone>(delta: &Delta<K, V>, key: &K) -> bool {
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
            Key::Hop(name) => self.wants_hop(*name),
            Key::Group(name) => self.wants_group(*name),
            Key::Route(key) => {
                let state = self.routes.entry(key);
                state.is_some_and(|state| state.want().is_some())
            }
        }
    }

    /// The devices that are wanted are there as wanted.
    pub fn has_its_devices(&self) -> bool {
        self.devices.drift() == 0
    }

    /// Batches of changes that [`pending`](Self::pending) gave and
    /// [`settle`](Self::settle) has not heard of.
    pub fn on_their_way(&self) -> usize {
        self.on_their_way
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

    fn want_device(&mut self, name: String, device: VxlanDevice) -> bool {
        let there = self.link_named(&name).map(|link| link.index);
        let was_wanted = self.devices.want(name, device);
        if let Some(index) = there {
            self.observe_device(index);
        }
        was_wanted
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
        let carries = |device: &VxlanDevice| device.lower == index;
        let mut devices = self.devices.iter().filter_map(|(_, state)| state.want());
        self.owns_link(index) || devices.any(carries) || self.has_hop_through(index)
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

fn wanted<K: Ord + Clone, V: Ord + Clone>(delta: &Delta<K, V>) -> impl Iterator<Item = &K> {
    delta
        .iter()
        .filter(|(_, state)| state.want().is_some())
        .map(|(key, _)| key)
}

#[cfg(test)]
mod tests;
