//! A pod: a namespace with one wire to its node's bridge.

use crate::error::Result;
use crate::underlay::no_dad;
use crate::{Addresses, Namespace, Node, SubnetEnv, ip_batch};
use std::net::IpAddr;

/// One pod with addresses of its node's block.
#[derive(Debug)]
pub struct Pod {
    name: String,
    namespace: Namespace,
    addresses: Addresses,
}

impl Pod {
    /// Pod number `number` (from 1) of a node whose bridge is up: its address is the gateway's plus the number.
    pub fn new(node: &Node, env: &SubnetEnv, number: u32) -> Result<Self> {
        let name = format!("{}-pod{number}", node.name());
        let namespace = Namespace::new(&name)?;
        namespace.set_sysctls(&[("net/ipv6/conf/default/accept_dad", "0")])?;
        let (mtu, inside) = (env.mtu, namespace.path());
        let wire = format!(
            "link add pod{number} up master cni0 mtu {mtu} type veth peer name eth0 mtu {mtu} netns {}",
            inside.display()
        );
        ip_batch(node.namespace(), &[wire])?;
        let mut lines = vec!["link set eth0 up".to_owned()];
        for gateway in env.gateways() {
            let own = gateway.plus(number);
            lines.push(format!("addr add {own} dev eth0{}", no_dad(own.address)));
            lines.push(format!("route add default via {}", gateway.address));
        }
        ip_batch(&namespace, &lines)?;
        Ok(Self {
            name,
            namespace,
            addresses: own_addresses(env, number),
        })
    }

    /// `node1-pod1`, ...
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its addresses.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }
}

fn own_addresses(env: &SubnetEnv, number: u32) -> Addresses {
    let mut addresses = Addresses { v4: None, v6: None };
    for gateway in env.gateways() {
        match gateway.plus(number).address {
            IpAddr::V4(own) => addresses.v4 = Some(own),
            IpAddr::V6(own) => addresses.v6 = Some(own),
        }
    }
    addresses
}
