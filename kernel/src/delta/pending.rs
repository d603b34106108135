//! Which entries of a table are to be put right, and why.

use std::collections::BTreeMap;

use dense::DenseMap;

use super::State;

/// Why an entry changes, or is pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// Somebody wants something else.
    Wish,
    /// The kernel was seen to hold something else.
    Sight,
    /// The kernel carried out a change of ours.
    Done,
    /// The kernel refused it a while ago.
    Retry,
    /// Whoever wanted it has taken the wish back.
    TakenBack,
}

impl Why {
    /// Whether something stale may be wanted still by somebody who has not said so: it was there before, or others planned
    /// for it.
    fn may_be_wanted(self) -> bool {
        matches!(self, Why::Wish | Why::Sight)
    }
}

/// Keys of entries that are due. Stale ones are sorted by what is there, so that
/// hundreds of thousands that stay for the time being are passed over at once.
#[derive(Clone, Debug)]
pub(super) struct Pending<K, V> {
    puts: DenseMap<K, Why>,
    /// Stale entries that may be wanted still.
    leftovers: Removals<K, V>,
    /// Stale entries that nobody wants.
    removals: Removals<K, V>,
}

/// Keys by what is there.
#[derive(Clone, Debug)]
struct Removals<K, V>(BTreeMap<V, DenseMap<K, Why>>);

impl<K, V> Default for Removals<K, V> {
    fn default() -> Self {
        Removals(BTreeMap::new())
    }
}

impl<K, V> Default for Pending<K, V> {
    fn default() -> Self {
        Pending {
            puts: DenseMap::default(),
            leftovers: Removals::default(),
            removals: Removals::default(),
        }
    }
}

impl<K: Ord + Clone, V: Ord + Clone> Pending<K, V> {
    /// All of these entries that are not as wanted, because of a wish.
    pub(super) fn of(entries: &DenseMap<K, State<V>>) -> Self {
        let mut pending = Pending::default();
        for (key, state) in entries.iter() {
            match state {
                State::InSync(_) => {}
                State::Stale { have } => pending.leftovers.insert(key.clone(), have, Why::Wish),
                State::Missing { .. } | State::Wrong { .. } => {
                    pending.puts.insert(key.clone(), Why::Wish);
                }
            }
        }
        pending
    }

    /// The entry `key`, in this state, is due.
    pub(super) fn insert(&mut self, key: K, state: &State<V>, why: Why) {
        match state {
            State::InSync(_) => {}
            State::Stale { have } => {
                self.remove(&key, state);
                let removals = match why.may_be_wanted() {
                    true => &mut self.leftovers,
                    false => &mut self.removals,
                };
                removals.insert(key, have, why);
            }
            State::Missing { .. } | State::Wrong { .. } => drop(self.puts.insert(key, why)),
        }
    }

    /// The entry `key`, in this state, is not due; says why it was.
    pub(super) fn remove(&mut self, key: &K, state: &State<V>) -> Option<Why> {
        match state {
            State::InSync(_) => None,
            State::Stale { have } => {
                let why = self.leftovers.remove(key, have);
                why.or_else(|| self.removals.remove(key, have))
            }
            State::Missing { .. } | State::Wrong { .. } => self.puts.remove(key),
        }
    }

    /// Whether the entry `key`, in this state, is due.
    pub(super) fn contains(&self, key: &K, state: &State<V>) -> bool {
        match state {
            State::InSync(_) => false,
            State::Stale { have } => {
                self.leftovers.contains(key, have) || self.removals.contains(key, have)
            }
            State::Missing { .. } | State::Wrong { .. } => self.puts.contains_key(key),
        }
    }

    /// What is to be put, in order.
    pub(super) fn puts(&self) -> impl Iterator<Item = &K> {
        self.puts.keys()
    }

    /// What is to be removed, by what is there, unless it may be wanted still and somebody `keeps` it.
    pub(super) fn removals(
        &self,
        keeps: impl Fn(&V) -> bool,
    ) -> impl Iterator<Item = (&V, impl Iterator<Item = &K>)> {
        let leftovers = self.leftovers.0.iter();
        let leftovers = leftovers.filter(move |(have, _)| !keeps(have));
        let all = self.removals.0.iter().chain(leftovers);
        all.map(|(have, keys)| (have, keys.keys()))
    }
}

impl<K: Ord + Clone, V: Ord + Clone> Removals<K, V> {
    fn insert(&mut self, key: K, have: &V, why: Why) {
        match self.0.get_mut(have) {
            Some(keys) => drop(keys.insert(key, why)),
            None => {
                let keys = DenseMap::from_iter([(key, why)]);
                self.0.insert(have.clone(), keys);
            }
        }
    }

    fn remove(&mut self, key: &K, have: &V) -> Option<Why> {
        let keys = self.0.get_mut(have)?;
        let why = keys.remove(key);
        if keys.is_empty() {
            self.0.remove(have);
        }
        why
    }

    fn contains(&self, key: &K, have: &V) -> bool {
        self.0.get(have).is_some_and(|keys| keys.contains_key(key))
    }
}
