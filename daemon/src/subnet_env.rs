//! `subnet.env`: what the CNI plugin reads of this node's network.

use std::fs;
use std::io;
use std::path::Path;

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use subnet_alloc::Block;

use crate::atomic_file;

/// The content of `subnet.env`, in flannel's order of lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SubnetEnv {
    /// The IPv4 pool.
    pub(crate) network: Option<Ipv4Network>,
    /// The IPv6 pool.
    pub(crate) ipv6_network: Option<Ipv6Network>,
    /// This node's block.
    pub(crate) block: Block,
    /// The MTU of pods in bytes.
    pub(crate) mtu: u32,
    /// Whether the daemon masquerades what leaves the pool.
    pub(crate) ip_masq: bool,
}

impl SubnetEnv {
    /// The text of the file.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: String| text.push_str(&format!("{key}={value}\n"));
        if let (Some(network), Some(block)) = (self.network, self.block.v4()) {
            line("FLANNEL_NETWORK", network.to_string());
            line("FLANNEL_SUBNET", gateway(block.into()));
        }
        if let (Some(network), Some(block)) = (self.ipv6_network, self.block.v6()) {
            line("FLANNEL_IPV6_NETWORK", network.to_string());
            line("FLANNEL_IPV6_SUBNET", gateway(block.into()));
        }
        line("FLANNEL_MTU", self.mtu.to_string());
        line("FLANNEL_IPMASQ", self.ip_masq.to_string());
        text
    }

    /// Writes the file unless it is there with this content: a reader sees the
    /// old one or the new one, never half of one.
    pub(crate) fn write(&self, path: &Path) -> io::Result<bool> {
        let text = self.text();
        if fs::read_to_string(path).is_ok_and(|old| old == text) {
            return Ok(false);
        }
        atomic_file::write(path, text.as_bytes())?;
        Ok(true)
    }
}

/// The first address of the block, which the node's bridge has.
fn gateway(block: IpNetwork) -> String {
    match block {
        IpNetwork::V4(block) => {
            let first = u32::from(block.network()).wrapping_add(1);
            format!("{}/{}", std::net::Ipv4Addr::from(first), block.prefix())
        }
        IpNetwork::V6(block) => {
            let first = u128::from(block.network()).wrapping_add(1);
            format!("{}/{}", std::net::Ipv6Addr::from(first), block.prefix())
        }
    }
}

/// The block that a previous run, or flannel, wrote to the file.
pub(crate) fn previous_block(path: &Path) -> Option<Block> {
    block_in(&fs::read_to_string(path).ok()?)
}

/// The block in the text of such a file; nothing when it names none.
pub(crate) fn block_in(text: &str) -> Option<Block> {
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    };
    let v4 = value("FLANNEL_SUBNET").and_then(|v| v.trim().parse::<Ipv4Network>().ok());
    let v6 = value("FLANNEL_IPV6_SUBNET").and_then(|v| v.trim().parse::<Ipv6Network>().ok());
    let v4 = v4.and_then(|n| Ipv4Network::new(n.network(), n.prefix()).ok());
    let v6 = v6.and_then(|n| Ipv6Network::new(n.network(), n.prefix()).ok());
    Block::new(v4, v6).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn dual() -> SubnetEnv {
        SubnetEnv {
            network: "10.244.0.0/16".parse().ok(),
            ipv6_network: "fd00:244::/48".parse().ok(),
            block: Block::new(
                "10.244.72.0/24".parse().ok(),
                "fd00:244:0:50::/64".parse().ok(),
            )
            .unwrap(),
            mtu: 1450,
            ip_masq: true,
        }
    }

    #[test]
    fn the_text_is_flannels_byte_for_byte() {
        let text = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.72.1/24\n\
                    FLANNEL_IPV6_NETWORK=fd00:244::/48\nFLANNEL_IPV6_SUBNET=fd00:244:0:50::1/64\n\
                    FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
        assert_eq!(dual().text(), text);
    }

    #[test]
    fn a_family_that_is_off_has_no_lines() {
        let v6_only = SubnetEnv {
            network: None,
            block: Block::new(None, dual().block.v6()).unwrap(),
            ..dual()
        };
        assert!(v6_only.text().starts_with("FLANNEL_IPV6_NETWORK="));
    }

    #[test]
    fn the_previous_block_is_read_back() {
        assert_eq!(block_in(&dual().text()), Some(dual().block));
        for text in [
            "",
            "FLANNEL_SUBNET=",
            "FLANNEL_SUBNET=10.244.72.1/99",
            "FLANNEL_MTU=1450",
        ] {
            assert_eq!(block_in(text), None, "{text}");
        }
    }

    #[test]
    fn it_is_written_whole_readable_by_all_and_only_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flannel/subnet.env");
        assert!(dual().write(&path).unwrap());
        assert!(!dual().write(&path).unwrap());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o644
        );
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
