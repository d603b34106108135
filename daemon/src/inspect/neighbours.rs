//! `twill show neighbours`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kernel::{Detail, Key, Mac, Row, Status};
use serde::{Deserialize, Serialize};

use crate::agent::Agent;

use super::routes::{link_name, state};
use super::table::{Columns, or_dash};

/// Another node's VTEP: the neighbour and the FDB entry that lead to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct NeighbourRow {
    /// The inner address of the VTEP.
    pub(crate) address: Option<String>,
    /// Its inner MAC.
    pub(crate) mac: Option<String>,
    /// The underlay address that frames to it are sent to.
    pub(crate) underlay: Option<String>,
    /// The own device.
    pub(crate) device: Option<String>,
    /// The node that it is.
    pub(crate) node: Option<String>,
    /// Whether the kernel agrees about the neighbour.
    pub(crate) neighbour: String,
    /// Whether the kernel agrees about the FDB entry.
    pub(crate) fdb: String,
}

impl Columns for NeighbourRow {
    const HEADS: &'static [&'static str] = &[
        "ADDRESS",
        "MAC",
        "UNDERLAY",
        "DEVICE",
        "NODE",
        "NEIGHBOUR",
        "FDB ENTRY",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            or_dash(self.address.as_deref()),
            or_dash(self.mac.as_deref()),
            or_dash(self.underlay.as_deref()),
            or_dash(self.device.as_deref()),
            or_dash(self.node.as_deref()),
            self.neighbour.clone(),
            self.fdb.clone(),
        ]
    }
}

/// All neighbours and FDB entries that are wanted or there, joined by MAC.
pub(crate) fn neighbours(agent: &Agent) -> Vec<NeighbourRow> {
    let names = names(agent);
    let mut fdb: BTreeMap<(kernel::IfIndex, Mac), Row> = BTreeMap::new();
    let mut neighbours = Vec::new();
    for row in agent.reconciler().rows() {
        match row.key {
            Key::Fdb(link, mac) => drop(fdb.insert((link, mac), row)),
            Key::Neighbour(link, ip) => neighbours.push((link, ip, row)),
            _ => {}
        }
    }
    let mut rows = Vec::with_capacity(neighbours.len());
    for (link, ip, row) in neighbours {
        let mac = match row.want.as_ref().or(row.have.as_ref()) {
            Some(Detail::Mac(mac)) => Some(*mac),
            _ => None,
        };
        let entry = mac.and_then(|mac| fdb.remove(&(link, mac)));
        rows.push(NeighbourRow {
            address: Some(ip.to_string()),
            mac: mac.map(|mac| mac.to_string()),
            underlay: entry.as_ref().and_then(underlay).map(|ip| ip.to_string()),
            device: link_name(agent.reconciler(), link),
            node: names.get(&ip).cloned(),
            neighbour: state(row.status()).to_owned(),
            fdb: state(entry.map_or(Status::Missing, |entry| entry.status())).to_owned(),
        });
    }
    rows.extend(fdb.into_iter().map(|((link, mac), row)| NeighbourRow {
        address: None,
        mac: Some(mac.to_string()),
        underlay: underlay(&row).map(|ip| ip.to_string()),
        device: link_name(agent.reconciler(), link),
        node: None,
        neighbour: "-".to_owned(),
        fdb: state(row.status()).to_owned(),
    }));
    rows
}

fn underlay(row: &Row) -> Option<IpAddr> {
    match row.want.as_ref().or(row.have.as_ref()) {
        Some(Detail::Underlay(ip)) => Some(*ip),
        _ => None,
    }
}

/// The nodes by the inner address of their VTEPs.
fn names(agent: &Agent) -> BTreeMap<IpAddr, String> {
    let name = |(prefix, view): (ipnetwork::IpNetwork, crate::agent::RemoteView<'_>)| {
        (prefix.network(), view.remote.name())
    };
    agent.remotes().into_iter().map(name).collect()
}
