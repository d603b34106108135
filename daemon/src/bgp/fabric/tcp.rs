//! How connections to peers are made, and who may make one to us.

use std::net::{IpAddr, SocketAddr};

use bgp::speaker::{PeerName, PeerView};
use ipnetwork::IpNetwork;

use crate::bgp::transport::{ANYWHERE, Dialing, Door, Guest, Key, Ttl};
use crate::config::{self, BgpChoice, Secret, TcpChoice};

use super::prefix::network_of;

/// Nodes may be behind routers.
const MESH: Ttl = Ttl::Hops(64);

/// How a peer is connected to: as the configuration says, else as nodes of the mesh are.
pub(super) fn dialing(choice: &BgpChoice, name: &PeerName, address: IpAddr) -> Dialing {
    let port = configured(choice, name).map_or(choice.port, |tcp| tcp.port);
    let Manner { source, ttl, key } = manner(choice, name, None);
    Dialing {
        remote: SocketAddr::new(address, port),
        source,
        ttl,
        key,
    }
}

/// What a connection is like, whoever makes it. Under another one it has to be made anew.
#[derive(PartialEq, Eq)]
pub(crate) struct Manner {
    /// Our end of connections that we make, if it is not the kernel's choice.
    source: Option<IpAddr>,
    /// How far packets go, and from how far they may come.
    pub(crate) ttl: Ttl,
    /// What they are signed with.
    pub(crate) key: Option<Key>,
}

/// What the connection with a peer is like.
pub(super) fn manner_of(choice: &BgpChoice, peer: &PeerView<'_>) -> Manner {
    let guest = peer.dynamic.then_some(peer.config.address);
    manner(choice, peer.name, guest)
}

/// As the configuration says of the peer, or of the range from which it connected as a guest; else as in the mesh.
fn manner(choice: &BgpChoice, name: &PeerName, guest: Option<IpAddr>) -> Manner {
    let range = || Some(&choice.range(guest?)?.tcp);
    let tcp = configured(choice, name).or_else(range);
    Manner {
        source: tcp.and_then(|tcp| tcp.source),
        ttl: tcp.map_or(MESH, ttl),
        key: key(tcp.map_or(&choice.key, |tcp| &tcp.key)),
    }
}

fn configured<'a>(choice: &'a BgpChoice, name: &PeerName) -> Option<&'a TcpChoice> {
    choice.peer(&name.0).map(|one| &one.tcp)
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
fn ttl(tcp: &TcpChoice) -> Ttl {
    match tcp.ttl {
        config::Ttl::Hops(hops) => Ttl::Hops(hops),
        config::Ttl::Security(hops) => Ttl::Security(hops),
    }
}

/// The configuration has refused keys that are none.
fn key(secret: &Option<Secret>) -> Option<Key> {
    Key::new(secret.as_ref()?.expose().as_bytes()).ok()
}
