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

mod pending;

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::time::{Duration, Instant};

use dense::DenseMap;

use crate::change::Refusal;
use crate::fights::{self, Fights};

use pending::{Pending, Why};

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
    /// There, but not as wanted.
    Wrong {
        /// What is wanted.
        want: V,
        /// What is there.
        have: V,
    },
}

/// Something to be put.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a, K, V> {
    /// Its name.
    pub key: &'a K,
    /// What is wanted.
    pub want: &'a V,
    /// What is there instead.
    pub have: Option<&'a V>,
    /// An entry of that name may be overwritten, because it is, or was, ours.
    pub replace: bool,
}

impl<V: PartialEq> State<V> {
    /// The state of an entry; none when nothing is wanted and nothing there.
    fn of(want: Option<V>, have: Option<V>, lost: bool) -> Option<State<V>> {
        match (want, have) {
            (None, None) => None,
            (Some(want), None) => Some(State::Missing { want, lost }),
            (None, Some(have)) => Some(State::Stale { have }),
            (Some(want), Some(have)) if want == have => Some(State::InSync(want)),
            (Some(want), Some(have)) => Some(State::Wrong { want, have }),
        }
    }
}

impl<V> State<V> {
    fn is_settled(&self) -> bool {
        matches!(self, State::InSync(_))
    }

    /// What is wanted, if anything.
    pub fn want(&self) -> Option<&V> {
        match self {
            State::InSync(v) | State::Missing { want: v, .. } | State::Wrong { want: v, .. } => {
                Some(v)
            }
            State::Stale { .. } => None,
        }
    }

    /// What is there, if anything.
    pub fn have(&self) -> Option<&V> {
        match self {
            State::InSync(v) | State::Stale { have: v } | State::Wrong { have: v, .. } => Some(v),
            State::Missing { .. } => None,
        }
    }

    /// What is there, if it is not to go.
    pub(crate) fn there_to_stay(&self) -> Option<&V> {
        match self {
            State::Stale { .. } => None,
            _ => self.have(),
        }
    }

    /// The same of what `other` makes of the values.
    pub(crate) fn map<W>(&self, other: impl Fn(&V) -> W) -> State<W> {
        match self {
            State::InSync(v) => State::InSync(other(v)),
            State::Missing { want, lost } => State::Missing {
                want: other(want),
                lost: *lost,
            },
            State::Stale { have } => State::Stale { have: other(have) },
            State::Wrong { want, have } => State::Wrong {
                want: other(want),
                have: other(have),
            },
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
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Want and have of one table.
#[derive(Clone, Debug)]
pub struct Delta<K, V> {
    entries: DenseMap<K, State<V>>,
    pending: Pending<K, V>,
    refused: BTreeMap<K, Refused>,
    fights: Fights<K>,
    /// Entries that are not as wanted.
    drift: usize,
}

impl<K, V> Default for Delta<K, V> {
    fn default() -> Self {
        Delta {
            entries: DenseMap::default(),
            pending: Pending::default(),
            refused: BTreeMap::new(),
            fights: Fights::default(),
            drift: 0,
        }
    }
}

impl<K: Ord + Clone, V: Ord + Clone> Delta<K, V> {
    /// The table shall hold `value` under `key`. Says whether something was wanted there already.
    pub fn want(&mut self, key: K, value: V) -> bool {
        let mut was_wanted = false;
        self.change(key, Why::Wish, |state| {
            let before = state.and_then(State::want);
            was_wanted = before.is_some();
            if before == Some(&value) {
                Next::Same
            } else {
                Next::state(Some(value), state.and_then(State::have).cloned(), false)
            }
        });
        was_wanted
    }

    /// The table need not hold `key` any more.
    pub fn unwant(&mut self, key: &K) {
        self.change(key.clone(), Why::Wish, |state| {
            Next::state(None, state.and_then(State::have).cloned(), false)
        });
    }

    /// The same, and for sure: nobody else may want it, so that nobody is waited
    /// for.
    pub fn take_back(&mut self, key: &K) {
        self.change(key.clone(), Why::TakenBack, |state| {
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

    /// The kernel holds exactly this; the later of two values of one key counts.
    pub fn resync(&mut self, dump: impl IntoIterator<Item = (K, V)>) {
        let dump = sorted(dump.into_iter().collect());
        if self.entries.is_empty() {
            let stale = |(key, have)| (key, State::Stale { have });
            self.entries = dump.into_iter().map(stale).collect();
            return self.all_are_due();
        }
        for (key, have) in self.differences(dump) {
            match have {
                Some(have) => self.observe(key, have),
                None => self.observe_gone(&key),
            }
        }
    }

    /// What the kernel holds, if anything, where it is not what was there before.
    fn differences(&self, dump: Vec<(K, V)>) -> Vec<(K, Option<V>)> {
        let mut differences = Vec::new();
        let mut dump = dump.into_iter().peekable();
        for (key, state) in self.entries.iter() {
            while let Some((new, have)) = dump.next_if(|(dumped, _)| dumped < key) {
                differences.push((new, Some(have)));
            }
            let have = dump.next_if(|(dumped, _)| dumped == key);
            let have = have.map(|(_, have)| have);
            if have.as_ref() != state.have() {
                differences.push((key.clone(), have));
            }
        }
        differences.extend(dump.map(|(new, have)| (new, Some(have))));
        differences
    }

    /// What is to be put and is due, in order.
    pub fn wishes(&self) -> impl Iterator<Item = Wish<'_, K, V>> {
        self.pending.puts().filter_map(|key| {
            let (want, have, replace) = match self.entries.get(key)? {
                State::Missing { want, lost } => (want, None, *lost),
                State::Wrong { want, have } => (want, Some(have), true),
                State::InSync(_) | State::Stale { .. } => return None,
            };
            Some(Wish {
                key,
                want,
                have,
                replace,
            })
        })
    }

    /// What is to be removed and is due: the keys, in order, by what is there.
    /// Somebody `keeps` what he may want still; not what was taken back.
    pub fn removals(
        &self,
        keeps: impl Fn(&V) -> bool,
    ) -> impl Iterator<Item = (&V, impl Iterator<Item = &K>)> {
        self.pending.removals(keeps)
    }

    /// The change of `key` is on its way: it is not pending until
    /// [`done`](Self::done) or [`refuse`](Self::refuse) tells how it went. Says
    /// so once when somebody else is behind it, again and again.
    pub fn sent(&mut self, key: &K, now: Instant) -> Option<Contest<V>> {
        let why = self.take_pending(key);
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
        self.take_pending(key);
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
            self.make_pending(key, Why::Sight);
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
            self.make_pending(key, Why::Retry);
        }
    }

    /// There was a reason for what happened to the entries, and it is gone: what
    /// waits because of a fight is pending, and all is repaired at once again.
    pub fn forgive(&mut self) {
        for key in self.fights.forgive() {
            self.make_pending(key, Why::Sight);
        }
    }

    /// When the next change is due that waits, and is not pending already.
    pub fn next_due(&self) -> Option<Instant> {
        let is_pending = |key: &K, state| self.pending.contains(key, state);
        let waiting = |(key, _): &(&K, &Refused)| {
            let state = self.entries.get(*key);
            !state.is_some_and(|state| is_pending(key, state))
        };
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

    /// How many entries are wanted or there.
    pub fn size(&self) -> usize {
        self.entries.len()
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &State<V>)> {
        self.entries.iter()
    }

    /// The entries of these keys in order.
    pub fn range(&self, keys: impl RangeBounds<K>) -> impl Iterator<Item = (&K, &State<V>)> {
        self.entries.range(keys)
    }

    /// The state of one entry.
    pub fn entry(&self, key: &K) -> Option<&State<V>> {
        self.entries.get(key)
    }

    /// How many entries are not as wanted, those that wait included.
    pub fn drift(&self) -> usize {
        self.drift
    }

    fn all_are_due(&mut self) {
        self.pending = Pending::of(&self.entries);
        self.drift = self.entries.values().filter(|s| !s.is_settled()).count();
    }

    fn make_pending(&mut self, key: K, why: Why) {
        if let Some(state) = self.entries.get(&key) {
            self.pending.insert(key, state, why);
        }
    }

    fn take_pending(&mut self, key: &K) -> Option<Why> {
        self.pending.remove(key, self.entries.get(key)?)
    }

    fn contest(&mut self, key: &K, now: Instant) -> Option<Contest<V>> {
        let times = self.fights.repaired(key.clone(), now);
        (times == fights::AT_ONCE + 1).then(|| Contest {
            times,
            instead: self.entries.get(key).and_then(State::have).cloned(),
        })
    }

    fn is_settled(&self, key: &K) -> bool {
        self.entries.get(key).is_none_or(State::is_settled)
    }

    /// A sighting does not end the wait after a refusal: when the kernel takes
    /// back what it could not finish, it tells of both. A wish ends every wait.
    fn change(&mut self, key: K, why: Why, next: impl FnOnce(Option<&State<V>>) -> Next<V>) {
        let place = self.entries.find(&key);
        let before = self.entries.at(place);
        let Next::State(state) = next(before) else {
            return;
        };
        let was = before.and_then(|before| self.pending.remove(&key, before));
        self.drift -= usize::from(before.is_some_and(|before| !before.is_settled()));
        if why != Why::Sight {
            self.refused.remove(&key);
        }
        let open = state.as_ref().filter(|state| !state.is_settled());
        self.drift += usize::from(open.is_some());
        let waits = open.is_some()
            && (self.refused.contains_key(&key)
                || (why == Why::Sight && self.fights.has_to_wait(&key)));
        if !waits {
            self.fights.stop_waiting(&key);
        }
        let due = match why {
            Why::TakenBack => Some(why),
            _ if waits => was,
            _ => was.or(Some(why)),
        };
        if let (Some(open), Some(why)) = (open, due) {
            self.pending.insert(key.clone(), open, why);
        }
        match state {
            Some(state) => drop(self.entries.put(place, key, state)),
            None => drop(self.entries.take(place)),
        }
    }
}

/// In order of the keys, of which each is there once, with its last value.
fn sorted<K: Ord, V>(mut pairs: Vec<(K, V)>) -> Vec<(K, V)> {
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    pairs.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            std::mem::swap(&mut later.1, &mut earlier.1);
        }
        same
    });
    pairs
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
mod tests;
