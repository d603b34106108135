//! Which entries of a table are to be put right, and why.

use std::collections::BTreeMap;

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
}

/// Keys of entries that are due. Stale ones are sorted by what is there, so that
/// hundreds of thousands that stay for the time being are passed over at once.
#[derive(Clone, Debug)]
pub(super) struct Pending<K, V> {
    puts: BTreeMap<K, Why>,
    removals: BTreeMap<V, BTreeMap<K, Why>>,
}

impl<K, V> Default for Pending<K, V> {
    fn default() -> Self {
        Pending {
            puts: BTreeMap::new(),
            removals: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone, V: Ord + Clone> Pending<K, V> {
    /// All of these entries that are not as wanted.
    pub(super) fn of(entries: &BTreeMap<K, State<V>>, why: Why) -> Self {
        let mut stale: BTreeMap<&V, Vec<(K, Why)>> = BTreeMap::new();
        let mut puts = Vec::new();
        for (key, state) in entries {
            match state {
                State::InSync(_) => {}
                State::Stale { have } => stale.entry(have).or_default().push((key.clone(), why)),
                State::Missing { .. } | State::Wrong { .. } => puts.push((key.clone(), why)),
            }
        }
        let by_value = |(have, keys): (&V, Vec<_>)| (have.clone(), keys.into_iter().collect());
        Pending {
            puts: puts.into_iter().collect(),
            removals: stale.into_iter().map(by_value).collect(),
        }
    }

    /// The entry `key`, in this state, is due.
    pub(super) fn insert(&mut self, key: K, state: &State<V>, why: Why) {
        match state {
            State::InSync(_) => {}
            State::Stale { have } => match self.removals.get_mut(have) {
                Some(keys) => drop(keys.insert(key, why)),
                None => drop(
                    self.removals
                        .insert(have.clone(), BTreeMap::from([(key, why)])),
                ),
            },
            State::Missing { .. } | State::Wrong { .. } => drop(self.puts.insert(key, why)),
        }
    }

    /// The entry `key`, in this state, is not due; says why it was.
    pub(super) fn remove(&mut self, key: &K, state: &State<V>) -> Option<Why> {
        match state {
            State::InSync(_) => None,
            State::Stale { have } => {
                let keys = self.removals.get_mut(have)?;
                let why = keys.remove(key);
                if keys.is_empty() {
                    self.removals.remove(have);
                }
                why
            }
            State::Missing { .. } | State::Wrong { .. } => self.puts.remove(key),
        }
    }

    /// Whether the entry `key`, in this state, is due.
    pub(super) fn contains(&self, key: &K, state: &State<V>) -> bool {
        match state {
            State::InSync(_) => false,
            State::Stale { have } => self
                .removals
                .get(have)
                .is_some_and(|keys| keys.contains_key(key)),
            State::Missing { .. } | State::Wrong { .. } => self.puts.contains_key(key),
        }
    }

    /// What is to be put, in order.
    pub(super) fn puts(&self) -> impl Iterator<Item = &K> {
        self.puts.keys()
    }

    /// What is to be removed, by what is there.
    pub(super) fn removals(&self) -> impl Iterator<Item = (&V, impl Iterator<Item = &K>)> {
        self.removals.iter().map(|(have, keys)| (have, keys.keys()))
    }
}
