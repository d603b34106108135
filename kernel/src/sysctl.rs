//! The few sysctls that a pod network needs.

use std::fmt;

/// A sysctl that we set, by what it is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Sysctl {
    /// `net.ipv4.ip_forward`.
    ForwardV4,
    /// `net.ipv6.conf.all.forwarding`.
    ForwardV6,
    /// `net.ipv6.conf.<link>.accept_ra`: a VTEP never takes an address or a
    /// default route from what arrives through the tunnel.
    AcceptRa(String),
}

impl Sysctl {
    /// Its file below `/proc/sys`.
    pub fn path(&self) -> String {
        match self {
            Sysctl::ForwardV4 => "net/ipv4/ip_forward".into(),
            Sysctl::ForwardV6 => "net/ipv6/conf/all/forwarding".into(),
            Sysctl::AcceptRa(link) => format!("net/ipv6/conf/{link}/accept_ra"),
        }
    }

    /// Whether the kernel tells nobody of its change: `RTM_NEWNETCONF` is about
    /// forwarding, not about router advertisements
    /// (`inet6_netconf_notify_devconf`).
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Sysctl::AcceptRa(_))
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}
