//! From VTEPs to kernel entries.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use kernel::{Entry, Hop, HopName, IfIndex, Mac, RouteKey, Sysctl, To};

/// A VTEP across the underlay and the block behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RemoteVtep {
    /// The block of its node.
    pub block: IpNetwork,
    /// Its inner MAC.
    pub mac: Mac,
    /// The underlay address of its node.
    pub underlay: IpAddr,
}

/// What the own device needs: the base address of the own block, without a
/// prefix, and no router advertisements.
pub fn local(name: &str, link: IfIndex, block: IpNetwork) -> [Entry; 2] {
    let base = IpNetwork::from(block.network());
    [
        Entry::Address(link, base),
        Entry::Sysctl(Sysctl::AcceptRa(name.to_owned()), 0),
    ]
}

/// What it takes to reach a remote VTEP. Its inner address is the base address
/// of its block.
pub fn remote(link: IfIndex, vtep: &RemoteVtep) -> [Entry; 4] {
    let inner = vtep.block.network();
    let name = HopName(inner);
    [
        Entry::Neighbour(link, inner, vtep.mac),
        Entry::Fdb(link, vtep.mac, vtep.underlay),
        Entry::Hop(
            name,
            Hop {
                gateway: inner,
                link,
                onlink: true,
            },
        ),
        Entry::Route(RouteKey::with_default_metric(vtep.block), To::Via(name)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: IfIndex = IfIndex(7);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_remote_vtep_is_a_neighbour_an_fdb_entry_a_hop_and_a_route() {
        let mac = Mac([0xfe, 0xd9, 0xbd, 0xbd, 0xf9, 0x6d]);
        let block = "10.244.60.0/24".parse().unwrap();
        let vtep = RemoteVtep {
            block,
            mac,
            underlay: ip("10.99.0.2"),
        };
        let inner = ip("10.244.60.0");
        assert_eq!(
            remote(LINK, &vtep),
            [
                Entry::Neighbour(LINK, inner, mac),
                Entry::Fdb(LINK, mac, ip("10.99.0.2")),
                Entry::Hop(
                    HopName(inner),
                    Hop {
                        gateway: inner,
                        link: LINK,
                        onlink: true
                    }
                ),
                Entry::Route(
                    RouteKey {
                        prefix: block,
                        metric: 0
                    },
                    To::Via(HopName(inner))
                ),
            ]
        );
    }

    #[test]
    fn an_ipv6_route_has_the_kernels_default_metric() {
        let block = "fd00:244:0:22::/64".parse().unwrap();
        let vtep = RemoteVtep {
            block,
            mac: Mac([2; 6]),
            underlay: ip("fd99::2"),
        };
        let key = RouteKey {
            prefix: block,
            metric: 1024,
        };
        assert!(
            remote(LINK, &vtep)
                .contains(&Entry::Route(key, To::Via(HopName(ip("fd00:244:0:22::")))))
        );
    }

    #[test]
    fn the_own_device_has_the_base_address_alone() {
        let entries = local("flannel.1", LINK, "10.244.72.0/24".parse().unwrap());
        assert_eq!(
            entries[0],
            Entry::Address(LINK, "10.244.72.0/32".parse().unwrap())
        );
    }
}
