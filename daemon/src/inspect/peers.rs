//! `twill show peers`.

use std::time::Instant;

use bgp::session::State;
use bgp::speaker::PeerView;
use serde::{Deserialize, Serialize};

use crate::bgp::fabric::Fabric;

use super::table::{Columns, or_dash};

/// A BGP speaker across from us, and how the session with it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PeerRow {
    /// The node's name, or the one in the settings.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) address: String,
    /// Its AS.
    #[serde(rename = "as")]
    pub(crate) asn: u32,
    /// `established`, `open-confirm`, `open-sent`, `idle`, or `held`: there is to be none.
    pub(crate) state: String,
    /// Seconds that the session has been up.
    pub(crate) up_for: Option<u64>,
    /// Routes that it has told, IPv4 and IPv6.
    pub(crate) received: usize,
    /// Those of them that the import policy takes.
    pub(crate) accepted: usize,
    /// Why there is no session.
    pub(crate) detail: Option<String>,
    /// This node drains: the peer is asked to use other paths (RFC 8326).
    #[serde(default)]
    pub(crate) draining: bool,
}

impl Columns for PeerRow {
    const HEADS: &'static [&'static str] = &[
        "PEER", "ADDRESS", "AS", "STATE", "UP", "RECEIVED", "ACCEPTED", "WHY NOT",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.address.clone(),
            self.asn.to_string(),
            self.state.clone(),
            or_dash(self.up_for.map(|seconds| format!("{seconds} s")).as_deref()),
            self.received.to_string(),
            self.accepted.to_string(),
            or_dash(self.detail.as_deref()),
        ]
    }
}

/// All peers, by name.
pub(super) fn peers(fabric: Option<&Fabric>, now: Instant) -> Vec<PeerRow> {
    let rows_of = |fabric: &Fabric| {
        let views = fabric.speaker().peers(now);
        views.map(|view| row(fabric, &view)).collect()
    };
    let mut rows: Vec<PeerRow> = fabric.map(rows_of).unwrap_or_default();
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    rows
}

/// One peer in the list.
pub(super) fn row(fabric: &Fabric, view: &PeerView<'_>) -> PeerRow {
    let up = view.up_for.is_some();
    PeerRow {
        name: view.name.0.clone(),
        address: view.config.address.to_string(),
        asn: view.config.asn.0,
        state: state(view).to_owned(),
        up_for: view.up_for.map(|time| time.as_secs()),
        received: view.received.iter().map(|count| count.received).sum(),
        accepted: view.received.iter().map(|count| count.accepted).sum(),
        detail: why_down(fabric, view).filter(|_| !up),
        draining: fabric.speaker().is_draining(),
    }
}

fn why_down(fabric: &Fabric, view: &PeerView<'_>) -> Option<String> {
    let trouble = fabric.past(view.id)?.trouble.as_ref();
    match &view.config.shutdown {
        Some(text) => Some(format!("shut down by the settings: {text:?}")),
        None => trouble.map(|(why, _)| why.clone()),
    }
}

fn state(view: &PeerView<'_>) -> &'static str {
    match view.state {
        _ if view.held => "held",
        None => "idle",
        Some(State::Established) => "established",
        Some(State::OpenConfirm) => "open-confirm",
        Some(_) => "open-sent",
    }
}
