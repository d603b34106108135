//! Sets of prefixes, asked by cutting a prefix to the lengths that are there: as many look-ups as there are lengths, however
//! many prefixes.

use std::collections::{BTreeMap, BTreeSet};

use crate::family::Family;
use crate::prefix::Prefix;

/// The lengths that occur, by family.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Lengths(BTreeSet<(Family, u8)>);

impl Lengths {
    fn add(&mut self, prefix: Prefix) {
        self.0.insert((prefix.family(), prefix.length()));
    }

    /// The prefix cut to each length that occurs and is not longer than it.
    fn cuts(&self, prefix: Prefix) -> impl Iterator<Item = Prefix> + '_ {
        let family = prefix.family();
        let range = self.0.range((family, 0)..=(family, prefix.length()));
        range.map(move |(_, length)| prefix.shortened(*length))
    }
}

/// A set of prefixes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrefixSet {
    all: BTreeSet<Prefix>,
    lengths: Lengths,
}

impl PrefixSet {
    /// Whether the prefix itself is in the set.
    pub fn has(&self, prefix: Prefix) -> bool {
        self.all.contains(&prefix)
    }

    /// Whether the prefix, or one that it is a part of, is in the set.
    pub fn covers(&self, prefix: Prefix) -> bool {
        self.lengths.cuts(prefix).any(|cut| self.all.contains(&cut))
    }

    /// The prefixes, in order.
    pub fn iter(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.all.iter().copied()
    }
}

impl FromIterator<Prefix> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> PrefixSet {
        let mut set = PrefixSet::default();
        for prefix in prefixes {
            set.lengths.add(prefix);
            set.all.insert(prefix);
        }
        set
    }
}

/// One line of a prefix list: the prefix, and how long the prefixes in it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrefixRule {
    /// Prefixes in this one,
    pub prefix: Prefix,
    /// of at least this length,
    pub min: u8,
    /// and at most this.
    pub max: u8,
}

impl PrefixRule {
    /// Just this prefix.
    pub fn exact(prefix: Prefix) -> PrefixRule {
        PrefixRule {
            prefix,
            min: prefix.length(),
            max: prefix.length(),
        }
    }

    /// This prefix and everything in it.
    pub fn or_longer(prefix: Prefix) -> PrefixRule {
        PrefixRule {
            prefix,
            min: prefix.length(),
            max: 128,
        }
    }
}

/// Prefixes with lengths. A default route matches only a rule that names it exactly, never one that is just as wide.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrefixList {
    rules: BTreeMap<Prefix, Vec<(u8, u8)>>,
    lengths: Lengths,
}

impl PrefixList {
    /// Whether a rule takes the prefix.
    pub fn matches(&self, prefix: Prefix) -> bool {
        let length = prefix.length();
        if prefix.is_default() {
            return self
                .rules
                .get(&prefix)
                .is_some_and(|ranges| ranges.contains(&(0, 0)));
        }
        let ranges = self
            .lengths
            .cuts(prefix)
            .filter_map(|cut| self.rules.get(&cut));
        ranges
            .flatten()
            .any(|(min, max)| (*min..=*max).contains(&length))
    }
}

impl PrefixList {
    /// The rules, in the order of their prefixes.
    pub fn iter(&self) -> impl Iterator<Item = PrefixRule> + '_ {
        let rules = self.rules.iter();
        rules.flat_map(|(prefix, ranges)| {
            let prefix = *prefix;
            let rule = move |(min, max): &(u8, u8)| PrefixRule {
                prefix,
                min: *min,
                max: *max,
            };
            ranges.iter().map(rule)
        })
    }
}

impl FromIterator<PrefixRule> for PrefixList {
    fn from_iter<I: IntoIterator<Item = PrefixRule>>(rules: I) -> PrefixList {
        let mut list = PrefixList::default();
        for rule in rules {
            list.lengths.add(rule.prefix);
            list.rules
                .entry(rule.prefix)
                .or_default()
                .push((rule.min, rule.max));
        }
        list
    }
}

/// Whether the addresses of the prefix are nobody's: "this network", loopback, link-local, multicast and class E; for IPv6
/// also mapped addresses. A default route is none.
pub(crate) fn is_martian(prefix: Prefix) -> bool {
    match prefix {
        Prefix::V4(prefix) => {
            let [a, b, ..] = prefix.address().octets();
            let length = crate::prefix::Net::length(&prefix);
            let within = |of: u8| length >= of;
            (a == 0 && within(8))
                || (a == 127 && within(8))
                || (a == 169 && b == 254 && within(16))
                || a >= 224
        }
        Prefix::V6(prefix) => {
            let first = prefix.address().segments()[0];
            let length = crate::prefix::Net::length(&prefix);
            (first >> 8 == 0 && length >= 8)
                || (first & 0xffc0 == 0xfe80 && length >= 10)
                || first >> 8 == 0xff
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect(text)
    }

    #[test]
    fn a_set_covers_what_is_in_it_and_what_is_part_of_that() {
        let set: PrefixSet = ["10.244.1.0/24", "10.9.0.0/16", "fd00::/64"]
            .map(prefix)
            .into_iter()
            .collect();
        for covered in [
            "10.244.1.0/24",
            "10.244.1.128/25",
            "10.9.9.9/32",
            "fd00::1/128",
        ] {
            assert!(set.covers(prefix(covered)), "{covered}");
        }
        for free in ["10.244.0.0/16", "10.244.2.0/24", "0.0.0.0/0", "fd00::/48"] {
            assert!(!set.covers(prefix(free)), "{free}");
        }
        assert!(set.has(prefix("10.9.0.0/16")) && !set.has(prefix("10.9.1.0/24")));
    }

    #[test]
    fn a_list_takes_lengths_within_the_bounds() {
        let rule = PrefixRule {
            prefix: prefix("10.0.0.0/8"),
            min: 16,
            max: 24,
        };
        let list: PrefixList = [rule, PrefixRule::exact(prefix("192.0.2.0/24"))]
            .into_iter()
            .collect();
        for taken in ["10.1.0.0/16", "10.1.2.0/24", "192.0.2.0/24"] {
            assert!(list.matches(prefix(taken)), "{taken}");
        }
        for left in ["10.0.0.0/8", "10.1.2.0/25", "192.0.2.0/25", "11.0.0.0/16"] {
            assert!(!list.matches(prefix(left)), "{left}");
        }
    }

    #[test]
    fn a_default_route_is_taken_only_where_it_is_named() {
        let wide: PrefixList = [PrefixRule::or_longer(prefix("0.0.0.0/0"))]
            .into_iter()
            .collect();
        assert!(wide.matches(prefix("10.0.0.0/8")) && !wide.matches(prefix("0.0.0.0/0")));
        let named: PrefixList = [PrefixRule::exact(prefix("0.0.0.0/0"))]
            .into_iter()
            .collect();
        assert!(named.matches(prefix("0.0.0.0/0")) && !named.matches(prefix("10.0.0.0/8")));
        assert!(!named.matches(prefix("::/0")));
    }

    #[test]
    fn martians_are_known_and_a_default_route_is_none() {
        for martian in [
            "0.0.0.0/8",
            "127.0.0.1/32",
            "169.254.1.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "255.255.255.255/32",
            "::1/128",
            "::ffff:10.0.0.0/104",
            "fe80::/64",
            "ff00::/8",
        ] {
            assert!(is_martian(prefix(martian)), "{martian}");
        }
        for fine in [
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/8",
            "192.0.2.0/24",
            "169.0.0.0/8",
            "128.0.0.0/1",
            "2001:db8::/32",
            "fd00::/8",
        ] {
            assert!(!is_martian(prefix(fine)), "{fine}");
        }
    }
}
