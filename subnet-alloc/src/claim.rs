//! Getting a block: decide, try, learn from a lost race, decide again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::allocator::{AllocError, Decision, Identity, Knowledge, Question, Step, decide};
use crate::block::Block;
use crate::config::NetworkConfig;
use crate::history::History;
use crate::holders::Holders;
use crate::lease::{Hold, Lease, LeaseAttrs};
use crate::life::Life;
use crate::store::{Claim, LeaseStore, Listing, Publish, Renewal, Replace, StoreError, serves};

/// Who wants a block, and what it wants to be known about it.
#[derive(Debug, Clone)]
pub struct Claimant<'a> {
    /// The network config.
    pub config: &'a NetworkConfig,
    /// By what the node recognises its own lease.
    pub identity: Identity,
    /// What it publishes with its block.
    pub attrs: LeaseAttrs,
    /// How long the lease lives when it is not renewed.
    pub ttl: Duration,
}

impl Claimant<'_> {
    /// Who holds what, as this listing has it.
    pub fn holders(&self, listing: &Listing) -> Holders {
        let mut holders = Holders::seen_by(&self.identity);
        holders.take_in(listing);
        holders
    }
}

/// A block that is ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Acquired {
    /// The own lease as it stands in the store.
    pub lease: Lease,
    /// How it came to us.
    pub how: How,
    /// Blocks that are held, the own one among them.
    pub held: usize,
    /// Own leases that the config no longer gives out; they are left to expire.
    pub unfit: Vec<Lease>,
    /// Races for a block that another node won.
    pub losses: u32,
}

/// How a node came to its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It had it, with these very attributes: nothing was written.
    Kept,
    /// It had it, and published its attributes again.
    Published,
    /// It had one family's part and kept that.
    Extended,
    /// It claimed a free block.
    Claimed,
}

/// Why no block could be acquired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcquireError {
    /// There is none, or another machine has this one's address or name.
    #[error(transparent)]
    Alloc(#[from] AllocError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others were faster every time.
    #[error("no block after {attempts} attempts: other nodes took each one first; try again")]
    Contended {
        /// Attempts made.
        attempts: u32,
    },
}

/// Attempts before giving up; each one that fails means that another node has succeeded.
const ATTEMPTS: u32 = 1000;
/// Lost races after which everything is listed again: cheaper than learning one block at a time.
const LOSSES_PER_LISTING: u32 = 8;

/// Gets the node its block: keeps the lease that it has, or takes one as [`decide`] says. Nodes that do this at the
/// same time get distinct blocks as long as there are any.
///
/// A node that restarts writes nothing, so that nobody else has to do anything.
pub async fn acquire<S: LeaseStore>(
    store: &S,
    claimant: &Claimant<'_>,
    holders: Holders,
    random: &mut (dyn FnMut() -> u64 + Send),
) -> Result<Acquired, AcquireError> {
    let mut attempt = Attempt::new(store, claimant, holders);
    for _ in 0..ATTEMPTS {
        let decision = match attempt.decide(random).await {
            Err(AcquireError::Alloc(AllocError::PoolExhausted { .. })) if attempt.is_stale => {
                attempt.list_again().await?;
                continue;
            }
            decision => decision?,
        };
        match attempt.take(decision.step).await? {
            Outcome::Ours(lease, how) => return Ok(attempt.end(lease, how, decision.unfit)),
            Outcome::Taken(by) => attempt.learn(by).await?,
            Outcome::Lost(block) => {
                attempt.identity.wish = Some(block);
                attempt.list_again().await?;
            }
        }
    }
    Err(AcquireError::Contended { attempts: ATTEMPTS })
}

/// The lease that the node has, if it has one, as [`acquire`] would find it; one that the config no longer gives out
/// counts. Writes nothing.
pub async fn own_lease<S: LeaseStore>(
    store: &S,
    claimant: &Claimant<'_>,
    holders: Holders,
) -> Result<Option<Lease>, AcquireError> {
    let mut attempt = Attempt::new(store, claimant, holders);
    // What it would claim does not matter.
    attempt.history = Some(History::default());
    let decision = match attempt.decide(&mut || 0).await {
        Err(AcquireError::Alloc(AllocError::PoolExhausted { .. })) => return Ok(None),
        decision => decision?,
    };
    let unfit = decision.unfit.into_iter().next();
    Ok(match decision.step {
        Step::Keep(lease) | Step::Extend { from: lease, .. } => Some(lease),
        Step::Claim(_) | Step::Ask(_) => unfit,
    })
}

struct Attempt<'a, S> {
    store: &'a S,
    claimant: &'a Claimant<'a>,
    identity: Identity,
    holders: Holders,
    history: Option<History>,
    lives: BTreeMap<Block, Life>,
    /// Whether a race was lost since the listing: blocks may have become free as well.
    is_stale: bool,
    losses: u32,
}

const ANSWERED: &str = "`Attempt::decide` answers every question";

enum Outcome {
    Ours(Lease, How),
    Taken(Lease),
    /// The own lease was changed or deleted meanwhile.
    Lost(Block),
}

impl<'a, S: LeaseStore> Attempt<'a, S> {
    fn new(store: &'a S, claimant: &'a Claimant<'a>, holders: Holders) -> Self {
        Attempt {
            store,
            claimant,
            identity: claimant.identity.clone(),
            holders,
            history: None,
            lives: BTreeMap::new(),
            is_stale: false,
            losses: 0,
        }
    }

    /// Decides, and finds out what that needs.
    async fn decide(
        &mut self,
        random: &mut (dyn FnMut() -> u64 + Send),
    ) -> Result<Decision, AcquireError> {
        loop {
            let known = Knowledge {
                held: &self.holders.blocks,
                akin: &self.holders.akin,
                history: self.history.as_ref(),
                lives: &self.lives,
                losses: self.losses,
            };
            let decision = decide(self.claimant.config, &self.identity, &known, random)?;
            match decision.step {
                Step::Ask(Question::History) => self.history = Some(self.store.history().await?),
                Step::Ask(Question::Life(lease)) => {
                    let life = self.store.life(&lease).await?;
                    self.lives.insert(lease.block, life);
                }
                _ => return Ok(decision),
            }
        }
    }

    async fn take(&self, step: Step) -> Result<Outcome, StoreError> {
        let Claimant { attrs, ttl, .. } = self.claimant;
        match step {
            Step::Keep(lease) => self.keep(lease).await,
            Step::Extend { from, to } => {
                Ok(match self.store.replace(&from, &to, attrs, *ttl).await? {
                    Replace::Done(lease) => Outcome::Ours(lease, How::Extended),
                    Replace::Taken(by) => Outcome::Taken(by),
                    Replace::Lost => Outcome::Lost(from.block),
                })
            }
            Step::Ask(_) => unreachable!("{ANSWERED}"),
            Step::Claim(block) => Ok(match self.store.claim(&block, attrs, *ttl).await? {
                Claim::Won(lease) => Outcome::Ours(lease, How::Claimed),
                Claim::Taken(by) => Outcome::Taken(by),
            }),
        }
    }

    async fn keep(&self, lease: Lease) -> Result<Outcome, StoreError> {
        let Claimant { attrs, ttl, .. } = self.claimant;
        if lease.attrs == *attrs && self.lives_on(&lease).await? {
            return Ok(Outcome::Ours(lease, How::Kept));
        }
        Ok(match self.store.publish(&lease, attrs, *ttl).await? {
            Publish::Done(lease) => Outcome::Ours(lease, How::Published),
            Publish::Lost { .. } => Outcome::Lost(lease.block),
        })
    }

    /// Whether the store lease under the key serves as it is, after one renewal.
    async fn lives_on(&self, lease: &Lease) -> Result<bool, StoreError> {
        let ttl = self.claimant.ttl;
        let renewal = self.store.renew(lease, ttl).await?;
        Ok(match renewal {
            Renewal::Alive { ttl: granted } => lease.hold == Hold::Reserved || serves(granted, ttl),
            Renewal::Gone => false,
        })
    }

    async fn learn(&mut self, winner: Lease) -> Result<(), StoreError> {
        self.losses += 1;
        self.is_stale = true;
        if self.losses.is_multiple_of(LOSSES_PER_LISTING) {
            return self.list_again().await;
        }
        self.holders.put(&winner);
        Ok(())
    }

    async fn list_again(&mut self) -> Result<(), StoreError> {
        self.holders = Holders::read(self.store, &self.claimant.identity).await?;
        // Older than the listing, it would show what was given up in between as never used.
        self.history = None;
        self.lives.clear();
        self.is_stale = false;
        Ok(())
    }

    fn end(mut self, lease: Lease, how: How, unfit: Vec<Lease>) -> Acquired {
        self.holders.put(&lease);
        Acquired {
            lease,
            how,
            held: self.holders.blocks.len(),
            unfit,
            losses: self.losses,
        }
    }
}
