//! Links, addresses and the VXLAN device: there are few of these, so
//! rtnetlink's builders write them and netlink-packet-route reads them.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink_packet_core::Emitable;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVxlan};

use crate::link::{Address, IfIndex, Link, Mac, OUR_ALIAS, VxlanDevice};

use super::wire::*;

/// Messages that turn the device that is there into the wanted one: kind,
/// flags, payload.
pub(super) fn steps(
    name: &str,
    have: Option<&VxlanDevice>,
    want: &VxlanDevice,
) -> Vec<(u16, u16, Vec<u8>)> {
    match have {
        None => vec![creation(name, want), marking(name)],
        Some(have) if have.can_become(want) => vec![adjustment(name, have, want)],
        Some(_) => vec![removal(name), creation(name, want), marking(name)],
    }
}

/// The message that deletes a link by name.
pub(super) fn removal(name: &str) -> (u16, u16, Vec<u8>) {
    (RTM_DELLINK, 0, payload(LinkUnspec::new_with_name(name)))
}

fn creation(name: &str, want: &VxlanDevice) -> (u16, u16, Vec<u8>) {
    let mut link = LinkVxlan::new(name, want.vni)
        .dev(want.lower.0)
        .port(want.port)
        .learning(want.learning)
        .append_extra_attribute(LinkAttribute::Mtu(want.mtu))
        .address(want.mac.0.to_vec())
        .up();
    if let Some(local) = want.local {
        link = link.append_info_data(local_address(local));
    }
    if want.gbp {
        link = link.gbp();
    }
    (RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload(link))
}

/// The kernel ignores an `ifalias` in the message that makes a link.
fn marking(name: &str) -> (u16, u16, Vec<u8>) {
    let alias = LinkAttribute::IfAlias(OUR_ALIAS.into());
    (
        RTM_SETLINK,
        0,
        payload(LinkUnspec::new_with_name(name).append_extra_attribute(alias)),
    )
}

fn adjustment(name: &str, have: &VxlanDevice, want: &VxlanDevice) -> (u16, u16, Vec<u8>) {
    let mut info = Vec::new();
    if let Some(local) = want.local.filter(|_| have.local != want.local) {
        info.push(local_address(local));
    }
    if have.learning != want.learning {
        info.push(InfoVxlan::Learning(want.learning));
    }
    let mut link = LinkUnspec::new_with_name(name)
        .append_extra_attribute(LinkAttribute::Mtu(want.mtu))
        .append_extra_attribute(LinkAttribute::IfAlias(OUR_ALIAS.into()))
        .up();
    if have.mac != want.mac {
        link = link.address(want.mac.0.to_vec());
    }
    if !info.is_empty() {
        let info = vec![
            LinkInfo::Kind(InfoKind::Vxlan),
            LinkInfo::Data(InfoData::Vxlan(info)),
        ];
        link = link.append_extra_attribute(LinkAttribute::LinkInfo(info));
    }
    (RTM_NEWLINK, 0, payload(link))
}

fn local_address(local: IpAddr) -> InfoVxlan {
    match local {
        IpAddr::V4(ip) => InfoVxlan::Local(ip),
        IpAddr::V6(ip) => InfoVxlan::Local6(ip),
    }
}

fn payload<T>(link: LinkMessageBuilder<T>) -> Vec<u8> {
    let message = link.build();
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

/// A link out of the kernel's message about it.
pub(super) fn read(message: &LinkMessage) -> Option<Link> {
    if u8::from(message.header.interface_family) != AF_UNSPEC {
        return None;
    }
    let up = message.header.flags.contains(LinkFlags::Up);
    let mut link = Link {
        index: IfIndex(message.header.index),
        name: String::new(),
        alias: None,
        mtu: 0,
        mac: None,
        up,
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        vxlan: None,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::IfAlias(alias) => link.alias = Some(alias.clone()),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(mac) => link.mac = mac.as_slice().try_into().ok().map(Mac),
            LinkAttribute::LinkInfo(info) => link.vxlan = vxlan_info(info).map(read_vxlan),
            _ => {}
        }
    }
    if let Some(vxlan) = &mut link.vxlan {
        vxlan.up = up;
        vxlan.mtu = link.mtu;
        vxlan.mac = link.mac?;
        vxlan.ours = link.alias.as_deref() == Some(OUR_ALIAS);
    }
    (!link.name.is_empty()).then_some(link)
}

fn vxlan_info(info: &[LinkInfo]) -> Option<&[InfoVxlan]> {
    info.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vxlan(vxlan)) => Some(vxlan.as_slice()),
        _ => None,
    })
}

fn read_vxlan(info: &[InfoVxlan]) -> VxlanDevice {
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
    for item in info {
        match item {
            InfoVxlan::Id(vni) => device.vni = *vni,
            InfoVxlan::Port(port) => device.port = *port,
            InfoVxlan::Local(ip) => device.local = Some(IpAddr::V4(*ip)),
            InfoVxlan::Local6(ip) => device.local = Some(IpAddr::V6(*ip)),
            InfoVxlan::Link(link) => device.lower = IfIndex(*link),
            InfoVxlan::Learning(on) => device.learning = *on,
            InfoVxlan::Gbp => device.gbp = true,
            InfoVxlan::L2Miss(on)
            | InfoVxlan::L3Miss(on)
            | InfoVxlan::Proxy(on)
            | InfoVxlan::CollectMetadata(on) => {
                device.odd |= *on;
            }
            InfoVxlan::Group(_) | InfoVxlan::Group6(_) | InfoVxlan::Gpe => device.odd = true,
            _ => {}
        }
    }
    device
}

/// An address out of the kernel's message about it.
pub(super) fn read_address(message: &AddressMessage) -> Option<Address> {
    let attribute = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| {
        message.attributes.iter().find_map(wanted)
    };
    // On a point-to-point link ADDRESS is the other end's, LOCAL our own.
    let local = attribute(|a| {
        if let AddressAttribute::Local(ip) = a {
            Some(*ip)
        } else {
            None
        }
    });
    let plain = attribute(|a| {
        if let AddressAttribute::Address(ip) = a {
            Some(*ip)
        } else {
            None
        }
    });
    let network = IpNetwork::new(local.or(plain)?, message.header.prefix_len).ok()?;
    Some(Address {
        link: IfIndex(message.header.index),
        network,
    })
}
