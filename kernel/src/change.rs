//! What is sent to the kernel, and what the kernel may answer.

use std::fmt;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::entry::{Listed, Nexthop, NexthopId, Route, RouteKey};
use crate::link::{IfIndex, Mac, VxlanDevice};
use crate::sysctl::Sysctl;

/// One order to the kernel.
///
/// `replace` says whether an entry of the same name may be overwritten: false
/// for what we never had, so that a foreign entry stays as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    missing_docs,
    reason = "the fields are those of `Entry`, `Nexthop` and `Route`"
)]
pub enum Change {
    /// Make the device, adjust it, or make it again, whichever it takes from
    /// `have`.
    PutDevice {
        name: String,
        have: Option<Box<VxlanDevice>>,
        want: Box<VxlanDevice>,
    },
    /// Delete the device.
    RemoveDevice { name: String },
    /// Add an address.
    PutAddress { link: IfIndex, network: IpNetwork },
    /// Delete an address.
    RemoveAddress { link: IfIndex, network: IpNetwork },
    /// Write a sysctl.
    PutSysctl { sysctl: Sysctl, value: u32 },
    /// Add or replace a permanent neighbour.
    PutNeighbour { link: IfIndex, ip: IpAddr, mac: Mac },
    /// Delete a neighbour.
    RemoveNeighbour { link: IfIndex, ip: IpAddr },
    /// Add or replace an FDB entry.
    PutFdb {
        link: IfIndex,
        mac: Mac,
        dst: IpAddr,
    },
    /// Delete an FDB entry.
    RemoveFdb {
        link: IfIndex,
        mac: Mac,
        dst: IpAddr,
    },
    /// Add or replace a nexthop object.
    PutNexthop {
        id: NexthopId,
        nexthop: Nexthop,
        replace: bool,
    },
    /// Delete a nexthop object.
    RemoveNexthop { id: NexthopId },
    /// Add or replace a route.
    PutRoute {
        key: RouteKey,
        route: Route,
        replace: bool,
    },
    /// Delete exactly this route.
    RemoveRoute { key: RouteKey, route: Route },
}

impl Change {
    /// Whether it takes something away.
    pub fn is_removal(&self) -> bool {
        matches!(
            self,
            Change::RemoveDevice { .. }
                | Change::RemoveAddress { .. }
                | Change::RemoveNeighbour { .. }
                | Change::RemoveFdb { .. }
                | Change::RemoveNexthop { .. }
                | Change::RemoveRoute { .. }
        )
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::PutDevice { name, want, .. } => write!(f, "device {name} (VNI {})", want.vni),
            Change::RemoveDevice { name } => write!(f, "removal of device {name}"),
            Change::PutAddress { link, network } => write!(f, "address {network} on link {link}"),
            Change::RemoveAddress { link, network } => {
                write!(f, "removal of address {network} on link {link}")
            }
            Change::PutSysctl { sysctl, value } => write!(f, "sysctl {sysctl} = {value}"),
            Change::PutNeighbour { link, ip, mac } => {
                write!(f, "neighbour {ip} at {mac} on link {link}")
            }
            Change::RemoveNeighbour { link, ip } => {
                write!(f, "removal of neighbour {ip} on link {link}")
            }
            Change::PutFdb { link, mac, dst } => {
                write!(f, "FDB entry {mac} to {dst} on link {link}")
            }
            Change::RemoveFdb { link, mac, dst } => {
                write!(f, "removal of FDB entry {mac} to {dst} on link {link}")
            }
            Change::PutNexthop { id, nexthop, .. } => match nexthop {
                Nexthop::Hop(hop) => write!(f, "nexthop {id} via {hop}"),
                Nexthop::Group(members) => write!(f, "nexthop {id}, group of {}", Listed(members)),
            },
            Change::RemoveNexthop { id } => write!(f, "removal of nexthop {id}"),
            Change::PutRoute { key, .. } => write!(f, "route {} metric {}", key.prefix, key.metric),
            Change::RemoveRoute { key, .. } => {
                write!(f, "removal of route {} metric {}", key.prefix, key.metric)
            }
        }
    }
}

/// The kernel did not carry out one change of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Which change of the batch, from 0.
    pub index: usize,
    /// The errno, positive.
    pub errno: i32,
    /// The kernel's own words (extended acknowledgement), where it gave any.
    pub reason: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = std::io::Error::from_raw_os_error(self.errno);
        match &self.reason {
            Some(reason) => write!(f, "{reason} ({error})"),
            None => write!(f, "{error}"),
        }
    }
}
