//! Which attachment holds which addresses, and which addresses rest after their release.
//!
//! The state is a directory of empty files whose names say everything ([`Record`]). What is done to it is a list of
//! [`Step`]s; after each of them the directory is whole, so that a call that is killed between two leaves nothing to
//! be afraid of.

mod allot;
mod block;
mod record;
mod steps;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use allot::{Allotment, Unmet};
pub(crate) use block::Block;
pub(crate) use record::{Freed, Held, Record};
pub(crate) use steps::Step;
pub(crate) use store::{Claim, Locked, Store, seconds_since_boot};

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::attachment::Attachment;

/// All that the directory says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Ledger {
    pub(crate) held: Vec<Held>,
    pub(crate) freed: Vec<Freed>,
}

impl Ledger {
    /// Takes in what a file of this name says. Other people's files are passed over.
    pub(crate) fn learn(&mut self, name: &str) {
        match Record::parse(name) {
            Some(Record::Held(held)) => self.held.push(held),
            Some(Record::Freed(freed)) => self.freed.push(freed),
            None => {}
        }
    }

    /// What this attachment holds.
    pub(crate) fn held_by(&self, attachment: &Attachment) -> Option<&Held> {
        self.held.iter().find(|held| held.attachment == *attachment)
    }

    /// Who holds this address.
    pub(crate) fn holder_of(&self, address: IpAddr) -> Option<&Held> {
        self.held
            .iter()
            .find(|held| held.addresses.contains(&address))
    }

    fn held_addresses(&self) -> BTreeSet<IpAddr> {
        self.held
            .iter()
            .flat_map(|held| held.addresses.iter().copied())
            .collect()
    }
}
