//! Which block a node should hold: a pure decision from the config, the node's identity and what the store knows.

mod choice;
mod free;
mod own;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::block::Block;
use crate::config::NetworkConfig;
use crate::family::Family;
use crate::history::History;
use crate::lease::{Lease, LeaseAttrs};
use crate::life::Life;

use choice::{Choice, Stuck};
use own::{Own, own_leases};

pub use own::Shared;

/// By what a node recognises its own lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The underlay address that it publishes over IPv4.
    pub underlay_v4: Option<Ipv4Addr>,
    /// The same over IPv6.
    pub underlay_v6: Option<Ipv6Addr>,
    /// A name that no other node has: it finds the lease again when the address has changed.
    pub node: Option<String>,
    /// The block that this machine remembers having held (`subnet.env`, `node.json`): taken again when nobody holds
    /// it. A lease on it is this machine's even if only the address or only the name is the same.
    pub previous: Option<Block>,
    /// A block that is taken again when nobody holds it. Whose a lease on it is, it does not say.
    pub wish: Option<Block>,
}

/// What is known of the store when a decision is made.
#[derive(Debug, Clone, Copy)]
pub struct Knowledge<'a> {
    /// All blocks that are held.
    pub held: &'a [Block],
    /// The leases with this node's address or name; others among them do no harm.
    pub akin: &'a [Lease],
    /// The blocks that have been used, if that was asked for. Read after the leases, so that what was given up in
    /// between does not look as if nobody had ever had it.
    pub history: Option<&'a History>,
    /// How much time the leases of which that was asked have left.
    pub lives: &'a BTreeMap<Block, Life>,
    /// Races for a block that were lost: the more, the wider the choice, so that nodes get out of each other's way.
    pub losses: u32,
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
    /// It should find this out and decide again.
    Ask(Question),
}

/// What a decision needs to know and is not told unasked, because it costs the store something.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// Which blocks have been used.
    History,
    /// How much time this lease has left.
    Life(Lease),
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
    /// Another machine that is alive has the same address or the same name.
    #[error(transparent)]
    Rival(Box<Rival>),
}

/// Two machines with one address or one name: this one, and the one that holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "two nodes have one {shared}: this one ({me}) and the one that holds {block} ({holder}); give this one another {shared} with {}, or if that machine is gone: `twill cleanup --release` on it, or delete the store's key subnets/{}{}",
    .shared.flags(), .block.key(), waiting(*.wait)
)]
pub struct Rival {
    /// What both have.
    pub shared: Shared,
    /// This node's name and addresses.
    pub me: String,
    /// The holder's name and addresses.
    pub holder: String,
    /// The holder's block.
    pub block: Block,
    /// When its lease may be taken over, if it is not renewed until then; never for a reservation.
    pub wait: Option<Duration>,
}

/// Decides: an own lease by underlay address, then by node name, then the previous block if nobody holds it, then the
/// one that a node of this name had, then any that nobody has ever had by chance, then one of those that have been
/// free for longest. Reservations for this node count as its own; nobody else's lease is ever overlapped.
///
/// `random` gives uniformly distributed numbers. Time is linear in leases and history (and their sorting), whatever
/// the size of the pool.
pub fn decide(
    config: &NetworkConfig,
    identity: &Identity,
    known: &Knowledge<'_>,
    random: &mut dyn FnMut() -> u64,
) -> Result<Decision, AllocError> {
    let own = match own_leases(identity, known)? {
        Own::These(own) => own,
        Own::Depends(on) => return Ok(Decision::ask(Question::Life(on.clone()))),
    };
    let fits = |lease: &Lease| config.fits(&lease.block).is_ok();
    let unfit = own.iter().filter(|l| !fits(l)).map(|&l| l.clone());
    let mut unfit: Vec<Lease> = unfit.collect();
    if let Some(lease) = own.iter().find(|lease| fits(lease)) {
        let step = Step::Keep((*lease).clone());
        return Ok(Decision { step, unfit });
    }
    let step = match new_block(config, identity, known, (&own, random)) {
        Err(Stuck::History) => Step::Ask(Question::History),
        Err(Stuck::Alloc(why)) => return Err(why),
        Ok(step) => step,
    };
    if let Step::Extend { from, .. } = &step {
        unfit.retain(|lease| lease.block != from.block);
    }
    Ok(Decision { step, unfit })
}

/// What this lease has in common with a node whose own lease it is not: two machines with one address or one name.
pub fn shared_with(identity: &Identity, attrs: &LeaseAttrs) -> Option<Shared> {
    own::shared_with(identity, attrs)
}

/// Whether a lease may be this node's own.
pub(crate) fn is_akin(identity: &Identity, attrs: &LeaseAttrs) -> bool {
    own::recognise(identity, attrs).is_some()
}

impl Decision {
    fn ask(question: Question) -> Decision {
        let (step, unfit) = (Step::Ask(question), Vec::new());
        Decision { step, unfit }
    }
}

fn new_block(
    config: &NetworkConfig,
    identity: &Identity,
    known: &Knowledge<'_>,
    (own, random): (&[&Lease], &mut dyn FnMut() -> u64),
) -> Result<Step, Stuck> {
    for from in own {
        let others = known.held.iter().filter(|block| **block != from.block);
        let mut choice = Choice::new(config, others.copied(), known, random);
        if let Some(to) = choice.extend(&from.block)? {
            let from = (*from).clone();
            return Ok(Step::Extend { from, to });
        }
    }
    let mut choice = Choice::new(config, known.held.iter().copied(), known, random);
    for block in identity.wish.into_iter().chain(identity.previous) {
        if let Some(block) = choice.extend(&block)? {
            return Ok(Step::Claim(block));
        }
    }
    choice.free(identity.node.as_deref()).map(Step::Claim)
}

fn waiting(wait: Option<Duration>) -> String {
    let Some(wait) = wait else {
        return String::new();
    };
    let minutes = wait.as_secs().div_ceil(60);
    format!(", or wait: if it is not renewed, it is taken over in {minutes} min")
}

#[cfg(test)]
mod tests;
