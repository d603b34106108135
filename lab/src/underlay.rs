//! The machines' own network: switches, and a router between them.
//!
//! One namespace holds it all. A switch is a bridge; the router is the same namespace, which forwards between the
//! bridges because each of them has the gateway's address of its subnet.

use crate::error::Result;
use crate::{Addresses, Cidr, Namespace, Stack, ip, ip_batch};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The last octet of a subnet's router; hosts have numbers from 1 to 253.
const ROUTER: u8 = 254;

/// How the underlay is wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Every host on one switch: `10.99.0.0/24` and `fd99::/64`.
    OneSwitch,
    /// Two switches with a router between them: also `10.99.1.0/24` and `fd99:0:0:1::/64`.
    TwoSubnets,
}

/// Switches and the router between them.
#[derive(Debug)]
pub struct Underlay {
    namespace: Namespace,
    shape: Shape,
    stack: Stack,
}

impl Shape {
    /// How many switches.
    pub fn subnets(self) -> u8 {
        match self {
            Self::OneSwitch => 1,
            Self::TwoSubnets => 2,
        }
    }
}

impl Underlay {
    /// The switches, with no host on them.
    pub fn new(shape: Shape, stack: Stack) -> Result<Self> {
        let namespace = Namespace::new("underlay")?;
        namespace.set_sysctls(&[
            ("net/ipv4/ip_forward", "1"),
            ("net/ipv6/conf/all/forwarding", "1"),
            ("net/ipv6/conf/default/accept_dad", "0"),
        ])?;
        let underlay = Self {
            namespace,
            shape,
            stack,
        };
        let lines: Vec<String> = (1..=shape.subnets())
            .flat_map(|subnet| underlay.switch(subnet))
            .collect();
        ip_batch(&underlay.namespace, &lines)?;
        Ok(underlay)
    }

    /// How it is wired.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The families that it carries.
    pub fn stack(&self) -> Stack {
        self.stack
    }

    /// The namespace of the switches and the router: a place to capture packets or to break links.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The addresses that host number `host` (1 to 253) has on switch `subnet` (from 1).
    pub fn addresses(&self, subnet: u8, host: u8) -> Addresses {
        let network = subnet.saturating_sub(1);
        Addresses {
            v4: self
                .stack
                .has_v4()
                .then(|| Ipv4Addr::new(10, 99, network, host)),
            v6: self
                .stack
                .has_v6()
                .then(|| Ipv6Addr::new(0xfd99, 0, 0, network.into(), 0, 0, 0, host.into())),
        }
    }

    /// Gives `guest` an interface `eth0` on switch `subnet` with the addresses of host number `host`, and the router as
    /// its default gateway.
    pub fn attach(&self, guest: &Namespace, subnet: u8, host: u8) -> Result<Addresses> {
        let (port, switch, inside) = (
            self.port(subnet, host),
            format!("switch{subnet}"),
            guest.path(),
        );
        let inside = inside.display();
        ip_batch(
            &self.namespace,
            &[format!(
                "link add {port} up master {switch} type veth peer name eth0 netns {inside}"
            )],
        )?;
        guest.set_sysctls(&[
            ("net/ipv6/conf/eth0/accept_dad", "0"),
            ("net/ipv6/conf/eth0/accept_ra", "0"),
        ])?;
        let addresses = self.addresses(subnet, host);
        let mut lines = vec!["link set eth0 up".to_owned()];
        for (own, router) in addresses.iter().zip(self.addresses(subnet, ROUTER).iter()) {
            lines.push(format!(
                "addr add {} dev eth0{}",
                with_len(own),
                no_dad(own)
            ));
            lines.push(format!("route add default via {router}"));
        }
        ip_batch(guest, &lines)?;
        Ok(addresses)
    }

    /// Sets the link of a host up or down, as pulling its cable would.
    pub fn set_port(&self, subnet: u8, host: u8, state: &str) -> Result<()> {
        ip(
            &self.namespace,
            &["link", "set", &self.port(subnet, host), state],
        )
        .map(drop)
    }

    /// Takes a host's link away, with both of its ends.
    pub fn detach(&self, subnet: u8, host: u8) -> Result<()> {
        ip(
            &self.namespace,
            &["link", "delete", &self.port(subnet, host)],
        )
        .map(drop)
    }

    fn port(&self, subnet: u8, host: u8) -> String {
        format!("port{subnet}x{host}")
    }

    fn switch(&self, subnet: u8) -> Vec<String> {
        let switch = format!("switch{subnet}");
        let mut lines = vec![format!(
            "link add {switch} up type bridge forward_delay 0 mcast_snooping 0"
        )];
        lines.extend(
            self.addresses(subnet, ROUTER)
                .iter()
                .map(|own| format!("addr add {} dev {switch}{}", with_len(own), no_dad(own))),
        );
        lines
    }
}

fn with_len(address: IpAddr) -> Cidr {
    Cidr {
        address,
        len: if address.is_ipv4() { 24 } else { 64 },
    }
}

/// Duplicate address detection would keep an IPv6 address unusable for a second.
pub(crate) fn no_dad(address: IpAddr) -> &'static str {
    if address.is_ipv6() { " nodad" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::ping;
    use std::time::Duration;

    #[test]
    fn hosts_of_two_subnets_reach_each_other_through_the_router() {
        let underlay = Underlay::new(Shape::TwoSubnets, Stack::Dual).unwrap();
        let (a, b) = (Namespace::new("a").unwrap(), Namespace::new("b").unwrap());
        underlay.attach(&a, 1, 1).unwrap();
        let there = underlay.attach(&b, 2, 2).unwrap();
        for address in there.iter() {
            ping(&a, address, Duration::from_secs(5)).unwrap();
        }
    }

    #[test]
    fn a_pulled_cable_is_felt() {
        let underlay = Underlay::new(Shape::OneSwitch, Stack::V4).unwrap();
        let (a, b) = (Namespace::new("a").unwrap(), Namespace::new("b").unwrap());
        underlay.attach(&a, 1, 1).unwrap();
        let there = underlay.attach(&b, 1, 2).unwrap().first().unwrap();
        underlay.set_port(1, 2, "down").unwrap();
        assert!(ping(&a, there, Duration::from_millis(200)).is_err());
    }

    #[test]
    fn a_host_that_was_taken_away_may_be_another_one() {
        let underlay = Underlay::new(Shape::OneSwitch, Stack::V4).unwrap();
        let (a, b) = (Namespace::new("a").unwrap(), Namespace::new("b").unwrap());
        underlay.attach(&a, 1, 1).unwrap();
        underlay.detach(1, 1).unwrap();
        let again = underlay.attach(&b, 1, 1).unwrap().first().unwrap();
        ping(underlay.namespace(), again, Duration::from_secs(5)).unwrap();
    }
}
