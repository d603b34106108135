//! Sessions come up and go down, and what peers say goes into the RIB.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::family::Family;
use crate::peer::{self, ConnId, Connection, Direction};
use crate::policy::Judge;
use crate::rib::{InRib, Known, Path, PeerId, Refusal, Source};
use crate::session::{self, Agreed, Cause};
use crate::speaker::Speaker;
use crate::speaker::config::PeerName;
use crate::speaker::message::{Event, Output};
use crate::speaker::neighbour::keep_time;
use crate::wire::{Announced, Attributes, Cease, Notification, Prefixes, Update};

impl Speaker {
    pub(super) fn connected(
        &mut self,
        id: PeerId,
        conn: ConnId,
        ends: (SocketAddr, SocketAddr),
        now: Instant,
    ) {
        let (local, remote) = ends;
        if !self.peers.contains_key(&id) {
            self.outputs.push_back(Output::Close(conn));
            return;
        }
        self.conns.insert(conn, id);
        let connection = Connection {
            conn,
            direction: Direction::Active,
            local,
            remote,
        };
        self.with_peer(id, now, |neighbour| {
            neighbour.peer.connected(connection, now)
        });
    }

    /// Somebody has connected: a peer with that address, or one of a range.
    pub(super) fn accepted(
        &mut self,
        conn: ConnId,
        local: SocketAddr,
        remote: SocketAddr,
        now: Instant,
    ) {
        let address = remote.ip().to_canonical();
        let known = self
            .peers
            .iter()
            .find(|(_, n)| n.config.address == address)
            .map(|(id, _)| *id);
        let Some(id) = known.or_else(|| self.dynamic_peer(address, now)) else {
            self.outputs.push_back(Output::Close(conn));
            self.event(Event::Stranger(remote));
            return;
        };
        self.conns.insert(conn, id);
        let connection = Connection {
            conn,
            direction: Direction::Passive,
            local,
            remote,
        };
        self.with_peer(id, now, |neighbour| {
            neighbour.peer.connected(connection, now)
        });
    }

    fn dynamic_peer(&mut self, address: std::net::IpAddr, now: Instant) -> Option<PeerId> {
        let config = self.guest(address)?;
        let name = PeerName(address.to_string());
        self.set_peer(name.clone(), config, now);
        let id = *self.names.get(&name)?;
        if let Some(neighbour) = self.peers.get_mut(&id) {
            neighbour.dynamic = true;
        }
        Some(id)
    }

    pub(super) fn session_input(&mut self, conn: ConnId, input: session::Input<'_>, now: Instant) {
        if let Some(id) = self.conns.get(&conn).copied() {
            self.with_peer(id, now, |neighbour| {
                neighbour.peer.handle_input(conn, input, now)
            });
        }
    }

    /// Takes in all that a peer has to tell.
    pub(super) fn drain_peer(&mut self, id: PeerId, now: Instant) {
        while let Some(output) = self.peers.get_mut(&id).and_then(|n| n.peer.poll_output()) {
            match output {
                peer::Output::Connect => self.outputs.push_back(Output::Connect(id)),
                peer::Output::Send(conn, bytes) => {
                    self.outputs.push_back(Output::Send(conn, bytes))
                }
                peer::Output::Close(conn) => {
                    self.conns.remove(&conn);
                    self.outputs.push_back(Output::Close(conn));
                }
                peer::Output::Up(connection, agreed) => self.came_up(id, connection, &agreed, now),
                peer::Output::Update(update) => self.updated(id, update, now),
                peer::Output::Refresh(refresh) => self.refreshed(id, refresh, now),
                peer::Output::Down(cause, agreed) => self.went_down(id, cause, &agreed, now),
                peer::Output::Failed(direction, cause) => {
                    self.event(Event::Failed {
                        peer: id,
                        direction,
                        cause,
                    });
                    self.forget_if_dynamic(id, now);
                }
            }
        }
    }

    fn came_up(&mut self, id: PeerId, connection: Connection, agreed: &Agreed, now: Instant) {
        let Some(neighbour) = self.peers.get_mut(&id) else {
            return;
        };
        let address = connection.remote.ip().to_canonical();
        let source = Source::new(
            Some(agreed.rules.peering),
            agreed.rules.peer_asn,
            agreed.router_id,
            address,
        );
        self.rib.around_mut().set_source(id, source);
        neighbour.up = Some((connection, agreed.clone()));
        neighbour.judge = Some(Arc::new(neighbour.judge_for(&self.config)));
        neighbour.warned = false;
        self.event(Event::Up(id));
        self.await_end_of_rib(id, agreed, now);
        self.join_group(id);
        if let Some(neighbour) = self.peers.get_mut(&id) {
            for family in agreed.rules.families.iter() {
                neighbour.outbox.walk(family, false);
                neighbour.outbox.end_of_rib_owed.set(family, true);
            }
        }
    }

    fn went_down(&mut self, id: PeerId, cause: Cause, agreed: &Agreed, now: Instant) {
        self.leave_group(id);
        let Some(neighbour) = self.peers.get_mut(&id) else {
            return;
        };
        neighbour.up = None;
        neighbour.outbox = Default::default();
        let keep = keep_time(&cause, agreed, self.config.restart.helper_time);
        let keep = keep.filter(|_| !neighbour.dynamic);
        self.event(Event::Down {
            peer: id,
            cause,
            kept: keep,
        });
        let families = agreed.graceful_restart.map(|restart| restart.families);
        for family in Family::ALL {
            let kept = keep.filter(|_| {
                families.is_some_and(|all| all.has(family) && agreed.rules.families.has(family))
            });
            self.keep_or_drop(id, family, kept.map(|time| now + time));
        }
        self.forget_if_dynamic(id, now);
    }

    fn forget_if_dynamic(&mut self, id: PeerId, now: Instant) {
        let neighbour = self
            .peers
            .get(&id)
            .filter(|n| n.dynamic && n.peer.state().is_none());
        if let Some(name) = neighbour.map(|n| n.name.clone()) {
            self.remove_peer(&name, now);
        }
    }

    fn updated(&mut self, id: PeerId, update: Update, now: Instant) {
        let Some(judge) = self.peers.get(&id).and_then(|n| n.judge.clone()) else {
            return;
        };
        for prefixes in &update.withdrawn {
            match prefixes {
                Prefixes::V4(all) => self.take_all(id, all),
                Prefixes::V6(all) => self.take_all(id, all),
            }
        }
        for Announced {
            attributes,
            prefixes,
        } in update.announced
        {
            match prefixes {
                Prefixes::V4(all) => self.put_all(id, &judge, attributes, &all),
                Prefixes::V6(all) => self.put_all(id, &judge, attributes, &all),
            }
        }
        if !update.faults.is_empty() {
            self.event(Event::Faulty(id, update.faults));
        }
        if let Some(family) = update.end_of_rib {
            self.heard_end_of_rib(id, family);
        }
        self.check_limit(id, now);
    }

    fn take_all<P: Collect>(&mut self, id: PeerId, prefixes: &[P]) {
        for prefix in prefixes {
            let change = self.rib.take(*prefix, id);
            P::changes(self).extend(change);
        }
    }

    fn put_all<P: Collect>(&mut self, id: PeerId, judge: &Judge, said: Attributes, prefixes: &[P]) {
        let round = self
            .rib
            .around()
            .source(id)
            .map_or(0, |source| source.round(P::FAMILY));
        let never = judge.judge_attributes(&said);
        let as_sent = self.rib.intern(Known::as_sent(said));
        // The few ways in which a policy changes the same attributes.
        let mut ways: Vec<(usize, Arc<Known>)> = Vec::new();
        for prefix in prefixes {
            let verdict =
                never.map_or_else(|| judge.judge((*prefix).into(), &as_sent.attributes), Err);
            let (known, refusal) = match verdict {
                Err(refusal) => (as_sent.clone(), Some(refusal)),
                Ok((way, actions)) => match ways.iter().find(|(n, _)| *n == way) {
                    Some((_, known)) => (known.clone(), None),
                    None => {
                        let changed = judge.changed(&as_sent.attributes, actions);
                        let known = changed.map_or_else(
                            || as_sent.clone(),
                            |a| self.rib.intern(with(a, &as_sent)),
                        );
                        ways.push((way, known.clone()));
                        (known, None)
                    }
                },
            };
            let change = self.rib.put(
                *prefix,
                Path {
                    known,
                    from: id,
                    refusal,
                    round,
                },
            );
            P::changes(self).extend(change);
        }
    }

    /// Judges all that a peer has said once more, because what is taken has changed.
    pub(super) fn rejudge(&mut self, id: PeerId) {
        let Some(judge) = self.peers.get(&id).and_then(|n| n.judge.clone()) else {
            return;
        };
        self.rejudge_family::<crate::prefix::Prefix4>(id, &judge);
        self.rejudge_family::<crate::prefix::Prefix6>(id, &judge);
    }

    fn rejudge_family<P: Collect>(&mut self, id: PeerId, judge: &Judge) {
        let changes = self.rib.rejudge::<P>(id, |interner, prefix, known| {
            let said = known.received();
            let verdict = judge
                .judge_attributes(said)
                .map_or_else(|| judge.judge(prefix.into(), said), Err);
            let refused: Result<_, Refusal> =
                verdict.map(|(_, actions)| judge.changed(said, actions));
            let fresh = match &refused {
                Ok(Some(changed)) => Known {
                    attributes: changed.clone(),
                    received: Some(Box::new(said.clone())),
                },
                _ => Known::as_sent(said.clone()),
            };
            let kept = if fresh == **known {
                known.clone()
            } else {
                interner.intern(fresh)
            };
            (kept, refused.err())
        });
        P::changes(self).extend(changes);
    }

    /// Counts what the peer has said against its limit.
    fn check_limit(&mut self, id: PeerId, now: Instant) {
        let count: usize = Family::ALL
            .into_iter()
            .map(|family| self.rib.count(id, family).received)
            .sum();
        let Some(neighbour) = self.peers.get_mut(&id) else {
            return;
        };
        let limit = neighbour
            .config
            .max_prefixes
            .filter(|_| !neighbour.peer.is_held());
        let Some(limit) = limit else {
            return;
        };
        if count > limit.limit {
            let until = limit.restart.map(|time| now + time);
            let why = Notification::cease(Cease::MaxPrefixes);
            neighbour.peer.hold_down(&why, until, now);
            self.event(Event::TooManyPrefixes(id, count));
        } else if limit.warn > 0 && count > limit.warn && !neighbour.warned {
            neighbour.warned = true;
            self.event(Event::ManyPrefixes(id, count));
        }
    }
}

fn with(attributes: Attributes, as_sent: &Known) -> Known {
    Known {
        attributes,
        received: Some(Box::new(as_sent.attributes.clone())),
    }
}

/// Where the changes of a family are collected.
pub(super) trait Collect: InRib {
    fn changes(speaker: &mut Speaker) -> &mut crate::rib::Changes<Self>;
}

impl Collect for crate::prefix::Prefix4 {
    fn changes(speaker: &mut Speaker) -> &mut crate::rib::Changes<Self> {
        &mut speaker.changes.0
    }
}

impl Collect for crate::prefix::Prefix6 {
    fn changes(speaker: &mut Speaker) -> &mut crate::rib::Changes<Self> {
        &mut speaker.changes.1
    }
}
