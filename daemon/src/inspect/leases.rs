//! `twill show leases`.

use serde::{Deserialize, Serialize};
use subnet_alloc::{BadEntry, Block, Lease};

use crate::agent::{Agent, LeaseView};
use crate::backend::{Held, Remote};

use super::table::{Columns, or_dash};

/// Who holds a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct LeaseRow {
    /// The block; the key behind `subnets/` when that is no lease.
    pub(crate) block: String,
    /// The node that holds it.
    pub(crate) node: Option<String>,
    /// Its underlay addresses.
    pub(crate) underlay: Option<String>,
    /// `leased`, `reserved` when it never ends, or `given` by a cluster with the Node.
    pub(crate) hold: Option<String>,
    /// `own`, `in use`, `vanished` from the store, `passed over`, or `no lease`.
    pub(crate) state: String,
    /// Since when it has vanished, why it is passed over, or why it is none.
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

/// All leases, the own one first, and the keys that are none.
pub(crate) fn leases<'a>(
    agent: &Agent,
    bad_keys: impl Iterator<Item = &'a BadEntry>,
) -> Vec<LeaseRow> {
    let row = |view: LeaseView<'_>| match view {
        LeaseView::Own(lease) => own(lease),
        LeaseView::Remote(block, remote) => other(agent, block, remote),
        LeaseView::Skipped(block, why) => unused(block.to_string(), "passed over", why.to_string()),
    };
    let bad = bad_keys.map(|bad| unused(bad.key.clone(), "no lease", bad.why.clone()));
    agent.leases().map(row).chain(bad).collect()
}

fn unused(block: String, state: &str, why: String) -> LeaseRow {
    LeaseRow {
        block,
        node: None,
        underlay: None,
        hold: None,
        state: state.to_owned(),
        detail: Some(why),
    }
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
        hold: Some(Held::from(lease.hold).to_string()),
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
        hold: Some(remote.held.to_string()),
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
