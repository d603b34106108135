//! Which nexthop object stands for which hop.
//!
//! Ids are ours to choose. After a restart the objects that are there are taken
//! over by what they contain, so that no route has to move.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::entry::{Hop, HopName, NexthopId};

/// Our ids lie in this range, away from the small numbers that the kernel and
/// FRR hand out.
const FIRST_ID: u32 = 0x5000_0000;
const IDS: u32 = 0x1000_0000;

#[derive(Clone, Default, Debug)]
pub(crate) struct Nexthops {
    names: BTreeMap<HopName, NexthopId>,
    /// Objects of ours that no name has yet.
    orphans: BTreeMap<Hop, NexthopId>,
    /// Ids of others in our range.
    foreign: BTreeSet<NexthopId>,
}

impl Nexthops {
    /// The object for the hop of this name. A new name takes an object that is
    /// there and holds just this, else an id that is not `taken`.
    pub(crate) fn assign(
        &mut self,
        name: HopName,
        hop: Hop,
        taken: impl Fn(&NexthopId) -> bool,
    ) -> NexthopId {
        if let Some(id) = self.names.get(&name) {
            return *id;
        }
        let orphan = self.orphans.remove(&hop);
        let id = orphan.unwrap_or_else(|| self.free_id(name, taken));
        self.names.insert(name, id);
        id
    }

    /// All names that have an object.
    pub(crate) fn names(&self) -> impl Iterator<Item = HopName> + '_ {
        self.names.keys().copied()
    }

    /// The object of a name that has one.
    pub(crate) fn id(&self, name: HopName) -> Option<NexthopId> {
        self.names.get(&name).copied()
    }

    /// Nobody wants the hop of this name any more.
    pub(crate) fn release(&mut self, name: HopName) -> Option<NexthopId> {
        self.names.remove(&name)
    }

    /// These objects of ours are in the kernel, and these ids are others'.
    pub(crate) fn resync(&mut self, ours: &[(NexthopId, Hop)], foreign: &[NexthopId]) {
        let named: BTreeSet<NexthopId> = self.names.values().copied().collect();
        let orphans = ours.iter().filter(|(id, _)| !named.contains(id));
        self.orphans = orphans.map(|(id, hop)| (*hop, *id)).collect();
        let in_range = |id: &&NexthopId| (FIRST_ID..FIRST_ID + IDS).contains(&id.0);
        self.foreign = foreign.iter().filter(in_range).copied().collect();
    }

    fn free_id(&self, name: HopName, taken: impl Fn(&NexthopId) -> bool) -> NexthopId {
        let start = hash(name.0);
        let mut ids = (0..IDS).map(|step| NexthopId(FIRST_ID + start.wrapping_add(step) % IDS));
        let free = |id: &NexthopId| !taken(id) && !self.foreign.contains(id);
        ids.find(free).unwrap_or(NexthopId(FIRST_ID))
    }
}

/// FNV-1a: the same name has the same id on every run, so that a listing of
/// nexthops reads the same after a restart.
fn hash(ip: IpAddr) -> u32 {
    let mut octets = [0; 16];
    match ip {
        IpAddr::V4(ip) => octets[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => octets = ip.octets(),
    }
    octets.iter().fold(0x811c_9dc5_u32, |h, b| {
        (h ^ u32::from(*b)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::IfIndex;

    fn hop(last: u8) -> Hop {
        Hop {
            gateway: IpAddr::from([10, 0, 0, last]),
            link: IfIndex(2),
            onlink: true,
        }
    }

    fn name(last: u8) -> HopName {
        HopName(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn an_object_that_is_there_is_taken_over_by_its_content() {
        let mut nexthops = Nexthops::default();
        nexthops.resync(&[(NexthopId(77), hop(1))], &[]);
        assert_eq!(nexthops.assign(name(1), hop(1), |_| false), NexthopId(77));
    }

    #[test]
    fn a_foreign_id_is_never_taken() {
        let mut nexthops = Nexthops::default();
        let first = nexthops.assign(name(1), hop(1), |_| false);
        let mut nexthops = Nexthops::default();
        nexthops.resync(&[], &[first]);
        assert_ne!(nexthops.assign(name(1), hop(1), |_| false), first);
    }

    #[test]
    fn the_same_name_has_the_same_id_on_every_run() {
        let id = |_| Nexthops::default().assign(name(9), hop(9), |_| false);
        assert_eq!(id(1), id(2));
    }
}
