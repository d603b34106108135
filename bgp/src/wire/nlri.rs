//! Prefixes as they stand in an UPDATE: one octet of length in bits, then as few octets as it takes (RFC 4271 section 4.3).

use crate::family::Family;
use crate::prefix::{Net, Prefix, Prefix4, Prefix6};

/// Prefixes of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prefixes {
    /// IPv4.
    V4(Vec<Prefix4>),
    /// IPv6.
    V6(Vec<Prefix6>),
}

impl Prefixes {
    /// Reads them all. `None` where one is too long for the family or cut off: what follows cannot be found (RFC 7606
    /// section 5.3).
    pub(crate) fn decode(family: Family, bytes: &[u8]) -> Option<Prefixes> {
        Some(match family {
            Family::Ipv4 => Prefixes::V4(decode_nets(bytes)?),
            Family::Ipv6 => Prefixes::V6(decode_nets(bytes)?),
        })
    }

    /// Their family.
    pub fn family(&self) -> Family {
        match self {
            Prefixes::V4(_) => Family::Ipv4,
            Prefixes::V6(_) => Family::Ipv6,
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Prefixes::V4(all) => all.len(),
            Prefixes::V6(all) => all.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each of them.
    pub fn iter(&self) -> Box<dyn Iterator<Item = Prefix> + '_> {
        match self {
            Prefixes::V4(all) => Box::new(all.iter().map(|p| Prefix::V4(*p))),
            Prefixes::V6(all) => Box::new(all.iter().map(|p| Prefix::V6(*p))),
        }
    }
}

fn decode_nets<P: Net>(mut bytes: &[u8]) -> Option<Vec<P>> {
    let mut nets = Vec::with_capacity(bytes.len() / 4);
    while let Some((&len, rest)) = bytes.split_first() {
        nets.push(P::from_octets(rest, len)?);
        bytes = &rest[usize::from(len.div_ceil(8))..];
    }
    Some(nets)
}

/// Octets that the prefix takes in an UPDATE.
pub(crate) fn encoded_len<P: Net>(net: &P) -> usize {
    1 + usize::from(net.length().div_ceil(8))
}

/// Appends one prefix.
pub(crate) fn encode<P: Net>(net: &P, out: &mut Vec<u8>) {
    out.push(net.length());
    out.extend_from_slice(&net.octets()[..encoded_len(net) - 1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Option<Vec<String>> {
        let prefixes = Prefixes::decode(Family::Ipv4, bytes)?;
        Some(prefixes.iter().map(|p| p.to_string()).collect())
    }

    #[test]
    fn prefixes_follow_each_other_without_padding() {
        let bytes = [0, 8, 10, 24, 192, 0, 2, 32, 1, 2, 3, 4];
        let expected = ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.0/24", "1.2.3.4/32"];
        assert_eq!(decode(&bytes).unwrap(), expected);
        assert_eq!(decode(&[]).unwrap().len(), 0);
    }

    #[test]
    fn too_long_or_cut_off_is_not_to_be_read() {
        for bytes in [
            &[33, 1, 2, 3, 4, 5][..],
            &[255; 40],
            &[24, 10, 0],
            &[8, 10, 16, 1],
        ] {
            assert_eq!(decode(bytes), None);
        }
        assert_eq!(Prefixes::decode(Family::Ipv6, &[129; 20]), None);
    }

    #[test]
    fn prefixes_read_back_as_they_are_written() {
        for text in ["0.0.0.0/0", "10.0.0.0/7", "10.244.1.0/24", "10.0.0.1/32"] {
            let Ok(Prefix::V4(net)) = text.parse() else {
                panic!("{text}")
            };
            let mut out = Vec::new();
            encode::<Prefix4>(&net, &mut out);
            assert_eq!(out.len(), encoded_len(&net));
            assert_eq!(decode_nets::<Prefix4>(&out), Some(vec![net]));
        }
    }
}
