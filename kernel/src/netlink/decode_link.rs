//! Reading links and addresses (`linux/if_link.h`, `linux/if_addr.h`): only
//! what concerns us, so that an attribute that nobody knows yet hides no link.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::link::{Address, IfIndex, Link, Mac, OUR_ALIAS, VxlanDevice};

use super::decode::{address, attrs, u32_at};
use super::wire::*;

/// A link; nothing when the message is a bridge's word about its port.
pub(super) fn link(payload: &[u8]) -> Option<Link> {
    if *payload.first()? != AF_UNSPEC {
        return None;
    }
    let flags = u32_at(payload, 8)?;
    let mut link = Link {
        index: link_index(payload)?,
        name: String::new(),
        alias: None,
        mtu: 0,
        mac: None,
        up: flags & IFF_UP != 0,
        carrier: flags & IFF_LOWER_UP != 0,
        vxlan: None,
    };
    for (kind, value) in attrs(payload.get(16..)?) {
        match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_IFALIAS => link.alias = Some(text(value)),
            IFLA_MTU => link.mtu = u32_at(value, 0)?,
            IFLA_ADDRESS => link.mac = value.try_into().ok().map(Mac),
            IFLA_LINKINFO => link.vxlan = vxlan_info(value).map(vxlan),
            _ => {}
        }
    }
    if let (Some(vxlan), Some(mac)) = (&mut link.vxlan, link.mac) {
        vxlan.up = link.up;
        vxlan.mtu = link.mtu;
        vxlan.mac = mac;
        vxlan.ours = link.alias.as_deref() == Some(OUR_ALIAS);
    }
    (!link.name.is_empty()).then_some(link)
}

/// The link that is gone; nothing when it only left a bridge.
pub(super) fn link_gone(payload: &[u8]) -> Option<IfIndex> {
    if *payload.first()? == AF_UNSPEC {
        link_index(payload)
    } else {
        None
    }
}

/// An address of a link.
pub(super) fn link_address(payload: &[u8]) -> Option<Address> {
    let (mut local, mut plain) = (None, None);
    for (kind, value) in attrs(payload.get(8..)?) {
        match kind {
            IFA_LOCAL => local = address(value),
            IFA_ADDRESS => plain = address(value),
            _ => {}
        }
    }
    // On a point-to-point link ADDRESS is the other end's, LOCAL our own.
    let network = IpNetwork::new(local.or(plain)?, *payload.get(1)?).ok()?;
    Some(Address {
        link: link_index(payload)?,
        network,
    })
}

/// `ifinfomsg` and `ifaddrmsg` have the number in the same place.
fn link_index(payload: &[u8]) -> Option<IfIndex> {
    u32_at(payload, 4).map(IfIndex)
}

fn vxlan_info(info: &[u8]) -> Option<&[u8]> {
    let value = |wanted: u16| {
        attrs(info)
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| value)
    };
    let is_vxlan = text(value(IFLA_INFO_KIND)?) == "vxlan";
    value(IFLA_INFO_DATA).filter(|_| is_vxlan)
}

fn vxlan(data: &[u8]) -> VxlanDevice {
    let mut device = VxlanDevice {
        vni: 0,
        port: 0,
        local: None,
        lower: IfIndex(0),
        learning: false,
        gbp: false,
        mac: Mac([0; 6]),
        mtu: 0,
        up: false,
        ours: false,
        odd: false,
    };
    for (kind, value) in attrs(data) {
        let is_on = value.first().is_some_and(|on| *on != 0);
        match kind {
            IFLA_VXLAN_ID => device.vni = u32_at(value, 0).unwrap_or_default(),
            IFLA_VXLAN_PORT => {
                device.port = value.try_into().map(u16::from_be_bytes).unwrap_or_default()
            }
            IFLA_VXLAN_LOCAL | IFLA_VXLAN_LOCAL6 => device.local = vxlan_local(value),
            IFLA_VXLAN_LINK => device.lower = IfIndex(u32_at(value, 0).unwrap_or_default()),
            IFLA_VXLAN_LEARNING => device.learning = is_on,
            IFLA_VXLAN_GBP => device.gbp = true,
            IFLA_VXLAN_PROXY
            | IFLA_VXLAN_L2MISS
            | IFLA_VXLAN_L3MISS
            | IFLA_VXLAN_COLLECT_METADATA => {
                device.odd |= is_on;
            }
            IFLA_VXLAN_GROUP | IFLA_VXLAN_GROUP6 | IFLA_VXLAN_GPE => device.odd = true,
            _ => {}
        }
    }
    device
}

fn vxlan_local(value: &[u8]) -> Option<IpAddr> {
    address(value).filter(|ip| !ip.is_unspecified())
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value)
        .trim_end_matches('\0')
        .to_owned()
}
