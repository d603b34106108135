//! What an earlier run left in the kernel stays until whoever told it has said all that it has to say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp::Family;
use bgp::rib::PeerId;

/// Which stale routes stay in the kernel for now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Peers that have more to say, by the addresses that they are the next hop with.
    waiting: BTreeSet<(IpAddr, Family)>,
    /// The addresses of all peers.
    known: BTreeSet<IpAddr>,
    /// By family: somebody has more to say.
    any: [bool; 2],
}

impl kernel::Held for Held {
    /// A stale route stays while a peer that it leads through has more to say; one of nobody known while any peer has. What
    /// leads nowhere was told by nobody.
    fn keeps(&self, family: kernel::Family, gateways: &[IpAddr]) -> bool {
        let family = match family {
            kernel::Family::V4 => Family::Ipv4,
            kernel::Family::V6 => Family::Ipv6,
        };
        if gateways.is_empty() || !self.any[family as usize] {
            return false;
        }
        let mut known = gateways
            .iter()
            .filter(|hop| self.known.contains(hop))
            .peekable();
        known.peek().is_none() || known.any(|hop| self.waiting.contains(&(*hop, family)))
    }
}

impl Held {
    /// Whether no route is held.
    pub(crate) fn is_over(&self) -> bool {
        self.any == [false; 2]
    }
}

/// Who has said all that it has to say.
#[derive(Debug, Default)]
pub(super) struct Sync {
    peers: BTreeMap<PeerId, (BTreeSet<IpAddr>, BTreeSet<Family>)>,
}

impl Sync {
    /// A peer is there, of which nothing has been heard in any of these families.
    pub(super) fn add(&mut self, id: PeerId, addresses: BTreeSet<IpAddr>, families: bgp::Families) {
        self.peers
            .insert(id, (addresses, families.iter().collect()));
    }

    /// It is no peer any more.
    pub(super) fn remove(&mut self, id: PeerId) {
        self.peers.remove(&id);
    }

    /// It has said all of this family.
    pub(super) fn synced(&mut self, id: PeerId, family: Family) {
        if let Some((_, waiting)) = self.peers.get_mut(&id) {
            waiting.remove(&family);
        }
    }

    /// What stays because of those who have not.
    pub(super) fn held(&self) -> Held {
        let mut held = Held::default();
        for (addresses, families) in self.peers.values() {
            held.known.extend(addresses);
            for family in families {
                held.any[*family as usize] = true;
                held.waiting
                    .extend(addresses.iter().map(|address| (*address, *family)));
            }
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Family::{V4, V6};
    use kernel::Held as _;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    fn two() -> Sync {
        let mut sync = Sync::default();
        for (id, address) in [(1, A), (2, B)] {
            sync.add(PeerId(id), [address].into(), bgp::Families::BOTH);
        }
        sync
    }

    #[test]
    fn the_routes_of_one_peer_wait_for_no_other() {
        let mut sync = two();
        sync.synced(PeerId(1), Family::Ipv4);
        let held = sync.held();
        assert!(!held.keeps(V4, &[A]));
        assert!(held.keeps(V4, &[B]));
        assert!(held.keeps(V4, &[A, B]));
        assert!(held.keeps(V6, &[A]));
    }

    #[test]
    fn routes_of_nobody_known_wait_for_all() {
        let mut sync = two();
        sync.synced(PeerId(1), Family::Ipv4);
        assert!(sync.held().keeps(V4, &[STRANGER]));
        sync.remove(PeerId(2));
        assert!(!sync.held().keeps(V4, &[STRANGER]));
        assert!(!sync.held().is_over());
        sync.synced(PeerId(1), Family::Ipv6);
        assert!(sync.held().is_over());
    }

    #[test]
    fn what_leads_nowhere_waits_for_nobody() {
        assert!(!two().held().keeps(V4, &[]));
    }
}
