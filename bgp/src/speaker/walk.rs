//! Telling a peer all there is: after its session came up, when it asks, and when what it is told is decided otherwise.

use std::sync::Arc;
use std::time::Instant;

use crate::family::Family;
use crate::policy::Exporter;
use crate::prefix::{Prefix, Prefix4, Prefix6};
use crate::rib::{InRib, PeerId};
use crate::speaker::Speaker;
use crate::speaker::outbox::{WINDOW, Walk};
use crate::speaker::pack::{Batch, Packer};
use crate::wire::{Attributes, Refresh, RefreshKind, encode_end_of_rib, encode_refresh};

/// Prefixes that a walk tells at a time: enough that routes with the same attributes share messages.
const STEP: usize = 16 << 10;

/// A family as a type, the other way round.
trait Within: InRib {
    fn of(prefix: Prefix) -> Option<Self>;
}

impl Within for Prefix4 {
    fn of(prefix: Prefix) -> Option<Prefix4> {
        match prefix {
            Prefix::V4(prefix) => Some(prefix),
            Prefix::V6(_) => None,
        }
    }
}

impl Within for Prefix6 {
    fn of(prefix: Prefix) -> Option<Prefix6> {
        match prefix {
            Prefix::V6(prefix) => Some(prefix),
            Prefix::V4(_) => None,
        }
    }
}

impl Speaker {
    /// Gives a peer's socket as much as it takes: what is queued, then what it missed, then the walk, then the marks.
    pub(super) fn fill(&mut self, id: PeerId, now: Instant) {
        while let Some(neighbour) = self
            .peers
            .get_mut(&id)
            .filter(|n| n.up.is_some() && n.peer.unsent() < WINDOW)
        {
            if let Some(messages) = neighbour.outbox.pop() {
                self.with_peer(id, now, |neighbour| neighbour.peer.send(messages, now));
                continue;
            }
            let dirty = neighbour.outbox.take_dirty(STEP);
            let walking = neighbour.outbox.walking();
            if !dirty.is_empty() {
                self.tell_again::<Prefix4>(id, &dirty);
                self.tell_again::<Prefix6>(id, &dirty);
            } else if let Some((family, walk)) = walking {
                match family {
                    Family::Ipv4 => self.walk_on::<Prefix4>(id, walk),
                    Family::Ipv6 => self.walk_on::<Prefix6>(id, walk),
                }
            } else if !self.owe_end_of_rib(id) {
                break;
            }
        }
    }

    /// Tells the state of prefixes about which it is not known what the peer was told.
    fn tell_again<P: Within>(&mut self, id: PeerId, prefixes: &[Prefix]) {
        let Some(exporter) = self.peers.get(&id).and_then(|n| n.exporter.clone()) else {
            return;
        };
        let mut packer = Packer::new(&exporter, self.rib.around());
        for prefix in prefixes.iter().filter_map(|prefix| P::of(*prefix)) {
            packer.state(prefix, self.rib.chosen(prefix).best());
        }
        let batches = packer.finish(|_| ());
        self.queue(id, batches);
    }

    /// Tells the next prefixes of a walk.
    fn walk_on<P: Within>(&mut self, id: PeerId, walk: Walk) {
        let Some(exporter) = self.peers.get(&id).and_then(|n| n.exporter.clone()) else {
            return;
        };
        let mut packer = Packer::<P>::new(&exporter, self.rib.around());
        let after = walk.told.and_then(P::of);
        let prefixes: Vec<P> = P::table_of(&self.rib)
            .after(after)
            .take(STEP)
            .map(|(prefix, _)| prefix)
            .collect();
        for prefix in &prefixes {
            let chosen = self.rib.chosen(*prefix);
            if let (Some(best), Some(plan)) = (chosen.best(), packer.plan(*prefix, chosen.best())) {
                packer.announce(*prefix, best, plan);
            }
        }
        let batches = packer.finish(|_| ());
        self.queue(id, batches);
        let more = prefixes.len() == STEP;
        let told = prefixes.last().map(|prefix| (*prefix).into());
        let Some(neighbour) = self.peers.get_mut(&id) else {
            return;
        };
        *neighbour.outbox.walk_of(P::FAMILY) = more.then_some(Walk { told, ..walk });
        if walk.marked && !more {
            let end = Refresh {
                family: P::FAMILY,
                kind: RefreshKind::End,
            };
            neighbour.outbox.push_anyway(encode_refresh(end).into());
        }
    }

    fn queue<P: Within>(&mut self, id: PeerId, batches: Vec<Batch<P>>) {
        let Some(neighbour) = self.peers.get_mut(&id) else {
            return;
        };
        for batch in batches.into_iter().filter(|batch| batch.to.includes(id)) {
            neighbour.outbox.push_anyway(batch.messages);
        }
    }

    /// Queues an End-of-RIB that is owed and may be said. Who was told routes of others before we restarted must not forget
    /// them before we have heard those others again; nobody waits for a peer whose routes it is not told.
    fn owe_end_of_rib(&mut self, id: PeerId) -> bool {
        let Some(neighbour) = self.peers.get(&id) else {
            return false;
        };
        let passes_on = self.restarting
            && neighbour
                .exporter
                .as_ref()
                .is_some_and(|e| e.policy.as_ref().is_some_and(|p| p.passes_learned_routes()));
        let mut owed = neighbour.outbox.end_of_rib_owed.iter();
        let Some(family) = owed.find(|family| !passes_on || self.others_are_synced(id, *family))
        else {
            return false;
        };
        let Some(neighbour) = self.peers.get_mut(&id) else {
            return false;
        };
        neighbour.outbox.end_of_rib_owed.set(family, false);
        neighbour
            .outbox
            .push_anyway(encode_end_of_rib(family).into());
        true
    }

    /// What a peer is told may have changed: tells it the difference, and nothing where there is none.
    pub(super) fn regroup(&mut self, id: PeerId) {
        let Some(old) = self.peers.get(&id).and_then(|n| n.exporter.clone()) else {
            return;
        };
        let fresh = self
            .peers
            .get(&id)
            .and_then(|n| n.exporter_for(&self.config, self.drain));
        if fresh.as_ref() == Some(&*old) {
            return;
        }
        // What has changed so far goes to the old group.
        self.pass_on_changes();
        self.leave_group(id);
        self.join_group(id);
        if let Some(new) = self.peers.get(&id).and_then(|n| n.exporter.clone()) {
            self.tell_difference::<Prefix4>(id, &old, &new);
            self.tell_difference::<Prefix6>(id, &old, &new);
        }
    }

    fn tell_difference<P: Within>(&mut self, id: PeerId, old: &Exporter, new: &Arc<Exporter>) {
        let around = self.rib.around();
        let mut packer = Packer::<P>::new(new, around);
        let Some(neighbour) = self.peers.get(&id) else {
            return;
        };
        for (prefix, _) in P::table_of(&self.rib).after(None) {
            let chosen = self.rib.chosen(prefix);
            let Some(best) = chosen.best().filter(|best| best.from != id) else {
                continue;
            };
            if neighbour.outbox.is_ahead(prefix.into()) {
                continue;
            }
            let told = |exporter: &Exporter| -> Option<Attributes> {
                let plan = exporter.plan(prefix.into(), best, around).ok()?;
                exporter.attributes(&best.known.attributes, plan, P::FAMILY)
            };
            match (told(old), told(new), packer.plan(prefix, Some(best))) {
                (before, Some(after), Some(plan)) if before.as_ref() != Some(&after) => {
                    packer.announce(prefix, best, plan)
                }
                (Some(_), None, _) => {
                    packer.withdraw(prefix, crate::speaker::pack::To::AllBut(PeerId::SELF))
                }
                _ => (),
            }
        }
        let batches = packer.finish(|_| ());
        self.queue(id, batches);
    }
}
