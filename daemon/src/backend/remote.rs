//! Another node, as its lease describes it.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use kernel::Mac;
use serde_json::value::RawValue;
use subnet_alloc::{Block, Hold, Lease, LeaseAttrs, Revision, shown};
use vxlan::{Vni, Vtep};

use super::{Backend, Devices, Local, NoWay, contains, networks};

/// How a node holds its block, as people are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Held {
    Leased,
    Reserved,
    Given,
}

impl From<Hold> for Held {
    fn from(hold: Hold) -> Held {
        match hold {
            Hold::Leased(_) => Held::Leased,
            Hold::Reserved => Held::Reserved,
            Hold::Given => Held::Given,
        }
    }
}

impl Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Held::Leased => "leased",
            Held::Reserved => "reserved",
            Held::Given => "given",
        })
    }
}

/// What is kept of another node's lease: there may be tens of thousands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Remote {
    pub(crate) node: Option<Box<str>>,
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    vteps: [Option<Mac>; 2],
    pub(crate) held: Held,
    /// Its node has given it up.
    pub(crate) released: bool,
    pub(crate) revision: Revision,
}

/// Why a lease is none that packets could be sent to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Skipped {
    /// It is of another backend, which is named, or of none.
    OtherBackend(Option<String>),
    /// Its underlay address is this node's own.
    OwnAddress(IpAddr),
    /// Its underlay address is none of a machine.
    BadAddress(IpAddr),
    /// Its underlay address lies in its own block: packets to it would go in circles.
    InOwnBlock(IpAddr),
    /// It has no underlay address of the family of its block.
    NoAddress(&'static str),
    /// Its `BackendData` names no VTEP.
    BadData(String),
    /// It has no VTEP of the family of its block.
    NoVtep(&'static str),
    /// Its VTEP is on another segment than this node's, which comes second.
    OtherVni(Vni, Vni),
    /// Its VTEP has the MAC of this node's.
    OwnMac(Mac),
    /// It lies outside of the pools.
    OutsidePool,
    /// It overlaps the own block.
    Overlap,
    /// It lies across another node's block, which was there first or is of the
    /// usual length.
    OverlapsLease(Block),
    /// Its VTEP has the MAC of another node's, which was there first.
    SameMac(Mac, Block),
    /// The underlay is in its block: a route to it would cut this node off.
    HoldsUnderlay(IpNetwork),
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skipped::OtherBackend(Some(kind)) => write!(f, "its backend is {kind}"),
            Skipped::OtherBackend(None) => f.write_str("it names no backend"),
            Skipped::OwnAddress(ip) => write!(f, "{ip} is this node's own address"),
            Skipped::BadAddress(ip) => write!(f, "{ip} is no address of a node"),
            Skipped::InOwnBlock(ip) => write!(f, "its underlay address {ip} lies in its own block"),
            Skipped::NoAddress(family) => write!(f, "it names no {family} underlay address"),
            Skipped::BadData(why) => f.write_str(why),
            Skipped::NoVtep(family) => write!(f, "it names no {family} VTEP"),
            Skipped::OtherVni(its, ours) => {
                write!(f, "its VNI is {its}, and this node's is {ours}")
            }
            Skipped::OwnMac(mac) => write!(f, "its VTEP has this node's own MAC {mac}"),
            Skipped::OutsidePool => f.write_str("its block lies outside of the pool"),
            Skipped::Overlap => f.write_str("it overlaps this node's block"),
            Skipped::OverlapsLease(other) => {
                write!(f, "it overlaps the block {other} of another node")
            }
            Skipped::SameMac(mac, other) => {
                write!(
                    f,
                    "its VTEP has the MAC {mac} of the node with the block {other}"
                )
            }
            Skipped::HoldsUnderlay(network) => {
                write!(f, "this node's underlay {network} lies in its block")
            }
        }
    }
}

impl Remote {
    /// Reads another node's lease.
    pub(crate) fn read(lease: &Lease, local: &Local) -> Result<Remote, Skipped> {
        let attrs = &lease.attrs;
        if attrs.backend.as_deref() != Some(local.backend.name()) {
            return Err(Skipped::OtherBackend(attrs.backend.as_deref().map(brief)));
        }
        check_block(&lease.block, local)?;
        check_addresses(lease, local)?;
        let remote = Remote {
            node: attrs.node.as_deref().map(Box::from),
            v4: attrs.underlay_v4,
            v6: attrs.underlay_v6,
            vteps: vteps(attrs, local)?,
            held: lease.hold.into(),
            released: attrs.released,
            revision: lease.revision,
        };
        remote.check_ways(&lease.block, local)?;
        Ok(remote)
    }

    /// What this node's own block or MACs have against a lease that was read before they were known.
    pub(crate) fn check_against_own(&self, block: &Block, local: &Local) -> Result<(), Skipped> {
        check_overlap(block, local)?;
        let macs = self.vteps.iter().zip(local.macs);
        let mut own = macs.filter_map(|(its, own)| its.filter(|its| *its == own));
        own.next().map_or(Ok(()), |mac| Err(Skipped::OwnMac(mac)))
    }

    /// Something must be missing in one family at most.
    fn check_ways(&self, block: &Block, local: &Local) -> Result<(), Skipped> {
        let mut missing = None;
        for network in local.usable(block) {
            let family = if network.is_ipv4() { "IPv4" } else { "IPv6" };
            let none = match local.way(network, self, Devices::default()) {
                Err(NoWay::NoUnderlay) => Skipped::NoAddress(family),
                Err(NoWay::NoVtep) => Skipped::NoVtep(family),
                _ => return Ok(()),
            };
            missing.get_or_insert(none);
        }
        missing.map_or(Ok(()), Err)
    }

    /// Its underlay address of one family.
    pub(crate) fn underlay(&self, ipv4: bool) -> Option<IpAddr> {
        if ipv4 {
            self.v4.map(IpAddr::V4)
        } else {
            self.v6.map(IpAddr::V6)
        }
    }

    /// The inner MAC of its VTEP of one family.
    pub(crate) fn vtep(&self, ipv4: bool) -> Option<Mac> {
        self.vteps[usize::from(!ipv4)]
    }

    /// By what people know it: its name, else its address.
    pub(crate) fn name(&self) -> String {
        let address = || {
            self.underlay(true)
                .or(self.underlay(false))
                .map(|ip| ip.to_string())
        };
        self.node
            .as_deref()
            .map(str::to_owned)
            .or_else(address)
            .unwrap_or_else(|| "-".into())
    }
}

fn check_block(block: &Block, local: &Local) -> Result<(), Skipped> {
    if !local.has_in_pools(block) {
        return Err(Skipped::OutsidePool);
    }
    check_overlap(block, local)?;
    let underlay = &local.underlay;
    let own = underlay.own_addresses().map(IpNetwork::from);
    let mut holds = underlay.connected.iter().copied().chain(own);
    match holds.find(|held| networks(block).any(|part| contains(part, *held))) {
        Some(held) => Err(Skipped::HoldsUnderlay(held)),
        None => Ok(()),
    }
}

fn check_overlap(block: &Block, local: &Local) -> Result<(), Skipped> {
    match local.block.filter(|own| own.overlaps(block)) {
        Some(_) => Err(Skipped::Overlap),
        None => Ok(()),
    }
}

fn check_addresses(lease: &Lease, local: &Local) -> Result<(), Skipped> {
    let (v4, v6) = (lease.attrs.underlay_v4, lease.attrs.underlay_v6);
    for ip in v4.map(IpAddr::V4).into_iter().chain(v6.map(IpAddr::V6)) {
        if local.underlay.is_own(ip) {
            return Err(Skipped::OwnAddress(ip));
        }
        if !is_a_nodes(ip) || local.underlay.is_no_host(ip) {
            return Err(Skipped::BadAddress(ip));
        }
        if networks(&lease.block).any(|part| part.contains(ip)) {
            return Err(Skipped::InOwnBlock(ip));
        }
    }
    Ok(())
}

fn vteps(attrs: &LeaseAttrs, local: &Local) -> Result<[Option<Mac>; 2], Skipped> {
    let Backend::Vxlan(options) = &local.backend else {
        return Ok([None, None]);
    };
    let direct = |ip: Option<IpAddr>| {
        options.direct_routing && ip.is_some_and(|ip| local.underlay.is_on_link(ip))
    };
    let read = |data, own, ip| match vtep(data)? {
        None => Ok(None),
        Some(Vtep { mac, .. }) if mac == own => Err(Skipped::OwnMac(mac)),
        // Packets that do not go through the tunnel have no VNI.
        Some(Vtep { vni: Some(vni), .. }) if vni != options.vni && !direct(ip) => {
            Err(Skipped::OtherVni(vni, options.vni))
        }
        Some(Vtep { mac, .. }) => Ok(Some(mac)),
    };
    let (v4, v6) = (attrs.underlay_v4, attrs.underlay_v6);
    Ok([
        read(attrs.data.as_deref(), local.macs[0], v4.map(IpAddr::V4))?,
        read(attrs.data_v6.as_deref(), local.macs[1], v6.map(IpAddr::V6))?,
    ])
}

fn vtep(data: Option<&RawValue>) -> Result<Option<Vtep>, Skipped> {
    let Some(data) = data.map(RawValue::get).filter(|text| *text != "null") else {
        return Ok(None);
    };
    match Vtep::from_json(data) {
        Ok(vtep) => Ok(Some(vtep)),
        Err(error) => Err(Skipped::BadData(brief(&error.to_string()))),
    }
}

/// Loopback, multicast, broadcast and unspecified addresses are no node's, and
/// link-local ones of IPv6 name a different machine on each link.
fn is_a_nodes(ip: IpAddr) -> bool {
    let of_no_node = match ip {
        IpAddr::V4(ip) => ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some(),
    };
    !(ip.is_loopback() || ip.is_multicast() || ip.is_unspecified() || of_no_node)
}

/// What another wrote, in short and on one line.
fn brief(text: &str) -> String {
    shown(text, 160)
}
