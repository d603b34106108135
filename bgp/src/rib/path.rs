//! One way to a prefix, as one peer told it.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::wire::Attributes;

/// A peer, as the speaker numbers it. 0 is the speaker itself, with what it originates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerId(pub u16);

impl PeerId {
    /// The speaker itself.
    pub const SELF: PeerId = PeerId(0);
}

/// What is known of routes with the same attributes: as the import policy left them, and as the peer sent them where that
/// differs, so that another policy can be applied without asking the peer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Known {
    /// What is decided with.
    pub attributes: Attributes,
    /// What the peer sent, where the policy changed something.
    pub received: Option<Box<Attributes>>,
}

impl Known {
    /// Attributes that no policy has changed.
    pub fn as_sent(attributes: Attributes) -> Known {
        Known {
            attributes,
            received: None,
        }
    }

    /// What the peer sent.
    pub fn received(&self) -> &Attributes {
        self.received.as_deref().unwrap_or(&self.attributes)
    }
}

/// Why a path may not be used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Refusal {
    /// An external peer without an import policy (RFC 8212).
    NoPolicy,
    /// No clause of the import policy takes it, or one refuses it.
    Policy,
    /// The lease of the node does not give it this block.
    NotInLease,
    /// A node of the mesh names a next hop that is not itself.
    ForeignNextHop,
    /// Addresses that nobody can be reached by.
    Martian,
    /// A default route that no policy names.
    DefaultRoute,
    /// It is in our own block.
    OwnBlock,
    /// It is the address of a node, or in a network that must not be routed elsewhere.
    Protected,
    /// Our AS is in its path more often than allowed (RFC 4271 section 9.1.2).
    AsLoop,
    /// We brought it into this AS (RFC 4456 section 8).
    OriginatedHere,
    /// It has passed us as a reflector (RFC 4456 section 8).
    ClusterLoop,
    /// Its next hop is our own address (RFC 4271 section 6.3).
    OwnNextHop,
    /// Its next hop cannot be one, such as an IPv4-mapped address.
    BadNextHop,
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::NoPolicy => "the external peer has no import policy (RFC 8212)",
            Refusal::Policy => "the import policy does not take it",
            Refusal::NotInLease => "the node's lease does not give it this block",
            Refusal::ForeignNextHop => "its next hop is not the node that announces it",
            Refusal::Martian => "nobody can be reached by these addresses",
            Refusal::DefaultRoute => "a default route is taken only where the policy names it",
            Refusal::OwnBlock => "it is in this node's own block",
            Refusal::Protected => "it is a node's address, or in a protected network",
            Refusal::AsLoop => "the own AS is in its path",
            Refusal::OriginatedHere => "this speaker brought it into the AS",
            Refusal::ClusterLoop => "it has passed this speaker before",
            Refusal::OwnNextHop => "its next hop is this node",
            Refusal::BadNextHop => "its next hop cannot be used",
        })
    }
}

/// One way to a prefix, as one peer told it. Sixteen octets.
#[derive(Debug, Clone)]
pub struct Path {
    /// What is known of it.
    pub known: Arc<Known>,
    /// Who told it.
    pub from: PeerId,
    /// Why it may not be used; `None`: it may.
    pub refusal: Option<Refusal>,
    /// In which round of the peer it was told; one of an earlier round is stale.
    pub round: u8,
}

impl Path {
    /// Whether both are the same path with the same attributes, stale or not.
    pub fn is_same(&self, other: &Path) -> bool {
        self.from == other.from
            && self.refusal == other.refusal
            && Arc::ptr_eq(&self.known, &other.known)
    }
}

/// Keeps one copy of equal attributes.
///
/// Ordered by a hash before the content, so that finding one mostly compares numbers. Attributes that a peer makes collide
/// cost comparisons of content, and no more of them than the logarithm of how many there are.
#[derive(Debug, Default)]
pub struct Interner {
    all: BTreeSet<(u64, Arc<Known>)>,
    sweep_at: usize,
}

impl Interner {
    /// Below this many it does not pay to look for unused ones.
    const FEW: usize = 1024;

    /// The one copy of these.
    pub fn intern(&mut self, known: Known) -> Arc<Known> {
        let key = (hash(&known), Arc::new(known));
        if let Some((_, kept)) = self.all.get(&key) {
            return kept.clone();
        }
        if self.all.len() >= self.sweep_at.max(Interner::FEW) {
            self.sweep();
        }
        let known = key.1.clone();
        self.all.insert(key);
        known
    }

    /// Forgets what nobody uses.
    pub fn sweep(&mut self) {
        self.all.retain(|(_, known)| Arc::strong_count(known) > 1);
        self.sweep_at = 2 * self.all.len();
    }

    /// All of them, used or not.
    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.all.iter().map(|(_, known)| &**known)
    }

    /// How many different ones there are, used or not.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// The same for the same content on every run: the standard hasher begins with fixed keys.
fn hash(known: &Known) -> u64 {
    let mut hasher = DefaultHasher::new();
    known.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NextHop;

    fn known(med: u32) -> Known {
        let hop = NextHop::V4([10, 99, 0, 1].into());
        Known::as_sent(Attributes {
            med: Some(med),
            ..Attributes::originated(hop)
        })
    }

    #[test]
    fn equal_attributes_are_kept_once() {
        let mut interner = Interner::default();
        let (a, b) = (interner.intern(known(1)), interner.intern(known(1)));
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!(interner.len(), 1);
    }

    #[test]
    fn attributes_that_nobody_uses_are_forgotten() {
        let mut interner = Interner::default();
        let kept = interner.intern(known(u32::MAX));
        for med in 0..10 * Interner::FEW as u32 {
            interner.intern(known(med));
        }
        assert!(interner.len() <= Interner::FEW);
        assert!(Arc::ptr_eq(&kept, &interner.intern(known(u32::MAX))));
    }

    #[test]
    fn a_path_takes_sixteen_octets() {
        assert_eq!(size_of::<Path>(), 16);
    }
}
