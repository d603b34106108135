//! `twill show routes`.

use ipnetwork::IpNetwork;
use kernel::{Detail, Key, Reconciler, Row, Status};
use serde::{Deserialize, Serialize};

use crate::agent::{Agent, RemoteView};
use crate::backend::{Held, NoWay, Way};

use super::table::{Columns, or_dash};

/// Where packets to one block go, why, and whether the kernel agrees.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct RouteRow {
    /// Destination.
    pub(crate) prefix: String,
    /// The next machine, several with commas between them, or `unreachable`.
    pub(crate) next_hop: Option<String>,
    /// The link that packets leave through; as many as there are.
    pub(crate) device: Option<String>,
    /// The node behind it.
    pub(crate) node: Option<String>,
    /// `vxlan`, `direct` or `host-gw`.
    pub(crate) backend: Option<String>,
    /// Why the route is wanted, or why not.
    pub(crate) why: String,
    /// Whether the kernel agrees: `in sync`, `missing`, `wrong`, `stale`,
    /// `refused`, or `no way`.
    pub(crate) state: String,
    /// What stands in the way.
    pub(crate) detail: Option<String>,
}

impl Columns for RouteRow {
    const HEADS: &'static [&'static str] = &[
        "PREFIX", "NEXT HOP", "DEVICE", "NODE", "BACKEND", "WHY", "KERNEL",
    ];

    fn cells(&self) -> Vec<String> {
        let state = match &self.detail {
            Some(detail) => format!("{}: {detail}", self.state),
            None => self.state.clone(),
        };
        vec![
            self.prefix.clone(),
            or_dash(self.next_hop.as_deref()),
            or_dash(self.device.as_deref()),
            or_dash(self.node.as_deref()),
            or_dash(self.backend.as_deref()),
            self.why.clone(),
            state,
        ]
    }
}

/// All routes that are wanted or there, and the blocks that none leads to.
pub(crate) fn routes(agent: &Agent) -> Vec<RouteRow> {
    let remotes = agent.remotes();
    let reconciler = agent.reconciler();
    let installed = reconciler.routes().filter_map(|row| {
        let Key::Route(key) = row.key else {
            return None;
        };
        Some(installed(agent, &row, key.prefix, remotes.get(&key.prefix)))
    });
    let lost = remotes.iter().filter_map(|(prefix, view)| {
        let why = view.way.err()?;
        Some(without_way(prefix, view, &why))
    });
    installed.chain(lost).collect()
}

fn installed(
    agent: &Agent,
    row: &Row,
    prefix: IpNetwork,
    remote: Option<&RemoteView<'_>>,
) -> RouteRow {
    let detail = row.want.as_ref().or(row.have.as_ref());
    let (next_hop, device) = match detail {
        Some(Detail::Via(hop)) => (
            Some(hop.gateway.to_string()),
            link_name(agent.reconciler(), hop.link),
        ),
        Some(Detail::Over(hops)) => (
            joined(hops.iter().map(|hop| Some(hop.gateway.to_string()))),
            joined(
                hops.iter()
                    .map(|hop| link_name(agent.reconciler(), hop.link)),
            ),
        ),
        Some(Detail::Unreachable) => (Some("unreachable".to_owned()), None),
        _ => (None, None),
    };
    let is_own = matches!(detail, Some(Detail::Unreachable));
    let why = match (row.want.is_some(), remote) {
        (false, _) => "nobody wants it".to_owned(),
        (true, Some(view)) if view.remote.held == Held::Reserved => {
            format!("reservation of {}", view.remote.name())
        }
        (true, Some(view)) => format!("lease of {}", view.remote.name()),
        (true, None) if is_own => "what the own block does not use".to_owned(),
        (true, None) => "announced by peers".to_owned(),
    };
    RouteRow {
        prefix: prefix.to_string(),
        next_hop,
        device,
        node: remote
            .map(|view| view.remote.name())
            .or_else(|| is_own.then(|| agent.local().node.clone())),
        backend: remote
            .and_then(|view| view.way.ok())
            .map(|way| backend(agent, way)),
        why,
        state: state(row.status()).to_owned(),
        detail: row.refused.as_ref().map(|(why, _)| why.clone()),
    }
}

/// Each once, in order, with commas between them.
fn joined(parts: impl Iterator<Item = Option<String>>) -> Option<String> {
    let mut parts: Vec<String> = parts.flatten().collect();
    parts.dedup();
    Some(parts.join(","))
}

fn backend(agent: &Agent, way: Way) -> String {
    match (way, agent.local().backend.name()) {
        (Way::Direct(_), "vxlan") => "direct".to_owned(),
        (_, name) => name.to_owned(),
    }
}

fn without_way(prefix: &IpNetwork, view: &RemoteView<'_>, why: &NoWay) -> RouteRow {
    let detail = match why {
        NoWay::NoUnderlay => "the lease names no underlay address of this family".to_owned(),
        NoWay::NoVtep => "the lease names no VTEP of this family".to_owned(),
        NoWay::NoDevice => "the own VXLAN device is not there".to_owned(),
        NoWay::NotOnLink(ip) => format!("{ip} is not on-link, and direct routes need that"),
    };
    RouteRow {
        prefix: prefix.to_string(),
        next_hop: None,
        device: None,
        node: Some(view.remote.name()),
        backend: None,
        why: format!("lease of {}", view.remote.name()),
        state: "no way".to_owned(),
        detail: Some(detail),
    }
}

/// The name of a link, or its number when the link is gone.
pub(super) fn link_name(reconciler: &Reconciler, index: kernel::IfIndex) -> Option<String> {
    let link = reconciler.links().get(&index);
    Some(link.map_or_else(|| format!("link {index}"), |link| link.name.clone()))
}

/// One word for whether the kernel agrees.
pub(super) fn state(status: Status) -> &'static str {
    match status {
        Status::InSync => "in sync",
        Status::Missing => "missing",
        Status::Wrong => "wrong",
        Status::Stale => "stale",
        Status::Refused => "refused",
    }
}
