//! All paths of one family by prefix, and which of them are used.

use std::ops::Bound;
use std::sync::Arc;

use dense::DenseMap;

use crate::prefix::Net;
use crate::rib::decision::{Contender, contenders, decide};
use crate::rib::path::{Path, PeerId};
use crate::rib::source::Surroundings;

/// The paths of a prefix that are used: the best first, then those as good for multipath.
#[derive(Debug, Clone, Default)]
pub enum Chosen {
    /// None.
    #[default]
    None,
    /// One.
    One(Path),
    /// Several.
    Many(Arc<Vec<Path>>),
}

impl Chosen {
    /// All of them, the best first.
    pub fn paths(&self) -> &[Path] {
        match self {
            Chosen::None => &[],
            Chosen::One(path) => std::slice::from_ref(path),
            Chosen::Many(paths) => paths,
        }
    }

    /// The best.
    pub fn best(&self) -> Option<&Path> {
        self.paths().first()
    }

    /// Whether both are the same paths with the same attributes.
    pub fn is_same(&self, other: &Chosen) -> bool {
        let (a, b) = (self.paths(), other.paths());
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b))
    }
}

/// A prefix for which other paths are used than before.
#[derive(Debug, Clone)]
pub struct Change<P> {
    /// Which.
    pub prefix: P,
    /// What was used before.
    pub old: Chosen,
    /// What is used.
    pub new: Chosen,
}

/// All paths of one prefix. Most prefixes have one, and need no more memory than it.
#[derive(Debug)]
enum Slot {
    One(Path),
    Many(Box<Paths>),
}

/// Several paths of one prefix, in the order of their peers.
#[derive(Debug)]
struct Paths {
    all: Vec<Path>,
    chosen: Chosen,
}

/// What a pass over the table does with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Nothing.
    Keep,
    /// It was changed, or what is around it was.
    Changed,
    /// It goes.
    Remove,
}

/// All paths of one family by prefix, and which of them are used.
#[derive(Debug)]
pub struct Table<P> {
    slots: DenseMap<P, Slot>,
    scratch: Vec<Contender>,
}

impl<P> Default for Table<P> {
    fn default() -> Table<P> {
        Table {
            slots: DenseMap::default(),
            scratch: Vec::new(),
        }
    }
}

impl Slot {
    fn paths(&self) -> &[Path] {
        match self {
            Slot::One(path) => std::slice::from_ref(path),
            Slot::Many(paths) => &paths.all,
        }
    }

    fn paths_mut(&mut self) -> &mut [Path] {
        match self {
            Slot::One(path) => std::slice::from_mut(path),
            Slot::Many(paths) => &mut paths.all,
        }
    }

    fn chosen(&self, around: &Surroundings) -> Chosen {
        match self {
            Slot::One(path) if around.is_eligible(path) => Chosen::One(path.clone()),
            Slot::One(_) => Chosen::None,
            Slot::Many(paths) => paths.chosen.clone(),
        }
    }

    /// Puts a path in, and gives back the one that the same peer had told.
    fn put(&mut self, path: Path) -> Option<Path> {
        if let Some(same) = self.paths_mut().iter_mut().find(|p| p.from == path.from) {
            return Some(std::mem::replace(same, path));
        }
        match self {
            Slot::One(other) => {
                let mut all = vec![other.clone(), path];
                all.sort_by_key(|p| p.from);
                *self = Slot::Many(Box::new(Paths {
                    all,
                    chosen: Chosen::None,
                }));
            }
            Slot::Many(paths) => {
                let at = paths.all.partition_point(|p| p.from < path.from);
                paths.all.insert(at, path);
            }
        }
        None
    }

    /// Takes the peer's path out of several.
    fn take(&mut self, from: PeerId) -> Option<Path> {
        let Slot::Many(paths) = self else { return None };
        let at = paths.all.iter().position(|p| p.from == from)?;
        let taken = paths.all.remove(at);
        if let [last] = &paths.all[..] {
            *self = Slot::One(last.clone());
        }
        Some(taken)
    }

    /// Lets the rules choose again.
    fn choose(&mut self, around: &Surroundings, scratch: &mut Vec<Contender>) {
        let Slot::Many(paths) = self else { return };
        contenders(&paths.all, around, scratch);
        decide(scratch, around.max_paths, |_, _| ());
        let path = |c: &Contender| paths.all[c.at].clone();
        paths.chosen = match &scratch[..] {
            [] => Chosen::None,
            [one] => Chosen::One(path(one)),
            many => Chosen::Many(Arc::new(many.iter().map(path).collect())),
        };
    }
}

impl<P: Net> Table<P> {
    /// Takes a path in: the path that the same peer told before, and the change that it makes, if any.
    pub fn put(
        &mut self,
        prefix: P,
        path: Path,
        around: &Surroundings,
    ) -> (Option<Path>, Option<Change<P>>) {
        let place = self.slots.find(&prefix);
        let Some(slot) = self.slots.at_mut(place) else {
            let slot = Slot::One(path);
            let change = change(prefix, Chosen::None, slot.chosen(around));
            self.slots.put(place, prefix, slot);
            return (None, change);
        };
        let old = slot.chosen(around);
        let before = slot.put(path);
        slot.choose(around, &mut self.scratch);
        (before, change(prefix, old, slot.chosen(around)))
    }

    /// Takes a peer's path out: the path, and the change that it makes, if any.
    pub fn take(
        &mut self,
        prefix: P,
        from: PeerId,
        around: &Surroundings,
    ) -> (Option<Path>, Option<Change<P>>) {
        let place = self.slots.find(&prefix);
        let Some(slot) = self.slots.at_mut(place) else {
            return (None, None);
        };
        let old = slot.chosen(around);
        if let Slot::One(path) = slot {
            let path = path.clone();
            if path.from != from {
                return (None, None);
            }
            self.slots.take(place);
            return (Some(path), change(prefix, old, Chosen::None));
        }
        let taken = slot.take(from);
        slot.choose(around, &mut self.scratch);
        (taken, change(prefix, old, slot.chosen(around)))
    }

    /// Passes over all paths and does with each what `touch` says. Returns what changes by it.
    pub fn touch_all(
        &mut self,
        around: &Surroundings,
        before: &Surroundings,
        mut touch: impl FnMut(P, &mut Path) -> Touch,
    ) -> Vec<Change<P>> {
        let mut changes = Vec::new();
        let scratch = &mut self.scratch;
        self.slots.retain(|prefix, slot| {
            let old = slot.chosen(before);
            let mut gone = Vec::new();
            let mut touched = false;
            for path in slot.paths_mut() {
                match touch(*prefix, path) {
                    Touch::Keep => (),
                    Touch::Changed => touched = true,
                    Touch::Remove => gone.push(path.from),
                }
            }
            if !touched && gone.is_empty() {
                return true;
            }
            let empty = gone.len() == slot.paths().len();
            gone.iter().for_each(|from| drop(slot.take(*from)));
            slot.choose(around, scratch);
            let new = if empty {
                Chosen::None
            } else {
                slot.chosen(around)
            };
            changes.extend(change(*prefix, old, new));
            !empty
        });
        changes
    }

    /// All paths of a prefix.
    pub fn paths(&self, prefix: P) -> &[Path] {
        self.slots.get(&prefix).map_or(&[], Slot::paths)
    }

    /// The used paths of a prefix.
    pub fn chosen(&self, prefix: P, around: &Surroundings) -> Chosen {
        self.slots
            .get(&prefix)
            .map_or(Chosen::None, |slot| slot.chosen(around))
    }

    /// The prefixes behind `after`, in order, with all their paths; from the first where it is `None`.
    pub fn after(&self, after: Option<P>) -> impl Iterator<Item = (P, &[Path])> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.slots.range((from, Bound::Unbounded));
        range.map(|(prefix, slot)| (*prefix, slot.paths()))
    }

    /// How many prefixes there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

fn change<P>(prefix: P, old: Chosen, new: Chosen) -> Option<Change<P>> {
    (!old.is_same(&new)).then_some(Change { prefix, old, new })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_with_one_path_needs_no_more_than_the_path() {
        assert_eq!(size_of::<Slot>(), size_of::<Path>());
        assert_eq!(size_of::<Chosen>(), size_of::<Path>());
    }
}
