//! The nodes that are peers, made from their leases.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp::Prefix;
use bgp::policy::{Import, MeshImport, Policy, PrefixList, PrefixRule, PrefixSet};
use bgp::speaker::{PeerConfig, PeerName};
use ipnetwork::IpNetwork;
use subnet_alloc::Block;

use crate::backend::{Local, Remote};
use crate::config::BgpChoice;

use super::prefix::prefix_of;

/// The other nodes by the address that we speak to.
#[derive(Debug, Default)]
pub(super) struct Mesh {
    nodes: BTreeMap<IpAddr, Node>,
    by_block: BTreeMap<Block, IpAddr>,
    /// Who bears a name.
    names: BTreeMap<String, BTreeSet<IpAddr>>,
}

/// Another node: all leases that name one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    name: String,
    blocks: BTreeSet<Block>,
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
}

impl Mesh {
    /// Takes in what has become of a lease. Says which nodes are new, gone or different by that.
    pub(super) fn take(&mut self, block: Block, remote: Option<&Remote>) -> BTreeSet<IpAddr> {
        let mut touched = BTreeSet::new();
        if let Some(old) = self.by_block.remove(&block) {
            touched.insert(old);
            self.leave(old, &block, &mut touched);
        }
        let address = remote.and_then(|remote| remote.underlay(true).or(remote.underlay(false)));
        if let (Some(remote), Some(address)) = (remote, address) {
            self.by_block.insert(block, address);
            self.join(address, (block, remote), &mut touched);
        }
        touched
    }

    fn join(
        &mut self,
        address: IpAddr,
        (block, remote): (Block, &Remote),
        touched: &mut BTreeSet<IpAddr>,
    ) {
        let node = self
            .nodes
            .entry(address)
            .or_insert_with(|| Node::of(remote));
        node.blocks.insert(block);
        (node.v4, node.v6) = (remote.underlay(true), remote.underlay(false));
        let bearers = self.names.entry(node.name.clone()).or_default();
        bearers.insert(address);
        touched.extend(bearers.iter());
    }

    fn leave(&mut self, address: IpAddr, block: &Block, touched: &mut BTreeSet<IpAddr>) {
        let Some(node) = self.nodes.get_mut(&address) else {
            return;
        };
        node.blocks.remove(block);
        if !node.blocks.is_empty() {
            return;
        }
        if let Some(bearers) = self.names.get_mut(&node.name) {
            bearers.remove(&address);
            touched.extend(bearers.iter());
            if bearers.is_empty() {
                self.names.remove(&node.name);
            }
        }
        self.nodes.remove(&address);
    }

    /// All nodes by address.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (IpAddr, &Node)> {
        self.nodes.iter().map(|(address, node)| (*address, node))
    }

    /// The node at this address.
    pub(super) fn node(&self, address: IpAddr) -> Option<&Node> {
        self.nodes.get(&address)
    }

    /// What the node at this address is called: its name, with the address where others bear that as well.
    pub(super) fn name(&self, address: IpAddr, node: &Node, taken: &BTreeSet<String>) -> PeerName {
        let bearers = self.names.get(&node.name).map_or(0, BTreeSet::len);
        PeerName(if bearers > 1 || taken.contains(&node.name) {
            format!("{}@{address}", node.name)
        } else {
            node.name.clone()
        })
    }
}

impl Node {
    fn of(remote: &Remote) -> Node {
        Node {
            name: remote.name(),
            blocks: BTreeSet::new(),
            v4: None,
            v6: None,
        }
    }

    /// Its addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.v4.into_iter().chain(self.v6)
    }

    /// The settings of the session with it. Of two nodes the one with the lower address connects, so that there is one
    /// connection from the start.
    pub(super) fn peer(&self, address: IpAddr, local: &Local, choice: &BgpChoice) -> PeerConfig {
        let own = if address.is_ipv4() {
            local.underlay.v4.map(IpAddr::V4)
        } else {
            local.underlay.v6.map(IpAddr::V6)
        };
        PeerConfig {
            passive: own.is_some_and(|own| own > address),
            hold_time: choice.hold_time,
            graceful_restart: choice.graceful_restart,
            import: Import::Mesh(self.import(local, choice)),
            export: Some(Policy::originated()),
            ..PeerConfig::new(address, choice.asn)
        }
    }

    fn import(&self, local: &Local, choice: &BgpChoice) -> MeshImport {
        let parts = self.blocks.iter().flat_map(|block| local.usable(block));
        MeshImport {
            blocks: parts.map(prefix_of).collect::<PrefixSet>(),
            more_specifics: !choice.more_specifics.is_empty(),
            shared: choice
                .announce
                .keys()
                .map(|prefix| PrefixRule::exact(*prefix))
                .collect::<PrefixList>(),
            next_hops: self.addresses().collect(),
        }
    }
}

/// The addresses as prefixes.
pub(super) fn hosts(addresses: impl Iterator<Item = IpAddr>) -> impl Iterator<Item = Prefix> {
    addresses.map(|address| prefix_of(IpNetwork::from(address)))
}
