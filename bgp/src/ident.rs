//! Who speaks: autonomous systems, router identifiers, and what kind of peering it is.

use std::fmt::{self, Debug, Display};
use std::net::Ipv4Addr;

/// The number of an autonomous system, four octets wide (RFC 6793). 0 is nobody (RFC 7607).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Asn(pub u32);

impl Asn {
    /// AS_TRANS: stands for a number that does not fit into two octets (RFC 6793 section 2).
    pub const TRANS: Asn = Asn(23456);

    /// The number as two octets, or AS_TRANS where it does not fit.
    pub fn two_octets(self) -> u16 {
        u16::try_from(self.0).unwrap_or(23456)
    }
}

impl Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl Debug for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

/// The BGP identifier of a speaker: four octets, written like an IPv4 address, never 0 (RFC 6286).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub Ipv4Addr);

impl RouterId {
    /// The identifier with these bits.
    pub fn from_bits(bits: u32) -> RouterId {
        RouterId(Ipv4Addr::from_bits(bits))
    }

    /// The four octets as a number, as they are compared.
    pub fn to_bits(self) -> u32 {
        self.0.to_bits()
    }
}

impl Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl Debug for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

/// Whether the peer is in our autonomous system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peering {
    /// iBGP: the same autonomous system.
    Internal,
    /// eBGP: another autonomous system.
    External,
}
