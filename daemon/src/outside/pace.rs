//! When to act: at once, then once for all that happens in a while; the while
//! grows with failures, and when somebody undoes again and again what was done.

use std::time::{Duration, Instant};

/// The least time between two acts.
const SHORTEST: Duration = Duration::from_millis(100);
/// The most time between two acts, however often they fail.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// Whoever undoes it how often: it is back within a second.
const LONGEST_UNDONE: Duration = Duration::from_millis(800);
/// What was undone longer ago is forgotten.
const CALM: Duration = Duration::from_secs(60);
/// Undone so often before it has been calm, somebody works against us.
const HABIT: u32 = 5;

#[derive(Debug, Default)]
pub(super) struct Pace {
    not_before: Option<Instant>,
    due: Option<Instant>,
    failures: u32,
    undone: u32,
    last_undone: Option<Instant>,
}

impl Pace {
    /// Whether what there is to do may be done; else it is [due](Self::due) later.
    pub(super) fn lets(&mut self, now: Instant, anything: bool) -> bool {
        let soonest = self.not_before.unwrap_or(now);
        let may = anything && soonest <= now;
        self.due = (anything && !may).then_some(soonest);
        may
    }

    /// It was tried to do everything, with this success; there may be more to do.
    pub(super) fn did(&mut self, now: Instant, well: bool, more: bool) {
        self.failures = if well { 0 } else { self.failures + 1 };
        let doubled = |times: u32| SHORTEST * (1 << times.min(16));
        let failed = doubled(self.failures).min(LONGEST);
        let undone = doubled(self.undone.saturating_sub(1)).min(LONGEST_UNDONE);
        let next = now + failed.max(undone);
        self.not_before = Some(next);
        self.due = more.then_some(next);
    }

    /// Something had to be put back; says once when that has become a habit.
    pub(super) fn undone(&mut self, now: Instant) -> bool {
        let lately = self.last_undone.is_some_and(|last| now < last + CALM);
        self.undone = if lately { self.undone + 1 } else { 1 };
        self.last_undone = Some(now);
        self.undone == HABIT
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_act_is_at_once_and_the_next_a_little_later() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert!(!pace.lets(start, false));
        assert!(pace.lets(start, true));
        pace.did(start, true, false);
        assert_eq!(pace.due(), None);
        assert!(!pace.lets(start, true));
        assert_eq!(pace.due(), Some(start + SHORTEST));
        assert!(pace.lets(start + SHORTEST, true));
    }

    #[test]
    fn failures_make_it_slower_until_one_success() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for seconds in [0.2, 0.4, 0.8] {
            pace.did(start, false, true);
            assert_eq!(pace.due(), Some(start + Duration::from_secs_f64(seconds)));
        }
        for _ in 0..100 {
            pace.did(start, false, true);
        }
        assert_eq!(pace.due(), Some(start + LONGEST));
        pace.did(start, true, true);
        assert_eq!(pace.due(), Some(start + SHORTEST));
    }

    #[test]
    fn who_undoes_everything_is_named_once_and_not_fought_at_full_speed() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let start = now;
        let mut named = 0;
        for _ in 0..20 {
            assert!(pace.lets(now, true));
            named += u32::from(pace.undone(now));
            pace.did(now, true, true);
            now = pace.due().unwrap();
        }
        assert_eq!(named, 1);
        assert!(now > start + LONGEST_UNDONE * 16);
        pace.did(now, true, true);
        assert_eq!(pace.due(), Some(now + LONGEST_UNDONE));
        assert!(!pace.undone(now + CALM), "it has been calm");
        pace.did(now + CALM, true, true);
        assert_eq!(pace.due(), Some(now + CALM + SHORTEST));
    }
}
