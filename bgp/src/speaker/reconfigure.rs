//! Another configuration, another set of peers, other routes of our own: each touches only what differs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::family::Family;
use crate::policy::OwnHops;
use crate::prefix::{Net, Prefix, Prefix4, Prefix6};
use crate::rib::{Known, Path, PeerId, Source, Surroundings};
use crate::speaker::Speaker;
use crate::speaker::config::{Config, Origination, PeerConfig, PeerName};
use crate::speaker::inbound::Collect;
use crate::speaker::message::{Event, SyncedBy};
use crate::speaker::neighbour::{Neighbour, UNKNOWN_ID, terms};
use crate::wire::{Attributes, Cease, NextHop, Notification};

impl Speaker {
    /// Another configuration.
    pub(super) fn reconfigure(&mut self, config: Config, now: Instant) {
        let other_identity =
            (config.asn, config.router_id) != (self.config.asn, self.config.router_id);
        let before = std::mem::replace(
            &mut self.config,
            Config {
                peers: BTreeMap::new(),
                ..config.clone()
            },
        );
        let gone: Vec<PeerName> = self
            .peers
            .values()
            .filter(|n| !n.dynamic && !config.peers.contains_key(&n.name))
            .map(|n| n.name.clone())
            .collect();
        gone.iter().for_each(|name| self.remove_peer(name, now));
        self.set_identity(&config);
        for (name, peer) in config.peers {
            self.set_peer(name, peer, now);
        }
        self.reconfigure_guests(now);
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in ids {
            if other_identity {
                self.restart_session(id, now);
            }
            if before.guard != self.config.guard || before.addresses != self.config.addresses {
                self.judge_anew(id);
            }
            self.regroup(id);
        }
    }

    /// Who connected from a range is what the range says, and no peer without one or where another has the address.
    fn reconfigure_guests(&mut self, now: Instant) {
        let guests = self.peers.values().filter(|n| n.dynamic);
        let guests: Vec<(PeerName, IpAddr)> =
            guests.map(|n| (n.name.clone(), n.config.address)).collect();
        for (name, address) in guests {
            let is_named = |n: &Neighbour| !n.dynamic && n.config.address == address;
            let taken = self.peers.values().any(is_named);
            match self.guest(address).filter(|_| !taken) {
                Some(peer) => self.set_peer(name, peer, now),
                None => self.remove_peer(&name, now),
            }
        }
    }

    /// What whoever connects from there is to us, if there is a range for it.
    pub(super) fn guest(&self, address: IpAddr) -> Option<PeerConfig> {
        let host = Prefix::host(address);
        let mut ranges = self.config.listen.iter();
        let range = ranges.find(|listen| listen.range.covers(host))?;
        Some(PeerConfig {
            address,
            passive: true,
            ..range.peer.clone()
        })
    }

    fn set_identity(&mut self, config: &Config) {
        let before = self.rib.around().clone();
        let around = self.rib.around_mut();
        around.max_paths = config.max_paths.max(1);
        let fresh = Surroundings::new(config.asn, config.router_id, config.max_paths);
        if let Some(ourselves) = fresh.source(PeerId::SELF) {
            around.set_source(PeerId::SELF, *ourselves);
        }
        if before.max_paths != around.max_paths {
            let v4 = self.rib.redecide::<Prefix4>(&before, |_| true);
            let v6 = self.rib.redecide::<Prefix6>(&before, |_| true);
            self.changes.0.extend(v4);
            self.changes.1.extend(v6);
        }
    }

    /// A peer that is new, or is to be different.
    pub(super) fn set_peer(&mut self, name: PeerName, config: PeerConfig, now: Instant) {
        match self.names.get(&name).copied() {
            None => self.add_peer(name, config, now),
            Some(id) => self.change_peer(id, config, now),
        }
    }

    fn add_peer(&mut self, name: PeerName, config: PeerConfig, now: Instant) {
        let free = (1..=u16::MAX)
            .map(PeerId)
            .find(|id| !self.peers.contains_key(id));
        let Some(id) = free else { return };
        let terms = terms(&self.config, &config, self.restarting);
        let source = Source::new(
            Some(terms.peering()),
            config.asn,
            UNKNOWN_ID,
            config.address,
        );
        self.rib.around_mut().set_source(id, source);
        let mut neighbour = Neighbour::new(name.clone(), config, terms, self.jitter(id));
        for family in neighbour.config.families.iter() {
            neighbour.stale_until[family as usize] = Some(now + self.config.restart.restart_time);
        }
        self.names.insert(name.clone(), id);
        self.event(Event::Known(id, name));
        self.peers.insert(id, neighbour);
        self.apply_shutdown(id, now);
    }

    fn change_peer(&mut self, id: PeerId, config: PeerConfig, now: Instant) {
        let Some(neighbour) = self.peers.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut neighbour.config, config);
        if before == neighbour.config {
            return;
        }
        let terms = terms(&self.config, &neighbour.config, self.restarting);
        neighbour.peer.set_terms(terms);
        let config = neighbour.config.clone();
        if before.passive != config.passive {
            self.with_peer(id, now, |neighbour| {
                neighbour.peer.set_passive(config.passive, now)
            });
        }
        if before.shutdown != config.shutdown {
            self.apply_shutdown(id, now);
        } else if before.needs_reset(&config) {
            self.restart_session(id, now);
        }
        if (&before.import, before.allow_own_as) != (&config.import, config.allow_own_as) {
            self.judge_anew(id);
        }
        self.regroup(id);
    }

    /// A peer that is no more.
    pub(super) fn remove_peer(&mut self, name: &PeerName, now: Instant) {
        let Some(id) = self.names.remove(name) else {
            return;
        };
        if let Some(neighbour) = self.peers.get_mut(&id) {
            // It is gone for good, so nothing of it is kept, and nothing forgets it on the way.
            neighbour.dynamic = false;
            let why = neighbour.farewell(Notification::cease(Cease::Deconfigured));
            self.with_peer(id, now, |neighbour| neighbour.peer.shut(&why, now));
        }
        for family in Family::ALL {
            self.sweep(id, family, false);
            if self.peers.get(&id).is_some_and(|n| !n.is_synced(family)) {
                self.event(Event::Synced(id, family, SyncedBy::Nothing));
            }
        }
        // What the peer's number means is needed until the last change has been passed on.
        self.pass_on_changes();
        self.peers.remove(&id);
        self.conns.retain(|_, peer| *peer != id);
        self.event(Event::Forgotten(id, name.clone()));
    }

    fn apply_shutdown(&mut self, id: PeerId, now: Instant) {
        let Some(neighbour) = self.peers.get(&id) else {
            return;
        };
        match &neighbour.config.shutdown {
            Some(text) => {
                let why = neighbour.farewell(Notification::administrative(Cease::Shutdown, text));
                self.with_peer(id, now, |neighbour| neighbour.peer.shut(&why, now));
            }
            None => self.with_peer(id, now, |neighbour| {
                neighbour.peer.start(now);
                neighbour.peer.handle_timeout(now);
            }),
        }
    }

    /// Ends a session that cannot go on under other settings, and makes another.
    fn restart_session(&mut self, id: PeerId, now: Instant) {
        let Some(neighbour) = self.peers.get_mut(&id) else {
            return;
        };
        let terms = terms(&self.config, &neighbour.config, self.restarting);
        neighbour.peer.set_terms(terms);
        if neighbour.config.shutdown.is_none() {
            let why = Notification::cease(Cease::ConfigChange);
            self.with_peer(id, now, |neighbour| neighbour.peer.reset(&why, now));
        }
    }

    /// What is taken from a peer is decided anew, from what it has said before.
    fn judge_anew(&mut self, id: PeerId) {
        if let Some(neighbour) = self.peers.get_mut(&id).filter(|n| n.judge.is_some()) {
            neighbour.judge = Some(Arc::new(neighbour.judge_for(&self.config)));
            self.rejudge(id);
        }
    }

    pub(super) fn set_drain(&mut self, drain: bool) {
        self.drain = drain;
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        ids.into_iter().for_each(|id| self.regroup(id));
    }

    /// All that we originate.
    pub(super) fn originate(&mut self, all: BTreeMap<Prefix, Origination>) {
        let before = std::mem::replace(&mut self.originated, all);
        let gone = before
            .keys()
            .filter(|prefix| !self.originated.contains_key(prefix));
        let gone: Vec<Prefix> = gone.copied().collect();
        for prefix in gone {
            match prefix {
                Prefix::V4(prefix) => self.withdraw_own(prefix),
                Prefix::V6(prefix) => self.withdraw_own(prefix),
            }
        }
        let fresh: Vec<(Prefix, Origination)> = self
            .originated
            .iter()
            .filter(|(prefix, said)| before.get(prefix) != Some(said))
            .map(|(prefix, said)| (*prefix, said.clone()))
            .collect();
        for (prefix, said) in fresh {
            match prefix {
                Prefix::V4(prefix) => self.announce_own(prefix, &said),
                Prefix::V6(prefix) => self.announce_own(prefix, &said),
            }
        }
    }

    fn withdraw_own<P: Collect>(&mut self, prefix: P) {
        let change = self.rib.take(prefix, PeerId::SELF);
        P::changes(self).extend(change);
    }

    fn announce_own<P: Collect>(&mut self, prefix: P, said: &Origination) {
        let mut attributes = Attributes::originated(own_next_hop::<P>(self.config.addresses));
        let actions = crate::policy::Actions {
            add: said.communities.clone(),
            ..Default::default()
        };
        actions.apply(&mut attributes, self.config.asn);
        (attributes.med, attributes.local_pref) = (said.med, said.local_pref);
        let known = self.rib.intern(Known::as_sent(attributes));
        let change = self.rib.put(
            prefix,
            Path {
                known,
                from: PeerId::SELF,
                refusal: None,
                round: 0,
            },
        );
        P::changes(self).extend(change);
    }
}

/// What stands for us in the RIB; peers are told an address that depends on the session.
fn own_next_hop<P: Net>(own: OwnHops) -> NextHop {
    match (P::FAMILY, own.v4, own.v6) {
        (Family::Ipv4, Some(address), _) => NextHop::V4(address),
        (_, _, Some(address)) => NextHop::V6(address, None),
        _ => NextHop::V4(std::net::Ipv4Addr::UNSPECIFIED),
    }
}
