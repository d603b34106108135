//! What we tell a peer: the Adj-RIB-Out as a function of what is used.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::family::Family;
use crate::ident::{Asn, Peering};
use crate::policy::clause::{Actions, Learned, Policy, insert};
use crate::prefix::Prefix;
use crate::rib::{Path, Surroundings};
use crate::wire::{Attributes, Community, NextHop, Rules};

/// Our addresses, as next hops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnHops {
    /// For IPv4 routes, and for IPv6 ones never.
    pub v4: Option<Ipv4Addr>,
    /// For IPv6 routes, and for IPv4 ones where the peer takes that (RFC 8950).
    pub v6: Option<Ipv6Addr>,
}

impl OwnHops {
    /// The same with the address that the session has at our end.
    #[must_use]
    pub fn with(mut self, local: IpAddr) -> OwnHops {
        match local {
            IpAddr::V4(address) => self.v4 = Some(address),
            IpAddr::V6(address) => self.v6 = Some(address),
        }
        self
    }
}

/// Everything that what a peer is told depends on. Peers for which it is equal are told the same, by the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exporter {
    /// What the session agreed on. The peer's AS is not part of it: it is 0 here.
    pub rules: Rules,
    /// Our AS.
    pub local_asn: Asn,
    /// Our addresses.
    pub own: OwnHops,
    /// What is announced; `None`: nothing (RFC 8212).
    pub policy: Option<Policy>,
    /// Names us as the next hop of learned routes, also to internal peers.
    pub next_hop_self: bool,
    /// We are going away (RFC 8326).
    pub drain: bool,
}

/// Why a peer is not told about a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untold {
    /// There is no session.
    NoSession,
    /// No path of the prefix is used.
    NothingUsed,
    /// The used path is the peer's own.
    FromIt,
    /// The family is not exchanged in the session.
    Family,
    /// The community NO_ADVERTISE.
    NoAdvertise,
    /// The community NO_EXPORT, or the one for confederations, and an external peer.
    NoExport,
    /// From one internal peer to another: we are no route reflector (RFC 4271 section 9.2.1).
    Internal,
    /// An external peer without an export policy (RFC 8212).
    NoPolicy,
    /// No clause of the export policy takes it, or one refuses it.
    Policy,
    /// A default route that no clause names.
    DefaultRoute,
    /// We have no address of the family to name as the next hop.
    NoAddress,
}

impl Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Untold::NoSession => "there is no session",
            Untold::NothingUsed => "no path of it is used",
            Untold::FromIt => "the path that is used comes from this peer",
            Untold::Family => "its family is not exchanged in this session",
            Untold::NoAdvertise => "it has the community no-advertise",
            Untold::NoExport => "it has the community no-export, and the peer is in another AS",
            Untold::Internal => "it comes from an internal peer, and this is one, too (RFC 4271)",
            Untold::NoPolicy => "the external peer has no export policy (RFC 8212)",
            Untold::Policy => "the export policy does not take it",
            Untold::DefaultRoute => "a default route is told only where the policy names it",
            Untold::NoAddress => "this node has no address of its family to be its next hop",
        })
    }
}

/// Which clause takes a route, and for which kind of source: routes with the same attributes and the same plan are told with
/// the same attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Plan {
    clause: usize,
    learned: Learned,
}

impl Exporter {
    /// By which plan the route is told, or why it is not.
    pub fn plan(&self, prefix: Prefix, path: &Path, around: &Surroundings) -> Result<Plan, Untold> {
        let said = &path.known.attributes;
        let learned = match around.source(path.from).map(|source| source.peering) {
            Some(None) => Learned::Here,
            Some(Some(peering)) => Learned::From(peering),
            None => return Err(Untold::NothingUsed),
        };
        let external = self.rules.peering == Peering::External;
        let stays_inside =
            said.has(Community::NO_EXPORT) || said.has(Community::NO_EXPORT_SUBCONFED);
        if !self.rules.families.has(prefix.family()) {
            Err(Untold::Family)
        } else if said.has(Community::NO_ADVERTISE) {
            Err(Untold::NoAdvertise)
        } else if external && stays_inside {
            Err(Untold::NoExport)
        } else if !external && learned == Learned::From(Peering::Internal) {
            Err(Untold::Internal)
        } else {
            self.choose_clause(prefix, said, learned)
        }
    }

    fn choose_clause(
        &self,
        prefix: Prefix,
        said: &Attributes,
        learned: Learned,
    ) -> Result<Plan, Untold> {
        let policy = self.policy.as_ref().ok_or(Untold::NoPolicy)?;
        match policy.judge(prefix, said, learned) {
            Some((clause, _)) => Ok(Plan { clause, learned }),
            None if prefix.is_default() => Err(Untold::DefaultRoute),
            None => Err(Untold::Policy),
        }
    }

    /// What is said about routes with these attributes; `None`: we have no address to name as their next hop.
    pub fn attributes(&self, said: &Attributes, plan: Plan, family: Family) -> Option<Attributes> {
        let clause = self.policy.as_ref()?.clauses.get(plan.clause)?;
        let actions = clause.actions.as_ref()?;
        let mut told = said.clone();
        if plan.learned == Learned::From(Peering::External) {
            // RFC 4271 section 5.1.4: another AS's MED goes no further than this one.
            told.med = told.med.filter(|_| self.rules.peering == Peering::Internal);
        }
        actions.apply(&mut told, self.local_asn);
        told.next_hop = self.next_hop(said.next_hop, actions, plan.learned, family)?;
        match self.rules.peering {
            Peering::External => self.leave_as(&mut told),
            Peering::Internal => {
                told.local_pref = told.local_pref.or(Some(Attributes::DEFAULT_LOCAL_PREF))
            }
        }
        if self.drain {
            insert(&mut told.communities, Community::GRACEFUL_SHUTDOWN);
            told.local_pref = told.local_pref.map(|_| 0);
        }
        Some(told)
    }

    fn leave_as(&self, told: &mut Attributes) {
        told.as_path = told.as_path.prepended(self.local_asn, 1);
        told.local_pref = None;
        told.originator_id = None;
        told.cluster_list.clear();
        told.extended_communities.retain(|c| c.is_transitive());
    }

    fn next_hop(
        &self,
        said: NextHop,
        actions: &Actions,
        learned: Learned,
        family: Family,
    ) -> Option<NextHop> {
        let learned_inside = learned != Learned::Here && self.rules.peering == Peering::Internal;
        if learned_inside && !self.next_hop_self && !actions.next_hop_self {
            return Some(said);
        }
        let v4 = self.own.v4.map(NextHop::V4);
        let v6 = self.own.v6.map(|address| NextHop::V6(address, None));
        match family {
            Family::Ipv4 => v4.or(v6.filter(|_| self.rules.extended_next_hop)),
            Family::Ipv6 => v6,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::family::Families;
    use crate::ident::RouterId;
    use crate::rib::{Known, PeerId, Source};
    use crate::wire::{AsPath, ExtendedCommunity};

    fn exporter(peering: Peering) -> Exporter {
        Exporter {
            rules: Rules {
                peering,
                peer_asn: Asn(0),
                enforce_first_as: false,
                four_octet_as: true,
                families: Families::BOTH,
                extended_next_hop: false,
                max_message: 4096,
            },
            local_asn: Asn(65001),
            own: OwnHops {
                v4: Some([10, 99, 0, 1].into()),
                v6: None,
            },
            policy: Some(Policy::everything()),
            next_hop_self: false,
            drain: false,
        }
    }

    fn around() -> Surroundings {
        let mut around = Surroundings::new(Asn(65001), RouterId::from_bits(1), 1);
        for (id, peering) in [(1, Peering::External), (2, Peering::Internal)] {
            let source = Source::new(
                Some(peering),
                Asn(65010),
                RouterId::from_bits(2),
                Ipv4Addr::LOCALHOST.into(),
            );
            around.set_source(PeerId(id), source);
        }
        around
    }

    fn path(from: u16) -> Path {
        let hop = NextHop::V4([10, 99, 0, 9].into());
        let attributes = Attributes {
            as_path: AsPath::of(&[Asn(65010)]),
            med: Some(5),
            local_pref: Some(300),
            extended_communities: vec![ExtendedCommunity([0; 8]), ExtendedCommunity([0x40; 8])],
            ..Attributes::originated(hop)
        };
        Path {
            known: Arc::new(Known::as_sent(attributes)),
            from: PeerId(from),
            refusal: None,
            round: 0,
        }
    }

    fn told(exporter: &Exporter, prefix: &str, path: &Path) -> Option<Attributes> {
        let prefix: Prefix = prefix.parse().unwrap();
        let plan = exporter.plan(prefix, path, &around()).ok()?;
        exporter.attributes(&path.known.attributes, plan, prefix.family())
    }

    const NET: &str = "192.0.2.0/24";

    #[test]
    fn an_external_peer_sees_our_as_our_address_and_nothing_internal() {
        let told = told(&exporter(Peering::External), NET, &path(1)).unwrap();
        assert_eq!(told.as_path, AsPath::of(&[Asn(65001), Asn(65010)]));
        assert_eq!(told.next_hop.to_string(), "10.99.0.1");
        assert_eq!(
            (told.med, told.local_pref, told.extended_communities.len()),
            (None, None, 1)
        );
    }

    #[test]
    fn an_internal_peer_sees_external_routes_as_they_are() {
        let told_as_is = told(&exporter(Peering::Internal), NET, &path(1)).unwrap();
        assert_eq!(told_as_is, path(1).known.attributes);
        let ourselves = Exporter {
            next_hop_self: true,
            ..exporter(Peering::Internal)
        };
        assert_eq!(
            told(&ourselves, NET, &path(1))
                .unwrap()
                .next_hop
                .to_string(),
            "10.99.0.1"
        );
    }

    #[test]
    fn what_is_not_told_has_a_reason() {
        let why = |exporter: &Exporter, net: &str, path: &Path| {
            let prefix: Prefix = net.parse().unwrap();
            exporter.plan(prefix, path, &around()).unwrap_err()
        };
        let unset = Exporter {
            policy: None,
            ..exporter(Peering::External)
        };
        let own = Exporter {
            policy: Some(Policy::originated()),
            ..exporter(Peering::External)
        };
        let mut v4_only = own.clone();
        v4_only.rules.families = Families::IPV4;
        assert_eq!(why(&unset, NET, &path(0)), Untold::NoPolicy);
        assert_eq!(why(&own, NET, &path(1)), Untold::Policy);
        assert_eq!(why(&own, "0.0.0.0/0", &path(0)), Untold::DefaultRoute);
        assert_eq!(why(&v4_only, "fd00::/64", &path(0)), Untold::Family);
        let internal = exporter(Peering::Internal);
        assert_eq!(why(&internal, NET, &path(2)), Untold::Internal);
    }

    #[test]
    fn internal_routes_do_not_go_to_internal_peers() {
        assert_eq!(told(&exporter(Peering::Internal), NET, &path(2)), None);
        assert!(told(&exporter(Peering::External), NET, &path(2)).is_some());
    }

    #[test]
    fn well_known_communities_keep_routes_in() {
        for (community, inside, outside) in [
            (Community::NO_EXPORT, true, false),
            (Community::NO_EXPORT_SUBCONFED, true, false),
            (Community::NO_ADVERTISE, false, false),
            (Community::GRACEFUL_SHUTDOWN, true, true),
        ] {
            let mut path = path(1);
            Arc::make_mut(&mut path.known).attributes.communities = vec![community];
            assert_eq!(
                told(&exporter(Peering::Internal), NET, &path).is_some(),
                inside,
                "{community}"
            );
            assert_eq!(
                told(&exporter(Peering::External), NET, &path).is_some(),
                outside,
                "{community}"
            );
        }
    }

    #[test]
    fn without_a_policy_or_an_address_nothing_is_told() {
        let unset = Exporter {
            policy: None,
            ..exporter(Peering::External)
        };
        assert_eq!(told(&unset, NET, &path(0)), None);
        assert_eq!(
            told(&exporter(Peering::External), "fd00::/64", &path(0)),
            None
        );
        assert!(
            told(
                &Exporter {
                    policy: Some(Policy::originated()),
                    ..exporter(Peering::External)
                },
                NET,
                &path(1)
            )
            .is_none()
        );
    }

    #[test]
    fn an_ipv4_route_goes_over_an_ipv6_address_where_the_peer_takes_that() {
        let mut v6_only = exporter(Peering::External);
        v6_only.own = OwnHops::default().with("fd99::1".parse().unwrap());
        assert_eq!(told(&v6_only, NET, &path(0)), None);
        v6_only.rules.extended_next_hop = true;
        assert_eq!(
            told(&v6_only, NET, &path(0)).unwrap().next_hop.to_string(),
            "fd99::1"
        );
    }

    #[test]
    fn who_goes_away_says_so_and_wants_to_be_used_last() {
        let going = Exporter {
            drain: true,
            ..exporter(Peering::Internal)
        };
        let told = told(&going, NET, &path(0)).unwrap();
        assert!(told.has(Community::GRACEFUL_SHUTDOWN));
        assert_eq!(told.local_pref, Some(0));
    }
}
