//! Addresses and families of a lab.

use crate::LabError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Which IP families the underlay and the pods have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// Both.
    Dual,
}

impl Stack {
    /// All three.
    pub const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Dual];

    /// Whether there is IPv4.
    pub fn has_v4(self) -> bool {
        self != Self::V6
    }

    /// Whether there is IPv6.
    pub fn has_v6(self) -> bool {
        self != Self::V4
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
            Self::Dual => "dual stack",
        })
    }
}

/// The addresses of one interface: at least one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The IPv4 address, if the stack has it.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address, if the stack has it.
    pub v6: Option<Ipv6Addr>,
}

impl Addresses {
    /// IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.v4
            .map(IpAddr::V4)
            .into_iter()
            .chain(self.v6.map(IpAddr::V6))
    }

    /// The address of the same family as `other`.
    pub fn like(&self, other: IpAddr) -> Option<IpAddr> {
        self.iter()
            .find(|address| address.is_ipv4() == other.is_ipv4())
    }

    /// IPv4 if there is one, else IPv6.
    pub fn first(&self) -> Option<IpAddr> {
        self.iter().next()
    }
}

/// An address with a prefix length, as `ip addr` writes it: `10.244.7.1/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    /// The address, host bits included.
    pub address: IpAddr,
    /// The prefix length in bits.
    pub len: u8,
}

impl Cidr {
    /// The same prefix length at the address `n` higher (wraps at the end of the family).
    pub fn plus(self, n: u32) -> Self {
        let address = match self.address {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits().wrapping_add(n))),
            IpAddr::V6(a) => {
                IpAddr::V6(Ipv6Addr::from_bits(a.to_bits().wrapping_add(u128::from(n))))
            }
        };
        Self { address, ..self }
    }

    /// The prefix itself: host bits zero.
    pub fn network(self) -> Self {
        let host_bits = |width: u8| u32::from(width.saturating_sub(self.len));
        let address = match self.address {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(
                a.to_bits() & u32::MAX.checked_shl(host_bits(32)).unwrap_or(0),
            )),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(
                a.to_bits() & u128::MAX.checked_shl(host_bits(128)).unwrap_or(0),
            )),
        };
        Self { address, ..self }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

impl FromStr for Cidr {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        text.split_once('/')
            .and_then(|(address, len)| {
                Some(Self {
                    address: address.parse().ok()?,
                    len: len.parse().ok()?,
                })
            })
            .filter(|cidr| cidr.len <= if cidr.address.is_ipv4() { 32 } else { 128 })
            .ok_or_else(|| LabError::Malformed {
                what: "an address with prefix length".into(),
                text: text.into(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().expect("a test writes valid addresses")
    }

    #[test]
    fn the_network_of_a_gateway_has_no_host_bits() {
        assert_eq!(cidr("10.244.7.1/24").network(), cidr("10.244.7.0/24"));
        assert_eq!(
            cidr("fd00:244:0:7::1/64").network(),
            cidr("fd00:244:0:7::/64")
        );
        assert_eq!(cidr("10.1.2.3/0").network(), cidr("0.0.0.0/0"));
        assert_eq!(cidr("10.1.2.3/32").network(), cidr("10.1.2.3/32"));
    }

    #[test]
    fn the_second_pod_sits_two_above_the_gateway() {
        assert_eq!(cidr("10.244.7.1/24").plus(2).to_string(), "10.244.7.3/24");
    }

    #[test]
    fn a_prefix_longer_than_its_family_is_refused() {
        assert!("10.0.0.0/33".parse::<Cidr>().is_err());
        assert!("10.0.0.0".parse::<Cidr>().is_err());
    }
}
