//! Sets of addresses, and their elements in messages.

use std::net::IpAddr;

use super::batch::{Batch, Header};
use super::firewall::{Family, TableName};
use super::rule::octets;
use super::wire::*;

/// The length of an attribute, here that of the whole list, has 16 bits.
const LIST_BYTES: usize = 60 << 10;
/// Of an IPv6 address: three headers and the address.
const ELEMENT_BYTES: usize = 3 * 4 + 16;
/// 11 KiB of buckets.
const LEAST_ROOM: u32 = 1024;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) family: Family,
    pub(super) elements: Vec<IpAddr>,
}

impl Set {
    /// A set of those addresses that are of the family.
    pub(super) fn new<'a>(
        name: &'static str,
        family: Family,
        addresses: impl IntoIterator<Item = &'a IpAddr>,
    ) -> Set {
        let of_family = |ip: &IpAddr| Family::of(*ip) == family;
        Set {
            name,
            family,
            elements: addresses.into_iter().copied().filter(of_family).collect(),
        }
    }

    /// The message that makes the set, and those that fill it; `id` is unique
    /// in the batch.
    pub(super) fn write(&self, batch: &mut Batch, table: &TableName, id: u32) {
        let key = match self.family {
            Family::V4 => KEY_IPV4_ADDR,
            Family::V6 => KEY_IPV6_ADDR,
        };
        batch.message((NEWSET, NLM_F_CREATE, NFPROTO_INET), |m| {
            m.text(NFTA_SET_TABLE, table.as_str());
            m.text(NFTA_SET_NAME, self.name);
            m.number(NFTA_SET_FLAGS, 0);
            m.number(NFTA_SET_KEY_TYPE, key);
            m.number(NFTA_SET_KEY_LEN, self.family.key_length());
            m.nest(NFTA_SET_DESC, |desc| {
                desc.number(NFTA_SET_DESC_SIZE, self.room());
            });
            m.number(NFTA_SET_ID, id);
        });
        self.write_elements(batch, table, (NEWSETELEM, NLM_F_CREATE, NFPROTO_INET));
    }

    /// Messages that add the elements to the set of this name, or remove them.
    pub(super) fn write_elements(&self, batch: &mut Batch, table: &TableName, header: Header) {
        for chunk in self.elements.chunks(LIST_BYTES / ELEMENT_BYTES) {
            batch.message(header, |m| {
                m.text(NFTA_SET_ELEM_LIST_TABLE, table.as_str());
                m.text(NFTA_SET_ELEM_LIST_SET, self.name);
                m.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                    for address in chunk {
                        list.nest(NFTA_LIST_ELEM, |element| {
                            element.nest(NFTA_SET_ELEM_KEY, |key| {
                                key.put(NFTA_DATA_VALUE, &octets(*address));
                            });
                        });
                    }
                });
            });
        }
    }

    /// How many elements the set can hold. Without a bound the kernel takes a
    /// hash table that grows in the background (net/netfilter/nft_set_hash.c),
    /// and a dump meanwhile misses elements.
    fn room(&self) -> u32 {
        u32::try_from(self.elements.len() * 2)
            .ok()
            .and_then(u32::checked_next_power_of_two)
            .unwrap_or(u32::MAX)
            .max(LEAST_ROOM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_elements_become_several_messages_none_too_long_for_its_attribute() {
        let addresses: Vec<IpAddr> = (0..20_000u128)
            .map(|n| IpAddr::from(((0xfd << 120) + n).to_be_bytes()))
            .collect();
        let set = Set::new("s", Family::V6, &addresses);
        let mut batch = Batch::starting_at(0);
        set.write(&mut batch, &TableName::default(), 1);
        assert_eq!(batch.next_seq(), 2 + 10, "begin, set, then 2,194 in each");
        assert_eq!(set.room(), 65_536);
    }
}
