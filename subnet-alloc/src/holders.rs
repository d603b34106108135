//! Who holds what, as far as a node has to know to choose its block.

use crate::allocator::{Identity, is_akin};
use crate::block::Block;
use crate::lease::Lease;
use crate::parts::Parts;
use crate::store::{LeaseStore, Listing, StoreError};

/// The blocks that are held, and the leases that may be the node's own: of tens of thousands of others, no more is kept.
#[derive(Debug, Clone)]
pub struct Holders {
    identity: Identity,
    pub(crate) blocks: Vec<Block>,
    pub(crate) akin: Vec<Lease>,
}

impl Holders {
    /// Knows of none yet.
    pub fn seen_by(identity: &Identity) -> Holders {
        Holders {
            identity: identity.clone(),
            blocks: Vec::new(),
            akin: Vec::new(),
        }
    }

    /// All that a store has.
    pub async fn read(store: &impl LeaseStore, identity: &Identity) -> Result<Holders, StoreError> {
        let mut holders = Holders::seen_by(identity);
        let mut parts = Parts::of(store);
        while let Some(part) = parts.next().await? {
            holders.take_in(&part);
        }
        Ok(holders)
    }

    /// Takes in a listing, or a part of one.
    pub fn take_in(&mut self, part: &Listing) {
        self.blocks.reserve(part.leases.len());
        for lease in &part.leases {
            self.blocks.push(lease.block);
            self.note_akin(lease);
        }
        // Somebody has them, whoever that is.
        let unreadable = part.bad.iter().filter_map(|bad| bad.block);
        self.blocks.extend(unreadable);
    }

    /// Leases that may be the node's own.
    pub fn akin(&self) -> &[Lease] {
        &self.akin
    }

    /// A lease was seen later than the rest.
    pub(crate) fn put(&mut self, lease: &Lease) {
        if !self.blocks.contains(&lease.block) {
            self.blocks.push(lease.block);
        }
        self.akin.retain(|known| known.block != lease.block);
        self.note_akin(lease);
    }

    fn note_akin(&mut self, lease: &Lease) {
        if is_akin(&self.identity, &lease.attrs) {
            self.akin.push(lease.clone());
        }
    }
}
