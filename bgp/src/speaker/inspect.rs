//! What is shown: read from the very structures that decide.

use std::time::{Duration, Instant};

use crate::family::Family;
use crate::peer::Connection;
use crate::prefix::{Prefix, Prefix4, Prefix6};
use crate::rib::{Count, Explanation, InRib, PeerId, Rib};
use crate::session::{Agreed, State};
use crate::speaker::Speaker;
use crate::speaker::config::{PeerConfig, PeerName};
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
}

impl Speaker {
    /// All peers, by number.
    pub fn peers(&self, now: Instant) -> impl Iterator<Item = PeerView<'_>> {
        self.peers.iter().map(move |(id, neighbour)| PeerView {
            id: *id,
            name: &neighbour.name,
            config: &neighbour.config,
            state: neighbour.peer.state(),
            held: neighbour.peer.is_held(),
            up_for: neighbour
                .peer
                .up_since()
                .map(|since| now.saturating_duration_since(since)),
            session: neighbour
                .up
                .as_ref()
                .map(|(connection, agreed)| (connection, agreed)),
            received: Family::ALL.map(|family| self.rib.count(*id, family)),
            stale_for: neighbour
                .stale_until
                .map(|at| at.map(|at| at.saturating_duration_since(now))),
            waiting: neighbour.outbox.waiting(),
        })
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

    /// What a peer is told about a prefix: its Adj-RIB-Out. `None`: nothing, or its session is not up.
    pub fn told(&self, id: PeerId, prefix: Prefix) -> Option<Attributes> {
        match prefix {
            Prefix::V4(prefix) => self.told_of::<Prefix4>(id, prefix),
            Prefix::V6(prefix) => self.told_of::<Prefix6>(id, prefix),
        }
    }

    fn told_of<P: InRib>(&self, id: PeerId, prefix: P) -> Option<Attributes> {
        let exporter = self.peers.get(&id)?.exporter.as_ref()?;
        let chosen = self.rib.chosen(prefix);
        let best = chosen.best().filter(|best| best.from != id)?;
        let plan = exporter.plan(prefix.into(), best, self.rib.around())?;
        exporter.attributes(&best.known.attributes, plan, P::FAMILY)
    }

    /// How many groups of peers share what is encoded.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }
}
