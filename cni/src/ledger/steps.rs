//! What is to be done to the directory, in an order in which each step leaves it whole.

use std::net::IpAddr;

use super::{Freed, Held, Ledger};

/// So many released addresses are remembered beyond their rest, so that the longest free is known.
const REMEMBERED: usize = 128;

/// One call of the file system, which happens as a whole or not at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Create(String),
    Remove(String),
}

impl Ledger {
    /// What becomes superfluous when `held` has been written: notes of its addresses' earlier releases, and the oldest
    /// of too many notes. While both stand there, who holds an address counts.
    pub(crate) fn after_claim(&self, held: &Held, rest: u64, now: u64) -> Vec<Step> {
        let of_held = |freed: &Freed| held.addresses.contains(&freed.address);
        let mut superfluous: Vec<Freed> =
            self.freed.iter().filter(|f| of_held(f)).copied().collect();
        let rested = self
            .freed
            .iter()
            .filter(|f| !of_held(f) && f.at + rest <= now);
        let mut rested: Vec<Freed> = rested.copied().collect();
        rested.sort_by_key(|freed| freed.at);
        rested.truncate(rested.len().saturating_sub(REMEMBERED));
        superfluous.append(&mut rested);
        superfluous
            .iter()
            .map(|freed| Step::Remove(freed.name()))
            .collect()
    }

    /// Notes the release first, so that no moment is without a trace of it.
    pub(crate) fn release(held: &Held, now: u64) -> Vec<Step> {
        let note = |address: &IpAddr| Freed {
            at: now,
            address: *address,
        };
        let notes = held
            .addresses
            .iter()
            .map(|address| Step::Create(note(address).name()));
        notes.chain([Step::Remove(held.name())]).collect()
    }
}
