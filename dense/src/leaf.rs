//! A run of entries in order.

/// The most entries of a leaf: a new one in the middle moves some kilobytes at most.
pub(crate) const MOST: usize = 256;
/// A leaf with fewer is joined with one beside it if both together are far from full.
const FEW: usize = MOST / 8;
const FAR_FROM_FULL: usize = MOST / 2;

#[derive(Clone, Debug)]
pub(crate) struct Leaf<K, V> {
    pub(crate) keys: Vec<K>,
    pub(crate) values: Vec<V>,
}

impl<K: Ord, V> Leaf<K, V> {
    pub(crate) fn of(key: K, value: V) -> Leaf<K, V> {
        Leaf {
            keys: vec![key],
            values: vec![value],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= MOST
    }

    pub(crate) fn insert(&mut self, at: usize, key: K, value: V) {
        if self.keys.len() == self.keys.capacity() {
            // Doubling would leave a quarter of all memory unused.
            let more = (self.len() / 4).max(3).min(MOST - self.len());
            self.keys.reserve_exact(more);
            self.values.reserve_exact(more);
        }
        self.keys.insert(at, key);
        self.values.insert(at, value);
    }

    pub(crate) fn remove(&mut self, at: usize) -> (K, V) {
        let removed = (self.keys.remove(at), self.values.remove(at));
        self.shrink();
        removed
    }

    /// Its second half.
    pub(crate) fn split(&mut self) -> Leaf<K, V> {
        let half = self.len() / 2;
        let second = Leaf {
            keys: self.keys.split_off(half),
            values: self.values.split_off(half),
        };
        self.keys.shrink_to_fit();
        self.values.shrink_to_fit();
        second
    }

    /// Gives back what it does not need any more.
    pub(crate) fn shrink(&mut self) {
        if self.len() < self.keys.capacity() / 2 {
            let room = self.len() + self.len() / 4;
            self.keys.shrink_to(room);
            self.values.shrink_to(room);
        }
    }

    pub(crate) fn is_few(&self) -> bool {
        self.len() < FEW
    }

    pub(crate) fn can_join(&self, next: &Leaf<K, V>) -> bool {
        self.len() + next.len() <= FAR_FROM_FULL
    }

    pub(crate) fn join(&mut self, mut next: Leaf<K, V>) {
        self.keys.append(&mut next.keys);
        self.values.append(&mut next.values);
    }

    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&K, &mut V) -> bool) {
        let mut kept = Vec::with_capacity(self.len());
        let keys = &self.keys;
        let mut at = 0;
        self.values.retain_mut(|value| {
            kept.push(keeps(&keys[at], value));
            at += 1;
            kept[at - 1]
        });
        let mut kept = kept.into_iter();
        self.keys.retain(|_| kept.next().unwrap_or(true));
        self.shrink();
    }
}
