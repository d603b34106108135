//! `twill show peer`: one BGP peer.

use bgp::Family;
use bgp::peer::{Direction, Next};
use bgp::session::Agreed;
use bgp::speaker::{MaxPrefixes, PeerView};
use serde::{Deserialize, Serialize};

use crate::bgp::fabric::{Fabric, Kind, Manner};
use crate::bgp::transport::Ttl;

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
        PeerDetail {
            row: row(fabric, view),
            kind: kind(fabric, view),
            since: past.map(|past| ago(past.since)),
            sessions: past.map_or(0, |past| past.ups),
            trouble: past
                .and_then(|past| past.trouble.as_ref())
                .map(|(why, at)| (why.clone(), ago(*at))),
            next: next(seen, view),
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
            agreed_times: agreed.and_then(times),
            capabilities: agreed.map(capabilities).unwrap_or_default(),
            families: config.families.iter().map(|one| one.to_string()).collect(),
            agreed_families: agreed.map(families).unwrap_or_default(),
            graceful_restart: graceful_restart(fabric, view),
            protection: protection(fabric.manner(view)),
            import: policy::import(&config.import, external),
            export: policy::export(config.export.as_ref(), external),
            max_prefixes: config.max_prefixes.as_ref().map(max_prefixes),
            routes: Family::ALL.map(|family| routes(view, family)).into(),
            prefixes_waiting: view.waiting.0,
            octets_waiting: view.waiting.1 + view.unsent,
        }
    }
}

fn kind(fabric: &Fabric, view: &PeerView<'_>) -> String {
    match fabric.kind(view) {
        Kind::Node => "a node of the mesh, by its lease".to_owned(),
        Kind::Configured(_) => "a peer of the settings".to_owned(),
        Kind::Guest(Some(listen)) => format!(
            "connected from {}, a peer while the session lasts",
            listen.range.range
        ),
        Kind::Guest(None) => "a peer while the session lasts".to_owned(),
    }
}

fn next(seen: &InFabric<'_>, view: &PeerView<'_>) -> Option<String> {
    let name = &view.name.0;
    let within = |at| span(u64::from(seen.now < at) + seconds(at, seen));
    let why_awaited = match seen.fabric.kind(view) {
        Kind::Node => "of two nodes the one with the lower address connects",
        Kind::Configured(_) => "the settings have passive = true",
        Kind::Guest(_) => "it is in a range of [[bgp.listen]]",
    };
    Some(match view.next {
        Next::Connected => return None,
        Next::Wanted => {
            let text = view.config.shutdown.as_deref().unwrap_or_default();
            format!("none: the settings shut it down, with the text {text:?}")
        }
        Next::Released(None) => format!(
            "none until `twill bgp reset {name}`: it announced more prefixes than max-prefixes allows"
        ),
        Next::Released(Some(at)) => format!(
            "in {}, or with `twill bgp reset {name}`: it announced more prefixes than max-prefixes allows",
            within(at)
        ),
        Next::Connect(at) => format!("this node connects in {}", within(at)),
        Next::Connecting => "this node is connecting".to_owned(),
        Next::Awaited => format!("the peer has to connect: {why_awaited}"),
    })
}

fn seconds(at: std::time::Instant, seen: &InFabric<'_>) -> u64 {
    at.saturating_duration_since(seen.now).as_secs()
}

fn times(agreed: &Agreed) -> Option<(u64, u64)> {
    let (hold, keepalive) = (agreed.hold_time?, agreed.keepalive_time()?);
    Some((hold.as_secs(), keepalive.as_secs()))
}

fn families(agreed: &Agreed) -> Vec<String> {
    let families = agreed.rules.families.iter();
    families.map(|family| family.to_string()).collect()
}

/// What both sides can do, with where it is from.
fn capabilities(agreed: &Agreed) -> Vec<String> {
    let rules = &agreed.rules;
    let all = [
        (rules.four_octet_as, "4-byte AS numbers (RFC 6793)"),
        (agreed.route_refresh, "route refresh (RFC 2918)"),
        (agreed.enhanced_refresh, "enhanced refresh (RFC 7313)"),
        (
            rules.max_message > bgp::wire::MAX_MESSAGE,
            "extended messages (RFC 8654)",
        ),
        (
            rules.extended_next_hop,
            "IPv4 over IPv6 next hops (RFC 8950)",
        ),
        (
            agreed.graceful_restart.is_some(),
            "graceful restart (RFC 4724)",
        ),
        (
            agreed.notification,
            "routes stay through a NOTIFICATION (RFC 8538)",
        ),
    ];
    let there = all.into_iter().filter(|(there, _)| *there);
    there.map(|(_, name)| name.to_owned()).collect()
}

fn graceful_restart(fabric: &Fabric, view: &PeerView<'_>) -> String {
    if !view.config.graceful_restart {
        return "off in the settings".to_owned();
    }
    let choice = fabric.choice();
    let ours = format!(
        "it may keep ours for {} when this node restarts",
        span(choice.restart_time.as_secs())
    );
    let theirs = match view.session {
        None => "no session: what it offers is not known".to_owned(),
        Some((_, agreed)) => match agreed.graceful_restart {
            None => "the peer does not offer it".to_owned(),
            Some(restart) => {
                let time = u64::from(restart.restart_time).min(choice.helper_time.as_secs());
                let kept = restart.families.iter().map(|family| family.to_string());
                let kept: Vec<String> = kept.collect();
                format!(
                    "its routes ({}) stay for up to {} when it restarts; {ours}",
                    kept.join(", "),
                    span(time)
                )
            }
        },
    };
    match fabric.speaker().is_restarting() {
        true => format!("this node has restarted and waits for all peers; {theirs}"),
        false => theirs,
    }
}

/// Never the key itself.
fn protection(manner: Manner) -> Vec<String> {
    let key = match manner.keyed {
        true => "TCP MD5 password (RFC 2385)",
        false => "no password",
    };
    let ttl = match manner.ttl {
        Ttl::Security(1) => "GTSM: on our link (RFC 5082)".to_owned(),
        Ttl::Security(hops) => format!("GTSM: at most {hops} hops away (RFC 5082)"),
        Ttl::Hops(1) => "on our link: TTL 1".to_owned(),
        Ttl::Hops(hops) => format!("multihop: TTL {hops}"),
    };
    vec![key.to_owned(), ttl]
}

fn max_prefixes(max: &MaxPrefixes) -> String {
    let warn = match max.warn {
        0 => "no warning".to_owned(),
        warn => format!("a warning above {warn}"),
    };
    let then = match max.restart {
        Some(time) => format!("back after {}", span(time.as_secs())),
        None => "until `twill bgp reset`".to_owned(),
    };
    format!(
        "{}, {warn}; above it the session is closed, {then}",
        max.limit
    )
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

/// A time as people say it.
pub(super) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => two((minutes, "min"), (seconds % 60, "s")),
        (0, ..) => two((hours, "h"), (minutes % 60, "min")),
        _ => two((days, "d"), (hours % 24, "h")),
    }
}

fn two((large, unit): (u64, &str), (small, of_small): (u64, &str)) -> String {
    match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {of_small}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_two_words_at_most() {
        for (seconds, text) in [
            (59, "59 s"),
            (61, "1 min 1 s"),
            (120, "2 min"),
            (3_660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn a_password_is_named_and_never_shown() {
        let manner = Manner {
            keyed: true,
            ttl: Ttl::Security(2),
        };
        assert_eq!(
            protection(manner),
            [
                "TCP MD5 password (RFC 2385)",
                "GTSM: at most 2 hops away (RFC 5082)"
            ]
        );
    }
}
