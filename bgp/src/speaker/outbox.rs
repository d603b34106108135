//! What a peer has still to be told, and no faster than it takes it.
//!
//! ```text
//!   changes --encoded once per group--> queue --> socket     as long as the peer keeps up
//!        \--prefixes only--> dirty --encoded when due--/     when it does not
//!   walk: all there is, in order, a piece at a time          after the start, and on request
//! ```
//!
//! A peer that takes nothing costs at most [`MOST_QUEUED`] octets of messages that others share, and one prefix for each route
//! that changes; nobody waits for it.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use crate::family::{Families, Family};
use crate::prefix::Prefix;

/// Octets that are given to a socket at a time.
pub(super) const WINDOW: usize = 256 << 10;
/// Octets that may wait; beyond it only prefixes are noted.
pub(super) const MOST_QUEUED: usize = 1 << 20;

/// A pass over all there is in a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walk {
    /// The last prefix that has been told; `None` at the start.
    pub(super) told: Option<Prefix>,
    /// Whether the peer asked for it and is told where it ends (RFC 7313).
    pub(super) marked: bool,
}

/// What a peer has still to be told.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Bytes>,
    queued: usize,
    dirty: BTreeSet<Prefix>,
    walks: [Option<Walk>; 2],
    /// The families of which it has not been told yet that this was all (RFC 4724).
    pub(super) end_of_rib_owed: Families,
}

impl Outbox {
    /// Adds encoded messages about these prefixes. A peer that is behind gets them encoded later.
    pub(super) fn push(&mut self, messages: Bytes, about: impl Iterator<Item = Prefix>) {
        if self.is_behind() {
            self.dirty.extend(about);
        } else {
            self.push_anyway(messages);
        }
    }

    /// Adds messages that come in their turn whatever else waits.
    pub(super) fn push_anyway(&mut self, messages: Bytes) {
        self.queued += messages.len();
        self.queue.push_back(messages);
    }

    /// The next messages.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let messages = self.queue.pop_front()?;
        self.queued -= messages.len();
        Some(messages)
    }

    /// The next prefixes to be told about afresh, once the queue is empty.
    pub(super) fn take_dirty(&mut self, most: usize) -> Vec<Prefix> {
        if self.dirty.len() <= most {
            return std::mem::take(&mut self.dirty).into_iter().collect();
        }
        std::iter::from_fn(|| self.dirty.pop_first())
            .take(most)
            .collect()
    }

    fn is_behind(&self) -> bool {
        !self.dirty.is_empty() || self.queued > MOST_QUEUED
    }

    /// Begins to tell everything.
    pub(super) fn walk(&mut self, family: Family, marked: bool) {
        self.walks[family as usize] = Some(Walk { told: None, marked });
    }

    /// The pass over this family, if there is one.
    pub(super) fn walk_of(&mut self, family: Family) -> &mut Option<Walk> {
        &mut self.walks[family as usize]
    }

    /// The first family of which a pass goes on.
    pub(super) fn walking(&self) -> Option<(Family, Walk)> {
        Family::ALL
            .into_iter()
            .find_map(|family| Some((family, self.walks[family as usize]?)))
    }

    /// Whether the prefix lies ahead of a pass, which will tell it.
    pub(super) fn is_ahead(&self, prefix: Prefix) -> bool {
        let walk = self.walks[prefix.family() as usize];
        walk.is_some_and(|walk| walk.told.is_none_or(|told| told < prefix))
    }

    /// Whether something has still to be said about the prefix, as far as it is known by prefix.
    pub(super) fn waits_for(&self, prefix: Prefix) -> bool {
        self.is_ahead(prefix) || self.dirty.contains(&prefix)
    }

    /// Prefixes and octets that wait.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.dirty.len(), self.queued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(n: u8) -> Prefix {
        Prefix::new([10, n, 0, 0].into(), 16).unwrap()
    }

    #[test]
    fn a_peer_that_is_behind_costs_one_prefix_for_each_route() {
        let mut outbox = Outbox::default();
        let message = Bytes::from(vec![0; MOST_QUEUED]);
        outbox.push(message.clone(), [prefix(1)].into_iter());
        outbox.push(Bytes::from_static(b"x"), [prefix(2)].into_iter());
        for _ in 0..1000 {
            outbox.push(message.clone(), [prefix(3), prefix(4)].into_iter());
        }
        assert_eq!(outbox.waiting(), (2, MOST_QUEUED + 1));
        assert_eq!(outbox.pop(), Some(message));
        outbox.push(Bytes::new(), [prefix(5)].into_iter());
        assert_eq!(outbox.take_dirty(2), [prefix(3), prefix(4)]);
        assert_eq!(outbox.take_dirty(2), [prefix(5)]);
    }

    #[test]
    fn what_lies_ahead_of_a_pass_is_left_to_it() {
        let mut outbox = Outbox::default();
        assert!(!outbox.is_ahead(prefix(1)));
        outbox.walk(Family::Ipv4, false);
        assert!(outbox.is_ahead(prefix(1)));
        outbox.walk_of(Family::Ipv4).as_mut().unwrap().told = Some(prefix(1));
        assert!(!outbox.is_ahead(prefix(1)) && outbox.is_ahead(prefix(2)));
    }
}
