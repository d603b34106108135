//! Links (network interfaces), their addresses, and the VXLAN device.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

/// The kernel's number of a link in one network namespace; it is not reused
/// for another link while both live, and changes when a link is made again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct IfIndex(pub u32);

impl fmt::Display for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An Ethernet address, written `0e:1f:…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// A unicast, locally administered address made of 48 random bits
    /// (IEEE 802: bit 0 of the first octet clear, bit 1 set).
    pub fn local_from(random: u64) -> Mac {
        let [.., a, b, c, d, e, f] = random.to_be_bytes();
        Mac([(a & 0xfc) | 0x02, b, c, d, e, f])
    }

    /// Whether frames can be sent to this one station: not all zeros, and not
    /// a group address.
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is not six hexadecimal octets with colons between them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is not a MAC address: expected six octets such as 0e:1f:02:aa:bb:cc")]
pub struct ParseMacError(pub String);

impl FromStr for Mac {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Mac, ParseMacError> {
        parse_octets(text).ok_or_else(|| ParseMacError(text.chars().take(40).collect()))
    }
}

fn parse_octets(text: &str) -> Option<Mac> {
    let mut octets = [0; 6];
    let mut parts = text.split(':');
    for octet in &mut octets {
        let part = parts.next()?;
        let is_hex = part.bytes().all(|b| b.is_ascii_hexdigit());
        if !(1..=2).contains(&part.len()) || !is_hex {
            return None;
        }
        *octet = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(Mac(octets))
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = ParseMacError;

    fn try_from(text: String) -> Result<Mac, ParseMacError> {
        text.parse()
    }
}

/// A link as the kernel has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its number.
    pub index: IfIndex,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// The `ifalias`: a free text by which we know our own devices.
    pub alias: Option<String>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its Ethernet address; absent on links that have none.
    pub mac: Option<Mac>,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Carrier present (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// The VXLAN settings, when it is a VXLAN device.
    pub vxlan: Option<VxlanDevice>,
}

/// The settings of a VXLAN device (`ip link add … type vxlan`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct VxlanDevice {
    /// Segment id, 1 to 2^24 - 1.
    pub vni: u32,
    /// UDP port of the tunnel, both ends.
    pub port: u16,
    /// Underlay address that packets leave from.
    pub local: Option<IpAddr>,
    /// The link of the underlay.
    pub lower: IfIndex,
    /// Learn remote MACs from packets (`IFLA_VXLAN_LEARNING`).
    pub learning: bool,
    /// Carry the group policy extension (`IFLA_VXLAN_GBP`).
    pub gbp: bool,
    /// Inner MAC of this VTEP.
    pub mac: Mac,
    /// Inner MTU in bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Marked as ours (its `ifalias` is [`OUR_ALIAS`]).
    pub ours: bool,
    /// It asks userspace for addresses or floods to a group, which we never
    /// want: such a device has to be made again.
    pub odd: bool,
}

/// The `ifalias` by which we know a device of ours.
pub const OUR_ALIAS: &str = "twill";

impl VxlanDevice {
    /// Whether the kernel can turn `self` into `want` without making the
    /// device again (`vxlan_changelink` refuses a change of these).
    pub fn can_become(&self, want: &VxlanDevice) -> bool {
        let fixed = |d: &VxlanDevice| (d.vni, d.port, d.gbp, d.odd);
        let same_family = match (self.local, want.local) {
            (Some(have), Some(want)) => have.is_ipv4() == want.is_ipv4(),
            (None, _) | (_, None) => false,
        };
        fixed(self) == fixed(want) && self.lower == want.lower && same_family
    }
}

/// One address of one link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Address {
    /// The link that has it.
    pub link: IfIndex,
    /// The address with its prefix length.
    pub network: IpNetwork,
}

/// Whether an address is an IPv6 one that means something on one link only.
pub(crate) fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_survives_its_own_text() {
        let mac = Mac([0x0e, 0x1f, 0, 0xaa, 0xbb, 0xcc]);
        assert_eq!(mac.to_string().parse(), Ok(mac));
    }

    #[test]
    fn texts_that_are_no_mac_are_refused() {
        for text in [
            "",
            "0e:1f",
            "0e:1f:00:aa:bb:cc:dd",
            "zz:1f:00:aa:bb:cc",
            "+e:1f:00:aa:bb:cc",
            "::::::",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_random_mac_is_local_and_unicast() {
        for random in [0, u64::MAX, 0x0100_0000_0000_0000] {
            let mac = Mac::local_from(random);
            assert!(mac.is_unicast());
            assert_eq!(mac.0[0] & 2, 2);
        }
    }
}
