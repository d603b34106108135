//! Picking a block that nobody holds, of those that have been free for longest.

use ipnetwork::{Ipv4Network, Ipv6Network};

use crate::block::{BadBlock, Block};
use crate::config::NetworkConfig;
use crate::family::Prefix;
use crate::lease::Revision;
use crate::pool::Pool;

use super::free::FreeBlocks;
use super::{AllocError, Knowledge};

/// Picks free parts, with what is taken known for each family.
pub(super) struct Choice<'a> {
    config: &'a NetworkConfig,
    taken: Vec<Block>,
    known: &'a Knowledge<'a>,
    random: &'a mut dyn FnMut() -> u64,
}

/// Why no block is picked.
pub(super) enum Stuck {
    /// There is none.
    Alloc(AllocError),
    /// A part has to be picked, and which have been used is not known.
    History,
}

/// Of the blocks that were used and are free, one of this many that have been free for longest is taken, by chance:
/// nodes that claim at once must not all want the same one. Doubled with each lost race.
const LONGEST_FREE: usize = 8;

impl<'a> Choice<'a> {
    pub(super) fn new(
        config: &'a NetworkConfig,
        taken: impl Iterator<Item = Block>,
        known: &'a Knowledge<'a>,
        random: &'a mut dyn FnMut() -> u64,
    ) -> Self {
        let taken = taken.filter(|block| !holds_a_pool(config, block)).collect();
        Choice {
            config,
            taken,
            known,
            random,
        }
    }

    /// A block that keeps the parts of `old` which fit and are free, if there is such a part.
    pub(super) fn extend(&mut self, old: &Block) -> Result<Option<Block>, Stuck> {
        let v4 = old.v4().filter(|part| self.can_have_v4(*part));
        let v6 = old.v6().filter(|part| self.can_have_v6(*part));
        if v4.is_none() && v6.is_none() {
            return Ok(None);
        }
        self.complete(v4, v6).map(Some)
    }

    /// A block that is free in every enabled family: what the node of this name had last, if it can have that.
    pub(super) fn free(&mut self, node: Option<&str>) -> Result<Block, Stuck> {
        let history = self.known.history.ok_or(Stuck::History)?;
        let its = node.map(|node| history.by(node)).unwrap_or_default();
        let mut v4 = its.iter().filter_map(|used| used.block.v4());
        let mut v6 = its.iter().filter_map(|used| used.block.v6());
        let v4 = v4.find(|part| self.can_have_v4(*part));
        let v6 = v6.find(|part| self.can_have_v6(*part));
        self.complete(v4, v6)
    }

    fn can_have_v4(&self, part: Ipv4Network) -> bool {
        let fits = self.config.v4.is_some_and(|pool| pool.fits(part).is_ok());
        fits && self.is_free(Block::new(Some(part), None))
    }

    fn can_have_v6(&self, part: Ipv6Network) -> bool {
        let fits = self.config.v6.is_some_and(|pool| pool.fits(part).is_ok());
        fits && self.is_free(Block::new(None, Some(part)))
    }

    fn is_free(&self, part: Result<Block, BadBlock>) -> bool {
        part.is_ok_and(|part| !self.taken.iter().any(|taken| taken.overlaps(&part)))
    }

    /// Fills the parts that are still missing. The second family prefers the block with the same number as the first
    /// one's: 10.244.60.0/24 goes with fd00:244:0:3c::/64. People can read that, and nodes which start at once and
    /// differ in one family then differ in both.
    fn complete(
        &mut self,
        v4: Option<Ipv4Network>,
        v6: Option<Ipv6Network>,
    ) -> Result<Block, Stuck> {
        let config = self.config;
        let v4 = match (config.v4, v4) {
            (Some(pool), None) => {
                Some(self.pick(&pool, Block::v4, number(config.v6.as_ref(), v6))?)
            }
            (_, kept) => kept,
        };
        let v6 = match (config.v6, v6) {
            (Some(pool), None) => {
                Some(self.pick(&pool, Block::v6, number(config.v4.as_ref(), v4))?)
            }
            (_, kept) => kept,
        };
        Block::new(v4, v6).map_err(|_| Stuck::Alloc(AllocError::NoFamily))
    }

    /// One that nobody has ever had; when there is none, one of those that have been free for longest.
    fn pick<N: Prefix>(
        &mut self,
        pool: &Pool<N>,
        part: impl Fn(&Block) -> Option<N> + Copy,
        wish: Option<u128>,
    ) -> Result<N, Stuck> {
        let used = self.known.history.ok_or(Stuck::History)?.of(pool, part);
        let number = self.number();
        let held = self.taken.iter().filter_map(part);
        let used_parts = used.iter().map(|(index, _)| pool.block(*index));
        let unused = FreeBlocks::new(pool, held.clone().chain(used_parts));
        if let Some(index) = wish.filter(|index| unused.contains(*index)) {
            return Ok(pool.block(index));
        }
        if let Some(rank) = number.checked_rem(unused.count) {
            let index = unused.nth(rank).unwrap_or_default();
            return Ok(pool.block(index));
        }
        let free = FreeBlocks::new(pool, held);
        let is_free = |(index, _): &(u128, Revision)| free.contains(*index);
        let longest = longest_free(used.into_iter().filter(is_free).collect(), self.window());
        let wished = wish.filter(|index| longest.contains(index));
        let rank = number
            .checked_rem(longest.len() as u128)
            .unwrap_or_default();
        let by_chance = || {
            longest
                .get(usize::try_from(rank).unwrap_or_default())
                .copied()
        };
        let index = wished.or_else(by_chance);
        index
            .map(|index| pool.block(index))
            .ok_or_else(|| Stuck::Alloc(exhausted(pool)))
    }

    fn number(&mut self) -> u128 {
        let high = u128::from((self.random)());
        high << 64 | u128::from((self.random)())
    }

    fn window(&self) -> usize {
        LONGEST_FREE << self.known.losses.min(20)
    }
}

/// The numbers of the `count` blocks with the oldest records.
fn longest_free(mut free: Vec<(u128, Revision)>, count: usize) -> Vec<u128> {
    free.sort_unstable_by_key(|(index, revision)| (*revision, *index));
    free.truncate(count);
    free.into_iter().map(|(index, _)| index).collect()
}

/// A block that holds all of a pool is no node's, and must not keep every node from getting one.
fn holds_a_pool(config: &NetworkConfig, block: &Block) -> bool {
    let holds_v4 = |(pool, part): (Pool<Ipv4Network>, Ipv4Network)| covers(&pool, part);
    let holds_v6 = |(pool, part): (Pool<Ipv6Network>, Ipv6Network)| covers(&pool, part);
    config.v4.zip(block.v4()).is_some_and(holds_v4)
        || config.v6.zip(block.v6()).is_some_and(holds_v6)
}

fn covers<N: Prefix>(pool: &Pool<N>, part: N) -> bool {
    part.first() <= pool.network.first() && pool.network.last() <= part.last()
}

fn number<N: Prefix>(pool: Option<&Pool<N>>, part: Option<N>) -> Option<u128> {
    pool.zip(part).map(|(pool, part)| pool.index(part.first()))
}

fn exhausted<N: Prefix>(pool: &Pool<N>) -> AllocError {
    AllocError::PoolExhausted {
        family: N::FAMILY,
        pool: pool.network.to_string(),
        len: pool.block_len,
        blocks: pool.blocks(),
    }
}
