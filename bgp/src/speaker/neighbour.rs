//! A peer as the speaker sees it: its settings, its connections, its routes in and out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::family::Family;
use crate::ident::RouterId;
use crate::peer::{Connection, Jitter, Peer};
use crate::policy::{Exporter, Judge};
use crate::session::{Agreed, Cause, Terms};
use crate::speaker::config::{Config, PeerConfig, PeerName};
use crate::speaker::outbox::Outbox;
use crate::wire::{Cease, GracefulRestart, Notification, Refresh, RefreshKind, encode_refresh};

/// The shortest time between two refreshes that a peer begins.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);

/// A peer as the speaker sees it.
#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) name: PeerName,
    pub(super) config: PeerConfig,
    /// Made by a connection from a listen range, and gone with its session.
    pub(super) dynamic: bool,
    pub(super) peer: Peer,
    /// The session that is up.
    pub(super) up: Option<(Connection, Agreed)>,
    /// What is told in it; peers with equal ones are one group.
    pub(super) exporter: Option<Arc<Exporter>>,
    /// Judges its routes, while a session is up or its routes are kept.
    pub(super) judge: Option<Arc<Judge>>,
    pub(super) outbox: Outbox,
    /// By family: until when what is stale of this peer is kept; `None`: nothing is stale.
    pub(super) stale_until: [Option<Instant>; 2],
    /// By family: when it last said that all its routes follow.
    refresh_begun: [Option<Instant>; 2],
    /// By family: it tells all its routes again, and what is stale is so for that alone.
    pub(super) refreshes: [bool; 2],
    /// Whether it was said that it announces many prefixes.
    pub(super) warned: bool,
}

impl Neighbour {
    pub(super) fn new(
        name: PeerName,
        config: PeerConfig,
        terms: Terms,
        jitter: Jitter,
    ) -> Neighbour {
        Neighbour {
            name,
            dynamic: false,
            peer: Peer::new(terms, config.passive, jitter),
            up: None,
            exporter: None,
            judge: None,
            outbox: Outbox::default(),
            stale_until: [None; 2],
            refresh_begun: [None; 2],
            refreshes: [false; 2],
            warned: false,
            config,
        }
    }

    /// What judges its routes.
    pub(super) fn judge_for(&self, config: &Config) -> Judge {
        let mut guard = config.guard.clone();
        guard
            .own_addresses
            .extend(self.up.iter().map(|(connection, _)| connection.local.ip()));
        guard
            .own_addresses
            .extend(config.addresses.v4.map(IpAddr::from));
        guard
            .own_addresses
            .extend(config.addresses.v6.map(IpAddr::from));
        Judge {
            import: Arc::new(self.config.import.clone()),
            guard: guard.into(),
            peering: self.terms(config, false).peering(),
            peer_asn: self.config.asn,
            local_asn: config.asn,
            router_id: config.router_id,
            allow_own_as: self.config.allow_own_as,
        }
    }

    /// What we offer it. `restarting`: we have just restarted and wait for its routes.
    pub(super) fn terms(&self, config: &Config, restarting: bool) -> Terms {
        terms(config, &self.config, restarting)
    }

    /// What it is told, if a session is up.
    pub(super) fn exporter_for(&self, config: &Config, drain: bool) -> Option<Exporter> {
        let (connection, agreed) = self.up.as_ref()?;
        let mut rules = agreed.rules;
        (rules.peer_asn.0, rules.enforce_first_as) = (0, false);
        Some(Exporter {
            rules,
            local_asn: config.asn,
            own: config.addresses.with(connection.local.ip()),
            policy: self.config.export.clone(),
            next_hop_self: self.config.next_hop_self,
            drain,
        })
    }

    /// Whether a mark that all its routes follow is taken. Not before End-of-RIB where that comes (RFC 7313 section 4): what is
    /// stale from before a restart would go with the wrong mark. Each makes for a pass over the whole table, so a peer that marks
    /// without end is not listened to: nothing is stale then, and nothing is lost.
    pub(super) fn may_begin_refresh(&self, family: Family, restarts: bool, now: Instant) -> bool {
        let awaits_end_of_rib =
            restarts && !self.is_synced(family) && !self.refreshes[family as usize];
        let begun = self.refresh_begun[family as usize];
        let is_late = begun.is_none_or(|begun| now.duration_since(begun) >= REFRESH_PAUSE);
        is_late && !awaits_end_of_rib
    }

    /// What it has told so far is stale from here on, for so long at most.
    pub(super) fn begin_refresh(&mut self, family: Family, now: Instant, longest: Duration) {
        self.refresh_begun[family as usize] = Some(now);
        self.stale_until[family as usize] = Some(now + longest);
        self.refreshes[family as usize] = true;
    }

    /// Begins to tell it everything once more. Where it is asked for again before everything has been told, it is told from
    /// the start, within the same marks; and without marks before End-of-RIB, which says the same (RFC 7313 section 4).
    pub(super) fn tell_again(&mut self, family: Family, marked: bool) {
        let marked = marked && !self.outbox.end_of_rib_owed.has(family);
        let before = self.outbox.walk_of(family).is_some_and(|walk| walk.marked);
        if marked && !before {
            let begin = Refresh {
                family,
                kind: RefreshKind::Begin,
            };
            self.outbox.push_anyway(encode_refresh(begin).into());
        }
        self.outbox.walk(family, marked);
    }

    /// When the next of what is stale has to go.
    pub(super) fn stale_timeout(&self) -> Option<Instant> {
        self.stale_until.into_iter().flatten().min()
    }

    /// Whether all that it has to say of the family has been said.
    pub(super) fn is_synced(&self, family: Family) -> bool {
        self.stale_until[family as usize].is_none()
    }

    /// How a session ends on purpose. Where the peer would keep our routes through a NOTIFICATION, it is told not to.
    pub(super) fn farewell(&self, why: Notification) -> Notification {
        let keeps = self
            .up
            .as_ref()
            .is_some_and(|(_, agreed)| agreed.notification);
        let for_good = matches!(why.subcode, s if s == Cease::Shutdown as u8 || s == Cease::Deconfigured as u8);
        if keeps && for_good { why.hard() } else { why }
    }
}

/// What we offer a peer with these settings.
pub(super) fn terms(config: &Config, peer: &PeerConfig, restarting: bool) -> Terms {
    let restart_time = config
        .restart
        .restart_time
        .as_secs()
        .min(GracefulRestart::MAX_TIME.into()) as u16;
    Terms {
        local_asn: config.asn,
        peer_asn: peer.asn,
        router_id: config.router_id,
        hold_time: peer.hold_time,
        families: peer.families,
        enforce_first_as: peer.enforce_first_as,
        // What we have in the kernel stays there whatever becomes of the process: forwarding goes on.
        graceful_restart: peer.graceful_restart.then_some(GracefulRestart {
            restarting,
            notification: true,
            restart_time,
            families: peer.families,
            forwarding: peer.families,
        }),
    }
}

/// How long the routes of a peer are kept whose session ended like this; `None`: not at all (RFC 4724 section 4.2, RFC 8538
/// section 4).
pub(super) fn keep_time(cause: &Cause, agreed: &Agreed, longest: Duration) -> Option<Duration> {
    let theirs = agreed.graceful_restart?;
    let keeps = match cause {
        Cause::Lost => true,
        // It lives, and has another connection to us.
        Cause::TheySaid(why) if why.is_collision() => true,
        // What we end because its routes are not wanted is not kept.
        Cause::WeSaid(why) if why.code == 6 => {
            agreed.notification && matches!(why.subcode, 4 | 6 | 7)
        }
        Cause::WeSaid(_) => agreed.notification,
        Cause::TheySaid(why) => agreed.notification && !why.is_hard_reset(),
        Cause::Unreadable => false,
    };
    let time = Duration::from_secs(theirs.restart_time.into()).min(longest);
    (keeps && !time.is_zero() && !theirs.families.is_empty()).then_some(time)
}

/// The identifier of a peer that has not said it yet.
pub(super) const UNKNOWN_ID: RouterId = RouterId(std::net::Ipv4Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::Families;
    use crate::ident::Asn;

    /// What a peer without the N-bit agrees on.
    fn agreed() -> Agreed {
        let restart = GracefulRestart {
            restart_time: 120,
            families: Families::BOTH,
            forwarding: Families::BOTH,
            ..GracefulRestart::default()
        };
        let terms = |asn| Terms {
            local_asn: Asn(asn),
            peer_asn: Asn(3 - asn),
            router_id: RouterId::from_bits(asn),
            hold_time: 90,
            families: Families::BOTH,
            enforce_first_as: true,
            graceful_restart: Some(restart),
        };
        terms(1).agree(&terms(2).open()).unwrap()
    }

    #[test]
    fn routes_are_kept_when_the_peer_keeps_another_connection_and_not_when_it_ends_for_another_reason()
     {
        let kept = |why| {
            keep_time(
                &Cause::TheySaid(Notification::cease(why)),
                &agreed(),
                Duration::from_secs(600),
            )
        };
        assert_eq!(kept(Cease::Collision), Some(Duration::from_secs(120)));
        assert_eq!(kept(Cease::Reset), None);
        assert_eq!(kept(Cease::Shutdown), None);
    }
}
