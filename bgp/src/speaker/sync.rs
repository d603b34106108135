//! What is stale, and when it goes: End-of-RIB, graceful restart in both roles (RFC 4724, RFC 8538), refresh (RFC 2918, RFC
//! 7313).
//!
//! Routes are used and announced as they come. Only the removal of what is stale waits, for each peer by itself: for its
//! End-of-RIB, or for a timer.

use std::time::Instant;

use crate::family::Family;
use crate::prefix::{Prefix4, Prefix6};
use crate::rib::PeerId;
use crate::session::Agreed;
use crate::speaker::Speaker;
use crate::speaker::config::PeerName;
use crate::speaker::inbound::Collect;
use crate::speaker::message::{Event, SyncedBy};
use crate::wire::{Refresh, RefreshKind, encode_refresh};

impl Speaker {
    /// A session is up: what is kept of an earlier one goes at End-of-RIB, or at once where the peer did not keep forwarding.
    pub(super) fn await_end_of_rib(&mut self, id: PeerId, agreed: &Agreed, now: Instant) {
        for family in Family::ALL {
            if !agreed.rules.families.has(family) {
                self.synced(id, family, SyncedBy::Nothing);
                continue;
            }
            let forwarded = agreed
                .graceful_restart
                .is_some_and(|restart| restart.forwarding.has(family));
            if !forwarded {
                self.sweep(id, family, true);
            }
            self.set_stale_until(id, family, Some(now + self.config.restart.sync_time));
        }
    }

    /// A session is gone: its routes are kept until then, or dropped.
    pub(super) fn keep_or_drop(&mut self, id: PeerId, family: Family, until: Option<Instant>) {
        match until {
            Some(until) => {
                // What was stale before this restart has had its chance (RFC 4724 section 4.2). What was only not told again yet,
                // in the session that is gone, has not.
                if !self.refreshes(id, family) {
                    self.sweep(id, family, true);
                }
                self.rib.begin_round(id, family);
                self.set_stale_until(id, family, Some(until));
            }
            None => {
                self.sweep(id, family, false);
                self.synced(id, family, SyncedBy::Nothing);
            }
        }
    }

    /// End-of-RIB has come. Within a refresh it says nothing (RFC 7313 section 4).
    pub(super) fn heard_end_of_rib(&mut self, id: PeerId, family: Family) {
        if !self.refreshes(id, family) {
            self.heard_all(id, family);
        }
    }

    /// The peer has said all that it has to say.
    fn heard_all(&mut self, id: PeerId, family: Family) {
        self.sweep(id, family, true);
        self.synced(id, family, SyncedBy::EndOfRib);
    }

    /// Drops what has been stale for too long.
    pub(super) fn drop_overdue(&mut self, id: PeerId, now: Instant) {
        for family in Family::ALL {
            let until = self
                .peers
                .get(&id)
                .and_then(|n| n.stale_until[family as usize]);
            if until.is_some_and(|until| until <= now) {
                self.sweep(id, family, true);
                self.synced(id, family, SyncedBy::Timer);
            }
        }
    }

    /// A ROUTE-REFRESH has come.
    pub(super) fn refreshed(&mut self, id: PeerId, refresh: Refresh, now: Instant) {
        let Some(neighbour) = self.peers.get_mut(&id) else {
            return;
        };
        let Some((_, agreed)) = &neighbour.up else {
            return;
        };
        let (family, enhanced) = (refresh.family, agreed.enhanced_refresh);
        let restarts = agreed.graceful_restart.is_some();
        if !agreed.rules.families.has(family) {
            return;
        }
        match refresh.kind {
            RefreshKind::Request => neighbour.tell_again(family, enhanced),
            RefreshKind::Begin
                if enhanced && neighbour.may_begin_refresh(family, restarts, now) =>
            {
                neighbour.begin_refresh(family, now, self.config.restart.sync_time);
                self.rib.begin_round(id, family);
            }
            RefreshKind::End if neighbour.refreshes[family as usize] => self.heard_all(id, family),
            RefreshKind::Begin | RefreshKind::End => (),
        }
    }

    /// Asks a peer for its routes again.
    pub(super) fn ask_for_refresh(&mut self, name: &PeerName, now: Instant) {
        let Some(id) = self.names.get(name).copied() else {
            return;
        };
        let Some(neighbour) = self.peers.get(&id) else {
            return;
        };
        let Some((_, agreed)) = neighbour
            .up
            .as_ref()
            .filter(|(_, agreed)| agreed.route_refresh)
        else {
            return;
        };
        for family in agreed.rules.families.iter() {
            let request = encode_refresh(Refresh {
                family,
                kind: RefreshKind::Request,
            });
            self.with_peer(id, now, |neighbour| {
                neighbour.peer.send(request.into(), now)
            });
        }
    }

    /// Tells a peer all its routes again, with marks where it takes them (RFC 7313 section 4: also where we begin).
    pub(super) fn tell_all_again(&mut self, name: &PeerName) {
        let id = self.names.get(name);
        let Some(neighbour) = id.and_then(|id| self.peers.get_mut(id)) else {
            return;
        };
        if let Some((_, agreed)) = &neighbour.up {
            let (families, enhanced) = (agreed.rules.families, agreed.enhanced_refresh);
            for family in families.iter() {
                neighbour.tell_again(family, enhanced);
            }
        }
    }

    /// When all peers have said what they have to say, the restart is over.
    pub(super) fn end_restart(&mut self) {
        let over = |family| self.others_are_synced(PeerId::SELF, family);
        if self.restarting && Family::ALL.into_iter().all(over) {
            self.restarting = false;
            for neighbour in self.peers.values_mut() {
                let terms = neighbour.terms(&self.config, false);
                neighbour.peer.set_terms(terms);
            }
        }
    }

    /// Whatever is stale, it is so for a restart.
    pub(super) fn set_stale_until(&mut self, id: PeerId, family: Family, until: Option<Instant>) {
        if let Some(neighbour) = self.peers.get_mut(&id) {
            neighbour.stale_until[family as usize] = until;
            neighbour.refreshes[family as usize] = false;
        }
    }

    /// Whether it tells all its routes again.
    fn refreshes(&self, id: PeerId, family: Family) -> bool {
        let neighbour = self.peers.get(&id);
        neighbour.is_some_and(|neighbour| neighbour.refreshes[family as usize])
    }

    fn synced(&mut self, id: PeerId, family: Family, by: SyncedBy) {
        let waited = self.peers.get(&id).is_some_and(|n| !n.is_synced(family));
        self.set_stale_until(id, family, None);
        if waited {
            // What has been said must be in the kernel before anything is removed because it has not been said.
            self.pass_on_changes();
            self.event(Event::Synced(id, family, by));
        }
    }

    /// Takes out what a peer has said, or only what is stale of it.
    pub(super) fn sweep(&mut self, id: PeerId, family: Family, only_stale: bool) {
        match family {
            Family::Ipv4 => self.sweep_family::<Prefix4>(id, only_stale),
            Family::Ipv6 => self.sweep_family::<Prefix6>(id, only_stale),
        }
    }

    fn sweep_family<P: Collect>(&mut self, id: PeerId, only_stale: bool) {
        let changes = self.rib.sweep::<P>(id, only_stale);
        P::changes(self).extend(changes);
    }
}
