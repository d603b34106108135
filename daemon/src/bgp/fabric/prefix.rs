//! One prefix in the words of the speaker and in those of the kernel.

use bgp::{Prefix, Prefix4, Prefix6};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

/// The speaker's word for a network.
pub(crate) fn prefix_of(network: IpNetwork) -> Prefix {
    const LENGTH: &str = "a network is no longer than an address";
    match network {
        IpNetwork::V4(n) => Prefix::V4(Prefix4::new(n.network(), n.prefix()).expect(LENGTH)),
        IpNetwork::V6(n) => Prefix::V6(Prefix6::new(n.network(), n.prefix()).expect(LENGTH)),
    }
}

/// The kernel's word for a prefix.
pub(crate) fn network_of(prefix: Prefix) -> IpNetwork {
    const LENGTH: &str = "a prefix is no longer than an address";
    let length = prefix.length();
    match prefix {
        Prefix::V4(p) => IpNetwork::V4(Ipv4Network::new(p.address(), length).expect(LENGTH)),
        Prefix::V6(p) => IpNetwork::V6(Ipv6Network::new(p.address(), length).expect(LENGTH)),
    }
}
