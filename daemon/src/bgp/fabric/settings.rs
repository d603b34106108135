//! What the speaker is told to do: the configuration, this node, and the mesh put together.

use std::collections::{BTreeMap, BTreeSet};

use bgp::policy::{Guard, OwnHops};
use bgp::speaker::{Config, Origination, PeerConfig, PeerName, Restart};
use bgp::{Prefix, RouterId};

use crate::backend::Local;
use crate::config::BgpChoice;

use super::mesh::{Mesh, hosts};
use super::prefix::prefix_of;

/// The whole configuration of the speaker.
pub(super) fn speaker(choice: &BgpChoice, local: &Local, mesh: &Mesh) -> Config {
    Config {
        asn: choice.asn,
        router_id: router_id(choice, local),
        addresses: OwnHops {
            v4: local.underlay.v4,
            v6: local.underlay.v6,
        },
        max_paths: choice.max_paths,
        guard: guard(local, mesh),
        restart: Restart {
            restart_time: choice.restart_time,
            sync_time: choice.sync_time,
            helper_time: choice.helper_time,
        },
        peers: peers(choice, local, mesh),
        listen: choice.listen.iter().map(|one| one.range.clone()).collect(),
    }
}

/// All peers: those of the configuration, and the nodes.
fn peers(choice: &BgpChoice, local: &Local, mesh: &Mesh) -> BTreeMap<PeerName, PeerConfig> {
    let named = choice.peers.iter();
    let mut peers: BTreeMap<_, _> = named
        .map(|one| (PeerName(one.name.clone()), one.peer.clone()))
        .collect();
    if choice.mesh {
        let taken = names(choice);
        let nodes = mesh
            .nodes()
            .filter(|(address, _)| !is_named(choice, *address));
        peers.extend(nodes.map(|(address, node)| {
            let peer = node.peer(address, local, choice);
            (mesh.name(address, node, &taken), peer)
        }));
    }
    peers
}

/// Whether the configuration has a peer at this address: it says more than a lease.
pub(super) fn is_named(choice: &BgpChoice, address: std::net::IpAddr) -> bool {
    choice.peers.iter().any(|one| one.peer.address == address)
}

/// The names of the peers of the configuration.
pub(super) fn names(choice: &BgpChoice) -> BTreeSet<String> {
    choice.peers.iter().map(|one| one.name.clone()).collect()
}

/// What is never taken from anybody: the own block, what is on the own link, and the addresses of nodes.
pub(super) fn guard(local: &Local, mesh: &Mesh) -> Guard {
    let connected = local.underlay.connected.iter().copied().map(prefix_of);
    let nodes = mesh.nodes().flat_map(|(_, node)| node.addresses());
    let far = nodes.filter(|address| !local.underlay.is_on_link(*address));
    Guard {
        own_blocks: local.networks().map(prefix_of).collect(),
        protected: connected
            .chain(hosts(local.underlay.own_addresses()))
            .chain(hosts(far))
            .collect(),
        own_addresses: local.underlay.own_addresses().collect(),
    }
}

/// What this node announces.
pub(super) fn originated(choice: &BgpChoice, local: &Local) -> BTreeMap<Prefix, Origination> {
    let own: Vec<Prefix> = local.networks().map(prefix_of).collect();
    let blocks = own.iter().filter(|_| choice.announce_block);
    let is_own = |part: &&Prefix| own.iter().any(|block| block.covers(**part));
    let parts = choice.more_specifics.iter().filter(is_own);
    let mut all: BTreeMap<Prefix, Origination> = blocks
        .chain(parts)
        .map(|prefix| (*prefix, Origination::default()))
        .collect();
    all.extend(
        choice
            .announce
            .iter()
            .map(|(prefix, said)| (*prefix, said.clone())),
    );
    all
}

/// The configured one, else the IPv4 address of the underlay, else a number made from the node's name (RFC 6286 asks for no
/// more than that it is unique in the AS and not 0).
fn router_id(choice: &BgpChoice, local: &Local) -> RouterId {
    let of_name = || {
        let hash = local.node.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        RouterId::from_bits(hash.max(1))
    };
    let address = local
        .underlay
        .v4
        .map(|ip| RouterId::from_bits(u32::from(ip)));
    choice.router_id.or(address).unwrap_or_else(of_name)
}
