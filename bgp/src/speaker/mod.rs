//! The speaker: peers, RIBs and policy tied together. One `&mut`, no locks; nothing waits for anything.
//!
//! ```text
//! mod.rs          the four verbs            config.rs, message.rs   what it is told, what goes in and out
//! neighbour.rs    one peer                  inbound.rs              sessions up and down, UPDATEs into the RIB
//! sync.rs         End-of-RIB, graceful restart, refresh: what is stale and when it goes
//! announce.rs     changes to the kernel and to groups of peers     pack.rs   routes into messages
//! outbox.rs       what a peer has still to be told                 walk.rs   telling all there is
//! reconfigure.rs  another configuration     inspect.rs             what is shown
//! ```

mod announce;
mod config;
mod inbound;
mod inspect;
mod message;
mod neighbour;
mod outbox;
mod pack;
mod reconfigure;
mod sync;
mod walk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

pub use config::{Config, ListenRange, MaxPrefixes, Origination, PeerConfig, PeerName, Restart};
pub use inspect::PeerView;
pub use message::{Event, Hop, Input, Output, RouteChange, SyncedBy};

use neighbour::Neighbour;

use crate::family::Family;
use crate::peer::{ConnId, Jitter};
use crate::policy::Exporter;
use crate::prefix::{Prefix, Prefix4, Prefix6};
use crate::rib::{Changes, PeerId, Rib, Surroundings};
use crate::session;
use crate::wire::{Cease, Notification};

#[cfg(test)]
mod tests;

/// A BGP speaker. Four verbs: `handle_input`, `handle_timeout`, `poll_timeout`, `poll_output`.
#[derive(Debug)]
pub struct Speaker {
    config: Config,
    seed: u64,
    peers: BTreeMap<PeerId, Neighbour>,
    names: BTreeMap<PeerName, PeerId>,
    conns: BTreeMap<ConnId, PeerId>,
    /// Peers that are told the same by the same bytes.
    groups: BTreeMap<Arc<Exporter>, BTreeSet<PeerId>>,
    rib: Rib,
    originated: BTreeMap<Prefix, Origination>,
    /// What the input at hand has changed.
    changes: (Changes<Prefix4>, Changes<Prefix6>),
    /// We have restarted, and not all peers have said what they have to say.
    restarting: bool,
    drain: bool,
    outputs: VecDeque<Output>,
}

impl Speaker {
    /// A speaker that begins at `now`. `restarting`: routes of an earlier run are still in the kernel, so peers shall keep
    /// ours, too (RFC 4724). `seed`: of the only chance there is, that in the pauses between attempts to connect.
    pub fn new(config: Config, restarting: bool, seed: u64, now: Instant) -> Speaker {
        let around = Surroundings::new(config.asn, config.router_id, config.max_paths);
        let peers = config.peers.clone();
        let mut speaker = Speaker {
            config: Config {
                peers: BTreeMap::new(),
                ..config
            },
            seed,
            peers: BTreeMap::new(),
            names: BTreeMap::new(),
            conns: BTreeMap::new(),
            groups: BTreeMap::new(),
            rib: Rib::new(around),
            originated: BTreeMap::new(),
            changes: (Vec::new(), Vec::new()),
            restarting,
            drain: false,
            outputs: VecDeque::new(),
        };
        for (name, peer) in peers {
            speaker.set_peer(name, peer, now);
        }
        speaker.settle(now);
        speaker
    }

    /// Something happened.
    pub fn handle_input(&mut self, input: Input<'_>, now: Instant) {
        match input {
            Input::Connected {
                peer,
                conn,
                local,
                remote,
            } => self.connected(peer, conn, (local, remote), now),
            Input::ConnectFailed(peer) => {
                self.with_peer(peer, now, |neighbour| neighbour.peer.connect_failed(now));
            }
            Input::Accepted {
                conn,
                local,
                remote,
            } => self.accepted(conn, local, remote, now),
            Input::Bytes(conn, bytes) => {
                self.session_input(conn, session::Input::Bytes(bytes), now)
            }
            Input::Sent(conn, octets) => {
                self.session_input(conn, session::Input::Sent(octets), now)
            }
            Input::Closed(conn) => self.session_input(conn, session::Input::Closed, now),
            Input::Originate(all) => self.originate(all),
            Input::NextHops(reaches) => {
                let (v4, v6) = self.rib.set_next_hops(&reaches);
                self.changes.0.extend(v4);
                self.changes.1.extend(v6);
            }
            Input::Reconfigure(config) => self.reconfigure(*config, now),
            Input::SetPeer(name, config) => self.set_peer(name, *config, now),
            Input::RemovePeer(name) => self.remove_peer(&name, now),
            Input::Refresh(name) => self.ask_for_refresh(&name, now),
            Input::TellAgain(name) => self.tell_all_again(&name),
            Input::Reset(name, text) => self.reset(&name, &text, now),
            Input::Stop(text) => self.stop(&text, now),
            Input::Drain(drain) => self.set_drain(drain),
        }
        self.settle(now);
    }

    /// Something may be due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |n: &Neighbour| {
            [n.peer.poll_timeout(), n.stale_timeout()]
                .into_iter()
                .flatten()
                .any(|at| at <= now)
        };
        let due: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, n)| due(n))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.with_peer(id, now, |neighbour| neighbour.peer.handle_timeout(now));
            self.drop_overdue(id, now);
        }
        self.settle(now);
    }

    /// When something is due even if nothing happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let of = |n: &Neighbour| {
            [n.peer.poll_timeout(), n.stale_timeout()]
                .into_iter()
                .flatten()
                .min()
        };
        self.peers.values().filter_map(of).min()
    }

    /// The next thing to do; to be drained to `None` after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Does something with a peer and takes in what it says to it.
    fn with_peer(&mut self, id: PeerId, now: Instant, act: impl FnOnce(&mut Neighbour)) {
        if let Some(neighbour) = self.peers.get_mut(&id) {
            act(neighbour);
            self.drain_peer(id, now);
        }
    }

    fn reset(&mut self, name: &PeerName, text: &str, now: Instant) {
        let why = Notification::administrative(Cease::Reset, text);
        if let Some(id) = self.names.get(name).copied() {
            self.with_peer(id, now, |neighbour| {
                if neighbour.config.shutdown.is_none() {
                    neighbour.peer.reset(&why, now);
                }
            });
        }
    }

    fn stop(&mut self, text: &str, now: Instant) {
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in ids {
            self.with_peer(id, now, |neighbour| {
                let why = Notification::administrative(Cease::Shutdown, text);
                neighbour.peer.shut(&neighbour.farewell(why), now);
            });
        }
    }

    /// Passes on what the input at hand has changed, as far as everybody takes it.
    fn settle(&mut self, now: Instant) {
        self.pass_on_changes();
        self.end_restart();
        let ids: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, n)| n.up.is_some())
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.fill(id, now);
        }
    }

    fn jitter(&self, id: PeerId) -> Jitter {
        Jitter::new(self.seed ^ (u64::from(id.0) << 32))
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Whether all peers have said of this family what they have to say, one not asked.
    fn others_are_synced(&self, but: PeerId, family: Family) -> bool {
        self.peers
            .iter()
            .all(|(id, neighbour)| *id == but || neighbour.is_synced(family))
    }
}
