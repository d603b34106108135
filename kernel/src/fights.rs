//! Who is fought with: entries that somebody else changes again and again.
//!
//! Two programs that both insist would keep a processor busy and the entry in
//! flight. The first few repairs of a key are made at once; after that it waits
//! longer each time, while every other key goes on as before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// So many repairs in a row are an accident, or an operator who tries things.
pub(crate) const AT_ONCE: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_secs(30);
/// A key that stayed right for so long is not fought over. Longer than the
/// longest wait, or no fight would ever be seen as one.
const CALM: Duration = Duration::from_secs(60);

/// What was put right lately, and what of it is wrong again and has to wait.
#[derive(Clone, Debug)]
pub(crate) struct Fights<K> {
    repaired: BTreeMap<K, Repaired>,
    waiting: BTreeMap<K, Instant>,
    /// When what has been calm is forgotten next.
    sweep: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Repaired {
    times: u32,
    last: Instant,
}

impl<K> Default for Fights<K> {
    fn default() -> Self {
        Fights {
            repaired: BTreeMap::new(),
            waiting: BTreeMap::new(),
            sweep: None,
        }
    }
}

impl<K: Ord + Clone> Fights<K> {
    /// `key`, which somebody else had changed, was put right. Returns how often
    /// in a row, without a calm between.
    pub(crate) fn repaired(&mut self, key: K, now: Instant) -> u32 {
        self.sweep.get_or_insert(now + CALM);
        let fresh = Repaired {
            times: 0,
            last: now,
        };
        let repaired = self.repaired.entry(key).or_insert(fresh);
        if repaired.last + CALM <= now {
            *repaired = fresh;
        }
        repaired.times = repaired.times.saturating_add(1);
        repaired.last = now;
        repaired.times
    }

    /// `key` is wrong again; whether it has to wait before it is put right.
    pub(crate) fn has_to_wait(&mut self, key: &K) -> bool {
        let Some(repaired) = self.repaired.get(key) else {
            return false;
        };
        let Some(step) = repaired.times.checked_sub(AT_ONCE + 1) else {
            return false;
        };
        let wait = FIRST_WAIT.saturating_mul(1 << step.min(16)).min(LAST_WAIT);
        self.waiting.insert(key.clone(), repaired.last + wait);
        true
    }

    /// `key` is right, or is put right for another reason.
    pub(crate) fn stop_waiting(&mut self, key: &K) {
        self.waiting.remove(key);
    }

    /// The keys whose time has come; forgets what has been calm.
    pub(crate) fn release(&mut self, now: Instant) -> Vec<K> {
        if self.sweep.is_some_and(|due| due <= now) {
            self.repaired
                .retain(|_, repaired| repaired.last + CALM > now);
            self.sweep = (!self.repaired.is_empty()).then_some(now + CALM);
        }
        let mut due = Vec::new();
        self.waiting.retain(|key, at| {
            let waits = *at > now;
            if !waits {
                due.push(key.clone());
            }
            waits
        });
        due
    }

    /// There was a reason for the changes, and it is gone: all is forgotten.
    /// Returns the keys that waited.
    pub(crate) fn forgive(&mut self) -> Vec<K> {
        self.repaired.clear();
        std::mem::take(&mut self.waiting).into_keys().collect()
    }

    /// When the next key may be put right.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets somebody change key 1 as soon as it is right; returns when it was
    /// put right, in time since the first repair.
    fn repairs(times: usize) -> Vec<Duration> {
        let start = Instant::now();
        let (mut fights, mut now, mut at) = (Fights::default(), start, Vec::new());
        for _ in 0..times {
            fights.repaired(1, now);
            at.push(now - start);
            if fights.has_to_wait(&1) {
                now = fights.next_due().unwrap();
                assert_eq!(fights.release(now), [1]);
            }
        }
        at
    }

    #[test]
    fn the_first_repairs_are_made_at_once_and_the_later_ones_half_a_minute_apart() {
        let at = repairs(20);
        assert_eq!(at[AT_ONCE as usize], Duration::ZERO);
        assert_eq!(at[AT_ONCE as usize + 1], FIRST_WAIT);
        assert_eq!(at[19] - at[18], LAST_WAIT);
    }

    #[test]
    fn a_calm_ends_the_fight() {
        let now = Instant::now();
        let mut fights = Fights::default();
        for _ in 0..10 {
            fights.repaired(1, now);
        }
        assert!(fights.has_to_wait(&1));
        fights.release(now + LAST_WAIT);
        assert_eq!(fights.repaired(1, now + LAST_WAIT + CALM), 1);
        assert!(!fights.has_to_wait(&1));
    }

    #[test]
    fn what_was_repaired_once_is_forgotten_after_the_calm() {
        let now = Instant::now();
        let mut fights = Fights::default();
        for key in 0..100 {
            fights.repaired(key, now);
        }
        fights.release(now + CALM);
        assert!(fights.repaired.is_empty() && fights.sweep.is_none());
    }

    #[test]
    fn one_key_that_waits_delays_no_other() {
        let now = Instant::now();
        let mut fights = Fights::default();
        for _ in 0..10 {
            fights.repaired(1, now);
        }
        assert!(fights.has_to_wait(&1) && !fights.has_to_wait(&2));
    }

    #[test]
    fn whoever_is_forgiven_starts_anew() {
        let now = Instant::now();
        let mut fights = Fights::default();
        for _ in 0..10 {
            fights.repaired(1, now);
        }
        assert!(fights.has_to_wait(&1));
        assert_eq!(fights.forgive(), [1]);
        assert_eq!((fights.waiting.len(), fights.repaired(1, now)), (0, 1));
    }
}
