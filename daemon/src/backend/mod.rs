//! The backends: pure functions from what this node knows to the kernel entries
//! that it wants.

mod direct;
mod options;
mod remote;

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use kernel::{Entry, IfIndex, Mac, RouteKey, Sysctl, To};
use subnet_alloc::{Block, Lease, LeaseEvent};

use crate::underlay::Underlay;

pub(crate) use options::{Backend, BackendError};
pub(crate) use remote::{Held, Remote, Skipped};

/// What this node is on the data plane: all that planning needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Local {
    pub(crate) backend: Backend,
    pub(crate) underlay: Underlay,
    /// The pools, IPv4 and IPv6.
    pub(crate) pools: [Option<IpNetwork>; 2],
    /// The own block; nothing until this node has one.
    pub(crate) block: Option<Block>,
    /// The inner MACs of the own VTEPs, IPv4 and IPv6.
    pub(crate) macs: [Mac; 2],
    /// The name of this node.
    pub(crate) node: String,
}

/// The own VXLAN devices that are there, IPv4 and IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Devices(pub(crate) [Option<IfIndex>; 2]);

/// How packets travel to a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// Through the own VXLAN device.
    Tunnel(IfIndex, Mac, IpAddr),
    /// Through the node's underlay address, on-link.
    Direct(IpAddr),
    /// As the node, or a router, announces by BGP.
    Announced,
}

/// Why packets cannot travel to a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoWay {
    /// The lease names no underlay address of this family.
    NoUnderlay,
    /// The lease names no VTEP of this family.
    NoVtep,
    /// The own device is not there yet.
    NoDevice,
    /// A router is between us, and direct routes need a common link.
    NotOnLink(IpAddr),
}

impl Local {
    /// The devices that are wanted.
    pub(crate) fn devices(&self) -> Vec<Entry> {
        let Backend::Vxlan(options) = &self.backend else {
            return Vec::new();
        };
        self.sides()
            .map(|(ipv4, side)| {
                Entry::Device(
                    vxlan::device_name(options.vni, ipv4),
                    vxlan::device(options, &side),
                )
            })
            .collect()
    }

    /// The names of these devices, IPv4 and IPv6.
    pub(crate) fn device_names(&self) -> [Option<String>; 2] {
        match &self.backend {
            Backend::HostGw | Backend::Bgp => [None, None],
            Backend::Vxlan(options) => [
                self.pools[0].map(|_| vxlan::device_name(options.vni, true)),
                self.pools[1].map(|_| vxlan::device_name(options.vni, false)),
            ],
        }
    }

    /// What is wanted for the own block, whatever other nodes there are.
    pub(crate) fn own_entries(&self, devices: Devices) -> Vec<Entry> {
        let mut entries = Vec::new();
        let names = self.device_names();
        for block in self.networks() {
            let (family, forward) = match block.is_ipv4() {
                true => (0, Sysctl::ForwardV4),
                false => (1, Sysctl::ForwardV6),
            };
            entries.push(Entry::Sysctl(forward, 1));
            entries.push(Entry::Route(
                RouteKey::of_last_resort(block),
                To::Unreachable,
            ));
            if let (Some(name), Some(link)) = (&names[family], devices.0[family]) {
                entries.extend(vxlan::local(name, link, block));
            }
        }
        entries
    }

    /// What is wanted for another node's lease.
    pub(crate) fn remote_entries(
        &self,
        block: &Block,
        remote: &Remote,
        devices: Devices,
    ) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(4);
        for network in self.usable(block) {
            match self.way(network, remote, devices) {
                Ok(Way::Tunnel(link, mac, underlay)) => {
                    let vtep = vxlan::RemoteVtep {
                        block: network,
                        mac,
                        underlay,
                    };
                    entries.extend(vxlan::remote(link, &vtep));
                }
                Ok(Way::Direct(gateway)) => {
                    entries.extend(direct::remote(self.underlay.link, network, gateway))
                }
                // Routes come from peers.
                Ok(Way::Announced) | Err(_) => {}
            }
        }
        entries
    }

    /// How packets travel to one family's part of a remote block.
    pub(crate) fn way(
        &self,
        network: IpNetwork,
        remote: &Remote,
        devices: Devices,
    ) -> Result<Way, NoWay> {
        let underlay = remote
            .underlay(network.is_ipv4())
            .ok_or(NoWay::NoUnderlay)?;
        let on_link = self.underlay.is_on_link(underlay);
        match &self.backend {
            Backend::HostGw if on_link => Ok(Way::Direct(underlay)),
            Backend::HostGw => Err(NoWay::NotOnLink(underlay)),
            Backend::Bgp => Ok(Way::Announced),
            Backend::Vxlan(options) if options.direct_routing && on_link => {
                Ok(Way::Direct(underlay))
            }
            Backend::Vxlan(_) => {
                let mac = remote.vtep(network.is_ipv4()).ok_or(NoWay::NoVtep)?;
                let device = devices.0[usize::from(!network.is_ipv4())].ok_or(NoWay::NoDevice)?;
                Ok(Way::Tunnel(device, mac, underlay))
            }
        }
    }

    /// The parts of the own block, IPv4 first.
    pub(crate) fn networks(&self) -> impl Iterator<Item = IpNetwork> + use<> {
        self.block.into_iter().flat_map(|block| networks(&block))
    }

    /// The parts of a block whose family this node has.
    pub(crate) fn usable(&self, block: &Block) -> impl Iterator<Item = IpNetwork> + use<> {
        let pools = self.pools;
        networks(block).filter(move |network| pools[usize::from(!network.is_ipv4())].is_some())
    }

    /// Whether a block has the length of the own one: two such are the same, or
    /// have no address in common.
    pub(crate) fn is_on_grid(&self, block: &Block) -> bool {
        let v4 = block.v4().zip(self.block.and_then(|own| own.v4()));
        let v6 = block.v6().zip(self.block.and_then(|own| own.v6()));
        v4.is_none_or(|(its, own)| its.prefix() == own.prefix())
            && v6.is_none_or(|(its, own)| its.prefix() == own.prefix())
    }

    /// Whether all that is usable of a block lies in the pools, and something is.
    pub(crate) fn has_in_pools(&self, block: &Block) -> bool {
        let mut usable = self.usable(block).peekable();
        usable.peek().is_some() && usable.all(|network| self.has_in_pool(network))
    }

    /// Whether all of a network lies in the pool of its family.
    pub(crate) fn has_in_pool(&self, network: IpNetwork) -> bool {
        let pool = self.pools[usize::from(!network.is_ipv4())];
        pool.is_some_and(|pool| contains(pool, network))
    }

    /// Whether this is the word that the own block is not, or not any more, this
    /// node's.
    pub(crate) fn loses_its_lease_by(&self, event: &LeaseEvent) -> bool {
        let Some(own) = self.block else {
            return false;
        };
        match event {
            LeaseEvent::Gone(block) => *block == own,
            LeaseEvent::Put(lease) => lease.block == own && !self.is_mine(lease),
            LeaseEvent::Reset(leases) => !leases
                .iter()
                .any(|lease| lease.block == own && self.is_mine(lease)),
        }
    }

    /// Whether a lease names this node, by address or by name.
    pub(crate) fn is_mine(&self, lease: &Lease) -> bool {
        let attrs = &lease.attrs;
        let addresses = [
            attrs.underlay_v4.map(IpAddr::V4),
            attrs.underlay_v6.map(IpAddr::V6),
        ];
        addresses
            .into_iter()
            .flatten()
            .any(|ip| self.underlay.is_own(ip))
            || attrs.node.as_ref() == Some(&self.node)
    }

    /// The MTU that pods get: the least over the enabled families.
    pub(crate) fn pod_mtu(&self) -> u32 {
        match &self.backend {
            Backend::HostGw | Backend::Bgp => self.underlay.mtu,
            Backend::Vxlan(_) => vxlan::inner_mtu(self.underlay.mtu, self.underlay.v6.is_none()),
        }
    }

    fn sides(&self) -> impl Iterator<Item = (bool, vxlan::Side)> + '_ {
        let locals = [
            self.underlay.v4.map(IpAddr::V4),
            self.underlay.v6.map(IpAddr::V6),
        ];
        let side = |local: IpAddr| vxlan::Side {
            local,
            lower: self.underlay.link,
            underlay_mtu: self.underlay.mtu,
            mac: self.macs[usize::from(!local.is_ipv4())],
        };
        locals
            .into_iter()
            .flatten()
            .map(move |local| (local.is_ipv4(), side(local)))
    }
}

/// Whether all of `inner` lies in `outer`.
pub(crate) fn contains(outer: IpNetwork, inner: IpNetwork) -> bool {
    outer.contains(inner.network()) && outer.prefix() <= inner.prefix()
}

/// The parts of a block, IPv4 first.
pub(crate) fn networks(block: &Block) -> impl Iterator<Item = IpNetwork> + use<> {
    [block.v4().map(IpNetwork::V4), block.v6().map(IpNetwork::V6)]
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests;
