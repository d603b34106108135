//! One rule: what a packet must match, and what becomes of it then; and how
//! that is said in nftables' expressions.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::batch::Attributes;
use super::firewall::Family;
use super::wire::*;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rule {
    pub(super) matches: Vec<Match>,
    pub(super) verdict: Verdict,
    /// Stands behind the rule in `nft list ruleset`; at most 126 bytes.
    pub(super) comment: String,
}

/// A condition; a packet that is too short for it does not match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Match {
    /// All these bits are set in the packet's mark.
    Marked(u32),
    /// A packet of this family: must stand before addresses in a table `inet`.
    Is(Family),
    /// The source is not in the set of addresses of its family.
    SourceNotIn(Family, &'static str),
    /// The address is in this network (or is not).
    Within(End, bool, IpNetwork),
    /// UDP to this port.
    UdpTo(u16),
    /// The VXLAN header (RFC 7348, section 5) behind UDP's has another VNI.
    OtherVni(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Source,
    Destination,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// This chain does nothing more with the packet.
    Return,
    Accept,
    /// With a counter.
    Drop,
    Masquerade {
        random_fully: bool,
    },
}

impl Rule {
    pub(super) fn new(matches: Vec<Match>, verdict: Verdict, comment: impl Into<String>) -> Rule {
        let comment = comment.into();
        Rule {
            matches,
            verdict,
            comment,
        }
    }

    /// The attributes of a `NEWRULE` behind those that name table and chain.
    pub(super) fn write(&self, into: &mut Attributes<'_>) {
        into.nest(NFTA_RULE_EXPRESSIONS, |list| {
            for condition in &self.matches {
                condition.write(list);
            }
            self.verdict.write(list);
        });
        into.comment(NFTA_RULE_USERDATA, &self.comment);
    }
}

impl Match {
    fn write(&self, list: &mut Attributes<'_>) {
        match *self {
            // A mark is a number of this machine, not of the network.
            Match::Marked(bits) => {
                meta(list, NFT_META_MARK);
                mask(list, &bits.to_ne_bytes());
                compare(list, true, &bits.to_ne_bytes());
            }
            Match::Is(family) => {
                meta(list, NFT_META_NFPROTO);
                compare(list, true, &[family.protocol()]);
            }
            Match::SourceNotIn(family, set) => {
                address(list, End::Source, family);
                lookup_inverted(list, set);
            }
            Match::Within(end, within, network) => {
                address(list, end, Family::of(network.ip()));
                mask(list, &octets(network.mask()));
                compare(list, within, &octets(network.network()));
            }
            Match::UdpTo(port) => {
                meta(list, NFT_META_L4PROTO);
                compare(list, true, &[IPPROTO_UDP]);
                payload(list, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
                compare(list, true, &port.to_be_bytes());
            }
            Match::OtherVni(vni) => {
                payload(list, NFT_PAYLOAD_TRANSPORT_HEADER, 12, 3);
                compare(list, false, &vni.to_be_bytes()[1..]);
            }
        }
    }
}

impl Verdict {
    fn write(self, list: &mut Attributes<'_>) {
        match self {
            Verdict::Return => immediate(list, NFT_RETURN),
            Verdict::Accept => immediate(list, NF_ACCEPT),
            Verdict::Drop => {
                expression(list, "counter", |_| ());
                immediate(list, NF_DROP);
            }
            Verdict::Masquerade { random_fully } => expression(list, "masq", |e| {
                if random_fully {
                    e.number(NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_RANDOM_FULLY);
                }
            }),
        }
    }
}

impl Family {
    pub(super) fn protocol(self) -> u8 {
        match self {
            Family::V4 => NFPROTO_IPV4,
            Family::V6 => NFPROTO_IPV6,
        }
    }

    pub(super) fn key_length(self) -> u32 {
        match self {
            Family::V4 => 4,
            Family::V6 => 16,
        }
    }
}

pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn expression(list: &mut Attributes<'_>, name: &str, body: impl FnOnce(&mut Attributes<'_>)) {
    list.nest(NFTA_LIST_ELEM, |e| {
        e.text(NFTA_EXPR_NAME, name);
        e.nest(NFTA_EXPR_DATA, body);
    });
}

fn meta(list: &mut Attributes<'_>, key: u32) {
    expression(list, "meta", |e| {
        e.number(NFTA_META_KEY, key);
        e.number(NFTA_META_DREG, NFT_REG_1);
    });
}

/// Loads the address that stands at its place in the IP header.
fn address(list: &mut Attributes<'_>, end: End, family: Family) {
    let offset = match (family, end) {
        (Family::V4, End::Source) => 12,
        (Family::V4, End::Destination) => 16,
        (Family::V6, End::Source) => 8,
        (Family::V6, End::Destination) => 24,
    };
    payload(
        list,
        NFT_PAYLOAD_NETWORK_HEADER,
        offset,
        family.key_length(),
    );
}

fn payload(list: &mut Attributes<'_>, base: u32, offset: u32, length: u32) {
    expression(list, "payload", |e| {
        e.number(NFTA_PAYLOAD_DREG, NFT_REG_1);
        e.number(NFTA_PAYLOAD_BASE, base);
        e.number(NFTA_PAYLOAD_OFFSET, offset);
        e.number(NFTA_PAYLOAD_LEN, length);
    });
}

fn mask(list: &mut Attributes<'_>, mask: &[u8]) {
    let length = u32::try_from(mask.len()).expect("a mask is as long as an address");
    expression(list, "bitwise", |e| {
        e.number(NFTA_BITWISE_SREG, NFT_REG_1);
        e.number(NFTA_BITWISE_DREG, NFT_REG_1);
        e.number(NFTA_BITWISE_LEN, length);
        e.nest(NFTA_BITWISE_MASK, |d| d.put(NFTA_DATA_VALUE, mask));
        let none = vec![0; mask.len()];
        e.nest(NFTA_BITWISE_XOR, |d| d.put(NFTA_DATA_VALUE, &none));
    });
}

fn compare(list: &mut Attributes<'_>, equal: bool, value: &[u8]) {
    expression(list, "cmp", |e| {
        e.number(NFTA_CMP_SREG, NFT_REG_1);
        e.number(NFTA_CMP_OP, if equal { NFT_CMP_EQ } else { NFT_CMP_NEQ });
        e.nest(NFTA_CMP_DATA, |d| d.put(NFTA_DATA_VALUE, value));
    });
}

fn lookup_inverted(list: &mut Attributes<'_>, set: &str) {
    expression(list, "lookup", |e| {
        e.text(NFTA_LOOKUP_SET, set);
        e.number(NFTA_LOOKUP_SREG, NFT_REG_1);
        e.number(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    });
}

fn immediate(list: &mut Attributes<'_>, code: u32) {
    expression(list, "immediate", |e| {
        e.number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
        e.nest(NFTA_IMMEDIATE_DATA, |d| {
            d.nest(NFTA_DATA_VERDICT, |v| v.number(NFTA_VERDICT_CODE, code));
        });
    });
}
