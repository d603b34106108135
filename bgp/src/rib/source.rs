//! What the decision needs to know beside a path's attributes: who told it, and whether its next hop can be reached.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::family::Family;
use crate::ident::{Asn, Peering, RouterId};
use crate::rib::path::{Path, PeerId};

/// Who told a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Internal or external; `None`: we ourselves.
    pub peering: Option<Peering>,
    /// Its AS.
    pub asn: Asn,
    /// Its BGP identifier.
    pub router_id: RouterId,
    /// The address that we speak to.
    pub address: IpAddr,
    /// The present round of each family: paths of an earlier one are stale.
    rounds: [u8; 2],
}

impl Source {
    /// A peer that has told nothing yet.
    pub fn new(peering: Option<Peering>, asn: Asn, router_id: RouterId, address: IpAddr) -> Source {
        Source {
            peering,
            asn,
            router_id,
            address,
            rounds: [0; 2],
        }
    }

    /// The present round.
    pub fn round(&self, family: Family) -> u8 {
        self.rounds[family as usize]
    }

    /// Begins a new round: everything told so far is stale.
    pub(super) fn begin_round(&mut self, family: Family) {
        let round = &mut self.rounds[family as usize];
        *round = round.wrapping_add(1);
    }
}

/// Whether and how far away a next hop is, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// With that metric; lower is nearer.
    Metric(u32),
    /// Not at all.
    Unreachable,
}

/// What the decision needs to know beside a path's attributes.
#[derive(Debug, Clone)]
pub struct Surroundings {
    sources: Vec<Option<Source>>,
    next_hops: BTreeMap<IpAddr, Reach>,
    /// How many equally good paths are used at the same time, 1 or more.
    pub max_paths: usize,
}

impl Surroundings {
    /// We alone.
    pub fn new(asn: Asn, router_id: RouterId, max_paths: usize) -> Surroundings {
        let ourselves = Source::new(None, asn, router_id, Ipv4Addr::UNSPECIFIED.into());
        Surroundings {
            sources: vec![Some(ourselves)],
            next_hops: BTreeMap::new(),
            max_paths: max_paths.max(1),
        }
    }

    /// Who that is.
    pub fn source(&self, id: PeerId) -> Option<&Source> {
        self.sources.get(usize::from(id.0))?.as_ref()
    }

    /// The same, to begin a round.
    pub(super) fn source_mut(&mut self, id: PeerId) -> Option<&mut Source> {
        self.sources.get_mut(usize::from(id.0))?.as_mut()
    }

    /// Sets who that is. The rounds of one that was there go on.
    pub fn set_source(&mut self, id: PeerId, mut source: Source) {
        let at = usize::from(id.0);
        if at >= self.sources.len() {
            self.sources.resize(at + 1, None);
        }
        if let Some(before) = self.sources[at] {
            source.rounds = before.rounds;
        }
        self.sources[at] = Some(source);
    }

    /// Sets whether a next hop can be reached. Whether that is a change.
    pub fn set_next_hop(&mut self, address: IpAddr, reach: Reach) -> bool {
        self.next_hops.insert(address, reach) != Some(reach)
    }

    /// Whether a next hop can be reached. One that nobody said anything about counts as near.
    pub fn reach(&self, address: IpAddr) -> Reach {
        if self.next_hops.is_empty() {
            return Reach::Metric(0);
        }
        self.next_hops
            .get(&address)
            .copied()
            .unwrap_or(Reach::Metric(0))
    }

    /// Whether the path may be used and its next hop can be reached.
    pub fn is_eligible(&self, path: &Path) -> bool {
        path.refusal.is_none()
            && (path.from == PeerId::SELF
                || self.reach(path.known.attributes.next_hop.address()) != Reach::Unreachable)
    }

    /// Whether the path was told before the present round of its peer.
    pub fn is_stale(&self, path: &Path, family: Family) -> bool {
        self.source(path.from)
            .is_none_or(|source| source.round(family) != path.round)
    }
}
