//! What we take from a peer.

use std::net::IpAddr;
use std::sync::Arc;

use crate::ident::{Asn, Peering, RouterId};
use crate::policy::clause::{Actions, Learned, Policy};
use crate::policy::prefixes::{PrefixList, PrefixSet, is_martian};
use crate::prefix::Prefix;
use crate::rib::Refusal;
use crate::wire::{Attributes, Community, NextHop};

/// What we take from a peer, by configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Import {
    /// Nothing is configured, so nothing is taken (RFC 8212).
    #[default]
    Unset,
    /// What the clauses take.
    Policy(Policy),
    /// What a node of the mesh may announce.
    Mesh(MeshImport),
}

/// What a node of the mesh may announce: the blocks that its lease gives it, and what is named for all nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeshImport {
    /// The blocks of its lease.
    pub blocks: PrefixSet,
    /// Whether parts of a block are taken as well.
    pub more_specifics: bool,
    /// What any node may announce, such as ranges of services.
    pub shared: PrefixList,
    /// The node's addresses, one of which the next hop must be; empty: not asked.
    pub next_hops: Vec<IpAddr>,
}

/// What is never taken, from whomever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// The blocks of this node.
    pub own_blocks: PrefixSet,
    /// Addresses of nodes, and networks that must not be routed elsewhere.
    pub protected: PrefixSet,
    /// Our own addresses, which are no next hops.
    pub own_addresses: Vec<IpAddr>,
}

/// Everything that judging the routes of one peer needs.
#[derive(Debug, Clone)]
pub struct Judge {
    /// What is configured.
    pub import: Arc<Import>,
    /// What is never taken.
    pub guard: Arc<Guard>,
    /// Internal or external.
    pub peering: Peering,
    /// The peer's AS.
    pub peer_asn: Asn,
    /// Our AS.
    pub local_asn: Asn,
    /// Our BGP identifier.
    pub router_id: RouterId,
    /// How often our AS may be in a path.
    pub allow_own_as: u8,
}

impl Judge {
    /// Why no route with these attributes may be used; `None`: it depends on the prefix. Asked once for all routes of an
    /// UPDATE.
    pub fn judge_attributes(&self, said: &Attributes) -> Option<Refusal> {
        let ours = self.router_id.to_bits();
        let hop = said.next_hop.address();
        if said.as_path.count(self.local_asn) > usize::from(self.allow_own_as) {
            Some(Refusal::AsLoop)
        } else if said.originator_id == Some(self.router_id) {
            Some(Refusal::OriginatedHere)
        } else if said.cluster_list.contains(&ours) {
            Some(Refusal::ClusterLoop)
        } else if self.guard.own_addresses.contains(&hop) {
            Some(Refusal::OwnNextHop)
        } else if matches!(said.next_hop, NextHop::V6(a, _) if a.to_ipv4_mapped().is_some()) {
            Some(Refusal::BadNextHop)
        } else {
            self.foreign_next_hop(hop)
        }
    }

    fn foreign_next_hop(&self, hop: IpAddr) -> Option<Refusal> {
        match &*self.import {
            Import::Mesh(mesh) if !mesh.next_hops.is_empty() && !mesh.next_hops.contains(&hop) => {
                Some(Refusal::ForeignNextHop)
            }
            _ => None,
        }
    }

    /// Whether the route to this prefix is taken: which clause takes it, and what it does. The number tells routes apart that
    /// are changed in different ways.
    pub fn judge(
        &self,
        prefix: Prefix,
        said: &Attributes,
    ) -> Result<(usize, Option<&Actions>), Refusal> {
        if is_martian(prefix) {
            return Err(Refusal::Martian);
        }
        if self.guard.own_blocks.covers(prefix) {
            return Err(Refusal::OwnBlock);
        }
        if self.guard.protected.covers(prefix) {
            return Err(Refusal::Protected);
        }
        match &*self.import {
            Import::Unset if self.peering == Peering::External => Err(Refusal::NoPolicy),
            Import::Unset => Err(Refusal::Policy),
            Import::Mesh(mesh) if mesh.takes(prefix) => Ok((0, None)),
            Import::Mesh(_) => Err(Refusal::NotInLease),
            Import::Policy(policy) => match policy.judge(prefix, said, Learned::From(self.peering))
            {
                Some((clause, actions)) => Ok((clause, Some(actions))),
                None if prefix.is_default() => Err(Refusal::DefaultRoute),
                None => Err(Refusal::Policy),
            },
        }
    }

    /// What the policy makes of the attributes; `None`: they stay as they are.
    pub fn changed(&self, said: &Attributes, actions: Option<&Actions>) -> Option<Attributes> {
        let going_away =
            self.peering == Peering::External && said.has(Community::GRACEFUL_SHUTDOWN);
        let actions = actions.filter(|actions| !actions.is_nothing());
        if actions.is_none() && !going_away {
            return None;
        }
        let mut changed = said.clone();
        if let Some(actions) = actions {
            actions.apply(&mut changed, self.peer_asn);
        }
        if going_away {
            // RFC 8326 section 4.2: the last resort.
            changed.local_pref = Some(0);
        }
        Some(changed)
    }
}

impl MeshImport {
    fn takes(&self, prefix: Prefix) -> bool {
        self.blocks.has(prefix)
            || (self.more_specifics && self.blocks.covers(prefix))
            || self.shared.matches(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::prefixes::PrefixRule;
    use crate::wire::AsPath;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect(text)
    }

    fn set(texts: &[&str]) -> PrefixSet {
        texts.iter().map(|t| prefix(t)).collect()
    }

    fn judge(import: Import, peering: Peering) -> Judge {
        let guard = Guard {
            own_blocks: set(&["10.244.0.0/24"]),
            protected: set(&["10.99.0.0/24"]),
            own_addresses: vec!["10.99.0.1".parse().unwrap()],
        };
        Judge {
            import: import.into(),
            guard: guard.into(),
            peering,
            peer_asn: Asn(65010),
            local_asn: Asn(65001),
            router_id: RouterId::from_bits(1),
            allow_own_as: 0,
        }
    }

    fn said(hop: &str) -> Attributes {
        let hop: IpAddr = hop.parse().unwrap();
        Attributes::originated(hop.into())
    }

    fn mesh() -> Judge {
        let mesh = MeshImport {
            blocks: set(&["10.244.7.0/24", "fd00:244:7::/64"]),
            shared: [PrefixRule::exact(prefix("10.96.0.0/12"))]
                .into_iter()
                .collect(),
            next_hops: vec!["10.99.0.7".parse().unwrap()],
            ..MeshImport::default()
        };
        judge(Import::Mesh(mesh), Peering::Internal)
    }

    #[test]
    fn a_node_may_announce_its_blocks_and_what_is_shared_and_nothing_else() {
        let mesh = mesh();
        let takes = |text| {
            mesh.judge(prefix(text), &said("10.99.0.7"))
                .map(|(clause, _)| clause)
        };
        for taken in ["10.244.7.0/24", "fd00:244:7::/64", "10.96.0.0/12"] {
            assert_eq!(takes(taken), Ok(0), "{taken}");
        }
        for refused in [
            "10.244.8.0/24",
            "10.244.7.0/25",
            "10.244.0.0/16",
            "0.0.0.0/0",
            "192.0.2.0/24",
        ] {
            assert_eq!(takes(refused), Err(Refusal::NotInLease), "{refused}");
        }
    }

    #[test]
    fn parts_of_a_block_are_taken_where_told() {
        let Import::Mesh(mut mesh) = (*mesh().import).clone() else {
            unreachable!()
        };
        mesh.more_specifics = true;
        let judge = judge(Import::Mesh(mesh), Peering::Internal);
        assert!(
            judge
                .judge(prefix("10.244.7.9/32"), &said("10.99.0.7"))
                .is_ok()
        );
    }

    #[test]
    fn a_node_must_be_its_own_next_hop() {
        assert_eq!(mesh().judge_attributes(&said("10.99.0.7")), None);
        assert_eq!(
            mesh().judge_attributes(&said("10.99.0.8")),
            Some(Refusal::ForeignNextHop)
        );
    }

    #[test]
    fn martians_own_blocks_and_protected_networks_are_refused_even_where_everything_is_taken() {
        let all = judge(Import::Policy(Policy::everything()), Peering::External);
        for (text, refusal) in [
            ("127.0.0.0/8", Refusal::Martian),
            ("10.244.0.0/24", Refusal::OwnBlock),
            ("10.244.0.128/25", Refusal::OwnBlock),
            ("10.99.0.1/32", Refusal::Protected),
            ("10.99.0.0/25", Refusal::Protected),
            ("0.0.0.0/0", Refusal::DefaultRoute),
        ] {
            assert_eq!(
                all.judge(prefix(text), &said("10.99.0.9")).map(|(n, _)| n),
                Err(refusal),
                "{text}"
            );
        }
        assert!(
            all.judge(prefix("10.244.0.0/16"), &said("10.99.0.9"))
                .is_ok()
        );
    }

    #[test]
    fn without_a_policy_nothing_is_taken() {
        let refused = |peering| {
            judge(Import::Unset, peering)
                .judge(prefix("10.0.0.0/8"), &said("10.99.0.9"))
                .map(|(n, _)| n)
        };
        assert_eq!(refused(Peering::External), Err(Refusal::NoPolicy));
        assert_eq!(refused(Peering::Internal), Err(Refusal::Policy));
    }

    #[test]
    fn loops_and_impossible_next_hops_are_refused() {
        let judge = judge(Import::Policy(Policy::everything()), Peering::External);
        let path = |asns: &[u32]| AsPath::of(&asns.iter().map(|a| Asn(*a)).collect::<Vec<_>>());
        let base = || said("10.99.0.9");
        for (said, refusal) in [
            (
                Attributes {
                    as_path: path(&[65010, 65001]),
                    ..base()
                },
                Refusal::AsLoop,
            ),
            (
                Attributes {
                    originator_id: Some(RouterId::from_bits(1)),
                    ..base()
                },
                Refusal::OriginatedHere,
            ),
            (
                Attributes {
                    cluster_list: vec![9, 1],
                    ..base()
                },
                Refusal::ClusterLoop,
            ),
            (said("10.99.0.1"), Refusal::OwnNextHop),
            (said("::ffff:10.99.0.9"), Refusal::BadNextHop),
        ] {
            assert_eq!(judge.judge_attributes(&said), Some(refusal));
        }
        let once = Judge {
            allow_own_as: 1,
            ..judge
        };
        assert_eq!(
            once.judge_attributes(&Attributes {
                as_path: path(&[65010, 65001]),
                ..base()
            }),
            None
        );
    }

    #[test]
    fn a_peer_that_goes_away_becomes_the_last_resort() {
        let external = judge(Import::Policy(Policy::everything()), Peering::External);
        let leaving = Attributes {
            communities: vec![Community::GRACEFUL_SHUTDOWN],
            ..said("10.99.0.9")
        };
        assert_eq!(
            external.changed(&leaving, None).unwrap().local_pref,
            Some(0)
        );
        assert_eq!(
            external.changed(&said("10.99.0.9"), Some(&Actions::default())),
            None
        );
    }
}
