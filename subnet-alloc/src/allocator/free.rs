//! The free blocks of a pool, without walking the pool.

use crate::family::Prefix;
use crate::pool::Pool;

/// The free blocks of a pool by number, as the gaps between sorted intervals of taken ones.
///
/// ```text
/// number   0 1 2 3 4 5 6 7
/// taken      [---]   [-]       -> [1, 3], [5, 5] and count = 8 - 4
/// ```
pub(super) struct FreeBlocks {
    taken: Vec<(u128, u128)>,
    blocks: u128,
    pub(super) count: u128,
}

impl FreeBlocks {
    pub(super) fn new<N: Prefix>(pool: &Pool<N>, taken: impl Iterator<Item = N>) -> FreeBlocks {
        let (first, last) = (pool.min.first(), pool.max.last());
        let mut intervals: Vec<_> = taken
            .filter(|part| part.first() <= last && part.last() >= first)
            .map(|part| {
                (
                    pool.index(part.first().max(first)),
                    pool.index(part.last().min(last)),
                )
            })
            .collect();
        intervals.sort_unstable();
        intervals.dedup_by(|next, kept| {
            let overlap = next.0 <= kept.1;
            if overlap {
                kept.1 = kept.1.max(next.1);
            }
            overlap
        });
        let used: u128 = intervals.iter().map(|(from, to)| to - from + 1).sum();
        let blocks = pool.blocks();
        FreeBlocks {
            taken: intervals,
            blocks,
            count: blocks - used,
        }
    }

    pub(super) fn contains(&self, index: u128) -> bool {
        let after = self.taken.partition_point(|(from, _)| *from <= index);
        let before = after.checked_sub(1).map(|at| self.taken[at]);
        index < self.blocks && before.is_none_or(|(_, to)| to < index)
    }

    /// The number of the free block that has `rank` free ones before it.
    pub(super) fn nth(&self, rank: u128) -> Option<u128> {
        if rank >= self.count {
            return None;
        }
        let mut index = rank;
        for (from, to) in &self.taken {
            if index < *from {
                break;
            }
            index += to - from + 1;
        }
        Some(index)
    }
}
