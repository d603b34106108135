//! Messages octet by octet, written without the crate's own encoder.

use bgp::Prefix;

pub const OPEN: u8 = 1;
pub const UPDATE: u8 = 2;
pub const NOTIFICATION: u8 = 3;
pub const KEEPALIVE: u8 = 4;
pub const REFRESH: u8 = 5;

pub const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
pub const PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xf2];
pub const HOP: &[u8] = &[0x40, 3, 4, 10, 99, 0, 10];
/// ORIGIN, AS_PATH and NEXT_HOP as an external peer has to send them.
pub const BASE: [&[u8]; 3] = [ORIGIN, PATH, HOP];
/// The same, with LOCAL_PREF, from an internal peer.
pub const INTERNAL_BASE: [&[u8]; 4] = [ORIGIN, &[0x40, 2, 0], HOP, &[0x40, 5, 4, 0, 0, 0, 100]];
/// The route of the cases.
pub const NET: &[u8] = &[24, 10, 200, 1];

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    sized(kind, 19 + body.len() as u16, body)
}

/// A message that says it is that long.
pub fn sized(kind: u8, length: u16, body: &[u8]) -> Vec<u8> {
    [&[0xff; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

pub fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    match u8::try_from(value.len()) {
        Ok(length) => [&[flags, code, length], value].concat(),
        Err(_) => extended(flags, code, value),
    }
}

/// With two octets of length.
pub fn extended(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    [
        &[flags | 0x10, code][..],
        &(value.len() as u16).to_be_bytes(),
        value,
    ]
    .concat()
}

pub fn update(withdrawn: &[u8], attributes: &[&[u8]], routes: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    lying_update(
        withdrawn.len() as u16,
        withdrawn,
        attributes.len() as u16,
        &[&attributes, routes].concat(),
    )
}

/// An UPDATE whose inner lengths are what they are said to be.
pub fn lying_update(
    withdrawn_len: u16,
    withdrawn: &[u8],
    attributes_len: u16,
    rest: &[u8],
) -> Vec<u8> {
    let body = [
        &withdrawn_len.to_be_bytes()[..],
        withdrawn,
        &attributes_len.to_be_bytes(),
        rest,
    ]
    .concat();
    message(UPDATE, &body)
}

pub fn nets(all: &[&str]) -> Vec<u8> {
    let one = |text: &&str| {
        let prefix: Prefix = text.parse().expect(text);
        let octets = match prefix.address() {
            std::net::IpAddr::V4(a) => a.octets().to_vec(),
            std::net::IpAddr::V6(a) => a.octets().to_vec(),
        };
        let mut wire = vec![prefix.length()];
        wire.extend_from_slice(&octets[..usize::from(prefix.length().div_ceil(8))]);
        wire
    };
    all.iter().flat_map(one).collect()
}

pub const HOP6: [u8; 16] = [0xfd, 0x99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];

/// The value of an MP_REACH_NLRI of IPv6 unicast.
pub fn reach(net: &str) -> Vec<u8> {
    reach_by(&HOP6, &nets(&[net]))
}

pub fn reach_by(hop: &[u8], routes: &[u8]) -> Vec<u8> {
    [&[0, 2, 1, hop.len() as u8], hop, &[0], routes].concat()
}

pub fn capability(code: u8, value: &[u8]) -> Vec<u8> {
    [&[code, value.len() as u8], value].concat()
}

/// What the peer of the cases can do: both families, refresh, four octets.
pub fn capabilities(asn: u32) -> Vec<u8> {
    [
        capability(1, &[0, 1, 0, 1]),
        capability(1, &[0, 2, 0, 1]),
        capability(2, &[]),
        capability(65, &asn.to_be_bytes()),
    ]
    .concat()
}

/// One capabilities parameter with its lengths.
pub fn parameter(capabilities: &[u8]) -> Vec<u8> {
    let length = capabilities.len() as u8;
    [&[length + 2, 2, length], capabilities].concat()
}

/// The fixed part of an OPEN, and whatever follows it.
pub struct OpenParts {
    pub version: u8,
    pub asn: u16,
    pub hold: u16,
    pub id: [u8; 4],
    pub parameters: Vec<u8>,
}

pub fn parts() -> OpenParts {
    OpenParts {
        version: 4,
        asn: 65010,
        hold: 90,
        id: [10, 99, 0, 10],
        parameters: parameter(&capabilities(65010)),
    }
}

impl OpenParts {
    pub fn message(self) -> Vec<u8> {
        let fixed = [
            &[self.version][..],
            &self.asn.to_be_bytes(),
            &self.hold.to_be_bytes(),
            &self.id,
        ]
        .concat();
        message(OPEN, &[fixed, self.parameters].concat())
    }
}

pub fn open(asn: u32) -> Vec<u8> {
    OpenParts {
        asn: asn as u16,
        parameters: parameter(&capabilities(asn)),
        ..parts()
    }
    .message()
}
