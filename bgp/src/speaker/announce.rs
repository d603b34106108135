//! What has changed goes to the kernel and to the peers, encoded once for each group.

use std::sync::Arc;

use crate::prefix::{Net, Prefix4, Prefix6};
use crate::rib::{Change, Changes, Chosen, Path, PeerId};
use crate::speaker::Speaker;
use crate::speaker::inbound::Collect;
use crate::speaker::message::{Hop, Output, RouteChange};
use crate::speaker::pack::Packer;

impl Speaker {
    /// Passes on what the input at hand has changed.
    pub(super) fn pass_on_changes(&mut self) {
        self.pass_on::<Prefix4>();
        self.pass_on::<Prefix6>();
    }

    fn pass_on<P: Collect>(&mut self) {
        let changes = coalesce(std::mem::take(P::changes(self)));
        if changes.is_empty() {
            return;
        }
        let routes = route_changes(&changes);
        if !routes.is_empty() {
            self.outputs.push_back(Output::Routes(routes));
        }
        self.tell_groups(&changes);
    }

    fn tell_groups<P: Collect>(&mut self, changes: &[Change<P>]) {
        let mut events = Vec::new();
        for (exporter, members) in &self.groups {
            let mut packer = Packer::new(exporter, self.rib.around());
            changes.iter().for_each(|change| packer.change(change));
            for batch in packer.finish(|event| events.push(event)) {
                for id in members.iter().filter(|id| batch.to.includes(**id)) {
                    if let Some(neighbour) = self.peers.get_mut(id) {
                        let about = batch.prefixes.iter().map(|prefix| (*prefix).into());
                        neighbour.outbox.push(batch.messages.clone(), about);
                    }
                }
            }
        }
        events.into_iter().for_each(|event| self.event(event));
    }

    /// Puts a peer whose session is up to those that are told the same.
    pub(super) fn join_group(&mut self, id: PeerId) {
        let Some(neighbour) = self.peers.get_mut(&id) else {
            return;
        };
        let Some(exporter) = neighbour.exporter_for(&self.config, self.drain) else {
            return;
        };
        let existing = self
            .groups
            .get_key_value(&exporter)
            .map(|(kept, _)| kept.clone());
        let exporter = existing.unwrap_or_else(|| Arc::new(exporter));
        neighbour.exporter = Some(exporter.clone());
        self.groups.entry(exporter).or_default().insert(id);
    }

    /// Takes a peer out of its group.
    pub(super) fn leave_group(&mut self, id: PeerId) {
        let exporter = self.peers.get_mut(&id).and_then(|n| n.exporter.take());
        let Some(exporter) = exporter else { return };
        if let Some(members) = self.groups.get_mut(&exporter) {
            members.remove(&id);
            if members.is_empty() {
                self.groups.remove(&exporter);
            }
        }
    }
}

/// One change for each prefix: from what was first there to what is there at last.
fn coalesce<P: Net>(mut changes: Changes<P>) -> Changes<P> {
    changes.sort_by_key(|change| change.prefix);
    changes.dedup_by(|later, earlier| {
        let same = later.prefix == earlier.prefix;
        if same {
            earlier.new = std::mem::take(&mut later.new);
        }
        same
    });
    changes.retain(|change| !change.old.is_same(&change.new));
    changes
}

/// What the kernel has to change.
fn route_changes<P: Net>(changes: &[Change<P>]) -> Vec<RouteChange> {
    let mut hops = HopLists::default();
    let change = |change: &Change<P>| {
        let prefix = change.prefix.into();
        match (hops.of(&change.old), hops.of(&change.new)) {
            (was, Some(hops)) if was.as_ref() != Some(&hops) => {
                Some(RouteChange::Install { prefix, hops, was })
            }
            (Some(was), None) => Some(RouteChange::Remove { prefix, was }),
            _ => None,
        }
    };
    changes.iter().filter_map(change).collect()
}

/// Lists of next hops; those of successive prefixes are mostly the same.
#[derive(Default)]
struct HopLists {
    last: Option<Arc<[Hop]>>,
}

impl HopLists {
    /// The next hops of what is used; `None` where there is none, or it is our own.
    fn of(&mut self, chosen: &Chosen) -> Option<Arc<[Hop]>> {
        let best = chosen.best().filter(|best| best.from != PeerId::SELF)?;
        if let Chosen::One(_) = chosen {
            let hop = hop(best);
            return Some(self.kept(&[hop]));
        }
        let mut all: Vec<Hop> = chosen
            .paths()
            .iter()
            .filter(|p| p.from != PeerId::SELF)
            .map(hop)
            .collect();
        all.sort_unstable();
        all.dedup_by_key(|hop| hop.via);
        Some(self.kept(&all))
    }

    fn kept(&mut self, hops: &[Hop]) -> Arc<[Hop]> {
        match &self.last {
            Some(last) if **last == *hops => last.clone(),
            _ => self.last.insert(hops.into()).clone(),
        }
    }
}

fn hop(path: &Path) -> Hop {
    Hop {
        via: path.known.attributes.next_hop,
        peer: path.from,
    }
}
