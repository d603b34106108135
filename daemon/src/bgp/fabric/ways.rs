//! Where next hops are, as the kernel says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp::rib::Reach;
use kernel::Resolved;

/// What is known of next hops: how the kernel reaches each, if it does.
#[derive(Debug, Default)]
pub(super) struct Ways {
    known: BTreeMap<IpAddr, Option<Resolved>>,
    /// Not asked of the kernel yet.
    asked: BTreeSet<IpAddr>,
}

impl Ways {
    /// Makes sure that the way to this next hop is known, or asked for.
    pub(super) fn need(&mut self, hop: IpAddr) {
        if !self.known.contains_key(&hop) {
            self.asked.insert(hop);
        }
    }

    /// All ways have to be found anew: the kernel's routes have changed.
    pub(super) fn doubt(&mut self) {
        self.asked.extend(self.known.keys());
    }

    /// Whether the kernel has to be asked for some.
    pub(super) fn has_questions(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The next hops whose way the kernel has to be asked for.
    pub(super) fn questions(&self) -> Vec<IpAddr> {
        self.asked.iter().copied().collect()
    }

    /// The kernel's answers. Says which are different from before.
    pub(super) fn answered(
        &mut self,
        answers: Vec<(IpAddr, Option<Resolved>)>,
    ) -> Vec<(IpAddr, Option<Resolved>)> {
        let differs = |(hop, way): &(IpAddr, Option<Resolved>)| {
            self.asked.remove(hop);
            self.known.insert(*hop, *way) != Some(*way)
        };
        answers.into_iter().filter(differs).collect()
    }

    /// How the kernel reaches a next hop; `None` where it does not, or was not asked.
    pub(super) fn to(&self, hop: IpAddr) -> Option<Resolved> {
        self.known.get(&hop).copied().flatten()
    }
}

/// How far away a next hop is, in the words of the decision.
pub(super) fn reach(way: Option<Resolved>) -> Reach {
    way.map_or(Reach::Unreachable, |way| Reach::Metric(way.metric))
}
