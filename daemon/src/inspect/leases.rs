//! `twill show leases`.

use serde::{Deserialize, Serialize};
use subnet_alloc::{Block, Hold, Lease};

use crate::agent::{Agent, LeaseView};
use crate::backend::Remote;

use super::table::{Columns, or_dash};

/// Who holds a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct LeaseRow {
    /// The block.
    pub(crate) block: String,
    /// The node that holds it.
    pub(crate) node: Option<String>,
    /// Its underlay addresses.
    pub(crate) underlay: Option<String>,
    /// `leased`, or `reserved` when it never ends.
    pub(crate) hold: Option<String>,
    /// `own`, `in use`, `vanished` from the store, or `passed over`.
    pub(crate) state: String,
    /// Since when it has vanished, or why it is passed over.
    pub(crate) detail: Option<String>,
}

impl Columns for LeaseRow {
    const HEADS: &'static [&'static str] = &["BLOCK", "NODE", "UNDERLAY", "HOLD", "STATE"];

    fn cells(&self) -> Vec<String> {
        let state = match &self.detail {
            Some(detail) => format!("{}: {detail}", self.state),
            None => self.state.clone(),
        };
        vec![
            self.block.clone(),
            or_dash(self.node.as_deref()),
            or_dash(self.underlay.as_deref()),
            or_dash(self.hold.as_deref()),
            state,
        ]
    }
}

/// All leases, the own one first.
pub(crate) fn leases(agent: &Agent) -> Vec<LeaseRow> {
    let row = |view: LeaseView<'_>| match view {
        LeaseView::Own(lease) => own(lease),
        LeaseView::Remote(block, remote) => other(agent, block, remote),
        LeaseView::Skipped(block, why) => LeaseRow {
            block: block.to_string(),
            node: None,
            underlay: None,
            hold: None,
            state: "passed over".to_owned(),
            detail: Some(why.to_string()),
        },
    };
    agent.leases().map(row).collect()
}

fn own(lease: &Lease) -> LeaseRow {
    let addresses = [
        lease.attrs.underlay_v4.map(|ip| ip.to_string()),
        lease.attrs.underlay_v6.map(|ip| ip.to_string()),
    ];
    LeaseRow {
        block: lease.block.to_string(),
        node: lease.attrs.node.clone(),
        underlay: joined(addresses),
        hold: Some(hold(lease.hold == Hold::Reserved)),
        state: "own".to_owned(),
        detail: None,
    }
}

fn other(agent: &Agent, block: &Block, remote: &Remote) -> LeaseRow {
    let vanished = agent.vanished_since(block);
    let addresses = [true, false].map(|ipv4| remote.underlay(ipv4).map(|ip| ip.to_string()));
    LeaseRow {
        block: block.to_string(),
        node: Some(remote.name()),
        underlay: joined(addresses),
        hold: Some(hold(remote.reserved)),
        state: match vanished {
            Some(_) => "vanished".to_owned(),
            None => "in use".to_owned(),
        },
        detail: vanished.map(|since| format!("{} s ago", since.elapsed().as_secs())),
    }
}

fn joined(addresses: [Option<String>; 2]) -> Option<String> {
    let addresses: Vec<String> = addresses.into_iter().flatten().collect();
    (!addresses.is_empty()).then(|| addresses.join(" "))
}

fn hold(reserved: bool) -> String {
    if reserved {
        "reserved".to_owned()
    } else {
        "leased".to_owned()
    }
}
