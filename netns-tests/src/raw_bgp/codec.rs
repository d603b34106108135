//! Messages to bytes and back, by zettabgp.

use lab::{Cidr, LabError};
use std::net::{IpAddr, Ipv4Addr};
use zettabgp::prelude::*;

/// Marker, length, type (RFC 4271 section 4.1).
pub(super) const HEADER: usize = 19;
/// The longest message without RFC 8654.
pub(super) const LONGEST: usize = 4096;

const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;
const KEEPALIVE: u8 = 4;
const ROUTE_REFRESH: u8 = 5;

const TRANSITIVE: u8 = 0x40;
const AS_PATH: u8 = 2;
const AS_SEQUENCE: u8 = 2;

/// AS numbers, the nearest first.
pub type AsPath = Vec<u32>;

/// The attributes of a route, as they were heard or are to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Where packets go next.
    pub next_hop: IpAddr,
    /// The AS path as one sequence.
    pub as_path: AsPath,
    /// Communities (RFC 1997).
    pub communities: Vec<u32>,
    /// The metric, if there is one.
    pub med: Option<u32>,
    /// The local preference, if there is one (iBGP).
    pub local_pref: Option<u32>,
}

/// What a message says.
#[derive(Debug)]
pub(super) enum Said {
    Open {
        asn: u32,
        hold_time: u16,
    },
    Update,
    Notification {
        code: u8,
        subcode: u8,
        data: Vec<u8>,
    },
    Keepalive,
    RouteRefresh,
    Nonsense,
}

/// What an UPDATE says.
#[derive(Debug, Default)]
pub(super) struct Update {
    pub(super) announced: Option<(Vec<Cidr>, Announced)>,
    pub(super) withdrawn: Vec<Cidr>,
}

impl Announced {
    /// A route through `next_hop` with this AS path and nothing else.
    pub fn new(next_hop: IpAddr, as_path: impl Into<AsPath>) -> Self {
        Self {
            next_hop,
            as_path: as_path.into(),
            communities: Vec::new(),
            med: None,
            local_pref: None,
        }
    }

    /// All attributes but next hops of IPv6, which go with the prefixes.
    fn items(&self) -> Vec<BgpAttrItem> {
        let mut items = vec![
            BgpAttrItem::Origin(BgpOrigin::new(BgpAttrOrigin::Igp)),
            BgpAttrItem::Unknown(as_path(&self.as_path)),
        ];
        if self.next_hop.is_ipv4() {
            items.push(BgpAttrItem::NextHop(BgpNextHop::new(self.next_hop)));
        }
        items.extend(self.med.map(|med| BgpAttrItem::MED(BgpMED::new(med))));
        items.extend(
            self.local_pref
                .map(|value| BgpAttrItem::LocalPref(BgpLocalpref::new(value))),
        );
        if !self.communities.is_empty() {
            let value = self.communities.iter();
            let value = value.map(|&value| BgpCommunity { value }).collect();
            items.push(BgpAttrItem::CommunityList(BgpCommunityList { value }));
        }
        items
    }
}

/// zettabgp writes the type of a set for a sequence.
fn as_path(path: &[u32]) -> BgpAttrUnknown {
    let mut attribute = BgpAttrUnknown::new(AS_PATH, TRANSITIVE);
    if !path.is_empty() {
        let count = u8::try_from(path.len()).expect("a test's AS path is short");
        attribute.value.extend([AS_SEQUENCE, count]);
        attribute
            .value
            .extend(path.iter().flat_map(|asn| asn.to_be_bytes()));
    }
    attribute
}

/// Four-octet AS numbers, IPv4 in the classic place, no guessing about path identifiers.
fn params() -> BgpSessionParams {
    let nobody = Ipv4Addr::UNSPECIFIED;
    let mut params = BgpSessionParams::new(0, 0, BgpTransportMode::IPv4, nobody, Vec::new());
    params.fuzzy_pathid = false;
    params
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + body.len()).expect("a message is at most 65,535 octets");
    let mut message = vec![0xff; 16];
    message.extend(length.to_be_bytes());
    message.push(kind);
    message.extend(body);
    message
}

pub(super) fn open(
    asn: u32,
    hold_time: u16,
    router_id: Ipv4Addr,
    caps: Vec<BgpCapability>,
) -> Vec<u8> {
    let mut message = BgpOpenMessage::new();
    (message.as_num, message.hold_time) = (asn, hold_time);
    (message.router_id, message.caps) = (router_id, caps);
    let mut body = [0; LONGEST];
    let length = message.encode_to(&params(), &mut body);
    frame(OPEN, &body[..length.expect("an OPEN fits")])
}

pub(super) fn keepalive() -> Vec<u8> {
    frame(KEEPALIVE, &[])
}

pub(super) fn notification(code: u8, subcode: u8) -> Vec<u8> {
    frame(NOTIFICATION, &[code, subcode])
}

/// RFC 2918: unicast of this family, please again.
pub(super) fn route_refresh(ipv6: bool) -> Vec<u8> {
    frame(ROUTE_REFRESH, &[0, 1 + u8::from(ipv6), 0, 1])
}

/// RFC 4724 section 2.
pub(super) fn end_of_rib(ipv6: bool) -> Vec<u8> {
    const IPV6: [u8; 10] = [0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1];
    frame(UPDATE, if ipv6 { &IPV6 } else { &[0; 4] })
}

/// One UPDATE: these prefixes, all of one family, with these attributes.
pub(super) fn announce(prefixes: &[Cidr], route: &Announced) -> Vec<u8> {
    let mut message = BgpUpdateMessage::new();
    message.attrs = route.items();
    match (addresses(prefixes), route.next_hop) {
        (addrs @ BgpAddrs::IPV6U(_), IpAddr::V6(next_hop)) => {
            let nexthop = BgpAddr::V6(next_hop);
            let reach = BgpMPUpdates { nexthop, addrs };
            message.attrs.push(BgpAttrItem::MPUpdates(reach));
        }
        (addrs, _) => message.updates = addrs,
    }
    update(&message)
}

/// One UPDATE that takes these prefixes, all of one family, back.
pub(super) fn withdraw(prefixes: &[Cidr]) -> Vec<u8> {
    let mut message = BgpUpdateMessage::new();
    match addresses(prefixes) {
        addrs @ BgpAddrs::IPV6U(_) => {
            let unreach = BgpMPWithdraws { addrs };
            message.attrs.push(BgpAttrItem::MPWithdraws(unreach));
        }
        addrs => message.withdraws = addrs,
    }
    update(&message)
}

fn update(message: &BgpUpdateMessage) -> Vec<u8> {
    let mut body = [0; 2 * LONGEST];
    let length = message.encode_to(&params(), &mut body);
    let message = frame(UPDATE, &body[..length.expect("an UPDATE fits")]);
    assert!(message.len() <= LONGEST, "too much for one UPDATE");
    message
}

fn addresses(prefixes: &[Cidr]) -> BgpAddrs {
    let v4 = prefixes.iter().filter_map(|prefix| match prefix.address {
        IpAddr::V4(address) => Some(BgpAddrV4::new(address, prefix.len)),
        IpAddr::V6(_) => None,
    });
    let v6 = prefixes.iter().filter_map(|prefix| match prefix.address {
        IpAddr::V6(address) => Some(BgpAddrV6::new(address, prefix.len)),
        IpAddr::V4(_) => None,
    });
    if prefixes.iter().any(|prefix| prefix.address.is_ipv6()) {
        BgpAddrs::IPV6U(v6.collect())
    } else {
        BgpAddrs::IPV4U(v4.collect())
    }
}

/// The length of the first message of `bytes`, if all of it is there.
pub(super) fn complete(bytes: &[u8]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(16)?, *bytes.get(17)?]));
    (bytes.len() >= length.max(HEADER)).then_some(length.max(HEADER))
}

/// What a whole message is.
pub(super) fn read(message: &[u8]) -> Said {
    let body = &message[HEADER..];
    match (message[18], body) {
        (OPEN, [_, as_high, as_low, hold_high, hold_low, ..]) => Said::Open {
            asn: four_octet_as(body)
                .unwrap_or_else(|| u16::from_be_bytes([*as_high, *as_low]).into()),
            hold_time: u16::from_be_bytes([*hold_high, *hold_low]),
        },
        (UPDATE, [_, _, _, _, ..]) => Said::Update,
        (NOTIFICATION, [code, subcode, data @ ..]) => Said::Notification {
            code: *code,
            subcode: *subcode,
            data: data.to_vec(),
        },
        (KEEPALIVE, []) => Said::Keepalive,
        (ROUTE_REFRESH, [_, _, 0, _]) => Said::RouteRefresh,
        // The begin and the end of an enhanced refresh (RFC 7313) ask for nothing.
        (ROUTE_REFRESH, [_, _, _, _]) => Said::Keepalive,
        _ => Said::Nonsense,
    }
}

/// zettabgp refuses an OPEN with a capability that it does not know the length of.
fn four_octet_as(open: &[u8]) -> Option<u32> {
    let mut parameters = open.get(10..)?;
    while let [2, length, rest @ ..] = parameters {
        let (mut capabilities, behind) = rest.split_at_checked(usize::from(*length))?;
        while let [code, length, rest @ ..] = capabilities {
            let (value, others) = rest.split_at_checked(usize::from(*length))?;
            if *code == 65 {
                return Some(u32::from_be_bytes(value.try_into().ok()?));
            }
            capabilities = others;
        }
        parameters = behind;
    }
    None
}

/// Whether the body of an UPDATE is an End-of-RIB: of IPv6 or not.
pub(super) fn is_end_of_rib(body: &[u8]) -> Option<bool> {
    match body {
        [0, 0, 0, 0] => Some(false),
        [0, 0, 0, 6, _, 15, 3, 0, 2, 1] | [0, 0, 0, 7, _, 15, 0, 3, 0, 2, 1] => Some(true),
        [0, 0, 0, 6, _, 15, 3, 0, 1, 1] | [0, 0, 0, 7, _, 15, 0, 3, 0, 1, 1] => Some(false),
        _ => None,
    }
}

/// What the body of an UPDATE announces and withdraws.
pub(super) fn read_update(body: &[u8]) -> Result<Update, LabError> {
    let mut message = BgpUpdateMessage::new();
    let read = message.decode_from(&params(), body);
    read.map_err(|error| LabError::Malformed {
        what: format!("an UPDATE ({error})"),
        text: format!("{body:02x?}"),
    })?;
    let mut update = Update {
        withdrawn: cidrs(&message.withdraws),
        announced: None,
    };
    let mut announced = cidrs(&message.updates);
    let mut next_hop = message.get_attr_nexthop().map(|hop| hop.value);
    if let Some(gone) = message.get_mpwithdraws() {
        update.withdrawn.extend(cidrs(&gone.addrs));
    }
    if let Some(reach) = message.get_mpupdates() {
        announced.extend(cidrs(&reach.addrs));
        next_hop = match reach.nexthop {
            BgpAddr::V4(hop) => Some(hop.into()),
            BgpAddr::V6(hop) => Some(hop.into()),
            _ => next_hop,
        };
    }
    if let Some(next_hop) = next_hop.filter(|_| !announced.is_empty()) {
        update.announced = Some((announced, attributes(&message, next_hop)));
    }
    Ok(update)
}

fn attributes(message: &BgpUpdateMessage, next_hop: IpAddr) -> Announced {
    let path = message.get_attr_aspath().into_iter();
    let path = path
        .flat_map(|path| &path.value)
        .flat_map(|item| match item {
            BgpASitem::Seq(sequence) => sequence.value.iter().map(|asn| asn.value).collect(),
            BgpASitem::Set(set) => set.value.iter().map(|asn| asn.value).collect::<AsPath>(),
        });
    let mut heard = Announced::new(next_hop, path.collect::<AsPath>());
    let communities = message.get_attr_communitylist().into_iter();
    let communities = communities.flat_map(|list| &list.value);
    heard.communities = communities.map(|community| community.value).collect();
    for item in &message.attrs {
        match item {
            BgpAttrItem::MED(med) => heard.med = Some(med.value),
            BgpAttrItem::LocalPref(preference) => heard.local_pref = Some(preference.value),
            _ => {}
        }
    }
    heard
}

fn cidrs(addrs: &BgpAddrs) -> Vec<Cidr> {
    let cidr = |address: IpAddr, len| Cidr { address, len };
    match addrs {
        BgpAddrs::IPV4U(all) => all
            .iter()
            .map(|one| cidr(one.addr.into(), one.prefixlen))
            .collect(),
        BgpAddrs::IPV6U(all) => all
            .iter()
            .map(|one| cidr(one.addr.into(), one.prefixlen))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_said_is_what_is_heard() {
        for (prefixes, next_hop) in [
            (
                vec![prefix("10.1.0.0/16"), prefix("0.0.0.0/0")],
                "10.99.0.1",
            ),
            (vec![prefix("fd01::/48"), prefix("fd02::1/128")], "fd99::1"),
        ] {
            let mut route = Announced::new(next_hop.parse().unwrap(), [70_000, 3, 2]);
            (route.med, route.communities) = (Some(7), vec![1, 0xffff_0000]);
            let message = announce(&prefixes, &route);
            assert_eq!(complete(&message), Some(message.len()));
            let update = read_update(&message[HEADER..]).unwrap();
            assert_eq!(update.announced, Some((prefixes.clone(), route)));
            let update = read_update(&withdraw(&prefixes)[HEADER..]).unwrap();
            assert_eq!((update.announced, update.withdrawn), (None, prefixes));
        }
    }

    #[test]
    fn an_open_tells_its_four_octet_as_number() {
        let caps = vec![BgpCapability::CapRR, BgpCapability::CapASN32(70_000)];
        let message = open(70_000, 30, Ipv4Addr::LOCALHOST, caps);
        let Said::Open { asn, hold_time } = read(&message) else {
            panic!("{message:?}")
        };
        assert_eq!((asn, hold_time), (70_000, 30));
    }

    #[test]
    fn the_end_of_a_rib_is_known_for_each_family() {
        for ipv6 in [false, true] {
            assert_eq!(is_end_of_rib(&end_of_rib(ipv6)[HEADER..]), Some(ipv6));
        }
        let withdrawal = withdraw(&[prefix("10.1.0.0/16")]);
        assert_eq!(is_end_of_rib(&withdrawal[HEADER..]), None);
    }
}
