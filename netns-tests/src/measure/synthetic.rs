//! Leases of nodes that do not exist.

use crate::subnet_key;
use std::net::Ipv4Addr;

/// First address of the pod range: a /10 in blocks of 64 addresses, 65,536 of them.
const PODS: u32 = Ipv4Addr::new(100, 64, 0, 0).to_bits();
const BLOCK_LEN: u8 = 26;

/// First underlay address of the peers; the node itself is 10.98.0.1 and all are on one link.
const UNDERLAY: u32 = Ipv4Addr::new(10, 98, 1, 0).to_bits();

/// The backend of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendKind {
    /// `vxlan`.
    Vxlan,
    /// `host-gw`.
    HostGw,
}

impl BackendKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Vxlan, Self::HostGw];

    /// As in flannel's network config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::HostGw => "host-gw",
        }
    }
}

/// Peers by number: block, underlay address, MAC address, key and value.
#[derive(Debug, Clone, Copy)]
pub struct Peers(pub BackendKind);

impl Peers {
    /// A network config whose blocks from number 60,000 on are for real nodes.
    pub fn config(self) -> String {
        format!(
            r#"{{"Network":"100.64.0.0/10","SubnetLen":{BLOCK_LEN},"SubnetMin":"{}","SubnetMax":"{}","Backend":{{"Type":"{}"}}}}"#,
            self.block(60_000),
            self.block(65_535),
            self.0.name()
        )
    }

    /// The first address of a peer's block.
    pub fn block(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(PODS + number * 64)
    }

    /// The prefix length of every block.
    pub fn block_len(self) -> u8 {
        BLOCK_LEN
    }

    /// A peer's underlay address.
    pub fn underlay(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(UNDERLAY + number)
    }

    /// The MAC address of a peer's VTEP.
    pub fn mac(self, number: u32) -> [u8; 6] {
        let [a, b, c, d] = number.to_be_bytes();
        [0x02, 0x77, a, b, c, d]
    }

    /// Its key in etcd.
    pub fn key(self, number: u32) -> String {
        subnet_key(&format!("{}-{BLOCK_LEN}", self.block(number)))
    }

    /// Its value, as flannel writes it.
    pub fn value(self, number: u32) -> String {
        let public = self.underlay(number);
        match self.0 {
            BackendKind::HostGw => {
                format!(r#"{{"PublicIP":"{public}","PublicIPv6":null,"BackendType":"host-gw"}}"#)
            }
            BackendKind::Vxlan => {
                let mac = self.mac(number).map(|byte| format!("{byte:02x}")).join(":");
                format!(
                    r#"{{"PublicIP":"{public}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{mac}"}}}}"#
                )
            }
        }
    }
}
