//! What Twill wants of nftables, in the operator's words.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnetwork::IpNetwork;

/// What Twill wants of nftables: one table of its own, `inet twill`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Firewall {
    /// Pod traffic that leaves the pools gets the node's address.
    pub masquerade: Option<Masquerade>,
    /// Only known VTEPs may send to our VXLAN device.
    pub tunnel: Option<TunnelGuard>,
}

/// Source translation for pod traffic. Pod to pod is never translated, nor is
/// what reaches this node's pods from outside.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Masquerade {
    /// The pools, at most one of each family in a cluster of one network.
    pub pools: Vec<IpNetwork>,
    /// This node's blocks.
    pub blocks: Vec<IpNetwork>,
    /// Further destinations that pods reach with their own addresses.
    pub direct: Vec<IpNetwork>,
    /// Choose the port wholly at random (`fully-random`): two flows that start
    /// at once do not take the same one.
    pub random_fully: bool,
}

/// Who may send VXLAN packets to this node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TunnelGuard {
    /// The device's UDP port.
    pub port: u16,
    /// The device's VNI, 24 bits. Packets of other VNIs are other people's: a
    /// second daemon, or another overlay, on the same port.
    pub vni: u32,
    /// Underlay addresses of the known VTEPs.
    pub vteps: BTreeSet<IpAddr>,
}

/// The name of our table (`twill`; `twill-85` for the daemon whose routes have
/// protocol 85): a letter, then at most 31 letters, digits, `-` or `_`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableName(String);

/// The text is no [`TableName`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` cannot name an nftables table: give a letter, then at most 31 letters, digits, `-` or `_`"
)]
pub struct ParseTableNameError(String);

impl TableName {
    /// The name as it stands in `nft list tables`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the comments of our rules in others' chains start with.
    pub fn mark(&self) -> String {
        format!("{self} pods: ")
    }
}

impl Default for TableName {
    fn default() -> TableName {
        TableName("twill".into())
    }
}

impl FromStr for TableName {
    type Err = ParseTableNameError;

    fn from_str(text: &str) -> Result<TableName, ParseTableNameError> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let fits = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.len() <= 32
            && text.chars().all(is_word);
        fits.then(|| TableName(text.into()))
            .ok_or_else(|| ParseTableNameError(text.into()))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// IPv4 or IPv6, as nftables tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Family; 2] = [Family::V4, Family::V6];

    pub(super) fn of(ip: IpAddr) -> Family {
        if ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    pub(super) fn holds(self, network: &IpNetwork) -> bool {
        Family::of(network.ip()) == self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_name_is_a_word_that_nft_can_read() {
        for good in ["twill", "twill-85", "a_b", &"t".repeat(32)] {
            assert!(good.parse::<TableName>().is_ok(), "{good}");
        }
        for bad in ["", "8", "-a", "a b", "a\0", "é", "a;b", &"t".repeat(33)] {
            assert!(bad.parse::<TableName>().is_err(), "{bad}");
        }
    }
}
