//! Which nexthop object stands for which hop or group of hops.
//!
//! Ids are ours to choose. After a restart the objects that are there are taken
//! over by what they contain, so that no route has to move.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dense::DenseMap;

use crate::entry::{GroupName, HopName, Nexthop, NexthopId};

/// Our ids lie in this range, away from the small numbers that the kernel and
/// FRR hand out.
const FIRST_ID: u32 = 0x5000_0000;
const IDS: u32 = 0x1000_0000;

#[derive(Clone, Default, Debug)]
pub(crate) struct Nexthops {
    hops: DenseMap<HopName, NexthopId>,
    groups: BTreeMap<GroupName, Group>,
    /// Objects of ours that no name has yet.
    orphans: BTreeMap<Nexthop, BTreeSet<NexthopId>>,
    /// Ids of others in our range.
    foreign: BTreeSet<NexthopId>,
}

#[derive(Clone, Debug)]
struct Group {
    id: NexthopId,
    /// In order.
    members: Vec<NexthopId>,
}

impl Nexthops {
    /// The object for the hop of this name. A new name takes an object that is
    /// there and holds just this, else an id that is not `taken`.
    pub(crate) fn assign(
        &mut self,
        name: HopName,
        hop: &Nexthop,
        taken: impl Fn(&NexthopId) -> bool,
    ) -> NexthopId {
        if let Some(id) = self.hops.get(&name) {
            return *id;
        }
        let id = self.object(number(name.0), hop, taken);
        self.hops.insert(name, id);
        id
    }

    /// The object for the group of this name, which has these members from here
    /// on. A new name gets its object as one of a hop does.
    pub(crate) fn assign_group(
        &mut self,
        name: GroupName,
        members: Vec<NexthopId>,
        taken: impl Fn(&NexthopId) -> bool,
    ) -> NexthopId {
        if let Some(group) = self.groups.get_mut(&name) {
            group.members = members;
            return group.id;
        }
        let seed = hash(members.iter().flat_map(|id| id.0.to_be_bytes()));
        let id = self.object(seed, &Nexthop::Group(members.as_slice().into()), taken);
        self.groups.insert(name, Group { id, members });
        id
    }

    /// All names of hops that have an object.
    pub(crate) fn hops(&self) -> impl Iterator<Item = HopName> + '_ {
        self.hops.keys().copied()
    }

    /// All names of groups, with the object and all members of each.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (GroupName, NexthopId, &[NexthopId])> + '_ {
        let groups = self.groups.iter();
        groups.map(|(name, group)| (*name, group.id, &group.members[..]))
    }

    /// The object of a hop that has one.
    pub(crate) fn hop(&self, name: HopName) -> Option<NexthopId> {
        self.hops.get(&name).copied()
    }

    /// The object of a group that has one.
    pub(crate) fn group(&self, name: GroupName) -> Option<NexthopId> {
        self.groups.get(&name).map(|group| group.id)
    }

    /// Nobody wants the hop of this name any more.
    pub(crate) fn release(&mut self, name: HopName) -> Option<NexthopId> {
        self.hops.remove(&name)
    }

    /// Nobody wants the group of this name any more.
    pub(crate) fn release_group(&mut self, name: GroupName) -> Option<NexthopId> {
        self.groups.remove(&name).map(|group| group.id)
    }

    /// These objects of ours are in the kernel, and these ids are others'.
    pub(crate) fn resync(&mut self, ours: &[(NexthopId, Nexthop)], foreign: &[NexthopId]) {
        let groups = self.groups.values().map(|group| group.id);
        let named: BTreeSet<NexthopId> = self.hops.values().copied().chain(groups).collect();
        self.orphans.clear();
        for (id, holds) in ours.iter().filter(|(id, _)| !named.contains(id)) {
            self.orphans.entry(holds.clone()).or_default().insert(*id);
        }
        let in_range = |id: &&NexthopId| (FIRST_ID..FIRST_ID + IDS).contains(&id.0);
        self.foreign = foreign.iter().filter(in_range).copied().collect();
    }

    /// One that is there and holds just this, at best with the id that it would
    /// get anyway; else a free id.
    fn object(
        &mut self,
        start: u32,
        holds: &Nexthop,
        taken: impl Fn(&NexthopId) -> bool,
    ) -> NexthopId {
        let usual = NexthopId(FIRST_ID + start % IDS);
        let orphan = self.orphans.get_mut(holds).and_then(|ids| {
            let usual = ids.take(&usual);
            usual.or_else(|| ids.pop_first())
        });
        orphan.unwrap_or_else(|| self.free_id(start, taken))
    }

    fn free_id(&self, start: u32, taken: impl Fn(&NexthopId) -> bool) -> NexthopId {
        let mut ids = (0..IDS).map(|step| NexthopId(FIRST_ID + start.wrapping_add(step) % IDS));
        let free = |id: &NexthopId| !taken(id) && !self.foreign.contains(id);
        ids.find(free).unwrap_or(NexthopId(FIRST_ID))
    }
}

/// Where the id of a hop is looked for: the same name has the same id on every
/// run, so that a listing of nexthops reads the same after a restart. Addresses
/// that follow each other, of nodes or of blocks, have ids that do: the kernel's
/// tree of nexthops (`insert_nexthop`) and our own tables grow at their end.
fn number(ip: IpAddr) -> u32 {
    let ip: u128 = match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    // Of IPv6 blocks the upper half differs, of IPv6 nodes the lower one.
    let (upper, lower) = ((ip >> 64) as u64, ip as u64);
    let ids = u64::from(IDS);
    let rest = [upper / ids, lower / ids].map(u64::to_be_bytes);
    let within = (upper % ids + lower % ids) as u32;
    hash(rest.into_iter().flatten()).wrapping_add(within)
}

/// FNV-1a.
fn hash(seed: impl Iterator<Item = u8>) -> u32 {
    seed.fold(0x811c_9dc5_u32, |h, b| {
        (h ^ u32::from(b)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Hop;
    use crate::link::IfIndex;

    fn hop(last: u8) -> Nexthop {
        Nexthop::Hop(Hop {
            gateway: IpAddr::from([10, 0, 0, last]),
            link: IfIndex(2),
            onlink: true,
        })
    }

    fn name(last: u8) -> HopName {
        HopName(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn an_object_that_is_there_is_taken_over_by_its_content() {
        let mut nexthops = Nexthops::default();
        let group = Nexthop::Group([NexthopId(77), NexthopId(78)].into());
        nexthops.resync(&[(NexthopId(77), hop(1)), (NexthopId(80), group)], &[]);
        assert_eq!(nexthops.assign(name(1), &hop(1), |_| false), NexthopId(77));
        let members = vec![NexthopId(77), NexthopId(78)];
        let group = nexthops.assign_group(GroupName(5), members, |_| false);
        assert_eq!(group, NexthopId(80));
    }

    #[test]
    fn of_two_objects_of_the_same_content_each_name_takes_the_one_that_it_had() {
        let mut before = Nexthops::default();
        let ids = [name(1), name(2)].map(|name| before.assign(name, &hop(9), |_| false));
        let mut after = Nexthops::default();
        after.resync(&ids.map(|id| (id, hop(9))), &[]);
        let again = [name(2), name(1)].map(|name| after.assign(name, &hop(9), |_| false));
        assert_eq!(again, [ids[1], ids[0]]);
    }

    #[test]
    fn a_foreign_id_is_never_taken() {
        let mut nexthops = Nexthops::default();
        let first = nexthops.assign(name(1), &hop(1), |_| false);
        let mut nexthops = Nexthops::default();
        nexthops.resync(&[], &[first]);
        assert_ne!(nexthops.assign(name(1), &hop(1), |_| false), first);
    }

    #[test]
    fn the_same_name_has_the_same_id_on_every_run() {
        let id = |_| Nexthops::default().assign(name(9), &hop(9), |_| false);
        assert_eq!(id(1), id(2));
    }

    #[test]
    fn names_that_follow_each_other_have_ids_that_do() {
        for (first, second) in [
            ("10.244.7.0", "10.244.8.0"),
            ("192.168.0.255", "192.168.1.0"),
            ("fd00:244:0:7::", "fd00:244:0:8::"),
            ("fd99::1", "fd99::2"),
        ] {
            let id = |ip: &str| {
                let name = HopName(ip.parse().unwrap());
                Nexthops::default().assign(name, &hop(9), |_| false)
            };
            assert!(id(first) < id(second), "{first} {second}");
        }
        let names = (0..=255).flat_map(|n| {
            [
                IpAddr::from([10, 0, 0, n]),
                IpAddr::from([0xfd99, 0, 0, 0, 0, 0, 0, n.into()]),
            ]
        });
        let ids: BTreeSet<u32> = names.map(number).collect();
        assert_eq!(ids.len(), 512);
    }

    #[test]
    fn a_group_that_gets_other_members_keeps_its_object() {
        let mut nexthops = Nexthops::default();
        let first = nexthops.assign_group(GroupName(1), vec![NexthopId(7)], |_| false);
        let members = vec![NexthopId(7), NexthopId(8)];
        let second = nexthops.assign_group(GroupName(1), members, |_| false);
        assert_eq!(first, second);
        let groups: Vec<_> = nexthops.groups().collect();
        let members = [NexthopId(7), NexthopId(8)];
        assert_eq!(groups, [(GroupName(1), first, &members[..])]);
    }
}
