//! What is known of prefixes: Adj-RIB-In, Loc-RIB and, as a function of them, Adj-RIB-Out.
//!
//! ```text
//!  Table (one per family)
//!    10.244.1.0/24 -> Slot: paths by peer  = the Adj-RIBs-In, refused ones among them
//!                           chosen         = the Loc-RIB
//! ```
//!
//! One structure, because both are asked for the same prefix at the same time and most prefixes have one path. An Adj-RIB-Out
//! is what the export policy makes of `chosen`; nothing is stored for it.

mod decision;
mod explain;
mod path;
mod source;
mod table;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

pub use decision::Rule;
pub use explain::{ExplainedPath, Explanation, Fate};
pub use path::{Interner, Known, Path, PeerId, Refusal};
pub use source::{Reach, Source, Surroundings};
pub use table::{Change, Chosen, Table, Touch};

use crate::family::Family;
use crate::prefix::{Net, Prefix, Prefix4, Prefix6};

#[cfg(test)]
mod tests;

/// How many paths a peer has told, in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// All that are kept, also refused ones.
    pub received: usize,
    /// Those that may be used.
    pub accepted: usize,
    /// Those told in the present round; the rest is stale.
    pub fresh: usize,
}

/// Changes of one family.
pub type Changes<P> = Vec<Change<P>>;

/// What is known of prefixes of both families.
#[derive(Debug)]
pub struct Rib {
    v4: Table<Prefix4>,
    v6: Table<Prefix6>,
    around: Surroundings,
    interner: Interner,
    /// By peer and family.
    counts: Vec<[Count; 2]>,
}

/// A family as a type: where its table is.
pub trait InRib: Net {
    /// Its table, and what the decision needs beside it.
    fn table(rib: &mut Rib) -> (&mut Table<Self>, &Surroundings);
    /// Its table, to look at.
    fn table_of(rib: &Rib) -> &Table<Self>;
}

impl InRib for Prefix4 {
    fn table(rib: &mut Rib) -> (&mut Table<Prefix4>, &Surroundings) {
        (&mut rib.v4, &rib.around)
    }

    fn table_of(rib: &Rib) -> &Table<Prefix4> {
        &rib.v4
    }
}

impl InRib for Prefix6 {
    fn table(rib: &mut Rib) -> (&mut Table<Prefix6>, &Surroundings) {
        (&mut rib.v6, &rib.around)
    }

    fn table_of(rib: &Rib) -> &Table<Prefix6> {
        &rib.v6
    }
}

impl Rib {
    /// Nothing is known.
    pub fn new(around: Surroundings) -> Rib {
        Rib {
            v4: Table::default(),
            v6: Table::default(),
            around,
            interner: Interner::default(),
            counts: Vec::new(),
        }
    }

    /// What the decision needs beside the paths.
    pub fn around(&self) -> &Surroundings {
        &self.around
    }

    /// The same, to tell who a peer is and to begin rounds. What changes the decision needs [`Rib::redecide`].
    pub fn around_mut(&mut self) -> &mut Surroundings {
        &mut self.around
    }

    /// One copy of equal attributes.
    pub fn intern(&mut self, known: Known) -> Arc<Known> {
        self.interner.intern(known)
    }

    /// How many different attributes there are.
    pub fn attribute_sets(&self) -> usize {
        self.interner.len()
    }

    /// Takes a path in; the change that it makes.
    pub fn put<P: InRib>(&mut self, prefix: P, path: Path) -> Option<Change<P>> {
        let (from, accepted) = (path.from, path.refusal.is_none());
        let fresh = !self.around.is_stale(&path, P::FAMILY);
        let (table, around) = P::table(self);
        let (before, change) = table.put(prefix, path, around);
        if let Some(before) = before {
            self.uncount(&before, P::FAMILY);
        }
        let count = self.count_mut(from, P::FAMILY);
        count.received += 1;
        count.accepted += usize::from(accepted);
        count.fresh += usize::from(fresh);
        change
    }

    /// Takes a peer's path out; the change that it makes.
    pub fn take<P: InRib>(&mut self, prefix: P, from: PeerId) -> Option<Change<P>> {
        let (table, around) = P::table(self);
        let (taken, change) = table.take(prefix, from, around);
        if let Some(taken) = taken {
            self.uncount(&taken, P::FAMILY);
        }
        change
    }

    /// Takes out all paths of a peer, or only those of earlier rounds.
    pub fn sweep<P: InRib>(&mut self, from: PeerId, only_stale: bool) -> Changes<P> {
        // A pass over the whole table is worth it only where there is something to find.
        let count = self.count(from, P::FAMILY);
        if count.received == 0 || (only_stale && count.fresh == count.received) {
            return Vec::new();
        }
        let round = self
            .around
            .source(from)
            .map(|source| source.round(P::FAMILY));
        let goes = |path: &Path| path.from == from && !(only_stale && round == Some(path.round));
        let mut gone = Count::default();
        let present = |path: &Path| round == Some(path.round);
        let (table, around) = P::table(self);
        let changes = table.touch_all(around, around, |_, path| {
            if !goes(path) {
                return Touch::Keep;
            }
            gone.received += 1;
            gone.accepted += usize::from(path.refusal.is_none());
            gone.fresh += usize::from(present(path));
            Touch::Remove
        });
        let count = self.count_mut(from, P::FAMILY);
        count.received -= gone.received;
        count.accepted -= gone.accepted;
        count.fresh -= gone.fresh;
        changes
    }

    /// Judges all paths of a peer again: `judge` gives what is known of one and whether it may be used.
    pub fn rejudge<P: InRib>(
        &mut self,
        from: PeerId,
        mut judge: impl FnMut(&mut Interner, P, &Arc<Known>) -> (Arc<Known>, Option<Refusal>),
    ) -> Changes<P> {
        let mut interner = std::mem::take(&mut self.interner);
        let mut accepted = 0;
        let (table, around) = P::table(self);
        let changes = table.touch_all(around, around, |prefix, path| {
            if path.from != from {
                return Touch::Keep;
            }
            (path.known, path.refusal) = judge(&mut interner, prefix, &path.known);
            accepted += usize::from(path.refusal.is_none());
            Touch::Changed
        });
        self.interner = interner;
        self.count_mut(from, P::FAMILY).accepted = accepted;
        changes
    }

    /// Sets whether next hops can be reached, and decides again where it matters.
    pub fn set_next_hops(
        &mut self,
        reaches: &[(IpAddr, Reach)],
    ) -> (Changes<Prefix4>, Changes<Prefix6>) {
        let before = self.around.clone();
        let mut moved = Vec::new();
        for (address, reach) in reaches {
            let known = self.around.reach(*address) == *reach;
            if self.around.set_next_hop(*address, *reach) && !known {
                moved.push(*address);
            }
        }
        moved.sort_unstable();
        let concerns = |path: &Path| {
            moved
                .binary_search(&path.known.attributes.next_hop.address())
                .is_ok()
        };
        if moved.is_empty() {
            return (Vec::new(), Vec::new());
        }
        (
            self.redecide(&before, concerns),
            self.redecide(&before, concerns),
        )
    }

    /// Decides again where a path concerns what has changed around since `before`.
    pub fn redecide<P: InRib>(
        &mut self,
        before: &Surroundings,
        concerns: impl Fn(&Path) -> bool,
    ) -> Changes<P> {
        let (table, around) = P::table(self);
        let touch = |path: &Path| {
            if concerns(path) {
                Touch::Changed
            } else {
                Touch::Keep
            }
        };
        table.touch_all(around, before, |_, path| touch(path))
    }

    /// How many paths a peer has told.
    pub fn count(&self, from: PeerId, family: Family) -> Count {
        let counts = self.counts.get(usize::from(from.0));
        counts.map_or(Count::default(), |counts| counts[family as usize])
    }

    /// The next hops that paths have, or had not long ago: those that the kernel is to be asked about.
    pub fn next_hops(&self) -> BTreeSet<IpAddr> {
        self.interner
            .iter()
            .map(|known| known.attributes.next_hop.address())
            .collect()
    }

    /// How many prefixes there are in a family.
    pub fn prefixes(&self, family: Family) -> usize {
        match family {
            Family::Ipv4 => self.v4.len(),
            Family::Ipv6 => self.v6.len(),
        }
    }

    /// All paths of a prefix; none where nothing is known.
    pub fn paths(&self, prefix: Prefix) -> &[Path] {
        match prefix {
            Prefix::V4(prefix) => self.v4.paths(prefix),
            Prefix::V6(prefix) => self.v6.paths(prefix),
        }
    }

    /// All paths of a prefix, which is used, and why another is not. `None` where nothing is known.
    pub fn explain(&self, prefix: Prefix) -> Option<Explanation> {
        let (paths, family) = (self.paths(prefix), prefix.family());
        (!paths.is_empty()).then(|| explain::explain(prefix, family, paths, &self.around))
    }

    /// The longest known prefix that `prefix` is a part of, or is itself, and whose paths are such.
    pub fn covering(&self, prefix: Prefix, is_such: impl Fn(&[Path]) -> bool) -> Option<Prefix> {
        let lengths = (0..=prefix.length()).rev();
        let mut cuts = lengths.map(|length| prefix.shortened(length));
        cuts.find(|cut| {
            let paths = self.paths(*cut);
            !paths.is_empty() && is_such(paths)
        })
    }

    /// The used paths of a prefix of either family.
    pub fn used(&self, prefix: Prefix) -> Chosen {
        match prefix {
            Prefix::V4(prefix) => self.chosen(prefix),
            Prefix::V6(prefix) => self.chosen(prefix),
        }
    }

    /// The prefixes behind `after` with all their paths, in order: IPv4, then IPv6. From the first where it is `None`.
    pub fn after(&self, after: Option<Prefix>) -> impl Iterator<Item = (Prefix, &[Path])> {
        let v4 = match after {
            None => Some(None),
            Some(Prefix::V4(after)) => Some(Some(after)),
            Some(Prefix::V6(_)) => None,
        };
        let v6 = match after {
            Some(Prefix::V6(after)) => Some(after),
            _ => None,
        };
        let v4 = v4.into_iter().flat_map(|after| self.v4.after(after));
        let v4 = v4.map(|(prefix, paths)| (prefix.into(), paths));
        let v6 = self.v6.after(v6);
        v4.chain(v6.map(|(prefix, paths)| (prefix.into(), paths)))
    }

    /// The used paths of a prefix.
    pub fn chosen<P: InRib>(&self, prefix: P) -> Chosen {
        P::table_of(self).chosen(prefix, &self.around)
    }

    /// Begins a new round of a peer: everything that it has told so far is stale.
    pub fn begin_round(&mut self, from: PeerId, family: Family) {
        if let Some(source) = self.around.source_mut(from) {
            source.begin_round(family);
            self.count_mut(from, family).fresh = 0;
        }
    }

    fn uncount(&mut self, path: &Path, family: Family) {
        let fresh = !self.around.is_stale(path, family);
        let count = self.count_mut(path.from, family);
        count.received -= 1;
        count.accepted -= usize::from(path.refusal.is_none());
        count.fresh -= usize::from(fresh);
    }

    fn count_mut(&mut self, from: PeerId, family: Family) -> &mut Count {
        let at = usize::from(from.0);
        if at >= self.counts.len() {
            self.counts.resize(at + 1, [Count::default(); 2]);
        }
        &mut self.counts[at][family as usize]
    }
}
