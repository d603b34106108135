//! What the structures have, in words.

use bgp::peer::Next;
use bgp::session::Agreed;
use bgp::speaker::{MaxPrefixes, PeerView};

use crate::bgp::fabric::{Fabric, Kind};
use crate::bgp::transport::{Key, Ttl};

use super::super::rib::InFabric;

pub(super) fn kind(fabric: &Fabric, view: &PeerView<'_>) -> String {
    match fabric.kind(view) {
        Kind::Node => "a node of the mesh, by its lease".to_owned(),
        Kind::Configured => "a peer of the settings".to_owned(),
        Kind::Guest(Some(listen)) => format!(
            "connected from {}, a peer while the session lasts",
            listen.range.range
        ),
        Kind::Guest(None) => "a peer while the session lasts".to_owned(),
    }
}

pub(super) fn next(seen: &InFabric<'_>, view: &PeerView<'_>) -> Option<String> {
    let name = &view.name.0;
    let within = |at| span(u64::from(seen.now < at) + seconds(at, seen));
    let why_awaited = match seen.fabric.kind(view) {
        Kind::Node => "of two nodes the one with the lower address connects",
        Kind::Configured => "the settings have passive = true",
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

pub(super) fn times(agreed: &Agreed) -> Option<(u64, u64)> {
    let (hold, keepalive) = (agreed.hold_time?, agreed.keepalive_time()?);
    Some((hold.as_secs(), keepalive.as_secs()))
}

pub(super) fn families(agreed: &Agreed) -> Vec<String> {
    let families = agreed.rules.families.iter();
    families.map(|family| family.to_string()).collect()
}

/// What both sides can do, with where it is from.
pub(super) fn capabilities(agreed: &Agreed) -> Vec<String> {
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

pub(super) fn graceful_restart(fabric: &Fabric, view: &PeerView<'_>) -> String {
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
            Some(restart) if restart.families.is_empty() || restart.restart_time == 0 => {
                format!("its routes go with its session: it only helps others; {ours}")
            }
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
        true => format!("this node has started and waits for the routes of all peers; {theirs}"),
        false => theirs,
    }
}

/// Never the key itself.
pub(super) fn protection(key: Option<&Key>, ttl: Ttl) -> Vec<String> {
    let key = match key {
        Some(_) => "TCP MD5 password (RFC 2385)",
        None => "no password",
    };
    let ttl = match ttl {
        Ttl::Security(1) => "GTSM: on our link (RFC 5082)".to_owned(),
        Ttl::Security(hops) => format!("GTSM: at most {hops} hops away (RFC 5082)"),
        Ttl::Hops(1) => "on our link: TTL 1".to_owned(),
        Ttl::Hops(hops) => format!("multihop: TTL {hops}"),
    };
    vec![key.to_owned(), ttl]
}

pub(super) fn max_prefixes(max: &MaxPrefixes) -> String {
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

/// A time as people say it.
pub(in super::super) fn span(seconds: u64) -> String {
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
        let key = Key::new(b"secret").ok();
        assert_eq!(
            protection(key.as_ref(), Ttl::Security(2)),
            [
                "TCP MD5 password (RFC 2385)",
                "GTSM: at most 2 hops away (RFC 5082)"
            ]
        );
    }
}
