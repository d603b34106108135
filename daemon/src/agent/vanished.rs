//! Leases that have vanished from the store. That is no proof that their nodes
//! are gone: a store that was frozen, emptied or restored loses leases of nodes
//! that live on. So what is wanted for them stays for a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use subnet_alloc::Block;

/// How long the entries of a vanished lease stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Grace(pub(crate) Duration);

/// When many vanish, it is rather the store than the nodes, and they stay this
/// many times longer.
const MANY_LASTS: u32 = 10;
/// Fewer than these are not many, however few there are in all.
const FEW: usize = 3;

impl Grace {
    /// Nothing stays.
    #[cfg(test)]
    pub(crate) const NONE: Grace = Grace(Duration::ZERO);

    /// How long each of `vanished` leases stays, of `known` that there are.
    pub(super) fn of(self, vanished: usize, known: usize) -> Duration {
        if is_most(vanished, known) {
            self.0.saturating_mul(MANY_LASTS)
        } else {
            self.0
        }
    }
}

/// Whether so many of all are gone that the news is doubted rather than the
/// nodes.
pub(super) fn is_most(gone: usize, known: usize) -> bool {
    gone >= FEW && gone * 2 > known
}

/// The leases that have vanished and when.
#[derive(Debug, Default)]
pub(super) struct Vanished(BTreeMap<Block, Instant>);

impl Vanished {
    /// A lease has vanished; when it had vanished before, that counts.
    pub(super) fn add(&mut self, block: Block, now: Instant) {
        self.0.entry(block).or_insert(now);
    }

    /// It is back, or of no interest any more.
    pub(super) fn forget(&mut self, block: &Block) {
        self.0.remove(block);
    }

    /// When it vanished, if it did.
    pub(super) fn since(&self, block: &Block) -> Option<Instant> {
        self.0.get(block).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.0.keys()
    }

    /// Those that have been away for `grace`.
    pub(super) fn due(&self, grace: Duration, now: Instant) -> Vec<Block> {
        let is_due = |(_, since): &(&Block, &Instant)| **since + grace <= now;
        self.0
            .iter()
            .filter(is_due)
            .map(|(block, _)| *block)
            .collect()
    }

    /// When the first of them will have been.
    pub(super) fn next_due(&self, grace: Duration) -> Option<Instant> {
        self.0.values().min().map(|since| *since + grace)
    }
}
