//! Want against have for one table of the kernel.
//!
//! ```text
//!            have: none      have: v        have: other
//! want: none    (no entry)   Stale{v}       Stale{other}
//! want: v       Missing{v}   InSync(v)      Wrong{v, other}
//! ```
//!
//! Everything but `InSync` is pending. A change that the kernel refused waits
//! for its time in `refused`, and one that somebody else undoes again and again
//! in `fights`; neither holds up another key.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use crate::change::Refusal;
use crate::fights::{self, Fights};

/// One entry: what is wanted, what is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State<V> {
    /// There as wanted.
    InSync(V),
    /// Wanted, not there.
    Missing {
        /// What is wanted.
        want: V,
        /// It was there before and somebody took it away.
        lost: bool,
    },
    /// There, not wanted.
    Stale {
        /// What is there.
        have: V,
    },
    /// There, but not as wanted. Rare, so it does not make every entry larger.
    Wrong(Box<Wrong<V>>),
}

/// What is wanted, and what is there instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wrong<V> {
    /// What is wanted.
    pub want: V,
    /// What is there.
    pub have: V,
}

impl<V: PartialEq> State<V> {
    /// The state of an entry; none when nothing is wanted and nothing there.
    fn of(want: Option<V>, have: Option<V>, lost: bool) -> Option<State<V>> {
        match (want, have) {
            (None, None) => None,
            (Some(want), None) => Some(State::Missing { want, lost }),
            (None, Some(have)) => Some(State::Stale { have }),
            (Some(want), Some(have)) if want == have => Some(State::InSync(want)),
            (Some(want), Some(have)) => Some(State::Wrong(Box::new(Wrong { want, have }))),
        }
    }
}

impl<V> State<V> {
    /// What is wanted, if anything.
    pub fn want(&self) -> Option<&V> {
        match self {
            State::InSync(v) | State::Missing { want: v, .. } => Some(v),
            State::Wrong(wrong) => Some(&wrong.want),
            State::Stale { .. } => None,
        }
    }

    /// What is there, if anything.
    pub fn have(&self) -> Option<&V> {
        match self {
            State::InSync(v) | State::Stale { have: v } => Some(v),
            State::Wrong(wrong) => Some(&wrong.have),
            State::Missing { .. } => None,
        }
    }
}

/// A change that the kernel refused, and when it is tried again.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What the kernel said the last time.
    pub refusal: Refusal,
    /// How often it was refused in a row.
    pub tries: u32,
    /// When it is due again.
    pub due: Instant,
    /// How often it was refused since something stood out of its way.
    step: u32,
}

/// Somebody else changed an entry so often that it is put right more slowly
/// from here on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contest<V> {
    /// How often it was put right in a row.
    pub times: u32,
    /// What stood there the last time; nothing when it was taken away.
    pub instead: Option<V>,
}

/// Which refused changes are tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Those whose time has come.
    By(Instant),
    /// All: what stood in their way is gone.
    Always,
}

const FIRST_RETRY: Duration = Duration::from_millis(50);
/// A table with so few entries is not worth keeping as it is.
const FEW: usize = 16;
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Want and have of one table.
#[derive(Clone, Debug)]
pub struct Delta<K, V> {
    entries: BTreeMap<K, State<V>>,
    pending: BTreeMap<K, Why>,
    refused: BTreeMap<K, Refused>,
    fights: Fights<K>,
}

impl<K, V> Default for Delta<K, V> {
    fn default() -> Self {
        Delta {
            entries: BTreeMap::new(),
            pending: BTreeMap::new(),
            refused: BTreeMap::new(),
            fights: Fights::default(),
        }
    }
}

impl<K: Ord + Clone, V: PartialEq + Clone> Delta<K, V> {
    /// The table shall hold `value` under `key`.
    pub fn want(&mut self, key: K, value: V) {
        self.change(key, Why::Wish, |state| match state {
            Some(state) if state.want() == Some(&value) => Next::Same,
            _ => Next::state(Some(value), state.and_then(State::have).cloned(), false),
        });
    }

    /// The table shall hold all of this; the later of two values of one key
    /// counts. A table with next to nothing in it is made in one go: its tree
    /// then has no half-full nodes, as it would when it grows in order.
    pub fn want_all(&mut self, wishes: Vec<(K, V)>) {
        if self.entries.len() > FEW {
            return wishes
                .into_iter()
                .for_each(|(key, value)| self.want(key, value));
        }
        let missing = |(key, want)| (key, State::Missing { want, lost: false });
        let made = wishes.into_iter().map(missing).collect();
        let before = std::mem::replace(&mut self.entries, made);
        self.pending = self.all_pending();
        for (key, state) in before {
            if let Some(have) = state.have() {
                self.observe(key.clone(), have.clone());
            }
            if let (Some(want), None) = (state.want(), self.entries.get(&key).and_then(State::want))
            {
                self.want(key, want.clone());
            }
        }
    }

    /// The table need not hold `key` any more.
    pub fn unwant(&mut self, key: &K) {
        self.change(key.clone(), Why::Wish, |state| {
            Next::state(None, state.and_then(State::have).cloned(), false)
        });
    }

    /// The kernel was seen to hold `value` under `key`.
    pub fn observe(&mut self, key: K, value: V) {
        self.change(key, Why::Sight, |state| match state {
            Some(state) if state.have() == Some(&value) => Next::Same,
            _ => Next::state(state.and_then(State::want).cloned(), Some(value), false),
        });
    }

    /// The kernel was seen not to hold `key`.
    pub fn observe_gone(&mut self, key: &K) {
        self.change(key.clone(), Why::Sight, |state| match state {
            Some(state) if state.have().is_some() => Next::state(state.want().cloned(), None, true),
            _ => Next::Same,
        });
    }

    /// The kernel holds exactly this.
    pub fn resync(&mut self, dump: impl IntoIterator<Item = (K, V)>) {
        if self.entries.is_empty() {
            let stale = |(key, have)| (key, State::Stale { have });
            self.entries = dump.into_iter().map(stale).collect();
            self.pending = self.all_pending();
            return;
        }
        let dump: BTreeMap<K, V> = dump.into_iter().collect();
        let gone = |(key, state): (&K, &State<V>)| {
            (state.have().is_some() && !dump.contains_key(key)).then(|| key.clone())
        };
        let gone: Vec<K> = self.entries.iter().filter_map(gone).collect();
        for key in gone {
            self.observe_gone(&key);
        }
        for (key, value) in dump {
            self.observe(key, value);
        }
    }

    /// Pending keys that are due, in order.
    pub fn pending(&self) -> impl Iterator<Item = (&K, &State<V>)> {
        self.pending
            .keys()
            .filter_map(|key| Some((key, self.entries.get(key)?)))
    }

    /// The change of `key` is on its way: it is not pending until
    /// [`done`](Self::done) or [`refuse`](Self::refuse) tells how it went. Says
    /// so once when somebody else is behind it, again and again.
    pub fn sent(&mut self, key: &K, now: Instant) -> Option<Contest<V>> {
        let why = self.pending.remove(key);
        if let Some(refused) = self.refused.get_mut(key) {
            // How it goes this time is known sooner than that.
            refused.due += LAST_RETRY;
        }
        (why == Some(Why::Sight)).then(|| self.contest(key, now))?
    }

    /// The kernel carried out the change of `key` that made it `have`.
    pub fn done(&mut self, key: &K, have: Option<V>) {
        self.change(key.clone(), Why::Done, |state| {
            Next::state(state.and_then(State::want).cloned(), have, false)
        });
    }

    /// The kernel refused the change of `key`; it is due again after a while
    /// that doubles each time, from 50 ms to 30 s. Returns how often it was
    /// refused in a row.
    pub fn refuse(&mut self, key: &K, refusal: Refusal, now: Instant) -> u32 {
        if self.is_settled(key) {
            return 0;
        }
        self.pending.remove(key);
        let before = self.refused.get(key).map_or((0, 0), |r| (r.tries, r.step));
        let (tries, step) = (before.0 + 1, before.1 + 1);
        let wait = FIRST_RETRY
            .saturating_mul(1 << (step - 1).min(16))
            .min(LAST_RETRY);
        let refused = Refused {
            refusal,
            tries,
            due: now + wait,
            step,
        };
        self.refused.insert(key.clone(), refused);
        tries
    }

    /// Makes changes pending that have waited long enough: refused ones, and
    /// those of entries that somebody else changes again and again.
    pub fn release(&mut self, due: Due, now: Instant) {
        for key in self.fights.release(now) {
            self.pending.insert(key, Why::Sight);
        }
        let is_due = |refused: &Refused| match due {
            Due::By(now) => refused.due <= now,
            Due::Always => true,
        };
        let keys = self.refused.iter().filter(|(_, refused)| is_due(refused));
        let keys: Vec<K> = keys.map(|(key, _)| key.clone()).collect();
        for key in keys {
            if self.is_settled(&key) {
                self.refused.remove(&key);
                continue;
            }
            if let (Due::Always, Some(refused)) = (due, self.refused.get_mut(&key)) {
                refused.step = 0;
            }
            self.pending.insert(key, Why::Retry);
        }
    }

    /// There was a reason for what happened to the entries, and it is gone: what
    /// waits because of a fight is pending, and all is repaired at once again.
    pub fn forgive(&mut self) {
        for key in self.fights.forgive() {
            self.pending.insert(key, Why::Sight);
        }
    }

    /// When the next change is due that waits, and is not pending already.
    pub fn next_due(&self) -> Option<Instant> {
        let waiting = |(key, _): &(&K, &Refused)| !self.pending.contains_key(*key);
        self.refused
            .iter()
            .filter(waiting)
            .map(|(_, r)| r.due)
            .chain(self.fights.next_due())
            .min()
    }

    /// Why the entry is not as wanted, if the kernel refused the change.
    pub fn refusal(&self, key: &K) -> Option<&Refused> {
        self.refused.get(key).filter(|_| !self.is_settled(key))
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &State<V>)> {
        self.entries.iter()
    }

    /// The state of one entry.
    pub fn entry(&self, key: &K) -> Option<&State<V>> {
        self.entries.get(key)
    }

    /// How many entries are not as wanted, those that wait included.
    pub fn drift(&self) -> usize {
        let waiting = self
            .refused
            .keys()
            .filter(|key| !self.pending.contains_key(*key) && !self.is_settled(key));
        self.pending.len() + waiting.count() + self.fights.waiting()
    }

    fn all_pending(&self) -> BTreeMap<K, Why> {
        let wish = |key: &K| (key.clone(), Why::Wish);
        self.entries.keys().map(wish).collect()
    }

    fn contest(&mut self, key: &K, now: Instant) -> Option<Contest<V>> {
        let times = self.fights.repaired(key.clone(), now);
        (times == fights::AT_ONCE + 1).then(|| Contest {
            times,
            instead: self.entries.get(key).and_then(State::have).cloned(),
        })
    }

    fn is_settled(&self, key: &K) -> bool {
        matches!(self.entries.get(key), None | Some(State::InSync(_)))
    }

    /// A sighting does not end the wait after a refusal: when the kernel takes
    /// back what it could not finish, it tells of both. A wish ends every wait.
    fn change(&mut self, key: K, why: Why, next: impl FnOnce(Option<&State<V>>) -> Next<V>) {
        let entry = self.entries.entry(key);
        let state = match &entry {
            Entry::Vacant(_) => next(None),
            Entry::Occupied(entry) => next(Some(entry.get())),
        };
        let Next::State(state) = state else { return };
        let key = entry.key().clone();
        if why != Why::Sight {
            self.refused.remove(&key);
        }
        match &state {
            None | Some(State::InSync(_)) => {
                self.pending.remove(&key);
                self.fights.stop_waiting(&key);
            }
            Some(_) if self.refused.contains_key(&key) => {}
            Some(_) if why == Why::Sight && self.fights.has_to_wait(&key) => {}
            Some(_) => {
                self.fights.stop_waiting(&key);
                self.pending.entry(key).or_insert(why);
            }
        }
        match (entry, state) {
            (Entry::Vacant(entry), Some(state)) => {
                entry.insert(state);
            }
            (Entry::Occupied(mut entry), Some(state)) => drop(entry.insert(state)),
            (Entry::Occupied(entry), None) => drop(entry.remove()),
            (Entry::Vacant(_), None) => {}
        }
    }
}

/// Why an entry changes, or is pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    /// Somebody wants something else.
    Wish,
    /// The kernel was seen to hold something else.
    Sight,
    /// The kernel carried out a change of ours.
    Done,
    /// The kernel refused it a while ago.
    Retry,
}

/// What becomes of an entry.
enum Next<V> {
    /// It stays as it is.
    Same,
    /// It has this state, or goes.
    State(Option<State<V>>),
}

impl<V: PartialEq> Next<V> {
    fn state(want: Option<V>, have: Option<V>, lost: bool) -> Next<V> {
        Next::State(State::of(want, have, lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal() -> Refusal {
        Refusal {
            index: 0,
            errno: 22,
            reason: None,
        }
    }

    fn pending(delta: &Delta<u8, u8>) -> Vec<(u8, State<u8>)> {
        delta.pending().map(|(k, s)| (*k, s.clone())).collect()
    }

    #[test]
    fn what_is_wanted_and_there_is_not_pending() {
        let mut delta = Delta::default();
        delta.observe(1, 7);
        delta.want(1, 7);
        assert_eq!(pending(&delta), []);
        assert_eq!(delta.entry(&1), Some(&State::InSync(7)));
    }

    #[test]
    fn what_somebody_took_away_is_missing_and_known_as_lost() {
        let mut delta = Delta::default();
        delta.want(1, 7);
        delta.done(&1, Some(7));
        delta.observe_gone(&1);
        assert_eq!(
            pending(&delta),
            [(
                1,
                State::Missing {
                    want: 7,
                    lost: true
                }
            )]
        );
    }

    #[test]
    fn wishes_that_come_together_are_wanted_as_if_they_came_alone_and_the_later_counts() {
        let mut together = Delta::default();
        together.want_all(vec![(1, 7), (2, 8), (1, 9)]);
        let mut alone = Delta::default();
        for (key, value) in [(1, 7), (2, 8), (1, 9)] {
            alone.want(key, value);
        }
        assert_eq!(pending(&together), pending(&alone));
    }

    #[test]
    fn wishes_that_come_together_keep_what_was_wanted_and_seen_before() {
        let mut delta = Delta::default();
        delta.want(1, 7);
        delta.observe(2, 8);
        delta.observe(3, 9);
        delta.want_all(vec![(2, 8), (3, 8)]);
        assert_eq!(
            delta.iter().map(|(_, s)| s.clone()).collect::<Vec<_>>(),
            [
                State::Missing {
                    want: 7,
                    lost: false
                },
                State::InSync(8),
                State::Wrong(Box::new(Wrong { want: 8, have: 9 })),
            ]
        );
        assert_eq!(pending(&delta).len(), 2);
    }

    #[test]
    fn a_dump_that_lacks_an_entry_makes_it_missing_and_one_that_has_more_makes_it_stale() {
        let mut delta = Delta::default();
        delta.want(1, 7);
        delta.done(&1, Some(7));
        delta.resync([(2, 8)]);
        assert_eq!(
            pending(&delta),
            [
                (
                    1,
                    State::Missing {
                        want: 7,
                        lost: true
                    }
                ),
                (2, State::Stale { have: 8 }),
            ]
        );
    }

    #[test]
    fn a_refused_change_waits_and_holds_up_no_other() {
        let now = Instant::now();
        let mut delta = Delta::default();
        delta.want(1, 7);
        delta.want(2, 7);
        delta.refuse(&1, refusal(), now);
        assert_eq!(
            pending(&delta),
            [(
                2,
                State::Missing {
                    want: 7,
                    lost: false
                }
            )]
        );
        assert_eq!(delta.drift(), 2);
        let due = delta.next_due().unwrap();
        delta.release(Due::By(due), due);
        assert_eq!(pending(&delta).len(), 2);
        assert_eq!(delta.refuse(&1, refusal(), due), 2);
        assert!(delta.next_due().unwrap() - due > due - now);
    }

    #[test]
    fn a_new_wish_for_a_refused_key_is_tried_at_once() {
        let mut delta = Delta::default();
        delta.want(1, 7);
        delta.refuse(&1, refusal(), Instant::now());
        delta.want(1, 8);
        assert_eq!(
            pending(&delta),
            [(
                1,
                State::Missing {
                    want: 8,
                    lost: false
                }
            )]
        );
    }

    #[test]
    fn an_entry_that_flickers_while_it_is_refused_does_not_cut_the_wait_short() {
        let now = Instant::now();
        let mut delta = Delta::default();
        delta.want(1, 7);
        delta.refuse(&1, refusal(), now);
        delta.observe(1, 7);
        delta.observe_gone(&1);
        assert_eq!(pending(&delta), []);
        assert_eq!((delta.drift(), delta.next_due().is_some()), (1, true));
        delta.release(Due::By(delta.next_due().unwrap()), now);
        assert_eq!(pending(&delta).len(), 1);
        assert_eq!(delta.refuse(&1, refusal(), now), 2);
    }

    #[test]
    fn an_entry_that_came_right_by_itself_is_not_refused_any_more() {
        let mut delta = Delta::default();
        delta.want(1, 7);
        delta.refuse(&1, refusal(), Instant::now());
        delta.observe(1, 7);
        assert_eq!((delta.drift(), delta.refusal(&1).is_none()), (0, true));
        delta.release(Due::Always, Instant::now());
        assert_eq!(delta.next_due(), None);
    }

    #[test]
    fn a_refused_change_that_is_released_early_waits_for_a_short_time_again() {
        let now = Instant::now();
        let mut delta = Delta::default();
        delta.want(1, 7);
        for _ in 0..12 {
            delta.refuse(&1, refusal(), now);
        }
        delta.release(Due::Always, now);
        assert_eq!(delta.refuse(&1, refusal(), now), 13);
        assert_eq!(delta.next_due(), Some(now + FIRST_RETRY));
    }

    /// Takes entry 1 away as often as it is put right.
    fn fight(delta: &mut Delta<u8, u8>, times: u32, now: Instant) -> Option<Contest<u8>> {
        let contests = (0..times).filter_map(|_| {
            delta.observe(1, 9);
            delta.release(Due::By(now), now);
            let contest = delta.sent(&1, now);
            delta.done(&1, Some(7));
            contest
        });
        contests.last()
    }

    #[test]
    fn an_entry_that_somebody_changes_again_and_again_is_named_once_and_then_waits() {
        let now = Instant::now();
        let mut delta = Delta::default();
        delta.want(1, 7);
        delta.done(&1, Some(7));
        assert_eq!(fight(&mut delta, fights::AT_ONCE, now), None);
        let contest = Contest {
            times: fights::AT_ONCE + 1,
            instead: Some(9),
        };
        assert_eq!(fight(&mut delta, 1, now), Some(contest));
        delta.observe(1, 9);
        delta.release(Due::By(now), now);
        assert_eq!((pending(&delta), delta.drift()), (vec![], 1));
        let due = delta.next_due().unwrap();
        assert!(due > now);
        delta.release(Due::By(due), due);
        assert_eq!(pending(&delta).len(), 1);
        assert_eq!(delta.sent(&1, due), None);
        delta.done(&1, Some(7));
        assert_eq!((delta.drift(), delta.next_due()), (0, None));
    }

    #[test]
    fn a_fight_delays_no_other_entry_and_no_new_wish() {
        let now = Instant::now();
        let mut delta = Delta::default();
        delta.want(1, 7);
        delta.want(2, 7);
        delta.done(&1, Some(7));
        delta.done(&2, Some(7));
        fight(&mut delta, 10, now);
        delta.observe(1, 9);
        delta.observe_gone(&2);
        assert_eq!(pending(&delta).len(), 1, "the other one");
        delta.want(1, 8);
        assert_eq!(pending(&delta).len(), 2, "the new wish");
    }

    #[test]
    fn what_is_changed_by_wish_is_no_fight() {
        let now = Instant::now();
        let mut delta = Delta::default();
        for value in 0..50 {
            delta.want(1, value);
            assert_eq!(delta.sent(&1, now), None);
            delta.done(&1, Some(value));
            delta.unwant(&1);
            assert_eq!(delta.sent(&1, now), None);
            delta.done(&1, None);
        }
        delta.want(1, 7);
        assert_eq!(delta.sent(&1, now), None);
        delta.done(&1, Some(7));
        delta.observe_gone(&1);
        assert_eq!(pending(&delta).len(), 1);
    }

    #[test]
    fn an_entry_that_somebody_removes_while_it_waits_in_a_fight_does_not_wait_forever() {
        let now = Instant::now();
        let mut delta = Delta::default();
        delta.want(1, 7);
        delta.done(&1, Some(7));
        fight(&mut delta, 10, now);
        delta.observe(1, 9);
        delta.observe(1, 7);
        assert_eq!((delta.drift(), delta.next_due()), (0, None));
        delta.observe(1, 9);
        delta.forgive();
        assert_eq!((pending(&delta).len(), delta.drift()), (1, 1));
    }

    proptest! {
        /// Whatever the order of wishes and sightings, carrying out all that is
        /// pending makes the kernel hold exactly what is wanted.
        #[test]
        fn doing_what_is_pending_ends_in_sync(steps in prop::collection::vec((0u8..5, 0u8..6, 0u8..3), 0..60)) {
            let mut delta: Delta<u8, u8> = Delta::default();
            let (mut want, mut have) = (BTreeMap::new(), BTreeMap::new());
            for (what, key, value) in steps {
                match what {
                    0 => { want.insert(key, value); delta.want(key, value); }
                    1 => { want.remove(&key); delta.unwant(&key); }
                    2 => { have.insert(key, value); delta.observe(key, value); }
                    3 => { have.remove(&key); delta.observe_gone(&key); }
                    _ => { have.retain(|k, _| k % 2 == value % 2); delta.resync(have.clone()); }
                }
            }
            for (key, state) in pending(&delta) {
                match state.want() {
                    Some(value) => { have.insert(key, *value); }
                    None => { have.remove(&key); }
                }
                delta.done(&key, state.want().copied());
            }
            prop_assert_eq!(delta.drift(), 0);
            prop_assert_eq!(have, want);
        }
    }
}
