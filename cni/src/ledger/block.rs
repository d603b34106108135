//! The node's block, and which of its addresses pods may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

/// One family's block of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Block {
    gateway: IpNetwork,
}

impl Block {
    /// The block of a gateway that is written with the block's length: `10.244.72.1/24`.
    pub(crate) fn of_gateway(gateway: IpNetwork) -> Block {
        Block { gateway }
    }

    /// The block itself.
    pub(crate) fn network(&self) -> IpNetwork {
        let gateway = self.gateway;
        IpNetwork::new(gateway.network(), gateway.prefix()).unwrap_or(gateway)
    }

    /// Whether it is of the family of this address.
    pub(crate) fn is_like(&self, address: IpAddr) -> bool {
        self.gateway.is_ipv4() == address.is_ipv4()
    }

    /// Whether a pod may have this address.
    pub(crate) fn offers(&self, address: IpAddr) -> bool {
        self.gateway.contains(address) && !self.is_reserved(address)
    }

    /// All that pods may have, in order.
    pub(crate) fn offered(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let (block, first) = (*self, number(self.network().ip()));
        let bits = if self.gateway.is_ipv4() { 32 } else { 128 };
        let size = 1_u128.checked_shl(bits - u32::from(self.gateway.prefix()));
        let last = size.map_or(u128::MAX, |size| first + (size - 1));
        (first..=last)
            .map(move |number| block.address(number))
            .filter(move |address| !block.is_reserved(*address))
    }

    /// The base address is the VTEP's, the gateway's that of a bridge, the last one of IPv4 a broadcast to whoever has
    /// an address with the block's length.
    fn is_reserved(&self, address: IpAddr) -> bool {
        let is_broadcast = match self.gateway {
            IpNetwork::V4(block) => address == IpAddr::V4(block.broadcast()),
            IpNetwork::V6(_) => false,
        };
        address == self.gateway.network() || address == self.gateway.ip() || is_broadcast
    }

    fn address(&self, number: u128) -> IpAddr {
        match u32::try_from(number) {
            Ok(number) if self.gateway.is_ipv4() => Ipv4Addr::from(number).into(),
            _ => Ipv6Addr::from(number).into(),
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(gateway: &str) -> Vec<String> {
        let block = Block::of_gateway(gateway.parse().unwrap());
        block
            .offered()
            .take(300)
            .map(|address| address.to_string())
            .collect()
    }

    #[test]
    fn base_gateway_and_broadcast_are_nobodys() {
        let all = offered("10.1.2.1/24");
        assert_eq!(
            (all.len(), all[0].as_str(), all[252].as_str()),
            (253, "10.1.2.2", "10.1.2.254")
        );
        assert_eq!(offered("10.1.2.1/30"), ["10.1.2.2"]);
        assert!(offered("10.1.2.1/31").is_empty());
        assert_eq!(offered("10.1.2.5/29")[0], "10.1.2.1");
    }

    #[test]
    fn a_block_of_ipv6_starts_at_2_and_is_not_counted_out() {
        assert_eq!(offered("fd00::1/64")[..2], ["fd00::2", "fd00::3"]);
        assert_eq!(offered("::1/0")[0], "::2");
    }

    #[test]
    fn what_is_offered_one_by_one_is_what_is_offered_on_request() {
        let block = Block::of_gateway("10.1.2.1/28".parse().unwrap());
        for host in 0..=32_u8 {
            let address = IpAddr::from([10, 1, 2, host]);
            assert_eq!(
                block.offers(address),
                block.offered().any(|a| a == address),
                "{address}"
            );
        }
    }
}
