//! What the kernel has of our table, and how that differs from what is wanted.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::fingerprint::Fingerprint;
use super::firewall::{Firewall, TableName};

/// Our table as it was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableState {
    /// Of the ruleset that we wrote, if its comment says so.
    pub(super) fingerprint: Option<Fingerprint>,
    /// Chain and comment of each rule, in order.
    pub(super) rules: Vec<(String, String)>,
    /// The known VTEPs.
    pub(super) vteps: BTreeSet<IpAddr>,
}

/// How our table differs from what is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TableDrift {
    /// Not at all.
    None,
    /// Only in the known VTEPs: [`NfTables::update_vteps`](super::NfTables::update_vteps) will do.
    Vteps {
        /// Wanted, and not there.
        add: Vec<IpAddr>,
        /// There, and not wanted.
        remove: Vec<IpAddr>,
    },
    /// In more than that: it must be replaced.
    Rules,
}

impl TableState {
    /// How this differs from `wanted`, whose table is `table`. Tells rules that
    /// are missing, added or in another order, and a table that we did not
    /// write; a rule that somebody edited in place and left its comment
    /// is told by notifications only.
    pub fn drift(&self, wanted: &Firewall, table: &TableName) -> TableDrift {
        let as_written = self.fingerprint == Some(Fingerprint::of(wanted, table))
            && self.rules == wanted.ruleset().labels();
        if !as_written {
            return TableDrift::Rules;
        }
        let none = BTreeSet::new();
        let known = wanted.tunnel.as_ref().map_or(&none, |t| &t.vteps);
        if self.vteps == *known {
            return TableDrift::None;
        }
        TableDrift::Vteps {
            add: known.difference(&self.vteps).copied().collect(),
            remove: self.vteps.difference(known).copied().collect(),
        }
    }
}
