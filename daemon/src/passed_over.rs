//! What of the store is passed over: each thing is named once in the log, and a
//! flood of them does not become a flood of lines.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use subnet_alloc::{BadEntry, BadEvent, Block, LeaseEvent};
use tracing::warn;

use crate::backend::Skipped;

/// Lines in one [`WINDOW`]; what does not get one is counted.
const LINES: usize = 50;
const WINDOW: Duration = Duration::from_secs(60);

/// The keys of the store that are no leases, and what the operator was told.
#[derive(Debug, Default)]
pub(crate) struct PassedOver {
    bad: BTreeMap<String, BadEntry>,
    began: Option<Instant>,
    said: usize,
}

impl PassedOver {
    /// The keys that are no leases, by name.
    pub(crate) fn bad_keys(&self) -> impl ExactSizeIterator<Item = &BadEntry> {
        self.bad.values()
    }

    /// Takes in what the store told of such keys, and names those that are new.
    pub(crate) fn take(&mut self, events: Vec<BadEvent>, now: Instant) {
        let mut news = Vec::new();
        for event in events {
            match event {
                BadEvent::Reset(entries) => {
                    let mut before = std::mem::take(&mut self.bad);
                    for entry in entries {
                        if before.remove(&entry.key).is_none() {
                            news.push(line_of(&entry));
                        }
                        self.bad.insert(entry.key.clone(), entry);
                    }
                }
                BadEvent::Put(entry) => {
                    let line = line_of(&entry);
                    if self.bad.insert(entry.key.clone(), entry).is_none() {
                        news.push(line);
                    }
                }
                BadEvent::Gone(key) => drop(self.bad.remove(&key)),
            }
        }
        self.say(news.into_iter(), "keys of the store", now);
    }

    /// Takes in which keys are leases again, or gone.
    pub(crate) fn heed(&mut self, events: &[LeaseEvent]) {
        for event in events {
            let block = match event {
                LeaseEvent::Put(lease) => &lease.block,
                LeaseEvent::Gone(block) => block,
                LeaseEvent::Reset(_) => continue,
            };
            if !self.bad.is_empty() {
                self.bad.remove(&block.key());
            }
        }
    }

    /// Names leases that no packets are sent to.
    pub(crate) fn name_leases(&mut self, leases: &[(Block, Skipped)], now: Instant) {
        let lines = leases
            .iter()
            .map(|(block, why)| format!("the lease on {block} is passed over: {why}"));
        self.say(lines, "leases", now);
    }

    fn say(&mut self, lines: impl ExactSizeIterator<Item = String>, what: &str, now: Instant) {
        if self.began.is_none_or(|began| began + WINDOW <= now) {
            (self.began, self.said) = (Some(now), 0);
        }
        let room = LINES.saturating_sub(self.said);
        let (count, was_full) = (lines.len(), self.said > LINES);
        self.said = (self.said + count).min(LINES + 1);
        for line in lines.take(room) {
            warn!("{line}");
        }
        if count > room && !was_full {
            let more = count - room;
            warn!(
                "{more} more {what} are passed over, and no others are named for a minute; see `twill show leases`"
            );
        }
    }
}

fn line_of(entry: &BadEntry) -> String {
    let (key, why) = (&entry.key, &entry.why);
    format!("the store's key subnets/{key} is passed over: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use subnet_alloc::{Hold, Lease, LeaseAttrs, Revision};

    fn bad(key: &str) -> BadEntry {
        BadEntry {
            key: key.to_owned(),
            block: Block::from_key(key).ok(),
            revision: Revision(1),
            why: "it is no lease".to_owned(),
        }
    }

    fn keys(passed: &PassedOver) -> Vec<&str> {
        passed.bad_keys().map(|entry| entry.key.as_str()).collect()
    }

    #[test]
    fn a_listing_that_names_the_same_keys_says_nothing_again() {
        let (mut passed, now) = (PassedOver::default(), Instant::now());
        passed.take(vec![BadEvent::Reset(vec![bad("x"), bad("y")])], now);
        assert_eq!(passed.said, 2);
        passed.take(vec![BadEvent::Reset(vec![bad("y"), bad("z")])], now);
        assert_eq!((passed.said, keys(&passed)), (3, vec!["y", "z"]));
    }

    #[test]
    fn a_key_that_is_repaired_or_deleted_is_not_counted() {
        let (mut passed, now) = (PassedOver::default(), Instant::now());
        let keys_of = ["10.244.1.0-24", "10.244.2.0-24", "x"];
        let put = keys_of.map(|key| BadEvent::Put(bad(key)));
        passed.take(put.into(), now);
        let block = |n: usize| Block::from_key(keys_of[n]).unwrap();
        passed.heed(&[
            LeaseEvent::Gone(block(0)),
            LeaseEvent::Put(Lease {
                block: block(1),
                attrs: LeaseAttrs::default(),
                hold: Hold::Reserved,
                revision: Revision(2),
            }),
        ]);
        assert_eq!(keys(&passed), ["x"]);
        passed.take(vec![BadEvent::Gone("x".into())], now);
        assert_eq!(passed.bad_keys().len(), 0);
    }

    #[test]
    fn a_flood_is_cut_off_until_the_minute_is_over() {
        let (mut passed, now) = (PassedOver::default(), Instant::now());
        let flood = |from: usize| (from..from + 60).map(|n| BadEvent::Put(bad(&n.to_string())));
        passed.take(flood(0).collect(), now);
        passed.take(flood(60).collect(), now);
        assert_eq!((passed.said, passed.bad_keys().len()), (LINES + 1, 120));
        passed.take(vec![BadEvent::Put(bad("x"))], now + WINDOW);
        assert_eq!(passed.said, 1);
    }
}
