//! A kernel that exists only in memory.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use crate::change::{Change, Refusal};
use crate::entry::{Nexthop, NexthopId, Route, RouteKey, RouteTarget};
use crate::link::{Address, IfIndex, Link, Mac, VxlanDevice};
use crate::speaker::{Dump, Interest, Kernel, KernelError, Notification, Resolved};
use crate::sysctl::Sysctl;

/// Holds tables as the kernel would, refuses what the kernel would refuse, and
/// what a test tells it to.
#[derive(Debug, Default)]
pub struct FakeKernel {
    /// Links by number.
    pub links: BTreeMap<IfIndex, Link>,
    /// Addresses of all links.
    pub addresses: Vec<Address>,
    /// Permanent neighbours.
    pub neighbours: BTreeMap<(IfIndex, IpAddr), Mac>,
    /// FDB entries.
    pub fdb: BTreeMap<(IfIndex, Mac), IpAddr>,
    /// Nexthop objects with their protocol.
    pub nexthops: BTreeMap<NexthopId, (Nexthop, u8)>,
    /// Routes.
    pub routes: BTreeMap<RouteKey, Route>,
    /// What [`Kernel::resolve`] answers.
    pub ways: BTreeMap<IpAddr, Resolved>,
    /// Sysctls.
    pub sysctls: BTreeMap<Sysctl, u32>,
    /// The protocol of the nexthop objects that are put.
    pub protocol: u8,
    /// How many of the next changes are refused with `EBUSY`.
    pub refuse_next: usize,
    /// All changes in the order in which they came.
    pub journal: Vec<Change>,
    /// What the next call of [`Kernel::notifications`] returns.
    pub notifications: VecDeque<Vec<Notification>>,
}

impl FakeKernel {
    /// A kernel with one link `eth0`, number 2, MTU 1500, and this address.
    pub fn with_underlay(address: &str) -> FakeKernel {
        let index = IfIndex(2);
        let link = Link {
            index,
            name: "eth0".into(),
            alias: None,
            mtu: 1500,
            mac: Some(Mac([2, 0, 0, 0, 0, 1])),
            up: true,
            carrier: true,
            vxlan: None,
        };
        let network = address.parse().expect("a test names a valid address");
        FakeKernel {
            links: BTreeMap::from([(index, link)]),
            addresses: vec![Address {
                link: index,
                network,
            }],
            protocol: 84,
            ..FakeKernel::default()
        }
    }

    fn carry_out(&mut self, change: &Change) -> Result<(), i32> {
        match change {
            Change::PutDevice { name, want, .. } => self.put_device(name, want),
            Change::RemoveDevice { name } => self.links.retain(|_, link| link.name != *name),
            Change::PutAddress { link, network } => {
                self.addresses.push(Address {
                    link: *link,
                    network: *network,
                });
            }
            Change::RemoveAddress { link, network } => {
                self.addresses
                    .retain(|a| (a.link, a.network) != (*link, *network));
            }
            Change::PutSysctl { sysctl, value } => {
                self.sysctls.insert(sysctl.clone(), *value);
            }
            Change::PutNeighbour { link, ip, mac } => {
                self.neighbours.insert((*link, *ip), *mac);
            }
            Change::RemoveNeighbour { link, ip } => {
                self.neighbours.remove(&(*link, *ip));
            }
            Change::PutFdb { link, mac, dst } => {
                self.fdb.insert((*link, *mac), *dst);
            }
            Change::RemoveFdb { link, mac, .. } => {
                self.fdb.remove(&(*link, *mac));
            }
            Change::PutNexthop {
                id,
                nexthop,
                replace,
            } => self.put_nexthop(*id, nexthop, *replace)?,
            Change::RemoveNexthop { id } => self.remove_nexthop(*id)?,
            Change::PutRoute {
                key,
                route,
                replace,
            } => self.put_route(key, route, *replace)?,
            Change::RemoveRoute { key, route } => {
                if self.routes.get(key) != Some(route) {
                    return Err(libc::ESRCH);
                }
                self.routes.remove(key);
            }
        }
        Ok(())
    }

    fn put_device(&mut self, name: &str, want: &VxlanDevice) {
        let there = self
            .links
            .values()
            .find(|link| link.name == name)
            .map(|link| link.index);
        let index = there
            .unwrap_or_else(|| IfIndex(self.links.keys().next_back().map_or(1, |last| last.0 + 1)));
        let link = Link {
            index,
            name: name.into(),
            alias: Some(crate::link::OUR_ALIAS.into()),
            mtu: want.mtu,
            mac: Some(want.mac),
            up: true,
            carrier: true,
            vxlan: Some(want.clone()),
        };
        self.links.insert(index, link);
    }

    /// A group needs its members, and kinds do not replace each other.
    fn put_nexthop(&mut self, id: NexthopId, nexthop: &Nexthop, replace: bool) -> Result<(), i32> {
        let kind = std::mem::discriminant::<Nexthop>;
        let there = self.nexthops.get(&id).map(|(there, _)| there);
        if !replace && there.is_some() {
            return Err(libc::EEXIST);
        }
        let is_hop = |id| matches!(self.nexthops.get(id), Some((Nexthop::Hop(_), _)));
        let members_are_there = match nexthop {
            Nexthop::Hop(_) => true,
            Nexthop::Group(members) => !members.is_empty() && members.iter().all(is_hop),
        };
        if !members_are_there || there.is_some_and(|there| kind(there) != kind(nexthop)) {
            return Err(libc::EINVAL);
        }
        self.nexthops.insert(id, (nexthop.clone(), self.protocol));
        Ok(())
    }

    /// Its groups go on without it, if they have others, and its routes go.
    fn remove_nexthop(&mut self, id: NexthopId) -> Result<(), i32> {
        self.nexthops.remove(&id).ok_or(libc::ENOENT)?;
        let target = RouteTarget::Nexthop(id);
        self.routes.retain(|_, route| route.target != target);
        let mut empty = Vec::new();
        for (group, (nexthop, _)) in &mut self.nexthops {
            if let Nexthop::Group(members) = nexthop {
                *members = members.iter().copied().filter(|m| *m != id).collect();
                empty.extend(members.is_empty().then_some(*group));
            }
        }
        empty
            .into_iter()
            .try_for_each(|group| self.remove_nexthop(group))
    }

    fn put_route(&mut self, key: &RouteKey, route: &Route, replace: bool) -> Result<(), i32> {
        if let RouteTarget::Nexthop(id) = route.target
            && !self.nexthops.contains_key(&id)
        {
            return Err(libc::EINVAL);
        }
        if !replace && self.routes.contains_key(key) {
            return Err(libc::EEXIST);
        }
        self.routes.insert(*key, route.clone());
        Ok(())
    }
}

impl Kernel for FakeKernel {
    fn links(&mut self) -> Result<(Vec<Link>, Vec<Address>), KernelError> {
        Ok((
            self.links.values().cloned().collect(),
            self.addresses.clone(),
        ))
    }

    fn dump(&mut self, interest: &Interest) -> Result<Dump, KernelError> {
        let mine = |protocol: u8| {
            protocol == interest.protocol
                || (interest.boot_routes && protocol == crate::reconcile::PROTOCOL_BOOT)
        };
        let ours = self
            .nexthops
            .iter()
            .filter(|(_, (_, p))| *p == interest.protocol);
        let foreign = self
            .nexthops
            .iter()
            .filter(|(_, (_, p))| *p != interest.protocol);
        let listed = |link: &IfIndex| interest.links.contains(link);
        Ok(Dump {
            neighbours: self
                .neighbours
                .iter()
                .filter(|(k, _)| listed(&k.0))
                .map(|(k, v)| (*k, *v))
                .collect(),
            fdb: self
                .fdb
                .iter()
                .filter(|(k, _)| listed(&k.0))
                .map(|(k, v)| (*k, *v))
                .collect(),
            nexthops: Some(
                ours.map(|(id, (nexthop, _))| (*id, nexthop.clone()))
                    .collect(),
            ),
            foreign_nexthops: foreign.map(|(id, _)| *id).collect(),
            routes: self
                .routes
                .iter()
                .filter(|(_, r)| mine(r.protocol))
                .map(|(k, r)| (*k, r.clone()))
                .collect(),
            sysctls: self.sysctls.iter().map(|(k, v)| (k.clone(), *v)).collect(),
        })
    }

    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Refusal>, KernelError> {
        let mut refusals = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            self.journal.push(change.clone());
            let result = if self.refuse_next > 0 {
                self.refuse_next -= 1;
                Err(libc::EBUSY)
            } else {
                self.carry_out(change)
            };
            if let Err(errno) = result {
                refusals.push(Refusal {
                    index,
                    errno,
                    reason: None,
                });
            }
        }
        Ok(refusals)
    }

    fn listen(&mut self) -> Result<(), KernelError> {
        Ok(())
    }

    fn resolve(
        &mut self,
        addresses: &[IpAddr],
    ) -> Result<Vec<(IpAddr, Option<Resolved>)>, KernelError> {
        let way = |address: &IpAddr| (*address, self.ways.get(address).copied());
        Ok(addresses.iter().map(way).collect())
    }

    async fn notifications(&mut self) -> Result<Vec<Notification>, KernelError> {
        match self.notifications.pop_front() {
            Some(notifications) => Ok(notifications),
            None => std::future::pending().await,
        }
    }
}
