//! `twill show peer`: one BGP peer.
//!
//! `words.rs` says in words what the structures have, `text.rs` writes it down for people.

mod text;
mod words;

use bgp::Family;
use bgp::peer::Direction;
use bgp::speaker::PeerView;
use serde::{Deserialize, Serialize};

use super::peers::{PeerRow, row};
use super::policy;
use super::rib::InFabric;

/// Everything about one peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PeerDetail {
    /// The same as in the list of peers.
    #[serde(flatten)]
    pub(crate) row: PeerRow,
    /// Where it comes from: a lease, the settings, a range.
    pub(crate) kind: String,
    /// Seconds since the session came up or went.
    pub(crate) since: Option<u64>,
    /// How many sessions there have been.
    pub(crate) sessions: u32,
    /// What went wrong the last time, and seconds since then.
    pub(crate) trouble: Option<(String, u64)>,
    /// What has to happen for a session to come.
    pub(crate) next: Option<String>,
    /// Its port, where we connect.
    pub(crate) port: Option<u16>,
    /// Our end and the peer's, and who connected.
    pub(crate) connection: Option<Ends>,
    /// The peer's BGP identifier.
    pub(crate) router_id: Option<String>,
    /// Our AS.
    pub(crate) own_as: u32,
    /// Seconds of the hold time: what we propose.
    pub(crate) hold_time: u16,
    /// Seconds of the hold time and between keepalives that both agreed on; `None`: no keepalives, or no session.
    pub(crate) agreed_times: Option<(u64, u64)>,
    /// What both can do.
    pub(crate) capabilities: Vec<String>,
    /// Families that we want to exchange.
    pub(crate) families: Vec<String>,
    /// Families that are exchanged.
    pub(crate) agreed_families: Vec<String>,
    /// What graceful restart does.
    pub(crate) graceful_restart: String,
    /// MD5, GTSM, TTL.
    pub(crate) protection: Vec<String>,
    /// What is taken.
    pub(crate) import: Vec<String>,
    /// What is told.
    pub(crate) export: Vec<String>,
    /// How many prefixes it may announce.
    pub(crate) max_prefixes: Option<String>,
    /// Routes by family.
    pub(crate) routes: Vec<FamilyRoutes>,
    /// Prefixes that it has still to be told, where it is behind.
    pub(crate) prefixes_waiting: usize,
    /// Octets of messages that wait, here and in its socket.
    pub(crate) octets_waiting: usize,
}

/// Both ends of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Ends {
    pub(crate) local: String,
    pub(crate) remote: String,
    /// `this node` or `the peer`.
    pub(crate) made_by: String,
}

/// Routes of one family.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct FamilyRoutes {
    pub(crate) family: String,
    /// What it has told.
    pub(crate) received: usize,
    /// What may not be used of that.
    pub(crate) refused: usize,
    /// What of it is used; counted by those who ask.
    pub(crate) used: Option<usize>,
    /// What it is told; counted by those who ask.
    pub(crate) told: Option<usize>,
    /// What was told before the session went, and not again.
    pub(crate) stale: usize,
    /// Seconds for which more is waited until that goes.
    pub(crate) stale_for: Option<u64>,
}

impl PeerDetail {
    pub(super) fn of(seen: &InFabric<'_>, name: &str) -> Result<PeerDetail, String> {
        let id = seen.fabric.named(name)?;
        let view = seen.fabric.speaker().peer(id, seen.now);
        let view = view.ok_or_else(|| format!("{name} is no peer any more"))?;
        Ok(PeerDetail::with(seen, &view))
    }

    fn with(seen: &InFabric<'_>, view: &PeerView<'_>) -> PeerDetail {
        let (fabric, config) = (seen.fabric, view.config);
        let past = fabric.past(view.id);
        let ago = |at| seen.now.saturating_duration_since(at).as_secs();
        let agreed = view.session.map(|(_, agreed)| agreed);
        let external = config.asn != fabric.choice().asn;
        let manner = fabric.manner(view);
        PeerDetail {
            row: row(fabric, view),
            kind: words::kind(fabric, view),
            since: past.map(|past| ago(past.since)),
            sessions: past.map_or(0, |past| past.ups),
            trouble: past
                .and_then(|past| past.trouble.as_ref())
                .map(|(why, at)| (why.clone(), ago(*at))),
            next: words::next(seen, view),
            port: (!view.dynamic).then(|| fabric.dialing(view).remote.port()),
            connection: view.session.map(|(connection, _)| Ends {
                local: connection.local.to_string(),
                remote: connection.remote.to_string(),
                made_by: match connection.direction {
                    Direction::Active => "this node".to_owned(),
                    Direction::Passive => "the peer".to_owned(),
                },
            }),
            router_id: agreed.map(|agreed| agreed.router_id.to_string()),
            own_as: fabric.choice().asn.0,
            hold_time: config.hold_time,
            agreed_times: agreed.and_then(words::times),
            capabilities: agreed.map(words::capabilities).unwrap_or_default(),
            families: config.families.iter().map(|one| one.to_string()).collect(),
            agreed_families: agreed.map(words::families).unwrap_or_default(),
            graceful_restart: words::graceful_restart(fabric, view),
            protection: words::protection(manner.key.as_ref(), manner.ttl),
            import: policy::import(&config.import, external),
            export: policy::export(config.export.as_ref(), external),
            max_prefixes: config.max_prefixes.as_ref().map(words::max_prefixes),
            routes: Family::ALL.map(|family| routes(view, family)).into(),
            prefixes_waiting: view.waiting.0,
            octets_waiting: view.waiting.1 + view.unsent,
        }
    }
}

fn routes(view: &PeerView<'_>, family: Family) -> FamilyRoutes {
    let count = view.received[family as usize];
    FamilyRoutes {
        family: family.to_string(),
        received: count.received,
        refused: count.received - count.accepted,
        used: None,
        told: None,
        stale: count.received - count.fresh,
        stale_for: view.stale_for[family as usize].map(|time| time.as_secs()),
    }
}
