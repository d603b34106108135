//! Path attributes: what is said about routes (RFC 4271 section 5).

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ident::{Asn, RouterId};
use crate::wire::as_path::AsPath;
use crate::wire::community::{Community, ExtendedCommunity, LargeCommunity};

/// How the first speaker came to know a route. Lower is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Origin {
    /// From the AS itself.
    #[default]
    Igp = 0,
    /// From EGP (historic).
    Egp = 1,
    /// Some other way.
    Incomplete = 2,
}

/// Where packets for a route go next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, and the link-local one that RFC 2545 adds on a shared link.
    V6(Ipv6Addr, Option<Ipv6Addr>),
}

impl NextHop {
    /// The address that the next hop is named by.
    pub fn address(self) -> IpAddr {
        match self {
            NextHop::V4(address) => address.into(),
            NextHop::V6(address, _) => address.into(),
        }
    }
}

impl From<IpAddr> for NextHop {
    fn from(address: IpAddr) -> NextHop {
        match address {
            IpAddr::V4(address) => NextHop::V4(address),
            IpAddr::V6(address) => NextHop::V6(address, None),
        }
    }
}

impl Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

/// Who aggregated a route (RFC 4271 section 5.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aggregator {
    /// Its AS.
    pub asn: Asn,
    /// Its identifier.
    pub router_id: RouterId,
}

/// An optional transitive attribute that we do not know and pass on with the Partial bit (RFC 4271 section 5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unknown {
    /// The type code.
    pub code: u8,
    /// Its octets.
    pub value: Box<[u8]>,
}

/// Everything that is said about a route. Lists are sorted and without duplicates, so that equal attributes are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes {
    /// Where packets go next.
    pub next_hop: NextHop,
    /// Through which systems it came.
    pub as_path: AsPath,
    /// How it came to be.
    pub origin: Origin,
    /// MULTI_EXIT_DISC: which of several links to a neighbour AS it prefers; lower is better.
    pub med: Option<u32>,
    /// LOCAL_PREF: how much this AS prefers it; higher is better. Only between internal peers.
    pub local_pref: Option<u32>,
    /// Whether somebody left out part of the path when aggregating.
    pub atomic_aggregate: bool,
    /// Who aggregated it.
    pub aggregator: Option<Aggregator>,
    /// RFC 1997.
    pub communities: Vec<Community>,
    /// RFC 8092.
    pub large_communities: Vec<LargeCommunity>,
    /// RFC 4360.
    pub extended_communities: Vec<ExtendedCommunity>,
    /// ORIGINATOR_ID (RFC 4456): who brought it into this AS, where it was reflected.
    pub originator_id: Option<RouterId>,
    /// CLUSTER_LIST (RFC 4456): the reflectors that it passed.
    pub cluster_list: Vec<u32>,
    /// What we do not know and pass on.
    pub unknown: Vec<Unknown>,
}

impl Attributes {
    /// LOCAL_PREF of a route that has none.
    pub const DEFAULT_LOCAL_PREF: u32 = 100;

    /// What we say about a route of our own.
    pub fn originated(next_hop: NextHop) -> Attributes {
        Attributes {
            next_hop,
            as_path: AsPath::default(),
            origin: Origin::Igp,
            med: None,
            local_pref: None,
            atomic_aggregate: false,
            aggregator: None,
            communities: Vec::new(),
            large_communities: Vec::new(),
            extended_communities: Vec::new(),
            originator_id: None,
            cluster_list: Vec::new(),
            unknown: Vec::new(),
        }
    }

    /// Whether the community is among them.
    pub fn has(&self, community: Community) -> bool {
        self.communities.binary_search(&community).is_ok()
    }
}
