//! Sets of addresses and of networks, and their elements in messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use super::batch::{Attributes, Batch};
use super::firewall::{Family, TableName};
use super::rule::octets;
use super::wire::*;

/// The length of an attribute, here that of the whole list, has 16 bits.
const LIST_BYTES: usize = 60 << 10;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) family: Family,
    /// Its elements are networks, not addresses.
    pub(super) networks: bool,
    pub(super) elements: Vec<Element>,
}

/// An address of a set; in a set of networks the first one of a network, or the
/// first one behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Element {
    pub(super) address: IpAddr,
    pub(super) is_end: bool,
}

impl Set {
    pub(super) fn of_addresses<'a>(
        name: &'static str,
        family: Family,
        addresses: impl IntoIterator<Item = &'a IpAddr>,
    ) -> Set {
        let of_family = |ip: &&IpAddr| Family::of(**ip) == family;
        let element = |address: &IpAddr| Element {
            address: *address,
            is_end: false,
        };
        let elements = addresses
            .into_iter()
            .filter(of_family)
            .map(element)
            .collect();
        Set {
            name,
            family,
            networks: false,
            elements,
        }
    }

    pub(super) fn of_networks(name: &'static str, family: Family, networks: &[IpNetwork]) -> Set {
        let elements = disjoint(networks.iter().filter(|n| family.holds(n)))
            .iter()
            .flat_map(interval)
            .collect();
        Set {
            name,
            family,
            networks: true,
            elements,
        }
    }

    /// The message that makes the set, and those that fill it; `id` is unique
    /// in the batch.
    pub(super) fn write(&self, batch: &mut Batch, table: &TableName, id: u32) {
        let header = (NEWSET, NLM_F_CREATE, NFPROTO_INET);
        let key = match self.family {
            Family::V4 => KEY_IPV4_ADDR,
            Family::V6 => KEY_IPV6_ADDR,
        };
        batch.message(header, |m| {
            m.text(NFTA_SET_TABLE, table.as_str());
            m.text(NFTA_SET_NAME, self.name);
            let flags = if self.networks { NFT_SET_INTERVAL } else { 0 };
            m.number(NFTA_SET_FLAGS, flags);
            m.number(NFTA_SET_KEY_TYPE, key);
            m.number(NFTA_SET_KEY_LEN, self.family.key_length());
            m.number(NFTA_SET_ID, id);
        });
        let header = (NEWSETELEM, NLM_F_CREATE, NFPROTO_INET);
        write_elements(batch, header, (table, self.name), &self.elements);
    }
}

/// Messages that add elements to a set, or remove them.
pub(super) fn write_elements(
    batch: &mut Batch,
    header: super::batch::Header,
    (table, set): (&TableName, &str),
    elements: &[Element],
) {
    for chunk in elements.chunks(LIST_BYTES / ELEMENT_BYTES) {
        batch.message(header, |m| {
            m.text(NFTA_SET_ELEM_LIST_TABLE, table.as_str());
            m.text(NFTA_SET_ELEM_LIST_SET, set);
            m.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                for element in chunk {
                    list.nest(NFTA_LIST_ELEM, |e| element.write(e));
                }
            });
        });
    }
}

/// Of an IPv6 address that ends a network: three headers, the address, flags.
const ELEMENT_BYTES: usize = 3 * 4 + 16 + 8;

impl Element {
    fn write(&self, into: &mut Attributes<'_>) {
        into.nest(NFTA_SET_ELEM_KEY, |key| {
            key.put(NFTA_DATA_VALUE, &octets(self.address));
        });
        if self.is_end {
            into.number(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
        }
    }
}

/// The networks without those that lie in another one: the kernel refuses
/// elements that overlap.
fn disjoint<'a>(networks: impl Iterator<Item = &'a IpNetwork>) -> Vec<IpNetwork> {
    let mut sorted: Vec<&IpNetwork> = networks.collect();
    sorted.sort_by_key(|n| (n.network(), n.prefix()));
    let mut kept: Vec<IpNetwork> = Vec::new();
    for network in sorted {
        if kept
            .last()
            .is_none_or(|last| !last.contains(network.network()))
        {
            kept.push(*network);
        }
    }
    kept
}

/// The network's first address, and the first one behind it unless there is none.
fn interval(network: &IpNetwork) -> impl Iterator<Item = Element> + use<> {
    let start = Element {
        address: network.network(),
        is_end: false,
    };
    let behind = match network.broadcast() {
        IpAddr::V4(last) => last
            .to_bits()
            .checked_add(1)
            .map(Ipv4Addr::from_bits)
            .map(IpAddr::V4),
        IpAddr::V6(last) => last
            .to_bits()
            .checked_add(1)
            .map(Ipv6Addr::from_bits)
            .map(IpAddr::V6),
    };
    let end = behind.map(|address| Element {
        address,
        is_end: true,
    });
    std::iter::once(start).chain(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(networks: &[&str]) -> Vec<String> {
        let networks: Vec<IpNetwork> = networks.iter().map(|n| n.parse().unwrap()).collect();
        let family = Family::of(networks[0].ip());
        let written = |e: &Element| format!("{}{}", if e.is_end { "<" } else { "" }, e.address);
        Set::of_networks("s", family, &networks)
            .elements
            .iter()
            .map(written)
            .collect()
    }

    #[test]
    fn a_network_is_its_first_address_and_the_first_one_behind_it() {
        assert_eq!(elements(&["10.244.0.0/16"]), ["10.244.0.0", "<10.245.0.0"]);
        assert_eq!(elements(&["fd44::7/64"]), ["fd44::", "<fd44:0:0:1::"]);
    }

    #[test]
    fn the_last_network_of_all_has_no_end() {
        assert_eq!(elements(&["255.255.255.0/24"]), ["255.255.255.0"]);
        assert_eq!(elements(&["0.0.0.0/0"]), ["0.0.0.0"]);
        assert_eq!(elements(&["ff00::/8"]), ["ff00::"]);
    }

    #[test]
    fn a_network_inside_another_one_and_a_repeated_one_are_left_out() {
        let overlapping = ["10.1.0.0/16", "10.0.0.0/8", "10.0.0.0/8", "11.0.0.0/8"];
        assert_eq!(
            elements(&overlapping),
            ["10.0.0.0", "<11.0.0.0", "11.0.0.0", "<12.0.0.0"]
        );
    }

    #[test]
    fn many_elements_become_several_messages_none_too_long_for_its_attribute() {
        let addresses: Vec<IpAddr> = (0..20_000u128)
            .map(|n| IpAddr::V6(Ipv6Addr::from_bits((0xfd << 120) + n)))
            .collect();
        let set = Set::of_addresses("s", Family::V6, &addresses);
        let mut batch = Batch::starting_at(0);
        set.write(&mut batch, &TableName::default(), 1);
        assert_eq!(batch.next_seq(), 2 + 12, "begin, set, then 1,706 in each");
    }
}
