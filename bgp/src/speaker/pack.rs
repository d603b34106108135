//! Changes to messages: routes that are told with the same attributes go into the same UPDATEs, which are encoded once for all
//! peers of a group.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::policy::{Exporter, Plan};
use crate::rib::{Change, InRib, Path, PeerId, Surroundings};
use crate::speaker::message::Event;
use crate::wire::{encode_announce, encode_withdraw};

/// Which peers of a group are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum To {
    /// All but the one that a route came from.
    AllBut(PeerId),
    /// Only the one that the route comes from, which must forget what it was told of others.
    Only(PeerId),
}

impl To {
    pub(super) fn includes(self, peer: PeerId) -> bool {
        match self {
            To::AllBut(other) => peer != other,
            To::Only(this) => peer == this,
        }
    }
}

/// Messages, about which prefixes, and for whom.
#[derive(Debug)]
pub(super) struct Batch<P> {
    pub(super) to: To,
    pub(super) messages: Bytes,
    pub(super) prefixes: Vec<P>,
}

/// What routes must have in common to be told together: the attributes (by their one copy), how they are changed, and who is
/// left out.
type Key = (usize, Plan, PeerId);

/// Routes that are told together.
#[derive(Debug)]
struct Run<P> {
    path: Path,
    plan: Plan,
    prefixes: Vec<P>,
}

/// Collects routes and writes them down.
#[derive(Debug)]
pub(super) struct Packer<'a, P> {
    exporter: &'a Exporter,
    around: &'a Surroundings,
    runs: Vec<Run<P>>,
    by_key: BTreeMap<Key, usize>,
    last: Option<(Key, usize)>,
    withdrawn: BTreeMap<To, Vec<P>>,
}

impl<'a, P: InRib> Packer<'a, P> {
    pub(super) fn new(exporter: &'a Exporter, around: &'a Surroundings) -> Packer<'a, P> {
        Packer {
            exporter,
            around,
            runs: Vec::new(),
            by_key: BTreeMap::new(),
            last: None,
            withdrawn: BTreeMap::new(),
        }
    }

    /// The plan by which a path is told, if it is.
    pub(super) fn plan(&self, prefix: P, path: Option<&Path>) -> Option<Plan> {
        self.exporter.plan(prefix.into(), path?, self.around).ok()
    }

    /// Tells what became of a prefix to peers that were told what was there before.
    pub(super) fn change(&mut self, change: &Change<P>) {
        let (old, new) = (change.old.best(), change.new.best());
        let same = old.zip(new).is_some_and(|(old, new)| old.is_same(new));
        if same {
            return;
        }
        let was_told = self.plan(change.prefix, old).and(old);
        match (new, self.plan(change.prefix, new)) {
            (Some(path), Some(plan)) => {
                self.announce(change.prefix, path, plan);
                if was_told.is_some_and(|old| old.from != path.from) {
                    self.withdraw(change.prefix, To::Only(path.from));
                }
            }
            _ => {
                if let Some(old) = was_told {
                    self.withdraw(change.prefix, To::AllBut(old.from));
                }
            }
        }
    }

    /// Tells what is there, to peers of which it is not known what they were told.
    pub(super) fn state(&mut self, prefix: P, best: Option<&Path>) {
        match (best, self.plan(prefix, best)) {
            (Some(path), Some(plan)) => {
                self.announce(prefix, path, plan);
                self.withdraw(prefix, To::Only(path.from));
            }
            _ => self.withdraw(prefix, To::AllBut(PeerId::SELF)),
        }
    }

    pub(super) fn announce(&mut self, prefix: P, path: &Path, plan: Plan) {
        let key = (Arc::as_ptr(&path.known) as usize, plan, path.from);
        let at = match self.last {
            Some((last, at)) if last == key => at,
            _ => self.run(key, path, plan),
        };
        self.last = Some((key, at));
        self.runs[at].prefixes.push(prefix);
    }

    fn run(&mut self, key: Key, path: &Path, plan: Plan) -> usize {
        *self.by_key.entry(key).or_insert_with(|| {
            self.runs.push(Run {
                path: path.clone(),
                plan,
                prefixes: Vec::new(),
            });
            self.runs.len() - 1
        })
    }

    pub(super) fn withdraw(&mut self, prefix: P, to: To) {
        // Nobody needs to be told that only we know it.
        if to != To::Only(PeerId::SELF) {
            self.withdrawn.entry(to).or_default().push(prefix);
        }
    }

    /// The messages, in the order in which the routes came; what cannot be told is withdrawn.
    pub(super) fn finish(mut self, mut report: impl FnMut(Event)) -> Vec<Batch<P>> {
        let mut batches = Vec::new();
        for run in std::mem::take(&mut self.runs) {
            let to = To::AllBut(run.path.from);
            let said = &run.path.known.attributes;
            let mut messages = Vec::new();
            let told = self
                .exporter
                .attributes(said, run.plan, P::FAMILY)
                .map(|attributes| {
                    encode_announce(
                        &attributes,
                        &run.prefixes,
                        &self.exporter.rules,
                        &mut messages,
                    )
                });
            match told {
                Some(Ok(())) => batches.push(Batch {
                    to,
                    messages: messages.into(),
                    prefixes: run.prefixes,
                }),
                failed => {
                    self.withdrawn.entry(to).or_default().extend(run.prefixes);
                    failed
                        .and_then(Result::err)
                        .into_iter()
                        .for_each(|why| report(Event::TooLong(why)));
                }
            }
        }
        for (to, prefixes) in std::mem::take(&mut self.withdrawn) {
            let mut messages = Vec::new();
            encode_withdraw(&prefixes, &self.exporter.rules, &mut messages);
            batches.push(Batch {
                to,
                messages: messages.into(),
                prefixes,
            });
        }
        batches
    }
}
