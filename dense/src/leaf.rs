//! A run of entries in order.

/// How many entries a leaf may have. A new entry in the middle moves half of its leaf, and a new leaf half of all leaves:
/// so the leaves grow with their number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most(usize);

impl Most {
    pub(crate) fn of(leaves: usize) -> Most {
        Most(leaves.clamp(64, 256))
    }
}

/// A leaf that is half full gets room for so many at least: each step moves all of it.
const STEP: usize = 16;

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

    /// One that others will follow in order: growing bit by bit would take as long as filling it.
    pub(crate) fn beginning(key: K, value: V, Most(most): Most) -> Leaf<K, V> {
        let (mut keys, mut values) = (Vec::with_capacity(most), Vec::with_capacity(most));
        keys.push(key);
        values.push(value);
        Leaf { keys, values }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_full(&self, Most(most): Most) -> bool {
        self.len() >= most
    }

    pub(crate) fn insert(&mut self, at: usize, key: K, value: V, Most(most): Most) {
        if self.keys.len() == self.keys.capacity() {
            // Doubling would leave a quarter of all memory unused.
            let more = match self.len() {
                few if few < most / 2 => (few / 4).max(3),
                many => (many / 4).max(STEP).min(most.saturating_sub(many)).max(1),
            };
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

    /// Its second half. Both halves have room for some more.
    pub(crate) fn split(&mut self) -> Leaf<K, V> {
        let half = self.len() / 2;
        let room = half + STEP;
        let (mut keys, mut values) = (Vec::with_capacity(room), Vec::with_capacity(room));
        keys.extend(self.keys.drain(half..));
        values.extend(self.values.drain(half..));
        self.keys.shrink_to(room);
        self.values.shrink_to(room);
        Leaf { keys, values }
    }

    /// Gives back what it does not need any more.
    pub(crate) fn shrink(&mut self) {
        if self.len() < self.keys.capacity() / 2 {
            let room = self.len() + self.len() / 4;
            self.keys.shrink_to(room);
            self.values.shrink_to(room);
        }
    }

    /// Whether it is to be joined with one beside it, if both together are far from full.
    pub(crate) fn is_few(&self, Most(most): Most) -> bool {
        self.len() < most / 8
    }

    pub(crate) fn can_join(&self, next: &Leaf<K, V>, Most(most): Most) -> bool {
        self.len() + next.len() <= most / 2
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
