//! Which block a node should hold: a pure decision from the config, the node's identity and all leases.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::block::Block;
use crate::config::NetworkConfig;
use crate::family::{Family, Prefix};
use crate::lease::{Hold, Lease, LeaseAttrs};
use crate::pool::Pool;

/// By what a node recognises its own lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The underlay address that it publishes over IPv4.
    pub underlay_v4: Option<Ipv4Addr>,
    /// The same over IPv6.
    pub underlay_v6: Option<Ipv6Addr>,
    /// A name that no other node has: it finds the lease again when the address has changed.
    pub node: Option<String>,
    /// The block of the previous `subnet.env`: taken again when nobody holds it.
    pub previous: Option<Block>,
}

/// What a node should do to have its block.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The one thing to do.
    pub step: Step,
    /// Leases of this node that the config no longer gives out; they are left to expire.
    pub unfit: Vec<Lease>,
}

/// The one thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It has this lease.
    Keep(Lease),
    /// It has a lease of which one family fits: keep that part, change the other. So IPv6 enabled later keeps the IPv4 block.
    Extend {
        /// The lease that it has.
        from: Lease,
        /// The block that it should have.
        to: Block,
    },
    /// It should claim this block, which nobody holds.
    Claim(Block),
}

/// Why no block can be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllocError {
    /// Every block of the pool is held or reserved.
    #[error(
        "no free {family} block of length {len} in {pool}: all {blocks} are leased or reserved; enlarge the network or delete leases of nodes that are gone"
    )]
    PoolExhausted {
        /// The family.
        family: Family,
        /// The pool's network.
        pool: String,
        /// The length of a block.
        len: u8,
        /// How many blocks the pool has.
        blocks: u128,
    },
    /// The config enables no family.
    #[error("the network config enables neither IPv4 nor IPv6")]
    NoFamily,
}

/// Decides: an own lease by underlay address, then by node name, then the previous block if nobody holds it, then any
/// free one by chance. Reservations for this node count as its own; nobody else's lease is ever overlapped.
///
/// `random` gives uniformly distributed numbers. Time is linear in the leases (and their sorting), whatever the size of the pool.
pub fn decide(
    config: &NetworkConfig,
    identity: &Identity,
    leases: &[Lease],
    random: &mut dyn FnMut() -> u64,
) -> Result<Decision, AllocError> {
    let own = own_leases(identity, leases);
    let fits = |lease: &Lease| config.fits(&lease.block).is_ok();
    let mut unfit: Vec<Lease> = own
        .iter()
        .filter(|l| !fits(l))
        .map(|&l| l.clone())
        .collect();
    if let Some(lease) = own.iter().find(|lease| fits(lease)) {
        let step = Step::Keep((*lease).clone());
        return Ok(Decision { step, unfit });
    }
    for from in own {
        let others = leases.iter().filter(|lease| lease.block != from.block);
        let mut choice = Choice::new(config, others.map(|lease| lease.block), random);
        if let Some(to) = choice.extend(&from.block)? {
            unfit.retain(|lease| lease.block != from.block);
            let from = from.clone();
            return Ok(Decision {
                step: Step::Extend { from, to },
                unfit,
            });
        }
    }
    let mut choice = Choice::new(config, leases.iter().map(|lease| lease.block), random);
    let previous = identity
        .previous
        .map(|block| choice.extend(&block))
        .transpose()?;
    let block = match previous.flatten() {
        Some(block) => block,
        None => choice.free()?,
    };
    Ok(Decision {
        step: Step::Claim(block),
        unfit,
    })
}

/// This node's leases, the one to prefer first: by underlay address before by name, the previous block before
/// others, reservations before leases.
fn own_leases<'a>(identity: &Identity, leases: &'a [Lease]) -> Vec<&'a Lease> {
    let mut own: Vec<_> = leases
        .iter()
        .filter_map(|lease| Some((recognise(identity, &lease.attrs)?, lease)))
        .collect();
    own.sort_by_key(|(by, lease)| {
        let other = identity.previous != Some(lease.block);
        (*by, other, lease.hold != Hold::Reserved, lease.block)
    });
    own.into_iter().map(|(_, lease)| lease).collect()
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RecognisedBy {
    Underlay,
    Name,
}

fn recognise(identity: &Identity, attrs: &LeaseAttrs) -> Option<RecognisedBy> {
    let same_v4 = attrs.underlay_v4.is_some() && attrs.underlay_v4 == identity.underlay_v4;
    let same_v6 = attrs.underlay_v6.is_some() && attrs.underlay_v6 == identity.underlay_v6;
    // flannel asks for IPv4 alone as soon as both sides have it.
    let v4_decides = attrs.underlay_v4.is_some() && identity.underlay_v4.is_some();
    if same_v4 || (same_v6 && !v4_decides) {
        Some(RecognisedBy::Underlay)
    } else if attrs.node.is_some() && attrs.node == identity.node {
        Some(RecognisedBy::Name)
    } else {
        None
    }
}

/// Picks free parts, with what is taken known for each family.
struct Choice<'a> {
    config: &'a NetworkConfig,
    taken: Vec<Block>,
    random: &'a mut dyn FnMut() -> u64,
}

impl<'a> Choice<'a> {
    fn new(
        config: &'a NetworkConfig,
        taken: impl Iterator<Item = Block>,
        random: &'a mut dyn FnMut() -> u64,
    ) -> Self {
        let taken = taken.collect();
        Choice {
            config,
            taken,
            random,
        }
    }

    /// A block that keeps the parts of `old` which fit and are free, if there is such a part.
    fn extend(&mut self, old: &Block) -> Result<Option<Block>, AllocError> {
        let v4 = self
            .config
            .v4
            .zip(old.v4())
            .filter(|(pool, part)| pool.fits(*part).is_ok());
        let v6 = self
            .config
            .v6
            .zip(old.v6())
            .filter(|(pool, part)| pool.fits(*part).is_ok());
        let v4 = v4
            .map(|(_, part)| part)
            .filter(|part| self.is_free(Block::new(Some(*part), None)));
        let v6 = v6
            .map(|(_, part)| part)
            .filter(|part| self.is_free(Block::new(None, Some(*part))));
        if v4.is_none() && v6.is_none() {
            return Ok(None);
        }
        self.complete(v4, v6).map(Some)
    }

    /// A block that is free in every enabled family.
    fn free(&mut self) -> Result<Block, AllocError> {
        self.complete(None, None)
    }

    /// Fills the parts that are still missing. The second family prefers the block with the same number as the first
    /// one's: 10.244.60.0/24 goes with fd00:244:0:3c::/64. People can read that, and nodes which start at once and
    /// differ in one family then differ in both.
    fn complete(
        &mut self,
        v4: Option<ipnetwork::Ipv4Network>,
        v6: Option<ipnetwork::Ipv6Network>,
    ) -> Result<Block, AllocError> {
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
        Block::new(v4, v6).map_err(|_| AllocError::NoFamily)
    }

    fn is_free(&self, part: Result<Block, crate::block::BadBlock>) -> bool {
        part.is_ok_and(|part| !self.taken.iter().any(|taken| taken.overlaps(&part)))
    }

    fn pick<N: Prefix>(
        &mut self,
        pool: &Pool<N>,
        part: impl Fn(&Block) -> Option<N>,
        wish: Option<u128>,
    ) -> Result<N, AllocError> {
        let free = FreeBlocks::new(pool, self.taken.iter().filter_map(part));
        if let Some(index) = wish.filter(|index| free.contains(*index)) {
            return Ok(pool.block(index));
        }
        let high = u128::from((self.random)());
        let number = high << 64 | u128::from((self.random)());
        let index = free.nth(number.checked_rem(free.count).unwrap_or(0));
        index
            .map(|index| pool.block(index))
            .ok_or_else(|| AllocError::PoolExhausted {
                family: N::FAMILY,
                pool: pool.network.to_string(),
                len: pool.block_len,
                blocks: pool.blocks(),
            })
    }
}

fn number<N: Prefix>(pool: Option<&Pool<N>>, part: Option<N>) -> Option<u128> {
    pool.zip(part).map(|(pool, part)| pool.index(part.first()))
}

/// The free blocks of a pool by number, as the gaps between sorted intervals of taken ones.
///
/// ```text
/// number   0 1 2 3 4 5 6 7
/// taken      [---]   [-]       -> [1, 3], [5, 5] and count = 8 - 4
/// ```
struct FreeBlocks {
    taken: Vec<(u128, u128)>,
    blocks: u128,
    count: u128,
}

impl FreeBlocks {
    fn new<N: Prefix>(pool: &Pool<N>, taken: impl Iterator<Item = N>) -> FreeBlocks {
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

    fn contains(&self, index: u128) -> bool {
        let after = self.taken.partition_point(|(from, _)| *from <= index);
        let before = after.checked_sub(1).map(|at| self.taken[at]);
        index < self.blocks && before.is_none_or(|(_, to)| to < index)
    }

    /// The number of the free block that has `rank` free ones before it.
    fn nth(&self, rank: u128) -> Option<u128> {
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

#[cfg(test)]
mod tests;
