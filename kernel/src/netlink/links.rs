//! Making and changing the VXLAN device: there are few such messages, so
//! rtnetlink's builders write them.

use std::net::IpAddr;

use netlink_packet_core::Emitable;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkInfo};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVxlan};

use crate::link::{OUR_ALIAS, VxlanDevice};

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
        Some(have) if have.can_become(want) => adjustments(name, have, want),
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

/// What is VXLAN's own goes by itself: `vxlan_changelink` refuses a message that
/// has an MTU as well.
fn adjustments(name: &str, have: &VxlanDevice, want: &VxlanDevice) -> Vec<(u16, u16, Vec<u8>)> {
    let mut info = Vec::new();
    if let Some(local) = want.local.filter(|_| have.local != want.local) {
        info.push(local_address(local));
    }
    if have.learning != want.learning {
        info.push(InfoVxlan::Learning(want.learning));
    }
    let mut messages = Vec::new();
    if !info.is_empty() {
        let info = LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Vxlan),
            LinkInfo::Data(InfoData::Vxlan(info)),
        ]);
        let link = LinkUnspec::new_with_name(name).append_extra_attribute(info);
        messages.push((RTM_NEWLINK, 0, payload(link)));
    }
    let mut link = LinkUnspec::new_with_name(name)
        .append_extra_attribute(LinkAttribute::Mtu(want.mtu))
        .append_extra_attribute(LinkAttribute::IfAlias(OUR_ALIAS.into()))
        .up();
    if have.mac != want.mac {
        link = link.address(want.mac.0.to_vec());
    }
    messages.push((RTM_NEWLINK, 0, payload(link)));
    messages
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
