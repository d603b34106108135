//! Which path is used: RFC 4271 section 9.1.2.2, with the later rules that everybody has.
//!
//! Each rule looks at the paths that are left and removes those that are worse than the best of them. Removal from a set does
//! not depend on the order of the set, so the same paths always give the same winner, MED included.

use std::cmp::Reverse;
use std::fmt::{self, Display};
use std::net::IpAddr;

use crate::ident::{Asn, Peering};
use crate::rib::path::{Path, PeerId};
use crate::rib::source::{Reach, Surroundings};
use crate::wire::{Attributes, Origin};

/// A rule of the decision, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// There is no other.
    OnlyPath,
    /// The highest LOCAL_PREF.
    LocalPref,
    /// What we originate ourselves.
    Originated,
    /// The shortest AS_PATH.
    AsPath,
    /// The lowest ORIGIN: IGP, EGP, incomplete.
    Origin,
    /// The lowest MED among those from the same neighbour AS.
    Med,
    /// External before internal.
    External,
    /// The nearest next hop.
    Metric,
    /// The lowest BGP identifier, or ORIGINATOR_ID (RFC 4456).
    RouterId,
    /// The shortest CLUSTER_LIST (RFC 4456).
    ClusterList,
    /// The lowest address of the peer.
    PeerAddress,
}

impl Rule {
    /// Paths that no rule up to this one tells apart may be used together.
    const LAST_OF_MULTIPATH: Rule = Rule::Metric;

    const ASKED: [Rule; 10] = [
        Rule::LocalPref,
        Rule::Originated,
        Rule::AsPath,
        Rule::Origin,
        Rule::Med,
        Rule::External,
        Rule::Metric,
        Rule::RouterId,
        Rule::ClusterList,
        Rule::PeerAddress,
    ];
}

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::OnlyPath => "only path",
            Rule::LocalPref => "highest local preference",
            Rule::Originated => "originated here",
            Rule::AsPath => "shortest AS path",
            Rule::Origin => "lowest origin",
            Rule::Med => "lowest MED from the same neighbour AS",
            Rule::External => "external before internal",
            Rule::Metric => "nearest next hop",
            Rule::RouterId => "lowest router identifier",
            Rule::ClusterList => "shortest cluster list",
            Rule::PeerAddress => "lowest peer address",
        })
    }
}

/// What the rules compare of a path that may be used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contender {
    /// Where the path stands in the list that it came from.
    pub(super) at: usize,
    local_pref: u32,
    originated: bool,
    hops: usize,
    origin: Origin,
    neighbour: Option<Asn>,
    med: u32,
    peering: Option<Peering>,
    metric: Reach,
    router_id: u32,
    clusters: usize,
    address: IpAddr,
    from: PeerId,
}

impl Contender {
    fn new(at: usize, path: &Path, around: &Surroundings) -> Option<Contender> {
        let source = around.source(path.from)?;
        let said = &path.known.attributes;
        Some(Contender {
            at,
            local_pref: said.local_pref.unwrap_or(Attributes::DEFAULT_LOCAL_PREF),
            originated: path.from == PeerId::SELF,
            hops: said.as_path.hops(),
            origin: said.origin,
            neighbour: said.as_path.first(),
            med: said.med.unwrap_or(0),
            peering: source.peering,
            metric: around.reach(said.next_hop.address()),
            router_id: said.originator_id.unwrap_or(source.router_id).to_bits(),
            clusters: said.cluster_list.len(),
            address: source.address,
            from: path.from,
        })
    }

    /// The order within a set of paths that are used together.
    fn tie_break(&self) -> (u32, usize, IpAddr, PeerId) {
        (self.router_id, self.clusters, self.address, self.from)
    }
}

/// The paths that may be used, ready to be compared.
pub(super) fn contenders(paths: &[Path], around: &Surroundings, into: &mut Vec<Contender>) {
    into.clear();
    let eligible = paths
        .iter()
        .enumerate()
        .filter(|(_, path)| around.is_eligible(path));
    into.extend(eligible.filter_map(|(at, path)| Contender::new(at, path, around)));
}

/// Asks the rules one after the other. `lost` hears of each path that one removes. Afterwards `left` has the paths that are
/// used together, the best first, at most `max_paths`. Returns the rule that the best won by.
pub(super) fn decide(
    left: &mut Vec<Contender>,
    max_paths: usize,
    mut lost: impl FnMut(&Contender, Rule),
) -> Rule {
    let mut won_by = Rule::OnlyPath;
    for rule in Rule::ASKED
        .into_iter()
        .take_while(|rule| *rule <= Rule::LAST_OF_MULTIPATH)
    {
        let before = left.len();
        ask(rule, left, &mut lost);
        if left.len() < before {
            won_by = rule;
        }
        if left.len() <= 1 {
            return won_by;
        }
    }
    left.sort_unstable_by_key(Contender::tie_break);
    won_by = tie_breaker(&left[0], &left[1]);
    for (n, loser) in left.iter().enumerate().skip(1) {
        if n >= max_paths {
            lost(loser, tie_breaker(&left[0], loser));
        }
    }
    left.truncate(max_paths);
    won_by
}

/// The rule by which the better of two equals is better.
fn tie_breaker(best: &Contender, other: &Contender) -> Rule {
    if best.router_id != other.router_id {
        Rule::RouterId
    } else if best.clusters != other.clusters {
        Rule::ClusterList
    } else {
        Rule::PeerAddress
    }
}

fn ask(rule: Rule, left: &mut Vec<Contender>, lost: &mut impl FnMut(&Contender, Rule)) {
    match rule {
        Rule::LocalPref => keep_best(rule, left, lost, |c| Reverse(c.local_pref)),
        Rule::Originated => keep_best(rule, left, lost, |c| !c.originated),
        Rule::AsPath => keep_best(rule, left, lost, |c| c.hops),
        Rule::Origin => keep_best(rule, left, lost, |c| c.origin),
        Rule::Med => keep_lowest_med(left, lost),
        Rule::External => keep_best(rule, left, lost, |c| c.peering != Some(Peering::External)),
        Rule::Metric => keep_best(rule, left, lost, |c| c.metric),
        Rule::OnlyPath | Rule::RouterId | Rule::ClusterList | Rule::PeerAddress => (),
    }
}

fn keep_best<K: Ord>(
    rule: Rule,
    left: &mut Vec<Contender>,
    lost: &mut impl FnMut(&Contender, Rule),
    key: impl Fn(&Contender) -> K,
) {
    if let Some(best) = left.iter().map(&key).min() {
        left.retain(|contender| {
            key(contender) == best || {
                lost(contender, rule);
                false
            }
        });
    }
}

/// MED says something only among paths from the same neighbour AS. Sorting by it finds each group in one go.
fn keep_lowest_med(left: &mut Vec<Contender>, lost: &mut impl FnMut(&Contender, Rule)) {
    left.sort_unstable_by_key(|c| (c.neighbour, c.med, c.tie_break()));
    let mut group: Option<(Option<Asn>, u32)> = None;
    left.retain(|contender| {
        match group {
            Some((neighbour, med)) if neighbour == contender.neighbour => {
                let best = contender.med == med;
                if !best {
                    lost(contender, Rule::Med);
                }
                return best;
            }
            _ => group = Some((contender.neighbour, contender.med)),
        }
        true
    });
}
