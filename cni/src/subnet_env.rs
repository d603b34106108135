//! The subnet file: by it the daemon (or flannel) says this node's block and the MTU of pods.

use std::fs;
use std::path::Path;

use ipnetwork::IpNetwork;

use crate::ledger::Block;

/// What a pod's link depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SubnetEnv {
    /// One for each family, IPv4 first; at least one.
    pub(crate) blocks: Vec<Block>,
    /// In bytes.
    pub(crate) mtu: u32,
}

impl SubnetEnv {
    /// Reads the file; the error says what is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<SubnetEnv, String> {
        let text =
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        SubnetEnv::parse(&text).map_err(|why| format!("{} {why}", path.display()))
    }

    fn parse(text: &str) -> Result<SubnetEnv, String> {
        let value = |key: &str| {
            let mut values = text
                .lines()
                .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            values.next().map(|value| value.trim().trim_matches('"'))
        };
        let mut blocks = Vec::new();
        for key in ["FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"] {
            if let Some(text) = value(key) {
                let gateway = text.parse::<IpNetwork>();
                blocks.push(
                    gateway
                        .map(Block::of_gateway)
                        .map_err(|_| format!("says {key}={text}, which is no block"))?,
                );
            }
        }
        if blocks.is_empty() {
            return Err("names no block (FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET)".into());
        }
        let mtu = value("FLANNEL_MTU").and_then(|mtu| mtu.parse().ok());
        let mtu = mtu.ok_or("has no FLANNEL_MTU that is a number")?;
        Ok(SubnetEnv { blocks, mtu })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_mtu_are_read() {
        let env = SubnetEnv::parse(
            "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.72.1/24\nFLANNEL_IPV6_NETWORK=fd00:244::/48\n\
             FLANNEL_IPV6_SUBNET=fd00:244:0:50::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
        )
        .unwrap();
        let blocks: Vec<String> = env
            .blocks
            .iter()
            .map(|block| block.network().to_string())
            .collect();
        assert_eq!(blocks, ["10.244.72.0/24", "fd00:244:0:50::/64"]);
        assert_eq!(env.mtu, 1450);
    }

    #[test]
    fn half_a_file_is_refused_with_what_is_missing() {
        for (text, why) in [
            ("", "no block"),
            ("FLANNEL_MTU=1450", "no block"),
            ("FLANNEL_SUBNET=10.244.72.1/24", "FLANNEL_MTU"),
            (
                "FLANNEL_SUBNET=10.244.72.1/99\nFLANNEL_MTU=1450",
                "10.244.72.1/99",
            ),
        ] {
            let error = SubnetEnv::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
