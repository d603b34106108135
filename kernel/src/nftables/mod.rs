//! Our own speaker of nftables: one table, always replaced as a whole in one
//! transaction, and rules in others' chains only where nothing else works.
//! Neither the nft program nor a C library takes part.

mod batch;
mod decode;
mod error;
mod fingerprint;
mod firewall;
mod flannel;
mod forward;
#[cfg(feature = "fuzz")]
pub(crate) mod fuzz;
mod monitor;
mod rule;
mod ruleset;
mod set;
mod socket;
mod state;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::netlink::decode::Message;

pub use error::{NfTablesError, Reason};
pub use firewall::{Firewall, Masquerade, ParseTableNameError, TableName, TunnelGuard};
pub use flannel::FlannelLeftover;
pub use forward::{ChainName, Forwarding};
pub use monitor::NfTablesNotification;
pub use state::{TableDrift, TableState};

use batch::{Attributes, Batch};
use fingerprint::Fingerprint;
use firewall::Family;
use monitor::Monitor;
use ruleset::{vteps, write_removal};
use set::Set;
use socket::Requests;
use wire::*;

/// How often something is tried that others can spoil.
const TRIES: u32 = 4;

/// nftables of the network namespace in which this was opened.
pub struct NfTables {
    table: TableName,
    requests: Requests,
    monitor: Monitor,
}

impl NfTables {
    /// Opens the sockets; from here on no notification is missed. Needs a tokio
    /// runtime around it.
    pub fn open(table: TableName) -> Result<NfTables, NfTablesError> {
        let requests = Requests::open()?;
        let monitor = Monitor::open(requests.port(), table.clone())?;
        Ok(NfTables {
            table,
            requests,
            monitor,
        })
    }

    /// Puts `wanted` in the place of our table, whatever was there: in one
    /// transaction, so that no packet meets half of it. Where nothing is wanted
    /// an empty table stays: [`delete`](Self::delete) removes it.
    pub fn replace(&mut self, wanted: &Firewall) -> Result<(), NfTablesError> {
        let comment = Fingerprint::of(wanted, &self.table).comment();
        let table = &self.table;
        let what = format!("table inet {table}");
        self.requests.transact(&what, |batch| {
            wanted.ruleset().write_replacement(batch, table, &comment);
        })
    }

    /// Changes who may send to our VXLAN device. Those that are there already,
    /// or are gone already, are no error. A table that is gone is, and so are
    /// more than twice as many VTEPs as when the table was last replaced:
    /// after an error, [`replace`](Self::replace). Who is in both lists may send.
    pub fn update_vteps(&mut self, add: &[IpAddr], remove: &[IpAddr]) -> Result<(), NfTablesError> {
        let table = &self.table;
        let what = format!("known VTEPs of table inet {table}");
        self.requests.transact(&what, |batch| {
            for family in Family::BOTH {
                // What is not there cannot be removed: it is added first.
                write_vteps(batch, (NEWSETELEM, NLM_F_CREATE), table, family, remove);
                write_vteps(batch, (DELSETELEM, 0), table, family, remove);
                write_vteps(batch, (NEWSETELEM, NLM_F_CREATE), table, family, add);
            }
        })
    }

    /// Our table as it is; nothing when there is none.
    pub fn read(&mut self) -> Result<Option<TableState>, NfTablesError> {
        let name = self.table.clone();
        let named = |m: &mut Attributes<'_>| m.text(NFTA_TABLE_NAME, name.as_str());
        let comment = |m: &Message<'_>| Some(decode::table_comment(m).unwrap_or_default());
        let table = (GETTABLE, NFPROTO_INET);
        let Some(comment) = self.requests.find(table, named, comment)? else {
            return Ok(None);
        };
        Ok(Some(TableState {
            fingerprint: Fingerprint::from_comment(&comment),
            rules: self.read_rules()?,
            vteps: self.read_vteps()?,
        }))
    }

    /// How our table differs from `wanted`.
    pub fn drift(&mut self, wanted: &Firewall) -> Result<TableDrift, NfTablesError> {
        let state = self.read()?;
        Ok(state.map_or(TableDrift::Rules, |state| state.drift(wanted, &self.table)))
    }

    /// Removes our table, if it is there; our rules in others' chains stay.
    pub fn delete_table(&mut self) -> Result<(), NfTablesError> {
        let table = &self.table;
        let what = format!("the removal of table inet {table}");
        self.requests
            .transact(&what, |batch| write_removal(batch, table))
    }

    /// Removes our table and our rules in others' chains, if they are there.
    pub fn delete(&mut self) -> Result<(), NfTablesError> {
        self.delete_table()?;
        self.open_forward(&[]).map(drop)
    }

    /// Lets the pools' traffic through the chains `FORWARD` of iptables-nft
    /// whose policy is drop, and takes back what it let through before.
    pub fn open_forward(&mut self, pools: &[IpNetwork]) -> Result<Forwarding, NfTablesError> {
        retried(|| forward::open_forward(&mut self.requests, &self.table, pools))
    }

    /// The chains of others that have rules of ours.
    pub fn find_opened(&mut self) -> Result<Vec<ChainName>, NfTablesError> {
        forward::opened(&mut self.requests, &self.table)
    }

    /// What an older flannel left in nftables.
    pub fn find_flannels(&mut self) -> Result<Vec<FlannelLeftover>, NfTablesError> {
        flannel::find(&mut self.requests)
    }

    /// Removes what an older flannel left in nftables; returns what that was.
    pub fn remove_flannels(&mut self) -> Result<Vec<FlannelLeftover>, NfTablesError> {
        retried(|| {
            let found = self.find_flannels()?;
            flannel::remove(&mut self.requests, &found)?;
            Ok(found)
        })
    }

    /// Waits until somebody else changes what concerns us. Our own changes are
    /// left out. Dropping the future loses nothing.
    pub async fn notifications(&mut self) -> Result<Vec<NfTablesNotification>, NfTablesError> {
        self.monitor.next().await
    }

    fn read_rules(&mut self) -> Result<Vec<(String, String)>, NfTablesError> {
        let table = self.table.clone();
        let of = |m: &mut Attributes<'_>| m.text(NFTA_RULE_TABLE, table.as_str());
        let read = |m: &Message<'_>| {
            let rule = decode::rule(m).filter(|rule| rule.place.table == table.as_str())?;
            Some((rule.place.chain, rule.comment.unwrap_or_default()))
        };
        self.requests.dump((GETRULE, NFPROTO_INET), of, read)
    }

    fn read_vteps(&mut self) -> Result<BTreeSet<IpAddr>, NfTablesError> {
        let table = self.table.clone();
        let mut known = BTreeSet::new();
        for family in Family::BOTH {
            let of = |m: &mut Attributes<'_>| {
                m.text(NFTA_SET_ELEM_LIST_TABLE, table.as_str());
                m.text(NFTA_SET_ELEM_LIST_SET, vteps(family));
            };
            let read = |m: &Message<'_>| Some(decode::elements(m));
            let some = self.requests.dump((GETSETELEM, NFPROTO_INET), of, read)?;
            known.extend(some.into_iter().flatten());
        }
        Ok(known)
    }
}

/// The tables of the legacy iptables of a family that are in use in this network
/// namespace: what is in them, flannel's rules among it, only the program
/// `iptables-legacy` (or `ip6tables-legacy`) changes.
pub fn legacy_iptables_tables(ipv4: bool) -> Vec<String> {
    let file = if ipv4 {
        "ip_tables_names"
    } else {
        "ip6_tables_names"
    };
    // Kernels without the legacy iptables have no such file.
    let names = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
    let mut names: Vec<String> = names.lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// Others change their own chains when they like: what was found a moment ago
/// may be gone, and is looked for again.
fn retried<T>(mut act: impl FnMut() -> Result<T, NfTablesError>) -> Result<T, NfTablesError> {
    for _ in 1..TRIES {
        match act() {
            Err(error) if error.is_not_found() => {}
            other => return other,
        }
    }
    act()
}

fn write_vteps(
    batch: &mut Batch,
    (kind, flags): (u16, u16),
    table: &TableName,
    family: Family,
    addresses: &[IpAddr],
) {
    let set = Set::new(vteps(family), family, addresses);
    set.write_elements(batch, table, (kind, flags, NFPROTO_INET));
}
