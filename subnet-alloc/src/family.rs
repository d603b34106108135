//! What the two address families have in common, so that pools and the allocator are written once.

use std::fmt::{Debug, Display};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnetwork::{Ipv4Network, Ipv6Network};

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// A prefix of one family, seen as a range of numbers. Sealed: [`Ipv4Network`] and [`Ipv6Network`].
pub trait Prefix: Copy + Debug + Display + PartialEq + sealed::Sealed {
    /// The family.
    const FAMILY: Family;
    /// Bits of an address: 32 or 128.
    const BITS: u8;

    /// The prefix of `length` bits that begins at the address `first`; both must be in range.
    fn at(first: u128, length: u8) -> Self;
    /// The first address.
    fn first(self) -> u128;
    /// The prefix length.
    fn length(self) -> u8;

    /// The last address.
    fn last(self) -> u128 {
        self.first() + (size::<Self>(self.length()) - 1)
    }

    /// Whether the two have an address in common.
    fn meets(self, other: Self) -> bool {
        self.first() <= other.last() && other.first() <= self.last()
    }
}

/// Addresses in a prefix of this length. Length 0 of IPv6 does not fit; pools and blocks are never that big.
pub(crate) fn size<N: Prefix>(length: u8) -> u128 {
    1_u128
        .checked_shl(u32::from(N::BITS - length))
        .unwrap_or(u128::MAX)
}

impl Prefix for Ipv4Network {
    const FAMILY: Family = Family::V4;
    const BITS: u8 = 32;

    fn at(first: u128, length: u8) -> Self {
        let address = u32::try_from(first).expect("the callers stay inside an IPv4 prefix");
        Ipv4Network::new_checked(Ipv4Addr::from(address), length)
            .expect("the callers pass a length of at most 32")
    }

    fn first(self) -> u128 {
        u128::from(u32::from(self.network()))
    }

    fn length(self) -> u8 {
        self.prefix()
    }
}

impl Prefix for Ipv6Network {
    const FAMILY: Family = Family::V6;
    const BITS: u8 = 128;

    fn at(first: u128, length: u8) -> Self {
        Ipv6Network::new_checked(Ipv6Addr::from(first), length)
            .expect("the callers pass a length of at most 128")
    }

    fn first(self) -> u128 {
        u128::from(self.network())
    }

    fn length(self) -> u8 {
        self.prefix()
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for ipnetwork::Ipv4Network {}
    impl Sealed for ipnetwork::Ipv6Network {}
}
