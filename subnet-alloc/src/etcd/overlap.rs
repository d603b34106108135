//! Which keys overlap an IPv4 block, as ranges of keys: etcd compares keys as text, and a transaction that creates a
//! block can demand that these ranges are empty.
//!
//! Blocks differ in length while nodes follow a network config whose `SubnetLen` was changed and others do not yet.

use ipnetwork::Ipv4Network;

use crate::block::LONGEST_STEP;

/// A key, or the beginning of one, and the first text behind all that is meant.
pub(super) type Range = (String, String);

/// Ranges that hold the key of every block that overlaps this one, with any IPv6 part, and of no other; but not of those
/// that [dwarf](crate::block::Block::dwarfs) it and begin elsewhere. At most 63.
pub(super) fn overlapping(block: Ipv4Network) -> Vec<Range> {
    let address = u32::from(block.network());
    let largest = block.prefix().saturating_sub(LONGEST_STEP).max(1);
    let larger = (largest..block.prefix()).map(|len| {
        let network = address & !(u32::MAX >> len);
        // An IPv6 part follows a `&`, which `'` comes behind.
        let key = format!("{}-{len}", std::net::Ipv4Addr::from(network));
        (key.clone(), key + "'")
    });
    larger.chain(inside(block)).collect()
}

/// The keys of blocks whose address lies in this one.
fn inside(block: Ipv4Network) -> Vec<Range> {
    let octets = block.network().octets();
    // The last octet of which the block fixes a bit.
    let bit = block.prefix().saturating_sub(1);
    let (at, spread) = (usize::from(bit / 8), 0x7f_u8 >> (bit % 8));
    let before: String = octets[..at]
        .iter()
        .map(|octet| format!("{octet}."))
        .collect();
    let (end, behind) = if at == 3 { ('-', '.') } else { ('.', '/') };
    let range = |(from, to)| {
        (
            format!("{before}{from}{end}"),
            format!("{before}{to}{behind}"),
        )
    };
    runs(octets[at], octets[at] | spread)
        .into_iter()
        .map(range)
        .collect()
}

/// The octets from `low` to `high` as runs between whose texts lies no other octet's text: 1 is followed by 10 and 100,
/// 25 by 250, but 130 by 131 and 26 by 27.
fn runs(low: u8, high: u8) -> Vec<(u8, u8)> {
    let mut runs: Vec<(u8, u8)> = Vec::new();
    for octet in low..=high {
        match runs.last_mut() {
            Some((_, last)) if octet > 26 && *last / 10 == octet / 10 => *last = octet,
            _ => runs.push((octet, octet)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn has(ranges: &[Range], key: &str) -> bool {
        ranges
            .iter()
            .any(|(from, to)| from.as_str() <= key && key < to.as_str())
    }

    fn block(address: u32, len: u8) -> Ipv4Network {
        let address = address & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        Ipv4Network::new(Ipv4Addr::from(address), len).expect("a length of IPv4")
    }

    fn key(block: Ipv4Network) -> String {
        format!("{}-{}", block.network(), block.prefix())
    }

    /// Every block of lengths around `len` in the neighbourhood of `middle`, which is moved by multiples of itself.
    fn neighbours(middle: Ipv4Network) -> impl Iterator<Item = Ipv4Network> {
        let (address, len) = (u32::from(middle.network()), middle.prefix());
        (1..=32_u8).flat_map(move |other| {
            let step = 1_u32 << (32 - u32::from(len.max(other).max(8)));
            (0..256_u32).map(move |at| {
                block(
                    address.wrapping_add(step.wrapping_mul(at).wrapping_sub(step << 7)),
                    other,
                )
            })
        })
    }

    #[test]
    fn a_key_is_in_a_range_exactly_when_its_block_overlaps() {
        for len in 8..=32 {
            for address in [0x0af4_0000, 0x0af4_0780, 0xc0a8_ff00, 0x0a01_1a1a] {
                let middle = block(address, len);
                let ranges = overlapping(middle);
                for other in neighbours(middle) {
                    let dwarfs = other.prefix() + LONGEST_STEP < middle.prefix();
                    let overlaps = middle.contains(other.network())
                        || (other.contains(middle.network()) && !dwarfs);
                    let key = key(other);
                    assert_eq!(has(&ranges, &key), overlaps, "{middle} and {other}");
                    assert_eq!(has(&ranges, &format!("{key}&fd00:1::-64")), overlaps);
                }
            }
        }
    }

    #[test]
    fn few_enough_ranges_for_a_transaction_of_etcd() {
        // `--max-txn-ops` is 128 unless somebody sets it.
        let most = (1..=32)
            .flat_map(|len| [0, 0x0a0a_0a00, u32::MAX].map(|at| overlapping(block(at, len)).len()));
        assert!(most.max() <= Some(63));
    }
}
