//! Getting a block: decide, try, learn from a lost race, decide again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::allocator::{AllocError, Decision, Identity, Knowledge, Question, Step, decide};
use crate::block::Block;
use crate::config::NetworkConfig;
use crate::history::History;
use crate::lease::{Hold, Lease, LeaseAttrs, Revision};
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

/// A block that is ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Acquired {
    /// The own lease as it stands in the store.
    pub lease: Lease,
    /// How it came to us.
    pub how: How,
    /// All leases that are known, the own one among them.
    pub leases: Vec<Lease>,
    /// Watch after this revision to miss nothing; changes that `leases` already has may come again.
    pub revision: Revision,
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
    listing: Listing,
    random: &mut (dyn FnMut() -> u64 + Send),
) -> Result<Acquired, AcquireError> {
    let (acquired, ()) = acquire_while(store, claimant, listing, random, &mut |_, _| ()).await?;
    Ok(acquired)
}

/// All leases that are known, by reference.
pub type Leases<'a> = dyn Iterator<Item = &'a Lease> + 'a;

/// The same, with something to do meanwhile: `chosen` is called with each block that is tried and all leases that are known,
/// while the store is asked for it. What it made of the one that became ours is returned.
pub async fn acquire_while<S: LeaseStore, T: Send>(
    store: &S,
    claimant: &Claimant<'_>,
    listing: Listing,
    random: &mut (dyn FnMut() -> u64 + Send),
    chosen: &mut (dyn FnMut(Block, &mut Leases<'_>) -> T + Send),
) -> Result<(Acquired, T), AcquireError> {
    let mut attempt = Attempt::new(store, claimant, listing);
    for _ in 0..ATTEMPTS {
        let decision = match attempt.decide(random).await {
            Err(AcquireError::Alloc(AllocError::PoolExhausted { .. })) if attempt.is_stale => {
                attempt.list_again().await?;
                continue;
            }
            decision => decision?,
        };
        let block = decision.step.block();
        let (outcome, made) = tokio::join!(attempt.take(decision.step), async {
            // The question is on its way first.
            tokio::task::yield_now().await;
            chosen(block, &mut attempt.known.readable())
        });
        match outcome? {
            Outcome::Ours(lease, how) => {
                return Ok((attempt.end(lease, how, decision.unfit), made));
            }
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
    listing: Listing,
) -> Result<Option<Lease>, AcquireError> {
    let mut attempt = Attempt::new(store, claimant, listing);
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
    known: Known,
    history: Option<History>,
    lives: BTreeMap<Block, Life>,
    /// Whether a race was lost since the listing: blocks may have become free as well.
    is_stale: bool,
    losses: u32,
}

const ANSWERED: &str = "`Attempt::decide` answers every question";

impl Step {
    /// What the node will have.
    fn block(&self) -> Block {
        match self {
            Step::Keep(lease) => lease.block,
            Step::Extend { to, .. } => *to,
            Step::Claim(block) => *block,
            Step::Ask(_) => unreachable!("{ANSWERED}"),
        }
    }
}

enum Outcome {
    Ours(Lease, How),
    Taken(Lease),
    /// The own lease was changed or deleted meanwhile.
    Lost(Block),
}

impl<'a, S: LeaseStore> Attempt<'a, S> {
    fn new(store: &'a S, claimant: &'a Claimant<'a>, listing: Listing) -> Self {
        Attempt {
            store,
            claimant,
            identity: claimant.identity.clone(),
            known: Known::new(listing),
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
                leases: &self.known.leases,
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
        self.known.put(winner);
        Ok(())
    }

    async fn list_again(&mut self) -> Result<(), StoreError> {
        self.known = Known::new(self.store.list().await?);
        // Older than the listing, it would show what was given up in between as never used.
        self.history = None;
        self.lives.clear();
        self.is_stale = false;
        Ok(())
    }

    fn end(mut self, lease: Lease, how: How, unfit: Vec<Lease>) -> Acquired {
        self.known.put(lease.clone());
        let revision = self.known.revision;
        let leases = self.known.into_readable();
        Acquired {
            lease,
            how,
            leases,
            revision,
            unfit,
            losses: self.losses,
        }
    }
}

/// What is held, as far as is known.
struct Known {
    revision: Revision,
    leases: Vec<Lease>,
    unreadable: Vec<Block>,
}

impl Known {
    fn new(listing: Listing) -> Known {
        let mut leases = listing.leases;
        let holders = listing
            .bad
            .iter()
            .filter_map(|bad| bad.holder(Hold::Reserved));
        let unreadable: Vec<_> = holders.clone().map(|lease| lease.block).collect();
        leases.extend(holders);
        Known {
            revision: listing.revision,
            leases,
            unreadable,
        }
    }

    fn put(&mut self, lease: Lease) {
        self.unreadable.retain(|block| *block != lease.block);
        match self
            .leases
            .iter_mut()
            .find(|known| known.block == lease.block)
        {
            Some(known) => *known = lease,
            None => self.leases.push(lease),
        }
    }

    fn readable(&self) -> impl Iterator<Item = &Lease> {
        let is_readable = |lease: &&Lease| !self.unreadable.contains(&lease.block);
        self.leases.iter().filter(is_readable)
    }

    fn into_readable(mut self) -> Vec<Lease> {
        self.leases
            .retain(|lease| !self.unreadable.contains(&lease.block));
        self.leases
    }
}
