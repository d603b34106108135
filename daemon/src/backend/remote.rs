//! Another node, as its lease describes it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use kernel::Mac;
use serde_json::value::RawValue;
use subnet_alloc::{Hold, Lease, Revision};
use vxlan::Vtep;

use super::{Backend, Local};

/// What is kept of another node's lease: there may be tens of thousands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Remote {
    pub(crate) node: Option<Box<str>>,
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    vteps: [Option<Mac>; 2],
    pub(crate) reserved: bool,
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
    /// Its `BackendData` names no VTEP.
    BadData(String),
    /// It lies outside of the pools.
    OutsidePool,
    /// It overlaps the own block.
    Overlap,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skipped::OtherBackend(Some(kind)) => write!(f, "its backend is {kind}"),
            Skipped::OtherBackend(None) => f.write_str("it names no backend"),
            Skipped::OwnAddress(ip) => write!(f, "{ip} is this node's own address"),
            Skipped::BadAddress(ip) => write!(f, "{ip} is no address of a node"),
            Skipped::BadData(why) => f.write_str(why),
            Skipped::OutsidePool => f.write_str("its block lies outside of the pool"),
            Skipped::Overlap => f.write_str("it overlaps this node's block"),
        }
    }
}

impl Remote {
    /// Reads another node's lease.
    pub(crate) fn read(lease: &Lease, local: &Local) -> Result<Remote, Skipped> {
        let attrs = &lease.attrs;
        if attrs.backend.as_deref() != Some(local.backend.name()) {
            return Err(Skipped::OtherBackend(attrs.backend.clone()));
        }
        if !local.has_in_pools(&lease.block) {
            return Err(Skipped::OutsidePool);
        }
        if lease.block.overlaps(&local.block) {
            return Err(Skipped::Overlap);
        }
        for ip in [
            attrs.underlay_v4.map(IpAddr::V4),
            attrs.underlay_v6.map(IpAddr::V6),
        ]
        .into_iter()
        .flatten()
        {
            if local.underlay.is_own(ip) {
                return Err(Skipped::OwnAddress(ip));
            }
            if !is_a_nodes(ip) {
                return Err(Skipped::BadAddress(ip));
            }
        }
        let vteps = match local.backend {
            Backend::HostGw => [None, None],
            Backend::Vxlan(_) => [
                vtep(attrs.data.as_deref())?,
                vtep(attrs.data_v6.as_deref())?,
            ],
        };
        Ok(Remote {
            node: attrs.node.as_deref().map(Box::from),
            v4: attrs.underlay_v4,
            v6: attrs.underlay_v6,
            vteps,
            reserved: lease.hold == Hold::Reserved,
            released: attrs.released,
            revision: lease.revision,
        })
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

fn vtep(data: Option<&RawValue>) -> Result<Option<Mac>, Skipped> {
    let Some(data) = data.map(RawValue::get).filter(|text| *text != "null") else {
        return Ok(None);
    };
    match Vtep::from_json(data) {
        Ok(vtep) => Ok(Some(vtep.mac)),
        Err(error) => Err(Skipped::BadData(error.to_string())),
    }
}

/// Loopback, multicast, broadcast and unspecified addresses are no node's.
fn is_a_nodes(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_loopback() || ip.is_multicast() || ip.is_unspecified() || broadcast)
}
