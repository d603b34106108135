//! `twill check`: what the kernel does not hold as it should.

use kernel::{Detail, Row, Status};
use serde::{Deserialize, Serialize};

use crate::agent::Agent;

use super::routes::state;
use super::table::{Columns, or_dash};

/// One entry that is not as wanted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct DriftRow {
    /// Which entry.
    pub(crate) entry: String,
    /// What is wanted.
    pub(crate) want: Option<String>,
    /// What is there.
    pub(crate) have: Option<String>,
    /// `missing`, `wrong`, `stale` or `refused`.
    pub(crate) state: String,
    /// What the kernel said.
    pub(crate) detail: Option<String>,
}

impl Columns for DriftRow {
    const HEADS: &'static [&'static str] = &["ENTRY", "WANT", "HAVE", "STATE"];

    fn cells(&self) -> Vec<String> {
        let state = match &self.detail {
            Some(detail) => format!("{}: {detail}", self.state),
            None => self.state.clone(),
        };
        vec![
            self.entry.clone(),
            or_dash(self.want.as_deref()),
            or_dash(self.have.as_deref()),
            state,
        ]
    }
}

/// All entries that are not as wanted.
pub(crate) fn drift(agent: &Agent) -> Vec<DriftRow> {
    let reconciler = agent.reconciler();
    reconciler
        .rows()
        .filter(|row| row.status() != Status::InSync)
        .map(|row| drift_row(&row))
        .collect()
}

/// One entry, whatever its state.
fn drift_row(row: &Row) -> DriftRow {
    DriftRow {
        entry: row.key.to_string(),
        want: row.want.as_ref().map(text),
        have: row.have.as_ref().map(text),
        state: state(row.status()).to_owned(),
        detail: row
            .refused
            .as_ref()
            .map(|(why, tries)| format!("{why}, {tries} times")),
    }
}

fn text(detail: &Detail) -> String {
    match detail {
        Detail::Device(device) => {
            let local = device
                .local
                .map_or_else(|| "-".to_owned(), |ip| ip.to_string());
            let up = if device.up { "up" } else { "down" };
            format!(
                "VNI {} port {} local {local} MTU {} MAC {} {up}",
                device.vni, device.port, device.mtu, device.mac
            )
        }
        Detail::Present => "present".to_owned(),
        Detail::Value(value) => value.to_string(),
        Detail::Mac(mac) => mac.to_string(),
        Detail::Underlay(ip) => ip.to_string(),
        Detail::Via(hop) => format!("via {hop}"),
        Detail::Over(hops) => {
            let hops: Vec<String> = hops.iter().map(ToString::to_string).collect();
            format!("via {}", hops.join(", "))
        }
        Detail::Unreachable => "unreachable".to_owned(),
        Detail::Other => "something else".to_owned(),
    }
}
