//! A policy: clauses in order, the first that matches decides, and what none matches is refused.

use crate::ident::{Asn, Peering};
use crate::policy::prefixes::PrefixList;
use crate::prefix::Prefix;
use crate::wire::{Attributes, Community, ExtendedCommunity, LargeCommunity};

/// A community of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnyCommunity {
    /// RFC 1997.
    Standard(Community),
    /// RFC 8092.
    Large(LargeCommunity),
    /// RFC 4360.
    Extended(ExtendedCommunity),
}

/// Where a route came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Learned {
    /// We originate it.
    Here,
    /// From a peer in our AS, or in another.
    From(Peering),
}

/// What a clause asks of a route; everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// The prefix is in this list.
    pub prefixes: Option<PrefixList>,
    /// It has one of these communities; empty: whatever it has.
    pub communities: Vec<AnyCommunity>,
    /// It came from there.
    pub learned: Option<Learned>,
}

/// What a clause does with the attributes of a route that it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Actions {
    /// Sets LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// Sets MED.
    pub med: Option<u32>,
    /// Puts an AS in front of the path so many times more: our own on export, the peer's on import.
    pub prepend: u8,
    /// Adds communities.
    pub add: Vec<AnyCommunity>,
    /// Removes communities.
    pub remove: Vec<AnyCommunity>,
    /// Names us as the next hop. On export only.
    pub next_hop_self: bool,
}

/// One step of a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clause {
    /// Which routes.
    pub matches: Match,
    /// What to do with them; `None`: refuse them.
    pub actions: Option<Actions>,
}

/// Clauses in order. The first that matches decides; what none matches is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Policy {
    /// The clauses.
    pub clauses: Vec<Clause>,
}

impl Policy {
    /// Takes everything as it is.
    pub fn everything() -> Policy {
        Policy {
            clauses: vec![Clause {
                matches: Match::default(),
                actions: Some(Actions::default()),
            }],
        }
    }

    /// Takes what we originate, and nothing that we learned.
    pub fn originated() -> Policy {
        let matches = Match {
            learned: Some(Learned::Here),
            ..Match::default()
        };
        Policy {
            clauses: vec![Clause {
                matches,
                actions: Some(Actions::default()),
            }],
        }
    }

    /// Takes these prefixes as they are.
    pub fn prefixes(list: PrefixList) -> Policy {
        let matches = Match {
            prefixes: Some(list),
            ..Match::default()
        };
        Policy {
            clauses: vec![Clause {
                matches,
                actions: Some(Actions::default()),
            }],
        }
    }

    /// The clause that takes the route: its number, and what it does. `None`: the route is refused.
    pub fn judge(
        &self,
        prefix: Prefix,
        attributes: &Attributes,
        learned: Learned,
    ) -> Option<(usize, &Actions)> {
        let mut clauses = self.clauses.iter().enumerate();
        let (n, clause) =
            clauses.find(|(_, clause)| clause.matches.holds(prefix, attributes, learned))?;
        Some((n, clause.actions.as_ref()?))
    }

    /// Whether routes that we learned may be taken, and not only what we originate.
    pub fn passes_learned_routes(&self) -> bool {
        let takes = |clause: &Clause| {
            clause.actions.is_some() && clause.matches.learned != Some(Learned::Here)
        };
        self.clauses.iter().any(takes)
    }
}

impl Match {
    fn holds(&self, prefix: Prefix, attributes: &Attributes, learned: Learned) -> bool {
        // Without a list, a default route is not named.
        self.prefixes
            .as_ref()
            .map_or(!prefix.is_default(), |list| list.matches(prefix))
            && (self.communities.is_empty() || self.communities.iter().any(|c| c.is_in(attributes)))
            && self.learned.is_none_or(|from| from == learned)
    }
}

impl AnyCommunity {
    fn is_in(&self, attributes: &Attributes) -> bool {
        match self {
            AnyCommunity::Standard(c) => attributes.communities.contains(c),
            AnyCommunity::Large(c) => attributes.large_communities.contains(c),
            AnyCommunity::Extended(c) => attributes.extended_communities.contains(c),
        }
    }

    fn add_to(self, attributes: &mut Attributes) {
        match self {
            AnyCommunity::Standard(c) => insert(&mut attributes.communities, c),
            AnyCommunity::Large(c) => insert(&mut attributes.large_communities, c),
            AnyCommunity::Extended(c) => insert(&mut attributes.extended_communities, c),
        }
    }

    fn remove_from(self, attributes: &mut Attributes) {
        match self {
            AnyCommunity::Standard(c) => attributes.communities.retain(|x| *x != c),
            AnyCommunity::Large(c) => attributes.large_communities.retain(|x| *x != c),
            AnyCommunity::Extended(c) => attributes.extended_communities.retain(|x| *x != c),
        }
    }
}

impl Actions {
    /// Whether the attributes stay as they are.
    pub fn is_nothing(&self) -> bool {
        *self == Actions::default()
    }

    /// Changes the attributes. `prepended`: the AS that is put in front.
    pub fn apply(&self, attributes: &mut Attributes, prepended: Asn) {
        attributes.local_pref = self.local_pref.or(attributes.local_pref);
        attributes.med = self.med.or(attributes.med);
        self.remove.iter().for_each(|c| c.remove_from(attributes));
        self.add.iter().for_each(|c| c.add_to(attributes));
        if self.prepend > 0 {
            attributes.as_path = attributes.as_path.prepended(prepended, self.prepend.into());
        }
    }
}

/// Adds a community to the sorted ones.
pub(crate) fn insert<T: Ord>(sorted: &mut Vec<T>, item: T) {
    if let Err(at) = sorted.binary_search(&item) {
        sorted.insert(at, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::prefixes::PrefixRule;
    use crate::wire::NextHop;

    const GREEN: AnyCommunity = AnyCommunity::Standard(Community(64512 << 16 | 7));

    fn prefix(text: &str) -> Prefix {
        text.parse().expect(text)
    }

    fn attributes() -> Attributes {
        Attributes::originated(NextHop::V4([10, 99, 0, 1].into()))
    }

    #[test]
    fn the_first_clause_that_matches_decides() {
        let list = |text| Some([PrefixRule::or_longer(prefix(text))].into_iter().collect());
        let policy = Policy {
            clauses: vec![
                Clause {
                    matches: Match {
                        prefixes: list("10.1.0.0/16"),
                        ..Match::default()
                    },
                    actions: None,
                },
                Clause {
                    matches: Match {
                        prefixes: list("10.0.0.0/8"),
                        ..Match::default()
                    },
                    actions: Some(Actions::default()),
                },
            ],
        };
        let judge = |text| {
            policy
                .judge(prefix(text), &attributes(), Learned::Here)
                .map(|(n, _)| n)
        };
        assert_eq!(judge("10.1.2.0/24"), None);
        assert_eq!(judge("10.2.0.0/16"), Some(1));
        assert_eq!(judge("192.0.2.0/24"), None);
    }

    #[test]
    fn everything_is_everything_but_a_default_route() {
        let judge = |text| {
            Policy::everything()
                .judge(prefix(text), &attributes(), Learned::Here)
                .is_some()
        };
        assert!(judge("10.0.0.0/8") && !judge("0.0.0.0/0") && !judge("::/0"));
    }

    #[test]
    fn communities_and_origin_are_asked_for() {
        let matches = Match {
            communities: vec![GREEN],
            learned: Some(Learned::Here),
            ..Match::default()
        };
        let policy = Policy {
            clauses: vec![Clause {
                matches,
                actions: Some(Actions::default()),
            }],
        };
        let mut green = attributes();
        let net = prefix("10.0.0.0/8");
        assert!(policy.judge(net, &green, Learned::Here).is_none());
        GREEN.add_to(&mut green);
        assert!(policy.judge(net, &green, Learned::Here).is_some());
        assert!(
            policy
                .judge(net, &green, Learned::From(Peering::Internal))
                .is_none()
        );
        assert!(!policy.passes_learned_routes() && Policy::everything().passes_learned_routes());
    }

    #[test]
    fn actions_change_what_they_name_and_nothing_else() {
        let actions = Actions {
            local_pref: Some(50),
            prepend: 2,
            add: vec![GREEN, GREEN],
            remove: vec![AnyCommunity::Standard(Community::NO_EXPORT)],
            ..Actions::default()
        };
        let mut changed = Attributes {
            communities: vec![Community::NO_EXPORT],
            med: Some(3),
            ..attributes()
        };
        actions.apply(&mut changed, Asn(65001));
        assert_eq!(
            (changed.local_pref, changed.med, changed.as_path.hops()),
            (Some(50), Some(3), 2)
        );
        assert_eq!(changed.communities, [Community(64512 << 16 | 7)]);
    }
}
