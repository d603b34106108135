//! Direct routes (host-gw): the other node itself is the next hop.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use kernel::{Entry, Hop, HopName, IfIndex, RouteKey, To};

/// What it takes to reach a block whose node is on-link.
pub(super) fn remote(link: IfIndex, block: IpNetwork, gateway: IpAddr) -> [Entry; 2] {
    let name = HopName(gateway);
    [
        Entry::Hop(
            name,
            Hop {
                gateway,
                link,
                onlink: false,
            },
        ),
        Entry::Route(RouteKey::with_default_metric(block), To::Via(name)),
    ]
}
