//! The kernel's floor: the same entries, packed, from a loop that knows them all beforehand.

use super::netlink::{Message, send_all};
use super::{BackendKind, Peers};
use lab::{LabError, Namespace, ip_batch};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWNEIGH: u16 = 28;
const RTM_NEWNEXTHOP: u16 = 104;
const AF_INET: u8 = 2;
const AF_BRIDGE: u8 = 7;
const PROTOCOL: u8 = 84;
const RTNH_F_ONLINK: u32 = 4;
const NUD_PERMANENT: u16 = 0x80;
const NTF_SELF: u8 = 2;
const MAIN_TABLE: u8 = 254;
const RTN_UNICAST: u8 = 1;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_NH_ID: u16 = 30;
/// The protocol of foreign routes, and the first address of what is foreign: 20.0.0.0.
const BIRD: u8 = 12;
const FOREIGN: u32 = 0x1400_0000;
/// Of the device that [`prepare`] makes.
const DEVICE: u32 = 100;

/// A fresh namespace with the one device that the entries need.
pub fn prepare(backend: BackendKind) -> Result<Namespace, LabError> {
    let namespace = Namespace::new("floor")?;
    let (under, vtep) = match backend {
        BackendKind::Vxlan => (99, DEVICE),
        BackendKind::HostGw => (DEVICE, 99),
    };
    let lines = [
        format!("link add under0 index {under} up type bridge"),
        "addr add 10.98.0.1/15 dev under0".to_owned(),
        format!(
            "link add vtep0 index {vtep} up type vxlan id 1 local 10.98.0.1 dev under0 dstport 8472 nolearning"
        ),
    ];
    ip_batch(&namespace, &lines)?;
    Ok(namespace)
}

/// Installs the entries of `count` peers; returns the time from the first message to the last acknowledgement.
pub fn install(namespace: &Namespace, peers: Peers, count: u32) -> Result<Duration, LabError> {
    let mut messages = Vec::new();
    if peers.0 == BackendKind::Vxlan {
        messages.extend((0..count).map(|number| neighbour(peers, number)));
        messages.extend((0..count).map(|number| fdb_entry(peers, number)));
    }
    messages.extend((0..count).map(|number| nexthop(peers, number)));
    messages.extend((0..count).map(|number| route(peers, number)));
    let start = Instant::now();
    send_all(namespace, &mut messages)?;
    Ok(start.elapsed())
}

/// Puts the routes alone, to nexthops that [`install`] made; returns the time that it took.
pub fn put_routes(namespace: &Namespace, peers: Peers, count: u32) -> Result<Duration, LabError> {
    let mut messages: Vec<Message> = (0..count).map(|number| route(peers, number)).collect();
    let start = Instant::now();
    send_all(namespace, &mut messages)?;
    Ok(start.elapsed())
}

/// Deletes the routes, as an operator's script would; returns the time that it took.
pub fn delete_routes(
    namespace: &Namespace,
    peers: Peers,
    count: u32,
) -> Result<Duration, LabError> {
    let deletion = |number| {
        let mut body = route_header(peers.block_len(), PROTOCOL);
        body[7] = 0;
        Message::new(RTM_DELROUTE, &body).attribute(RTA_DST, &peers.block(number).octets())
    };
    let mut messages: Vec<Message> = (0..count).map(deletion).collect();
    let start = Instant::now();
    send_all(namespace, &mut messages)?;
    Ok(start.elapsed())
}

/// The nexthop object that [`change_networks`] names.
const HOP: u32 = 1;

/// Makes the one nexthop of [`change_networks`]: this gateway on this link.
pub fn add_hop(namespace: &Namespace, device: u32, gateway: Ipv4Addr) -> Result<(), LabError> {
    let hop = Message::new(RTM_NEWNEXTHOP, &[AF_INET, 0, PROTOCOL, 0, 0, 0, 0, 0])
        .attribute(1, &HOP.to_ne_bytes())
        .attribute(6, &gateway.octets())
        .attribute(5, &device.to_ne_bytes());
    send_all(namespace, &mut [hop])
}

/// IPv4 networks of length 24 through the nexthop of [`add_hop`]: puts all, or takes all away; returns the time that it took.
pub fn change_networks(
    namespace: &Namespace,
    networks: &[Ipv4Addr],
    put: bool,
) -> Result<Duration, LabError> {
    let change = |network: &Ipv4Addr| {
        let kind = if put { RTM_NEWROUTE } else { RTM_DELROUTE };
        Message::new(kind, &route_header(24, PROTOCOL))
            .attribute(RTA_DST, &network.octets())
            .attribute(RTA_NH_ID, &HOP.to_ne_bytes())
    };
    let mut messages: Vec<Message> = networks.iter().map(change).collect();
    let start = Instant::now();
    send_all(namespace, &mut messages)?;
    Ok(start.elapsed())
}

/// What another routing daemon does: this many routes of protocol `bird` to single addresses, over one link.
pub fn add_foreign_routes(
    namespace: &Namespace,
    device: u32,
    count: u32,
) -> Result<Duration, LabError> {
    let foreign = |number: u32| {
        Message::new(RTM_NEWROUTE, &route_header(32, BIRD))
            .attribute(RTA_DST, &(FOREIGN + number).to_be_bytes())
            .attribute(RTA_OIF, &device.to_ne_bytes())
    };
    let mut messages: Vec<Message> = (0..count).map(foreign).collect();
    let start = Instant::now();
    send_all(namespace, &mut messages)?;
    Ok(start.elapsed())
}

/// Permanent neighbours of a link that is nobody's: each is told to all who listen.
pub fn add_foreign_neighbours(
    namespace: &Namespace,
    device: u32,
    count: u32,
) -> Result<Duration, LabError> {
    let foreign = |number: u32| {
        let mut message = neighbour_message(AF_INET, 0);
        message.patch(4, &device.to_ne_bytes());
        message
            .attribute(1, &(FOREIGN + number).to_be_bytes())
            .attribute(2, &[2, 0, 0, 0, 0, 1])
    };
    let mut messages: Vec<Message> = (0..count).map(foreign).collect();
    let start = Instant::now();
    send_all(namespace, &mut messages)?;
    Ok(start.elapsed())
}

fn neighbour(peers: Peers, number: u32) -> Message {
    neighbour_message(AF_INET, 0)
        .attribute(1, &peers.block(number).octets())
        .attribute(2, &peers.mac(number))
}

fn fdb_entry(peers: Peers, number: u32) -> Message {
    neighbour_message(AF_BRIDGE, NTF_SELF)
        .attribute(2, &peers.mac(number))
        .attribute(1, &peers.underlay(number).octets())
}

/// `struct ndmsg` of linux/neighbour.h.
fn neighbour_message(family: u8, flags: u8) -> Message {
    let mut body = [0; 12];
    body[0] = family;
    body[4..8].copy_from_slice(&DEVICE.to_ne_bytes());
    body[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes());
    body[10] = flags;
    Message::new(RTM_NEWNEIGH, &body)
}

/// `struct nhmsg` of linux/nexthop.h.
fn nexthop(peers: Peers, number: u32) -> Message {
    let (gateway, flags) = match peers.0 {
        BackendKind::Vxlan => (peers.block(number), RTNH_F_ONLINK),
        BackendKind::HostGw => (peers.underlay(number), 0),
    };
    let mut body = [AF_INET, 0, PROTOCOL, 0, 0, 0, 0, 0];
    body[4..8].copy_from_slice(&flags.to_ne_bytes());
    Message::new(RTM_NEWNEXTHOP, &body)
        .attribute(1, &(number + 1).to_ne_bytes())
        .attribute(6, &gateway.octets())
        .attribute(5, &DEVICE.to_ne_bytes())
}

fn route(peers: Peers, number: u32) -> Message {
    Message::new(RTM_NEWROUTE, &route_header(peers.block_len(), PROTOCOL))
        .attribute(RTA_DST, &peers.block(number).octets())
        .attribute(RTA_NH_ID, &(number + 1).to_ne_bytes())
}

/// `struct rtmsg` of linux/rtnetlink.h.
fn route_header(length: u8, protocol: u8) -> [u8; 12] {
    [
        AF_INET,
        length,
        0,
        0,
        MAIN_TABLE,
        protocol,
        0,
        RTN_UNICAST,
        0,
        0,
        0,
        0,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::kernel_view::{Family, fdb, neighbours, routes};

    #[test]
    fn the_floor_is_what_a_daemon_installs() {
        for backend in BackendKind::ALL {
            let namespace = prepare(backend).unwrap();
            install(&namespace, Peers(backend), 250).unwrap();
            let routes = routes(&namespace, Family::V4).unwrap();
            let ours = routes
                .iter()
                .filter(|route| route.protocol.as_deref() == Some("84"));
            assert_eq!(ours.count(), 250);
            let vtep = usize::from(backend == BackendKind::Vxlan) * 250;
            assert_eq!(
                neighbours(&namespace, Family::V4, "vtep0").unwrap().len(),
                vtep
            );
            let entries = fdb(&namespace, "vtep0").unwrap();
            assert_eq!(
                entries.iter().filter(|entry| entry.dst.is_some()).count(),
                vtep
            );
        }
    }
}
