//! Prefixes: small enough for a million of them, ordered as numbers.

use std::cmp::Ordering;
use std::fmt::{self, Debug, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::family::Family;

/// An IPv4 prefix of 0 to 32 bits. Host bits are zero. Five octets in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix4 {
    bits: [u8; 4],
    len: u8,
}

/// An IPv6 prefix of 0 to 128 bits. Host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix6 {
    bits: [u8; 16],
    len: u8,
}

/// A prefix of either family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prefix {
    /// IPv4.
    V4(Prefix4),
    /// IPv6.
    V6(Prefix6),
}

/// What routing tables need of a prefix, whatever the family.
pub trait Net: Copy + Ord + Debug + Display + Into<Prefix> {
    /// The family of these prefixes.
    const FAMILY: Family;
    /// Bits of an address: 32 or 128.
    const BITS: u8;

    /// The prefix of these octets; bits behind the length are cleared. `None` where `len` exceeds [`Net::BITS`] or the
    /// octets are fewer than `len` needs.
    fn from_octets(octets: &[u8], len: u8) -> Option<Self>;
    /// All octets of the first address.
    fn octets(&self) -> &[u8];
    /// The length in bits.
    fn length(&self) -> u8;
}

impl Net for Prefix4 {
    const FAMILY: Family = Family::Ipv4;
    const BITS: u8 = 32;

    fn from_octets(octets: &[u8], len: u8) -> Option<Prefix4> {
        let bits = masked(octets, len)?;
        Some(Prefix4 { bits, len })
    }

    fn octets(&self) -> &[u8] {
        &self.bits
    }

    fn length(&self) -> u8 {
        self.len
    }
}

impl Net for Prefix6 {
    const FAMILY: Family = Family::Ipv6;
    const BITS: u8 = 128;

    fn from_octets(octets: &[u8], len: u8) -> Option<Prefix6> {
        let bits = masked(octets, len)?;
        Some(Prefix6 { bits, len })
    }

    fn octets(&self) -> &[u8] {
        &self.bits
    }

    fn length(&self) -> u8 {
        self.len
    }
}

/// The first `len` bits of the octets, the rest zero.
fn masked<const N: usize>(octets: &[u8], len: u8) -> Option<[u8; N]> {
    let whole = usize::from(len.div_ceil(8));
    if whole > N {
        return None;
    }
    let mut bits = [0; N];
    bits[..whole].copy_from_slice(octets.get(..whole)?);
    if !len.is_multiple_of(8) {
        bits[whole - 1] &= 0xff << (8 - len % 8);
    }
    Some(bits)
}

impl Prefix4 {
    /// The prefix of that length around an address; `None` above 32.
    pub fn new(address: Ipv4Addr, len: u8) -> Option<Prefix4> {
        Prefix4::from_octets(&address.octets(), len)
    }

    /// The first address.
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::from(self.bits)
    }

    fn key(self) -> u64 {
        u64::from(u32::from_be_bytes(self.bits)) << 8 | u64::from(self.len)
    }
}

impl Prefix6 {
    /// The prefix of that length around an address; `None` above 128.
    pub fn new(address: Ipv6Addr, len: u8) -> Option<Prefix6> {
        Prefix6::from_octets(&address.octets(), len)
    }

    /// The first address.
    pub fn address(self) -> Ipv6Addr {
        Ipv6Addr::from(self.bits)
    }

    fn key(self) -> (u128, u8) {
        (u128::from_be_bytes(self.bits), self.len)
    }
}

impl Ord for Prefix4 {
    fn cmp(&self, other: &Prefix4) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Prefix4 {
    fn partial_cmp(&self, other: &Prefix4) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Prefix6 {
    fn cmp(&self, other: &Prefix6) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Prefix6 {
    fn partial_cmp(&self, other: &Prefix6) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Prefix {
    /// The prefix of that length around an address; `None` where the length does not fit the family.
    pub fn new(address: IpAddr, len: u8) -> Option<Prefix> {
        match address {
            IpAddr::V4(address) => Prefix4::new(address, len).map(Prefix::V4),
            IpAddr::V6(address) => Prefix6::new(address, len).map(Prefix::V6),
        }
    }

    /// The prefix that holds this one address.
    pub fn host(address: IpAddr) -> Prefix {
        match address {
            IpAddr::V4(address) => Prefix::V4(Prefix4 {
                bits: address.octets(),
                len: 32,
            }),
            IpAddr::V6(address) => Prefix::V6(Prefix6 {
                bits: address.octets(),
                len: 128,
            }),
        }
    }

    /// The first address.
    pub fn address(self) -> IpAddr {
        match self {
            Prefix::V4(prefix) => prefix.address().into(),
            Prefix::V6(prefix) => prefix.address().into(),
        }
    }

    /// The length in bits.
    pub fn length(self) -> u8 {
        match self {
            Prefix::V4(prefix) => prefix.len,
            Prefix::V6(prefix) => prefix.len,
        }
    }

    /// The family.
    pub fn family(self) -> Family {
        match self {
            Prefix::V4(_) => Family::Ipv4,
            Prefix::V6(_) => Family::Ipv6,
        }
    }

    /// Whether it is `0.0.0.0/0` or `::/0`.
    pub fn is_default(self) -> bool {
        self.length() == 0
    }

    /// The same address cut to a shorter length; itself where it is that short already.
    #[must_use]
    pub fn shortened(self, len: u8) -> Prefix {
        Prefix::new(self.address(), len.min(self.length())).unwrap_or(self)
    }

    /// Whether every address of `other` is in this prefix.
    pub fn covers(self, other: Prefix) -> bool {
        self.family() == other.family()
            && self.length() <= other.length()
            && other.shortened(self.length()) == self
    }
}

impl From<Prefix4> for Prefix {
    fn from(prefix: Prefix4) -> Prefix {
        Prefix::V4(prefix)
    }
}

impl From<Prefix6> for Prefix {
    fn from(prefix: Prefix6) -> Prefix {
        Prefix::V6(prefix)
    }
}

impl Display for Prefix4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.len)
    }
}

impl Display for Prefix6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.len)
    }
}

impl Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Prefix::V4(prefix) => Display::fmt(prefix, f),
            Prefix::V6(prefix) => Display::fmt(prefix, f),
        }
    }
}

impl Debug for Prefix4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Debug for Prefix6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// A text that is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a prefix; expected the form 10.244.1.0/24 or fd00:244::/64, without host bits"
)]
pub struct BadPrefix {
    /// The text as given.
    pub text: String,
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Prefix, BadPrefix> {
        let parsed = text.split_once('/').and_then(|(address, len)| {
            let address: IpAddr = address.parse().ok()?;
            let prefix = Prefix::new(address, len.parse().ok()?)?;
            (prefix.address() == address).then_some(prefix)
        });
        parsed.ok_or_else(|| BadPrefix {
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect(text)
    }

    #[test]
    fn a_prefix_reads_back_as_it_is_shown() {
        for text in [
            "0.0.0.0/0",
            "10.244.1.0/24",
            "10.0.0.1/32",
            "::/0",
            "fd00:244::/64",
        ] {
            assert_eq!(prefix(text).to_string(), text);
        }
    }

    #[test]
    fn texts_that_are_no_prefix_are_refused_and_named() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.1/24",
            "fd00::/129",
            "fd00::1/64",
            "x/8",
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap_err().text, text);
        }
    }

    #[test]
    fn host_bits_are_cleared_whatever_the_length() {
        let cut = Prefix4::from_octets(&[10, 200, 255, 255], 23).unwrap();
        assert_eq!(cut.to_string(), "10.200.254.0/23");
        assert_eq!(Prefix4::from_octets(&[10, 200], 17), None);
        assert_eq!(Prefix4::from_octets(&[0; 9], 33), None);
        assert_eq!(Prefix6::from_octets(&[0; 20], 129), None);
    }

    #[test]
    fn a_prefix_covers_itself_and_what_is_inside_and_nothing_else() {
        let block = prefix("10.244.0.0/16");
        assert!(block.covers(block));
        assert!(block.covers(prefix("10.244.7.0/24")));
        assert!(!block.covers(prefix("10.245.7.0/24")));
        assert!(!block.covers(prefix("10.0.0.0/8")));
        assert!(!block.covers(prefix("fd00::/64")));
        assert!(prefix("0.0.0.0/0").covers(block));
    }

    #[test]
    fn prefixes_are_ordered_by_address_then_length() {
        let mut all = ["10.1.0.0/16", "9.0.0.0/8", "10.0.0.0/8", "10.1.0.0/24"].map(prefix);
        all.sort();
        let shown = all.map(|p| p.to_string());
        assert_eq!(
            shown,
            ["9.0.0.0/8", "10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/24"]
        );
    }

    #[test]
    fn an_ipv4_prefix_takes_five_octets() {
        assert_eq!(size_of::<Prefix4>(), 5);
    }
}
