//! Leases that cannot both be right: a block that lies across another node's,
//! a VTEP with another node's MAC. Who was there first stays in use, so that
//! nobody draws another node's packets to himself by writing a lease; the rival
//! waits until the other is gone.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{IfIndex, Key, Mac};
use subnet_alloc::Block;

use crate::backend::{Local, Remote, Skipped};

use super::Agent;

impl Agent {
    /// Why a lease must not be used beside those that are in use.
    pub(super) fn rival(&self, block: &Block, remote: &Remote) -> Option<Skipped> {
        let overlapped = || {
            let mut blocks = self.remotes.keys();
            let other = blocks.find(|other| *other != block && other.overlaps(block))?;
            Some(Skipped::OverlapsLease(*other))
        };
        let off_grid = !self.local.is_on_grid(block);
        let overlapped = off_grid.then(overlapped).flatten();
        overlapped.or_else(|| {
            [true, false]
                .into_iter()
                .find_map(|v4| self.mac_of(v4, block, remote))
        })
    }

    /// Puts back what lies across a block of the usual length, which is to be
    /// used.
    pub(super) fn yield_to(
        &mut self,
        block: &Block,
        released: &mut Vec<Key>,
    ) -> Vec<(Block, Skipped)> {
        if self.off_grid.is_empty() || !self.local.is_on_grid(block) {
            return Vec::new();
        }
        let across = self.off_grid.iter().filter(|other| other.overlaps(block));
        let across: Vec<Block> = across.copied().collect();
        for other in &across {
            if let Some(remote) = self.remotes.get(other).cloned() {
                self.rivals.insert(*other, remote);
            }
            self.replace(*other, None, released);
            self.skipped.insert(*other, Skipped::OverlapsLease(*block));
        }
        let why = Skipped::OverlapsLease(*block);
        across
            .into_iter()
            .map(|other| (other, why.clone()))
            .collect()
    }

    /// Uses rivals whose other one is gone.
    pub(super) fn reconsider(&mut self, released: &mut Vec<Key>) {
        for block in self.rivals.keys().copied().collect::<Vec<_>>() {
            let free = self
                .rivals
                .get(&block)
                .filter(|remote| self.rival(&block, remote).is_none());
            if let Some(remote) = free.cloned() {
                self.rivals.remove(&block);
                self.skipped.remove(&block);
                self.replace(block, Some(remote), released);
            }
        }
    }

    /// Another node in use that has this one's MAC of a family: asked of the
    /// table of wishes first, because there may be tens of thousands.
    fn mac_of(&self, ipv4: bool, block: &Block, remote: &Remote) -> Option<Skipped> {
        let mac = remote.vtep(ipv4)?;
        let link: IfIndex = self.devices.0[usize::from(!ipv4)]?;
        let before = self.remotes.get(block).and_then(|before| before.vtep(ipv4));
        if before == Some(mac) || !self.reconciler.wants(&Key::Fdb(link, mac)) {
            return None;
        }
        let mut others = self.remotes.iter();
        let (other, _) = others.find(|(other, its)| {
            *other != block
                && its.vtep(ipv4) == Some(mac)
                && !is_same_machine(ipv4, its, remote)
                && self.vanished.since(other).is_none()
        })?;
        Some(Skipped::SameMac(mac, *other))
    }
}

/// Those of a first listing that are rivals of others in it.
pub(super) fn rivals_among(
    leases: &BTreeMap<Block, Remote>,
    local: &Local,
) -> Vec<(Block, Skipped)> {
    let mut by_age: Vec<(&Block, &Remote)> = leases.iter().collect();
    by_age.sort_unstable_by_key(|(block, remote)| (remote.revision, *block));
    let rivals = rivals_by_age(&by_age, local).into_iter();
    rivals.map(|(at, why)| (*by_age[at].0, why)).collect()
}

/// Their places, where the older ones come first.
fn rivals_by_age(leases: &[(&Block, &Remote)], local: &Local) -> Vec<(usize, Skipped)> {
    let mut rivals = Vec::new();
    for (at, (block, _)) in leases.iter().enumerate() {
        if local.is_on_grid(block) {
            continue;
        }
        let mut others = leases.iter().enumerate().filter(|(other, _)| *other != at);
        let across = others.find(|(other, (its, _))| {
            its.overlaps(block) && (*other < at || local.is_on_grid(its))
        });
        rivals.extend(across.map(|(_, (its, _))| (at, Skipped::OverlapsLease(**its))));
    }
    let known: BTreeSet<usize> = rivals.iter().map(|(at, _)| *at).collect();
    for ipv4 in [true, false] {
        let macs = leases
            .iter()
            .enumerate()
            .filter(|(at, _)| !known.contains(at));
        let macs = macs.filter_map(|(at, (_, remote))| Some((remote.vtep(ipv4)?, at)));
        rivals.extend(same_macs(macs.collect(), ipv4, leases));
    }
    rivals
}

fn same_macs(
    mut macs: Vec<(Mac, usize)>,
    ipv4: bool,
    leases: &[(&Block, &Remote)],
) -> Vec<(usize, Skipped)> {
    macs.sort_unstable();
    let groups = macs.chunk_by(|one, other| one.0 == other.0);
    let rivals_of = |group: &[(Mac, usize)]| -> Vec<(usize, Skipped)> {
        let Some(((mac, first), others)) = group.split_first() else {
            return Vec::new();
        };
        let (holder, its) = &leases[*first];
        let differs = |at: &usize| !is_same_machine(ipv4, its, leases[*at].1);
        let others = others.iter().map(|(_, at)| *at).filter(differs);
        others
            .map(|at| (at, Skipped::SameMac(*mac, **holder)))
            .collect()
    };
    groups.flat_map(rivals_of).collect()
}

/// A node that has moved to another address and block leaves a lease behind
/// until it ends: the younger one is believed. Nodes of flannel have no names.
fn is_same_machine(ipv4: bool, one: &Remote, other: &Remote) -> bool {
    one.node == other.node || one.underlay(ipv4) == other.underlay(ipv4)
}
