//! Which invariants a history breaks.

use super::record::{Change, Event};
use lab::Cidr;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is right in one run and wrong in another.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Keys that an operator reserved: they need no lease.
    pub reserved: BTreeSet<String>,
}

/// An invariant that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// `I1` no overlapping blocks at any revision; `I2` an owner never changes without a delete; `I5` a node has the
    /// same block again, unless another took it; `I6` every key has a lease or is a reservation.
    pub invariant: &'static str,
    /// When.
    pub revision: i64,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant,
            revision,
            what,
        } = self;
        write!(f, "{invariant} at revision {revision}: {what}")
    }
}

/// All that breaks an invariant, in the order of the revisions.
pub fn violations(history: &[Event], rules: &Rules) -> Vec<Violation> {
    let mut check = Check {
        rules,
        held: BTreeMap::new(),
        last: BTreeMap::new(),
        found: Vec::new(),
    };
    // What one transaction does, happens at once.
    for together in history.chunk_by(|one, next| one.revision == next.revision) {
        let (puts, gone): (Vec<_>, Vec<_>) = together
            .iter()
            .partition(|event| matches!(event.change, Change::Put { .. }));
        gone.iter().for_each(|event| check.gone(event));
        puts.iter().for_each(|event| check.put(event));
    }
    check.found
}

struct Check<'a> {
    rules: &'a Rules,
    /// Who holds which block.
    held: BTreeMap<String, String>,
    /// The block that a node had last, and whether another took it, or a part of it, since.
    last: BTreeMap<String, (String, bool)>,
    found: Vec<Violation>,
}

impl Check<'_> {
    fn gone(&mut self, event: &Event) {
        if self.held.remove(&event.key).is_none() {
            self.broken("I0", event, "a key went that was not there".to_owned());
        }
    }

    fn put(&mut self, event: &Event) {
        let Change::Put { owner, lease } = &event.change else {
            return;
        };
        if *lease == 0 && !self.rules.reserved.contains(&event.key) {
            let what = format!(
                "{} of {owner} has no lease and is no reservation",
                event.key
            );
            self.broken("I6", event, what);
        }
        match self.held.get(&event.key).cloned() {
            None => self.taken(event, owner),
            Some(before) if before != *owner => {
                let what = format!("{} of {before} became {owner}'s", event.key);
                self.broken("I2", event, what);
                self.taken(event, owner);
            }
            Some(_) => {}
        }
    }

    fn taken(&mut self, event: &Event, owner: &str) {
        let key = &event.key;
        let overlaps = self.held.iter().filter(|(other, _)| *other != key);
        let overlaps = overlaps.filter(|(other, _)| overlap(key, other));
        let overlaps: Vec<String> = overlaps
            .map(|(other, whose)| format!("{key} of {owner} overlaps {other} of {whose}"))
            .collect();
        for what in overlaps {
            self.broken("I1", event, what);
        }
        self.moved(event, owner);
        for (whose, (block, is_taken)) in &mut self.last {
            *is_taken |= whose != owner && overlap(block, key);
        }
        self.held.insert(key.clone(), owner.to_owned());
        self.last.insert(owner.to_owned(), (key.clone(), false));
    }

    fn moved(&mut self, event: &Event, owner: &str) {
        let Some((before, is_taken)) = self.last.get(owner) else {
            return;
        };
        // With another length the network config does not give it out any more.
        let is_given_out = len(before) == len(&event.key);
        if *before != event.key && !is_taken && is_given_out {
            let what = format!(
                "{owner} had {before}, which nobody took, and took {}",
                event.key
            );
            self.broken("I5", event, what);
        }
    }

    fn broken(&mut self, invariant: &'static str, event: &Event, what: String) {
        self.found.push(Violation {
            invariant,
            revision: event.revision,
            what,
        });
    }
}

/// Whether two keys have addresses in common; what is no block overlaps nothing.
fn overlap(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (block(one), block(other)) else {
        return false;
    };
    let len = one.len.min(other.len);
    let cut = |block: Cidr| Cidr { len, ..block }.network();
    cut(one) == cut(other)
}

fn len(key: &str) -> Option<u8> {
    block(key).map(|block| block.len)
}

fn block(key: &str) -> Option<Cidr> {
    key.replace('-', "/").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `1 a 10.0.1.0-24`, `2 - 10.0.1.0-24` when it goes, `3 a! 10.0.1.0-24` without a lease.
    fn history(text: &str) -> Vec<Event> {
        let event = |line: &str| {
            let mut words = line.split_whitespace();
            let mut word = || words.next().expect("three words in a line").to_owned();
            let (revision, owner, key) = (word().parse().expect("a number"), word(), word());
            let change = match owner.as_str() {
                "-" => Change::Gone,
                _ => Change::Put {
                    lease: i64::from(!owner.ends_with('!')),
                    owner: owner.trim_end_matches('!').to_owned(),
                },
            };
            Event {
                revision,
                key,
                change,
            }
        };
        text.lines().map(event).collect()
    }

    fn broken(text: &str) -> Vec<&'static str> {
        let rules = Rules {
            reserved: ["10.0.9.0-24".to_owned()].into(),
        };
        let found = violations(&history(text), &rules);
        found.iter().map(|violation| violation.invariant).collect()
    }

    #[test]
    fn claims_renewals_ends_and_returns_are_right() {
        let text =
            "1 a 10.0.1.0-24\n2 b 10.0.2.0-24\n3 a 10.0.1.0-24\n4 - 10.0.1.0-24\n5 a 10.0.1.0-24";
        assert!(broken(text).is_empty());
    }

    #[test]
    fn blocks_that_overlap_are_found() {
        assert_eq!(broken("1 a 10.0.1.0-24\n2 b 10.0.1.128-25"), ["I1"]);
        assert_eq!(broken("1 a 10.0.1.128-25\n2 b 10.0.0.0-16"), ["I1"]);
        assert!(broken("1 a 10.0.1.0-25\n2 b 10.0.1.128-25").is_empty());
    }

    #[test]
    fn an_overwritten_owner_is_found() {
        assert_eq!(broken("1 a 10.0.1.0-24\n2 b 10.0.1.0-24"), ["I2"]);
        assert!(broken("1 a 10.0.1.0-24\n2 - 10.0.1.0-24\n3 b 10.0.1.0-24").is_empty());
    }

    #[test]
    fn a_node_that_comes_back_with_another_block_is_found() {
        let text = "1 a 10.0.1.0-24\n2 - 10.0.1.0-24\n3 a 10.0.2.0-24";
        assert_eq!(broken(text), ["I5"]);
        assert_eq!(broken("1 a 10.0.1.0-24\n2 a 10.0.2.0-24"), ["I5"]);
    }

    #[test]
    fn another_block_is_right_when_the_old_one_was_taken_or_is_not_given_out() {
        let taken =
            "1 a 10.0.1.0-24\n2 - 10.0.1.0-24\n3 b 10.0.1.0-24\n4 - 10.0.1.0-24\n5 a 10.0.2.0-24";
        assert!(broken(taken).is_empty());
        assert!(broken("1 a 10.0.1.0-24\n2 a 10.0.2.0-25").is_empty());
    }

    #[test]
    fn a_key_without_a_lease_is_found_unless_it_is_reserved() {
        assert_eq!(broken("1 a! 10.0.1.0-24"), ["I6"]);
        assert!(broken("1 a! 10.0.9.0-24").is_empty());
    }

    #[test]
    fn a_block_that_is_swapped_for_another_in_one_transaction_overlaps_nothing() {
        assert!(broken("1 a 10.0.1.0-24\n2 a 10.0.1.0-25\n2 - 10.0.1.0-24").is_empty());
    }
}
