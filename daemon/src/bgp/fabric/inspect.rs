//! What is known, for those who look inside.

use std::net::IpAddr;

use bgp::Prefix;
use bgp::rib::PeerId;
use bgp::speaker::{PeerName, PeerView, Speaker};
use kernel::{Resolved, RouteKey};
use subnet_alloc::shown;

use crate::bgp::transport::Dialing;
use crate::config::{BgpChoice, ListenChoice};

use super::tcp::{self, Manner};
use super::{Fabric, Past};

/// Peers that an error names.
const NAMED: usize = 12;

/// Where a peer comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// A lease: it is a node of the mesh.
    Node,
    /// The settings.
    Configured,
    /// It connected from a range of the settings; `None`: which is not there any more.
    Guest(Option<&'a ListenChoice>),
}

impl Fabric {
    /// What speaks to the peers.
    pub(crate) fn speaker(&self) -> &Speaker {
        &self.speaker
    }

    /// The settings.
    pub(crate) fn choice(&self) -> &BgpChoice {
        &self.choice
    }

    /// What a peer is called.
    pub(crate) fn name(&self, id: PeerId) -> &str {
        self.names.get(&id).map_or("?", |name| &name.0)
    }

    /// The peer of this name, or a text that names those that there are.
    pub(crate) fn named(&self, name: &str) -> Result<PeerId, String> {
        let id = self.speaker.peer_named(&PeerName(name.to_owned()));
        id.ok_or_else(|| self.nobody_called(name))
    }

    fn nobody_called(&self, name: &str) -> String {
        let known = self.names.iter();
        let known = known.filter(|(id, _)| self.speaker.peer_config(**id).is_some());
        let mut names: Vec<&str> = known.map(|(_, name)| &*name.0).collect();
        names.sort_unstable();
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        let (name, names) = (shown(name, 80), names.join(", "));
        match (names.is_empty(), more) {
            (true, _) => format!("no BGP peer is called {name:?}: there is none at all"),
            (_, 0) => format!("no BGP peer is called {name:?}; there are {names}"),
            (_, more) => format!(
                "no BGP peer is called {name:?}; there are {names} and {more} more: see `twill show peers`"
            ),
        }
    }

    /// What became of the session with a peer so far.
    pub(crate) fn past(&self, id: PeerId) -> Option<&Past> {
        self.pasts.get(id)
    }

    /// Where a peer comes from.
    pub(crate) fn kind(&self, peer: &PeerView<'_>) -> Kind<'_> {
        if self.choice.peer(&peer.name.0).is_some() {
            return Kind::Configured;
        }
        if !peer.dynamic {
            return Kind::Node;
        }
        Kind::Guest(self.choice.range(peer.config.address))
    }

    /// How a peer is connected to.
    pub(crate) fn dialing(&self, peer: &PeerView<'_>) -> Dialing {
        tcp::dialing(&self.choice, peer.name, peer.config.address)
    }

    /// What the connection with a peer is like.
    pub(crate) fn manner(&self, peer: &PeerView<'_>) -> Manner {
        tcp::manner_of(&self.choice, peer)
    }

    /// How the kernel reaches a next hop; `None` where it does not, or was not asked.
    pub(crate) fn way(&self, hop: IpAddr) -> Option<Resolved> {
        self.ways.to(hop)
    }

    /// What the route to a prefix is called in the kernel.
    pub(crate) fn route_key(&self, prefix: Prefix) -> RouteKey {
        self.wishes.key(prefix)
    }
}
