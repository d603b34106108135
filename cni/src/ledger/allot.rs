//! Which addresses a new attachment gets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::{Block, Ledger};

/// What a new attachment needs.
#[derive(Debug)]
pub(crate) struct Allotment<'a> {
    /// The node's blocks: one address of each.
    pub(crate) blocks: &'a [Block],
    /// Addresses that are asked for, at most one of each family.
    pub(crate) wanted: &'a [IpAddr],
    /// Addresses that somebody outside of the ledger has.
    pub(crate) taken: &'a BTreeSet<IpAddr>,
    /// For how many seconds a released address is not given again.
    pub(crate) rest: u64,
    /// Seconds since the boot.
    pub(crate) now: u64,
}

/// Why there is no address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Unmet {
    /// All are held.
    Exhausted(IpNetwork),
    /// All that are not held rest, the first for that many seconds.
    Resting(IpNetwork, u64),
    /// The wanted address cannot be had.
    Unavailable(IpAddr, String),
}

impl Ledger {
    /// An address of each block: the wanted one; else the first that nobody had of late; else the one that has been
    /// free for longest.
    pub(crate) fn allot(&self, need: &Allotment<'_>) -> Result<Vec<IpAddr>, Unmet> {
        for wanted in need.wanted {
            self.may_have(*wanted, need)?;
        }
        let each = need.blocks.iter().map(|block| {
            let wanted = need.wanted.iter().find(|wanted| block.is_like(**wanted));
            wanted.map_or_else(|| self.pick(block, need), |wanted| Ok(*wanted))
        });
        each.collect()
    }

    /// Who asks for a certain address gets it even if it rests.
    fn may_have(&self, wanted: IpAddr, need: &Allotment<'_>) -> Result<(), Unmet> {
        let no = |why: String| Err(Unmet::Unavailable(wanted, why));
        if let Some(held) = self.holder_of(wanted) {
            return no(format!("{} has it", held.attachment));
        }
        if need.taken.contains(&wanted) {
            return no("somebody else on this node has it".into());
        }
        if !need.blocks.iter().any(|block| block.offers(wanted)) {
            let blocks: Vec<String> = need
                .blocks
                .iter()
                .map(|b| b.network().to_string())
                .collect();
            let blocks = blocks.join(" and ");
            return no(format!(
                "this node gives addresses of {blocks}, without the first two and the last"
            ));
        }
        Ok(())
    }

    fn pick(&self, block: &Block, need: &Allotment<'_>) -> Result<IpAddr, Unmet> {
        let held = self.held_addresses();
        let is_free = |address: &IpAddr| !held.contains(address) && !need.taken.contains(address);
        let known: BTreeSet<IpAddr> = self.freed.iter().map(|freed| freed.address).collect();
        let fresh = block
            .offered()
            .find(|address| is_free(address) && !known.contains(address));
        if let Some(address) = fresh {
            return Ok(address);
        }
        let candidates = known
            .into_iter()
            .filter(|address| block.offers(*address) && is_free(address));
        let longest_free = candidates
            .map(|address| (self.freed_at(address), address))
            .min();
        let Some((at, address)) = longest_free else {
            return Err(Unmet::Exhausted(block.network()));
        };
        match (at + need.rest).checked_sub(need.now) {
            Some(seconds) if seconds > 0 => Err(Unmet::Resting(block.network(), seconds)),
            _ => Ok(address),
        }
    }

    /// The latest release counts: an older note of the same address was left by a call that was killed.
    fn freed_at(&self, address: IpAddr) -> u64 {
        let of_it = self.freed.iter().filter(|freed| freed.address == address);
        of_it.map(|freed| freed.at).max().unwrap_or(0)
    }
}
