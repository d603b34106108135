//! What is shown: read from the very structures that decide.

use std::time::{Duration, Instant};

use crate::family::Family;
use crate::peer::{Connection, Next};
use crate::policy::Untold;
use crate::prefix::{Prefix, Prefix4, Prefix6};
use crate::rib::{Count, Explanation, InRib, PeerId, Rib};
use crate::session::{Agreed, State};
use crate::speaker::Speaker;
use crate::speaker::config::{PeerConfig, PeerName};
use crate::speaker::neighbour::Neighbour;
use crate::wire::Attributes;

/// A peer, to be shown.
#[derive(Debug, Clone)]
pub struct PeerView<'a> {
    /// Its number.
    pub id: PeerId,
    /// Its name.
    pub name: &'a PeerName,
    /// Its settings.
    pub config: &'a PeerConfig,
    /// How far the session is; `None` without a connection.
    pub state: Option<State>,
    /// Whether there may be no session at present: shut, or over its limit.
    pub held: bool,
    /// What has to happen for a session to come.
    pub next: Next,
    /// Whether it is a peer only while its session lasts: it connected from a listen range.
    pub dynamic: bool,
    /// How long the session has been up.
    pub up_for: Option<Duration>,
    /// The connection and what was agreed on, while the session is up.
    pub session: Option<(&'a Connection, &'a Agreed)>,
    /// What it has told us, by family.
    pub received: [Count; 2],
    /// By family: how long what is stale of it is kept still; `None`: nothing is stale.
    pub stale_for: [Option<Duration>; 2],
    /// Prefixes and octets that it has still to be told.
    pub waiting: (usize, usize),
    /// Octets that its socket has not taken yet.
    pub unsent: usize,
}

impl Speaker {
    /// All peers, by number.
    pub fn peers(&self, now: Instant) -> impl Iterator<Item = PeerView<'_>> {
        let peers = self.peers.iter();
        peers.map(move |(id, neighbour)| self.view(*id, neighbour, now))
    }

    /// One peer.
    pub fn peer(&self, id: PeerId, now: Instant) -> Option<PeerView<'_>> {
        let neighbour = self.peers.get(&id)?;
        Some(self.view(id, neighbour, now))
    }

    fn view<'a>(&'a self, id: PeerId, neighbour: &'a Neighbour, now: Instant) -> PeerView<'a> {
        PeerView {
            id,
            name: &neighbour.name,
            config: &neighbour.config,
            state: neighbour.peer.state(),
            held: neighbour.peer.is_held(),
            next: neighbour.peer.next(),
            dynamic: neighbour.dynamic,
            up_for: neighbour
                .peer
                .up_since()
                .map(|since| now.saturating_duration_since(since)),
            session: neighbour
                .up
                .as_ref()
                .map(|(connection, agreed)| (connection, agreed)),
            received: Family::ALL.map(|family| self.rib.count(id, family)),
            stale_for: neighbour
                .stale_until
                .map(|at| at.map(|at| at.saturating_duration_since(now))),
            waiting: neighbour.outbox.waiting(),
            unsent: neighbour.peer.unsent(),
        }
    }

    /// Whether we are going away (RFC 8326).
    pub fn is_draining(&self) -> bool {
        self.drain
    }

    /// Whether we have restarted, and not all peers have said what they have to say.
    pub fn is_restarting(&self) -> bool {
        self.restarting
    }

    /// The number of the peer with this name.
    pub fn peer_named(&self, name: &PeerName) -> Option<PeerId> {
        self.names.get(name).copied()
    }

    /// The settings of a peer, as the driver needs them to connect.
    pub fn peer_config(&self, id: PeerId) -> Option<&PeerConfig> {
        self.peers.get(&id).map(|neighbour| &neighbour.config)
    }

    /// What is known of prefixes.
    pub fn rib(&self) -> &Rib {
        &self.rib
    }

    /// All paths of a prefix, which is used, and why another is not.
    pub fn explain(&self, prefix: Prefix) -> Option<Explanation> {
        self.rib.explain(prefix)
    }

    /// What a peer is told about a prefix, or why nothing: its Adj-RIB-Out.
    pub fn told(&self, id: PeerId, prefix: Prefix) -> Result<Attributes, Untold> {
        match prefix {
            Prefix::V4(prefix) => self.told_of::<Prefix4>(id, prefix),
            Prefix::V6(prefix) => self.told_of::<Prefix6>(id, prefix),
        }
    }

    fn told_of<P: InRib>(&self, id: PeerId, prefix: P) -> Result<Attributes, Untold> {
        let exporter = self.peers.get(&id).and_then(|n| n.exporter.as_ref());
        let exporter = exporter.ok_or(Untold::NoSession)?;
        let chosen = self.rib.chosen(prefix);
        let best = chosen.best().ok_or(Untold::NothingUsed)?;
        if best.from == id {
            return Err(Untold::FromIt);
        }
        let plan = exporter.plan(prefix.into(), best, self.rib.around())?;
        let told = exporter.attributes(&best.known.attributes, plan, P::FAMILY);
        told.ok_or(Untold::NoAddress)
    }

    /// Whether the peer has still to be told about this prefix.
    pub fn waits_for(&self, id: PeerId, prefix: Prefix) -> bool {
        let neighbour = self.peers.get(&id);
        neighbour.is_some_and(|neighbour| neighbour.outbox.waits_for(prefix))
    }

    /// How many groups of peers share what is encoded.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }
}
