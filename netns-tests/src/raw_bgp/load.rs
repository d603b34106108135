//! Many routes, encoded before the clock runs.

use super::codec::{Announced, HEADER, LONGEST, announce, withdraw};
use lab::Cidr;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// 1.0.0.0/24 is the first.
const FIRST: u32 = 0x0001_0000;
/// 10.0.0.0/8 is left out: the lab's own networks are in it.
const LAB: std::ops::Range<u32> = 0x000a_0000..0x000b_0000;
/// The two lengths of an UPDATE.
const FIXED: usize = HEADER + 4;
/// The octets of a /24.
const PREFIX: usize = 4;

/// IPv4 routes of length 24 from 1.0.0.0 upwards in full UPDATEs, many with the same attributes as real tables have them.
#[derive(Debug, Clone)]
pub struct Load {
    count: u32,
    announce: Arc<Vec<u8>>,
    withdraw: Arc<Vec<u8>>,
}

impl Load {
    /// `count` routes through `next_hop` of the AS `asn`; `per_set` of them share their attributes. The same every time.
    pub fn new(count: u32, per_set: u32, asn: u32, next_hop: Ipv4Addr) -> Self {
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        let mut announced = Vec::new();
        for first in (0..count).step_by(per_set.max(1) as usize) {
            let set: Vec<Cidr> = (first..count.min(first + per_set)).map(prefix).collect();
            let route = chance.route(asn, next_hop.into());
            let attributes = announce(&set[..1], &route).len() - FIXED - PREFIX;
            let fit = (LONGEST - FIXED - attributes) / PREFIX;
            for chunk in set.chunks(fit) {
                announced.extend(announce(chunk, &route));
            }
        }
        let all: Vec<Cidr> = (0..count).map(prefix).collect();
        let chunks = all.chunks((LONGEST - FIXED) / PREFIX);
        Self {
            count,
            announce: Arc::new(announced),
            withdraw: Arc::new(chunks.flat_map(withdraw).collect()),
        }
    }

    /// How many routes.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The UPDATEs that announce all of them.
    pub fn announcement(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.announce)
    }

    /// The UPDATEs that withdraw all of them.
    pub fn withdrawal(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.withdraw)
    }

    /// Route number `number`, from 0.
    pub fn prefix(number: u32) -> Cidr {
        prefix(number)
    }
}

fn prefix(number: u32) -> Cidr {
    let mut network = FIRST + number;
    if network >= LAB.start {
        network += LAB.end - LAB.start;
    }
    Cidr {
        address: IpAddr::V4(Ipv4Addr::from_bits(network << 8)),
        len: 24,
    }
}

/// Numbers that look random and are the same on every run (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 >> 33).unwrap_or(0) % end
    }

    /// Three to seven ASes on the way, up to eight communities.
    fn route(&mut self, asn: u32, next_hop: IpAddr) -> Announced {
        let mut route = Announced::new(next_hop, [asn]);
        for _ in 0..2 + self.below(5) {
            route.as_path.push(1_000 + self.below(60_000));
        }
        for _ in 0..self.below(9) {
            route.communities.push(self.below(u32::MAX >> 2));
        }
        route
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw_bgp::codec::complete;
    use crate::raw_bgp::{Ear, Heard};

    fn hear(heard: &mut Heard, mut bytes: &[u8]) -> usize {
        let mut messages = 0;
        while let Some(length) = complete(bytes) {
            heard.message(&bytes[..length]);
            bytes = &bytes[length..];
            messages += 1;
        }
        messages
    }

    #[test]
    fn a_load_announces_and_withdraws_as_many_as_it_says() {
        let load = Load::new(12_345, 1_000, 65_001, Ipv4Addr::new(10, 99, 0, 1));
        let mut heard = Heard::new(Ear::Count);
        let messages = hear(&mut heard, &load.announcement());
        assert!((13..=26).contains(&messages), "{messages}");
        assert_eq!(heard.count(), 12_345);
        hear(&mut heard, &load.withdrawal());
        assert_eq!(heard.count(), 0);
    }

    #[test]
    fn the_labs_own_networks_are_left_out() {
        assert_eq!(prefix(0).to_string(), "1.0.0.0/24");
        assert_eq!(prefix(589_823).to_string(), "9.255.255.0/24");
        assert_eq!(prefix(589_824).to_string(), "11.0.0.0/24");
    }
}
