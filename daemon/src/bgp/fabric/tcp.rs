//! How connections to peers are made, and who may make one to us.

use std::net::{IpAddr, SocketAddr};

use bgp::speaker::PeerName;
use ipnetwork::IpNetwork;

use crate::bgp::transport::{ANYWHERE, Dialing, Door, Guest, Key, Ttl};
use crate::config::{self, BgpChoice, Secret, TcpChoice};

use super::prefix::network_of;

/// Nodes may be behind routers.
pub(super) const MESH: Ttl = Ttl::Hops(64);

/// How a peer is connected to: as the configuration says, else as nodes of the mesh are.
pub(super) fn dialing(choice: &BgpChoice, name: &PeerName, address: IpAddr) -> Dialing {
    match choice.peers.iter().find(|one| one.name == name.0) {
        Some(one) => Dialing {
            remote: SocketAddr::new(address, one.tcp.port),
            source: one.tcp.source,
            ttl: ttl(&one.tcp),
            key: key(&one.tcp.key),
        },
        None => Dialing {
            remote: SocketAddr::new(address, choice.port),
            source: None,
            ttl: MESH,
            key: key(&choice.key),
        },
    }
}

/// Who may connect to us: the nodes at these addresses, peers of the configuration, and ranges.
pub(super) fn door(choice: &BgpChoice, nodes: impl Iterator<Item = IpAddr>) -> Door {
    let guest = |from: IpNetwork, tcp: &TcpChoice| Guest {
        from,
        key: key(&tcp.key),
        ttl: ttl(tcp),
    };
    let nodes = nodes.map(|address| Guest {
        from: address.into(),
        key: key(&choice.key),
        ttl: MESH,
    });
    let peers = choice.peers.iter();
    let peers = peers.map(|one| guest(one.peer.address.into(), &one.tcp));
    let ranges = choice.listen.iter();
    let ranges = ranges.map(|one| guest(network_of(one.range.range), &one.tcp));
    Door {
        port: choice.port,
        addresses: ANYWHERE.into(),
        guests: nodes.chain(peers).chain(ranges).collect(),
    }
}

/// How far packets of such connections go.
pub(super) fn ttl(tcp: &TcpChoice) -> Ttl {
    match tcp.ttl {
        config::Ttl::Hops(hops) => Ttl::Hops(hops),
        config::Ttl::Security(hops) => Ttl::Security(hops),
    }
}

/// The configuration has refused keys that are none.
fn key(secret: &Option<Secret>) -> Option<Key> {
    Key::new(secret.as_ref()?.expose().as_bytes()).ok()
}
