//! A block: one node's slice of the pool, and how flannel spells it as a key.

use std::cmp::Ordering;
use std::fmt::{self, Display};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnetwork::{Ipv4Network, Ipv6Network};

use crate::family::Prefix;
use crate::json::{LONGEST, shown};

/// One node's slice of the pool: an IPv4 prefix, an IPv6 prefix, or one of each.
///
/// Host bits are zero, and the lengths are those that flannel's key can carry (IPv4 1 to 31, IPv6 1 to 127), so
/// `Block::from_key(&block.key())` is always the same block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    v4: Option<Ipv4Network>,
    v6: Option<Ipv6Network>,
}

/// Why two prefixes do not make a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBlock {
    /// Neither family is there.
    #[error("a block needs an IPv4 prefix, an IPv6 prefix or both; it has neither")]
    Empty,
    /// Address bits are set behind the prefix length.
    #[error("{prefix} has host bits set; the block that begins there is {expected}")]
    HostBits {
        /// The prefix as given.
        prefix: String,
        /// The same prefix without host bits.
        expected: String,
    },
    /// A length that flannel's key format cannot carry.
    #[error("{prefix} cannot be a block: the prefix length must be 1 to {longest}")]
    Length {
        /// The prefix as given.
        prefix: String,
        /// The longest length of that family: 31 or 127.
        longest: u8,
    },
    /// An IPv4-mapped IPv6 prefix (RFC 4291 section 2.5.5.2), which no pod can have.
    #[error("{prefix} is an IPv4-mapped prefix and cannot be a block")]
    Mapped {
        /// The prefix as given.
        prefix: String,
    },
}

/// A store key that is not a block in flannel's spelling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "key {key:?} is not a block ({why}); expected the form 10.244.60.0-24 or 10.244.60.0-24&fd00:244::-64"
)]
pub struct BadKey {
    /// The key, cut to 100 characters.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

/// By how many bits blocks differ at most whose nodes follow one network config before and after a change.
pub(crate) const LONGEST_STEP: u8 = 7;

impl Block {
    /// A block of the given prefixes. At least one must be there, without host bits.
    pub fn new(v4: Option<Ipv4Network>, v6: Option<Ipv6Network>) -> Result<Block, BadBlock> {
        if v4.is_none() && v6.is_none() {
            return Err(BadBlock::Empty);
        }
        if let Some(v4) = v4 {
            check(v4, v4.ip() == v4.network())?;
        }
        if let Some(v6) = v6 {
            check(v6, v6.ip() == v6.network())?;
            if v6.network().to_ipv4_mapped().is_some() {
                return Err(BadBlock::Mapped {
                    prefix: v6.to_string(),
                });
            }
        }
        Ok(Block { v4, v6 })
    }

    /// The IPv4 part.
    pub fn v4(&self) -> Option<Ipv4Network> {
        self.v4
    }

    /// The IPv6 part.
    pub fn v6(&self) -> Option<Ipv6Network> {
        self.v6
    }

    /// Whether the two have an address in common, in either family.
    pub fn overlaps(&self, other: &Block) -> bool {
        let v4 = self.v4.zip(other.v4).is_some_and(|(a, b)| a.meets(b));
        let v6 = self.v6.zip(other.v6).is_some_and(|(a, b)| a.meets(b));
        v4 || v6
    }

    /// Whether this is so much larger than the other, in a family, that no change of `SubnetLen` explains it: a lease on
    /// half of all addresses must not keep everybody from claiming.
    pub(crate) fn dwarfs(&self, other: &Block) -> bool {
        let dwarfs = |a: u8, b: u8| a + LONGEST_STEP < b;
        let v4 = self.v4.zip(other.v4);
        let v6 = self.v6.zip(other.v6);
        v4.is_some_and(|(a, b)| dwarfs(a.length(), b.length()))
            || v6.is_some_and(|(a, b)| dwarfs(a.length(), b.length()))
    }

    /// The key in flannel's spelling (`MakeSubnetKey` of its `pkg/subnet`): `10.244.60.0-24`,
    /// `10.244.60.0-24&fd00:244:0:22::-64`, and for IPv6 alone `0.0.0.0-0&fd00:244:0:22::-64`.
    pub fn key(&self) -> String {
        let v4 = self.v4.map_or("0.0.0.0-0".to_owned(), |net| {
            format!("{}-{}", net.network(), net.prefix())
        });
        match self.v6 {
            Some(net) => format!("{v4}&{}-{}", net.network(), net.prefix()),
            None => v4,
        }
    }

    /// The block that a key spells. Strict: only what [`Block::key`] writes is accepted, so that a block has one key.
    pub fn from_key(key: &str) -> Result<Block, BadKey> {
        let bad = |why: String| BadKey {
            key: key.chars().take(100).collect(),
            why: shown(&why, LONGEST),
        };
        let (first, second) = match key.split_once('&') {
            Some((v4, v6)) => (v4, Some(v6)),
            None => (key, None),
        };
        let v4 = match (first, second) {
            ("0.0.0.0-0", Some(_)) => None,
            _ => Some(parse_v4(first).map_err(bad)?),
        };
        let v6 = second.map(parse_v6).transpose().map_err(bad)?;
        let block = Block::new(v4, v6).map_err(|why| bad(why.to_string()))?;
        // An IPv4 address and a length have one spelling each; an IPv6 address has many.
        if v6.is_none() || block.key() == key {
            Ok(block)
        } else {
            Err(bad(format!("the canonical spelling is {}", block.key())))
        }
    }
}

/// By the IPv4 part, those without one first, then by the IPv6 part. Listings are sorted by it, so that it is written out: what
/// is derived compares byte by byte.
impl Ord for Block {
    fn cmp(&self, other: &Block) -> Ordering {
        let v4 = |block: &Block| {
            let key = |net: Ipv4Network| (net.ip().to_bits(), net.prefix());
            block.v4.map(key)
        };
        let v6 = |block: &Block| {
            let key = |net: Ipv6Network| (net.ip().to_bits(), net.prefix());
            block.v6.map(key)
        };
        v4(self)
            .cmp(&v4(other))
            .then_with(|| v6(self).cmp(&v6(other)))
    }
}

impl PartialOrd for Block {
    fn partial_cmp(&self, other: &Block) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.v4, self.v6) {
            (Some(v4), Some(v6)) => write!(f, "{v4} + {v6}"),
            (Some(v4), None) => write!(f, "{v4}"),
            (None, Some(v6)) => write!(f, "{v6}"),
            (None, None) => unreachable!("Block::new refuses an empty block"),
        }
    }
}

fn check<N: Prefix>(prefix: N, no_host_bits: bool) -> Result<(), BadBlock> {
    let longest = N::BITS - 1;
    if !(1..=longest).contains(&prefix.length()) {
        return Err(BadBlock::Length {
            prefix: prefix.to_string(),
            longest,
        });
    }
    if !no_host_bits {
        return Err(BadBlock::HostBits {
            prefix: prefix.to_string(),
            expected: N::at(prefix.first(), prefix.length()).to_string(),
        });
    }
    Ok(())
}

fn parse_v4(text: &str) -> Result<Ipv4Network, String> {
    let (address, length) = split(text)?;
    let address: Ipv4Addr = address
        .parse()
        .map_err(|_| format!("{address:?} is not an IPv4 address"))?;
    Ipv4Network::new(address, length).map_err(|why| why.to_string())
}

fn parse_v6(text: &str) -> Result<Ipv6Network, String> {
    let (address, length) = split(text)?;
    let address: Ipv6Addr = address
        .parse()
        .map_err(|_| format!("{address:?} is not an IPv6 address"))?;
    Ipv6Network::new(address, length).map_err(|why| why.to_string())
}

fn split(text: &str) -> Result<(&str, u8), String> {
    let (address, length) = text
        .rsplit_once('-')
        .ok_or_else(|| format!("{text:?} has no prefix length"))?;
    let is_plain = length.bytes().all(|digit| digit.is_ascii_digit())
        && (length.len() == 1 || !length.starts_with('0'));
    match length.parse() {
        Ok(number) if is_plain => Ok((address, number)),
        _ => Err(format!("{length:?} is not a prefix length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [(&str, &str); 4] = [
        ("10.244.60.0-24", "10.244.60.0/24"),
        (
            "10.244.60.0-24&fd00:244:0:22::-64",
            "10.244.60.0/24 + fd00:244:0:22::/64",
        ),
        ("0.0.0.0-0&fd00:244:0:e::-64", "fd00:244:0:e::/64"),
        ("10.0.0.0-31", "10.0.0.0/31"),
    ];

    #[test]
    fn flannels_keys_read_and_write_back_the_same() {
        for (key, shown) in KEYS {
            let block = Block::from_key(key).expect(key);
            assert_eq!(block.key(), key);
            assert_eq!(block.to_string(), shown);
        }
    }

    #[test]
    fn keys_that_are_no_block_are_refused_and_named() {
        for key in [
            "",
            "10.12.13.0",
            "10.12.13-24",
            "10.12.13.300-24",
            "10.12.13.0-24hi",
            "10.12.13.0-24&20011::-56",
            "10.12.13.0-24&2001::",
            "10.12.13.0-24&",
            "10.12.13.0-24&2001::-128",
            "10.12.13.0-32",
            "10.12.13.5-24",
            "0.0.0.0-0",
            "0.0.0.0-0&::-0",
            "x/10.12.13.0-24",
            "10.12.13.0-024",
            "10.12.13.0-24&FD00::-64",
            "10.12.13.0-24&fd00:0:0:1::5-64",
            "10.12.13.0-24&::ffff:1.2.3.0-120",
            "10.12.13.0-24&fd00::-64&fd01::-64",
            "\u{0}",
        ] {
            let refused = Block::from_key(key).expect_err(key);
            assert_eq!(refused.key, key);
        }
    }

    #[test]
    fn blocks_overlap_when_one_family_does() {
        let block = |key| Block::from_key(key).expect(key);
        let both = block("10.1.2.0-24&fd00:1::-64");
        assert!(both.overlaps(&block("10.1.0.0-16")));
        assert!(both.overlaps(&block("10.9.9.0-24&fd00:1::-64")));
        assert!(!both.overlaps(&block("10.1.3.0-24&fd00:2::-64")));
        assert!(!block("10.1.2.0-24").overlaps(&block("0.0.0.0-0&fd00:1::-64")));
    }
}
