//! The VXLAN device of this node.

use std::net::IpAddr;

use kernel::{IfIndex, Mac, VxlanDevice};

use crate::vtep::Vni;

/// The port that Linux takes when none is named, and so flannel's.
pub const DEFAULT_PORT: u16 = 8472;

/// Outer Ethernet, IP, UDP and VXLAN headers over IPv4 and IPv6.
const OVERHEAD_V4: u32 = 50;
const OVERHEAD_V6: u32 = 70;

/// What the network config says about the backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// `VNI`.
    pub vni: Vni,
    /// `Port`; 0 in the config means [`DEFAULT_PORT`].
    pub port: u16,
    /// `GBP`: carry the group policy extension.
    pub gbp: bool,
    /// `Learning`: learn remote MACs from packets.
    pub learning: bool,
    /// `DirectRouting`: no tunnel to nodes that are on-link.
    pub direct_routing: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            vni: Vni::default(),
            port: DEFAULT_PORT,
            gbp: false,
            learning: false,
            direct_routing: false,
        }
    }
}

/// What the node itself adds to make the device of one address family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Side {
    /// The underlay address of this node.
    pub local: IpAddr,
    /// The link of the underlay.
    pub lower: IfIndex,
    /// The MTU of the underlay in bytes.
    pub underlay_mtu: u32,
    /// The inner MAC of the device.
    pub mac: Mac,
}

/// `flannel.<VNI>` for an overlay of IPv4, `flannel-v6.<VNI>` for IPv6: the
/// names that flannel gives, so that its devices are taken over.
pub fn device_name(vni: Vni, ipv4: bool) -> String {
    if ipv4 {
        format!("flannel.{vni}")
    } else {
        format!("flannel-v6.{vni}")
    }
}

/// Whether the name fits: Linux takes at most 15 bytes (`IFNAMSIZ`), so VNIs
/// above 9,999,999 (IPv4) and 9,999 (IPv6) cannot have a device of that name.
pub fn has_device_name(vni: Vni, ipv4: bool) -> bool {
    device_name(vni, ipv4).len() <= 15
}

/// The MTU that is left for pods on this underlay, over IPv4 or IPv6.
pub fn inner_mtu(underlay_mtu: u32, ipv4: bool) -> u32 {
    underlay_mtu.saturating_sub(if ipv4 { OVERHEAD_V4 } else { OVERHEAD_V6 })
}

/// The device as the kernel shall have it.
pub fn device(options: &Options, side: &Side) -> VxlanDevice {
    VxlanDevice {
        vni: options.vni.number(),
        port: options.port,
        local: Some(side.local),
        lower: side.lower,
        learning: options.learning,
        gbp: options.gbp,
        mac: side.mac,
        mtu: inner_mtu(side.underlay_mtu, side.local.is_ipv4()),
        up: true,
        ours: true,
        odd: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_flannel_names_them() {
        assert_eq!(device_name(Vni::default(), true), "flannel.1");
        assert_eq!(
            device_name(Vni::try_from(4096).unwrap(), false),
            "flannel-v6.4096"
        );
    }

    #[test]
    fn a_vni_whose_device_name_is_too_long_is_known() {
        let vni = |number| Vni::try_from(number).unwrap();
        assert!(has_device_name(vni(9_999), false) && !has_device_name(vni(10_000), false));
        assert!(has_device_name(vni(9_999_999), true) && !has_device_name(vni(10_000_000), true));
    }

    #[test]
    fn the_tunnel_takes_fifty_bytes_over_ipv4_and_seventy_over_ipv6() {
        assert_eq!(
            (inner_mtu(1500, true), inner_mtu(1500, false)),
            (1450, 1430)
        );
    }
}
