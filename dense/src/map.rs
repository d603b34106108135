//! The map.

use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};

use crate::leaf::{Leaf, Most};

/// An ordered map. Keys are unique; a later value takes the place of an earlier one.
#[derive(Clone, Debug)]
pub struct DenseMap<K, V> {
    /// All keys of a leaf are at least this, and less than the next one. The first leaf takes what is less than all.
    lowest: Vec<K>,
    /// None of them is empty.
    leaves: Vec<Leaf<K, V>>,
    len: usize,
    /// Leaf, and place in it, of what was looked for last: who goes through keys in order finds the next one there or right
    /// behind it. A wrong one costs two comparisons.
    last: Cell<(usize, usize)>,
}

/// Where a key is, or would be. Good until the map changes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    leaf: usize,
    at: usize,
    found: bool,
}

impl<K, V> Default for DenseMap<K, V> {
    fn default() -> Self {
        DenseMap {
            lowest: Vec::new(),
            leaves: Vec::new(),
            len: 0,
            last: Cell::default(),
        }
    }
}

impl<K: Ord + Clone, V> DenseMap<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where `key` is, or would be.
    pub fn find(&self, key: &K) -> Place {
        let place = self.find_near(key).unwrap_or_else(|| self.search(key));
        self.last.set((place.leaf, place.at));
        place
    }

    /// The place of `key` if it is that of the last one or the next.
    fn find_near(&self, key: &K) -> Option<Place> {
        let (leaf, last) = self.last.get();
        let keys = &self.leaves.get(leaf)?.keys;
        let is_behind = |at: usize| at.checked_sub(1).is_some_and(|at| keys[at] < *key);
        let order = |at: usize| keys.get(at).map(|there| there.cmp(key));
        let (at, order) = match order(last) {
            Some(Ordering::Less) => (last + 1, order(last + 1)),
            Some(Ordering::Equal) => (last, Some(Ordering::Equal)),
            order if last <= keys.len() && is_behind(last) => (last, order),
            _ => return None,
        };
        let found = match order {
            Some(Ordering::Less) => return None,
            Some(order) => order == Ordering::Equal,
            // Behind the last leaf, that is where it would be.
            None if leaf + 1 == self.leaves.len() => false,
            None => return None,
        };
        Some(Place { leaf, at, found })
    }

    fn search(&self, key: &K) -> Place {
        let leaf = self.lowest.partition_point(|lowest| lowest <= key);
        let leaf = leaf.saturating_sub(1);
        let found = self
            .leaves
            .get(leaf)
            .map_or(Err(0), |leaf| leaf.keys.binary_search(key));
        let (Ok(at) | Err(at)) = found;
        Place {
            leaf,
            at,
            found: found.is_ok(),
        }
    }

    /// What is at a place.
    pub fn at(&self, place: Place) -> Option<&V> {
        let leaf = self.leaves.get(place.leaf).filter(|_| place.found)?;
        leaf.values.get(place.at)
    }

    /// What is at a place, to change.
    pub fn at_mut(&mut self, place: Place) -> Option<&mut V> {
        let leaf = self.leaves.get_mut(place.leaf).filter(|_| place.found)?;
        leaf.values.get_mut(place.at)
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.at(self.find(key))
    }

    /// Whether there is an entry for `key`.
    pub fn contains_key(&self, key: &K) -> bool {
        self.find(key).found
    }

    /// Puts a value under `key`; what was there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.put(self.find(&key), key, value)
    }

    /// Puts a value under `key`, whose place this is; what was there before.
    pub fn put(&mut self, place: Place, key: K, value: V) -> Option<V> {
        let Place { leaf, at, found } = place;
        if found {
            return Some(std::mem::replace(&mut self.leaves[leaf].values[at], value));
        }
        self.len += 1;
        let most = self.most();
        match self.leaves.get_mut(leaf) {
            None => self.add_leaf(0, Leaf::of(key, value)),
            Some(there) if !there.is_full(most) => there.insert(at, key, value, most),
            // What grows in order stays full.
            Some(there) if at == there.len() => {
                self.add_leaf(leaf + 1, Leaf::beginning(key, value, most));
            }
            Some(there) => {
                let mut second = there.split();
                match at.checked_sub(there.len()) {
                    Some(at) if at > 0 => second.insert(at, key, value, most),
                    _ => there.insert(at, key, value, most),
                }
                self.add_leaf(leaf + 1, second);
            }
        }
        None
    }

    /// Takes out the entry of `key`.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.take(self.find(key))
    }

    /// Takes out what is at a place.
    pub fn take(&mut self, place: Place) -> Option<V> {
        let leaf = self.leaves.get_mut(place.leaf).filter(|_| place.found)?;
        let (_, value) = leaf.remove(place.at);
        self.len -= 1;
        self.tidy(place.leaf);
        Some(value)
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> + Clone {
        self.beginning_at(0, 0)
    }

    /// All keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> + Clone {
        self.leaves.iter().flat_map(|leaf| &leaf.keys)
    }

    /// All values in order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> + Clone {
        self.leaves.iter().flat_map(|leaf| &leaf.values)
    }

    /// The entries of these keys in order.
    pub fn range(&self, keys: impl RangeBounds<K>) -> impl Iterator<Item = (&K, &V)> {
        let begin = match keys.start_bound() {
            Bound::Unbounded => (0, 0),
            Bound::Included(key) => {
                let place = self.find(key);
                (place.leaf, place.at)
            }
            Bound::Excluded(key) => {
                let place = self.find(key);
                (place.leaf, place.at + usize::from(place.found))
            }
        };
        let entries = self.beginning_at(begin.0, begin.1);
        entries.take_while(move |(key, _)| match keys.end_bound() {
            Bound::Unbounded => true,
            Bound::Included(end) => *key <= end,
            Bound::Excluded(end) => *key < end,
        })
    }

    /// Keeps the entries for which `keeps` says so, and passes over all in order.
    pub fn retain(&mut self, mut keeps: impl FnMut(&K, &mut V) -> bool) {
        for leaf in &mut self.leaves {
            leaf.retain(&mut keeps);
        }
        let leaves = &self.leaves;
        let mut at = 0;
        self.lowest.retain(|_| {
            at += 1;
            leaves[at - 1].len() > 0
        });
        self.leaves.retain(|leaf| leaf.len() > 0);
        self.len = self.leaves.iter().map(Leaf::len).sum();
    }

    fn beginning_at(&self, leaf: usize, at: usize) -> impl Iterator<Item = (&K, &V)> + Clone {
        let leaves = self.leaves.get(leaf..).unwrap_or_default();
        leaves.iter().enumerate().flat_map(move |(number, leaf)| {
            let from = if number == 0 { at } else { 0 };
            leaf.keys[from..].iter().zip(&leaf.values[from..])
        })
    }

    fn most(&self) -> Most {
        Most::of(self.leaves.len())
    }

    fn add_leaf(&mut self, at: usize, leaf: Leaf<K, V>) {
        self.lowest.insert(at, leaf.keys[0].clone());
        self.leaves.insert(at, leaf);
    }

    /// A leaf has lost an entry: an empty one goes, and one that is nearly empty is joined with one beside it.
    fn tidy(&mut self, leaf: usize) {
        if self.leaves[leaf].len() == 0 {
            self.leaves.remove(leaf);
            self.lowest.remove(leaf);
        } else if self.leaves[leaf].is_few(self.most()) {
            self.join(leaf);
            if let Some(before) = leaf.checked_sub(1) {
                self.join(before);
            }
        }
        if self.leaves.is_empty() {
            *self = DenseMap::default();
        }
    }

    /// Joins a leaf with the next one if both together are far from full.
    fn join(&mut self, leaf: usize) {
        if let Some(next) = self.leaves.get(leaf + 1)
            && self.leaves[leaf].can_join(next, self.most())
        {
            self.lowest.remove(leaf + 1);
            let next = self.leaves.remove(leaf + 1);
            self.leaves[leaf].join(next);
        }
    }
}

impl<K: Ord + Clone, V> FromIterator<(K, V)> for DenseMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = DenseMap::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K, V> DenseMap<K, V> {
    /// All entries in order, by value.
    pub fn into_entries(self) -> impl Iterator<Item = (K, V)> {
        let leaves = self.leaves.into_iter();
        leaves.flat_map(|leaf| leaf.keys.into_iter().zip(leaf.values))
    }
}

#[cfg(test)]
mod tests;
