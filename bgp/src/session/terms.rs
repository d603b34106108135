//! What we offer and ask of a peer, and what both sides agree on (RFC 4271 section 4.2 and 6.2, RFC 5492, RFC 6286).

use std::time::Duration;

use crate::family::{Families, Family};
use crate::ident::{Asn, Peering, RouterId};
use crate::wire::{
    Capabilities, GracefulRestart, MAX_EXTENDED, MAX_MESSAGE, Notification, Open, Rules,
};

/// What we offer and ask of a peer in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Our AS.
    pub local_asn: Asn,
    /// The AS that the peer must be in.
    pub peer_asn: Asn,
    /// Our BGP identifier.
    pub router_id: RouterId,
    /// Seconds that we propose for the hold time: 0 (no keepalives), or 3 and more.
    pub hold_time: u16,
    /// The families that we want to exchange.
    pub families: Families,
    /// Whether a path from an external peer must begin with its AS.
    pub enforce_first_as: bool,
    /// Graceful restart as we offer it; `None` where it is off.
    pub graceful_restart: Option<GracefulRestart>,
}

/// What both sides of a session agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// How UPDATEs are read and written.
    pub rules: Rules,
    /// The peer's BGP identifier.
    pub router_id: RouterId,
    /// The lower of both hold times; `None`: neither side expects keepalives.
    pub hold_time: Option<Duration>,
    /// The peer takes ROUTE-REFRESH.
    pub route_refresh: bool,
    /// Both sides mark begin and end of a refresh.
    pub enhanced_refresh: bool,
    /// What the peer said about graceful restart, if we speak of it, too.
    pub graceful_restart: Option<GracefulRestart>,
    /// Both sides keep routes through a NOTIFICATION (RFC 8538).
    pub notification: bool,
}

impl Terms {
    /// Internal or external.
    pub fn peering(&self) -> Peering {
        if self.local_asn == self.peer_asn {
            Peering::Internal
        } else {
            Peering::External
        }
    }

    /// Our OPEN.
    pub fn open(&self) -> Open {
        Open {
            asn: self.local_asn,
            hold_time: self.hold_time,
            router_id: self.router_id,
            capabilities: Capabilities {
                families: self.families,
                route_refresh: true,
                enhanced_refresh: true,
                extended_message: true,
                extended_next_hop: self.families.has(Family::Ipv4),
                four_octet_as: Some(self.local_asn),
                graceful_restart: self.graceful_restart,
            },
        }
    }

    /// Compares the peer's OPEN with what we ask. An error is what the peer is told.
    pub fn agree(&self, theirs: &Open) -> Result<Agreed, Notification> {
        let can = &theirs.capabilities;
        if theirs.asn != self.peer_asn {
            return Err(Notification::new(2, 2));
        }
        if self.peering() == Peering::Internal && theirs.router_id == self.router_id {
            return Err(Notification::new(2, 3));
        }
        let families = self.families.and(can.families);
        if families.is_empty() {
            return Err(Notification::new(2, 7));
        }
        let hold_time = self.hold_time.min(theirs.hold_time);
        Ok(Agreed {
            rules: self.rules(families, can),
            router_id: theirs.router_id,
            hold_time: (hold_time > 0).then(|| Duration::from_secs(hold_time.into())),
            route_refresh: can.route_refresh,
            enhanced_refresh: can.enhanced_refresh && can.route_refresh,
            graceful_restart: can
                .graceful_restart
                .filter(|_| self.graceful_restart.is_some()),
            notification: self.graceful_restart.is_some_and(|r| r.notification)
                && can.graceful_restart.is_some_and(|r| r.notification),
        })
    }

    fn rules(&self, families: Families, can: &Capabilities) -> Rules {
        Rules {
            peering: self.peering(),
            peer_asn: self.peer_asn,
            enforce_first_as: self.enforce_first_as,
            four_octet_as: can.four_octet_as.is_some(),
            families,
            extended_next_hop: can.extended_next_hop && families.has(Family::Ipv4),
            max_message: if can.extended_message {
                MAX_EXTENDED
            } else {
                MAX_MESSAGE
            },
        }
    }
}

impl Agreed {
    /// How often we say that we live: a third of the hold time (RFC 4271 section 4.4).
    pub fn keepalive_time(&self) -> Option<Duration> {
        self.hold_time.map(|hold| hold / 3)
    }

    /// How long the peer may take nothing before we give it up: eight minutes, or twice the hold time (RFC 9687 section 6).
    pub fn send_hold_time(&self) -> Duration {
        let twice = self.hold_time.map_or(Duration::ZERO, |hold| hold * 2);
        twice.max(Duration::from_secs(480))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(local: u32, peer: u32) -> Terms {
        Terms {
            local_asn: Asn(local),
            peer_asn: Asn(peer),
            router_id: RouterId::from_bits(local),
            hold_time: 90,
            families: Families::BOTH,
            enforce_first_as: true,
            graceful_restart: Some(GracefulRestart {
                notification: true,
                ..GracefulRestart::default()
            }),
        }
    }

    #[test]
    fn two_of_ours_agree_on_everything() {
        let (a, b) = (terms(1, 2), terms(2, 1));
        let agreed = a.agree(&b.open()).unwrap();
        assert_eq!(agreed.router_id, RouterId::from_bits(2));
        assert_eq!(agreed.rules.peering, Peering::External);
        assert_eq!(agreed.rules.max_message, MAX_EXTENDED);
        assert!(agreed.enhanced_refresh && agreed.notification && agreed.rules.extended_next_hop);
    }

    #[test]
    fn the_lower_hold_time_counts_and_none_at_all_is_fine() {
        let mut theirs = terms(2, 1).open();
        theirs.hold_time = 9;
        let agreed = terms(1, 2).agree(&theirs).unwrap();
        assert_eq!(agreed.hold_time, Some(Duration::from_secs(9)));
        assert_eq!(agreed.keepalive_time(), Some(Duration::from_secs(3)));
        theirs.hold_time = 0;
        assert_eq!(terms(1, 2).agree(&theirs).unwrap().hold_time, None);
    }

    #[test]
    fn the_wrong_as_the_own_identifier_and_no_common_family_are_refused() {
        let refused = |theirs: &Open| {
            terms(1, 2)
                .agree(theirs)
                .map_err(|n| (n.code, n.subcode))
                .unwrap_err()
        };
        assert_eq!(refused(&terms(3, 1).open()), (2, 2));
        let mut theirs = terms(2, 1).open();
        theirs.capabilities.families = Families::NONE;
        assert_eq!(refused(&theirs), (2, 7));
        let same = terms(1, 1);
        assert_eq!(
            same.agree(&same.open()).map_err(|n| (n.code, n.subcode)),
            Err((2, 3))
        );
    }
}
