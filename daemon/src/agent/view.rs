//! What the agent knows, for those who look inside.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use ipnetwork::IpNetwork;
use subnet_alloc::{Block, Lease};

use crate::backend::{NoWay, Remote, Skipped, Way};

use super::Agent;

/// How often things happened since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    /// Dumps of the kernel.
    pub(crate) dumps: u64,
    /// Times that the kernel told more than we could take in.
    pub(crate) overruns: u64,
    /// Changes that the kernel carried out.
    pub(crate) changes: u64,
    /// Changes that it refused.
    pub(crate) refusals: u64,
    /// Changes that the store told.
    pub(crate) lease_events: u64,
}

/// A lease as the agent sees it.
#[derive(Debug)]
pub(crate) enum LeaseView<'a> {
    /// This node's.
    Own(&'a Lease),
    /// Another node's.
    Remote(&'a Block, &'a Remote),
    /// One that no packets are sent to, and why.
    Skipped(&'a Block, &'a Skipped),
}

/// One family's part of another node's block.
#[derive(Debug)]
pub(crate) struct RemoteView<'a> {
    pub(crate) remote: &'a Remote,
    pub(crate) way: Result<Way, NoWay>,
}

impl Agent {
    /// How often things happened since the start.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The own lease, when it is held.
    pub(crate) fn own(&self) -> Option<&Lease> {
        self.own.as_ref()
    }

    /// All leases in the order of their blocks, the own one first.
    pub(crate) fn leases(&self) -> impl Iterator<Item = LeaseView<'_>> {
        let own = self.own.iter().map(LeaseView::Own);
        let remotes = self
            .remotes
            .iter()
            .map(|(block, remote)| LeaseView::Remote(block, remote));
        let skipped = self
            .skipped
            .iter()
            .map(|(block, why)| LeaseView::Skipped(block, why));
        own.chain(remotes).chain(skipped)
    }

    /// When the lease on this block vanished from the store, if it did.
    pub(crate) fn vanished_since(&self, block: &Block) -> Option<Instant> {
        self.vanished.since(block)
    }

    /// How many leases have vanished whose entries stay for now.
    pub(crate) fn vanished_count(&self) -> usize {
        self.vanished.len()
    }

    /// How many leases of other nodes there are: those in use, and those that
    /// no packets are sent to.
    pub(crate) fn lease_counts(&self) -> (usize, usize) {
        (self.remotes.len(), self.skipped.len())
    }

    /// Whether the kernel had nothing of ours when it was first read, if it was.
    pub(crate) fn found_nothing(&self) -> Option<bool> {
        self.dumped.then_some(self.found_nothing)
    }

    /// A first dump of the kernel has been taken in.
    pub(crate) fn has_seen_the_kernel(&self) -> bool {
        self.dumped
    }

    /// The leases of all nodes that packets are sent to.
    pub(crate) fn nodes(&self) -> Vec<(Block, Option<Remote>)> {
        let known = self.remotes.iter();
        known
            .map(|(block, remote)| (*block, Some(remote.clone())))
            .collect()
    }

    /// The underlay addresses of all nodes that packets are sent to, of both families.
    pub(crate) fn vteps(&self) -> BTreeSet<IpAddr> {
        let addresses = |remote: &Remote| [remote.underlay(true), remote.underlay(false)];
        self.remotes
            .values()
            .flat_map(addresses)
            .flatten()
            .collect()
    }

    /// The remote blocks by the prefix that a route to them has.
    pub(crate) fn remotes(&self) -> BTreeMap<IpNetwork, RemoteView<'_>> {
        let parts = self
            .remotes
            .iter()
            .flat_map(|(block, remote)| self.local.usable(block).map(move |n| (n, remote)));
        parts
            .map(|(network, remote)| {
                let way = self.local.way(network, remote, self.devices);
                (network, RemoteView { remote, way })
            })
            .collect()
    }
}
