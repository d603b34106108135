//! `subnet.env`, the file by which a pod network daemon tells the CNI plugin its block and MTU.

use crate::Cidr;
use crate::error::{LabError, Result};
use std::path::Path;

/// The contents of `subnet.env`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetEnv {
    /// The whole IPv4 pod range.
    pub network: Option<Cidr>,
    /// The gateway's address in the node's IPv4 block, with the block's length.
    pub subnet: Option<Cidr>,
    /// The whole IPv6 pod range.
    pub ipv6_network: Option<Cidr>,
    /// The gateway's address in the node's IPv6 block, with the block's length.
    pub ipv6_subnet: Option<Cidr>,
    /// The pods' MTU in bytes.
    pub mtu: usize,
    /// Whether the daemon masquerades (then the CNI plugin must not).
    pub ip_masq: bool,
}

impl SubnetEnv {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(LabError::system(format!(
            "read the subnet file {}",
            path.display()
        )))?;
        Self::parse(&text)
    }

    /// Reads its text.
    pub fn parse(text: &str) -> Result<Self> {
        let value = |name: &str| {
            text.lines().find_map(|line| {
                line.strip_prefix(name)
                    .and_then(|rest| rest.strip_prefix('='))
            })
        };
        let cidr = |name: &str| value(name).map(str::parse).transpose();
        let malformed = || LabError::Malformed {
            what: "subnet.env".into(),
            text: text.into(),
        };
        Ok(Self {
            network: cidr("FLANNEL_NETWORK")?,
            subnet: cidr("FLANNEL_SUBNET")?,
            ipv6_network: cidr("FLANNEL_IPV6_NETWORK")?,
            ipv6_subnet: cidr("FLANNEL_IPV6_SUBNET")?,
            mtu: value("FLANNEL_MTU")
                .and_then(|mtu| mtu.parse().ok())
                .ok_or_else(malformed)?,
            ip_masq: value("FLANNEL_IPMASQ")
                .and_then(|masq| masq.parse().ok())
                .ok_or_else(malformed)?,
        })
    }

    /// The gateways of the node's blocks, IPv4 first.
    pub fn gateways(&self) -> impl Iterator<Item = Cidr> + use<> {
        self.subnet.into_iter().chain(self.ipv6_subnet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dual_stack_file_gives_both_gateways() {
        let env = SubnetEnv::parse(
            "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.72.1/24\nFLANNEL_IPV6_NETWORK=fd00:244::/48\n\
             FLANNEL_IPV6_SUBNET=fd00:244:0:50::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
        )
        .unwrap();
        let gateways: Vec<String> = env.gateways().map(|cidr| cidr.to_string()).collect();
        assert_eq!(gateways, ["10.244.72.1/24", "fd00:244:0:50::1/64"]);
        assert_eq!((env.mtu, env.ip_masq), (1450, true));
    }

    #[test]
    fn a_file_without_an_mtu_is_refused() {
        assert!(SubnetEnv::parse("FLANNEL_SUBNET=10.244.72.1/24\nFLANNEL_IPMASQ=true\n").is_err());
    }
}
