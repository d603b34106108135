//! A switch with machines on it.

use lab::{Addresses, LabError, Namespace, Shape, Stack, Underlay};

/// A switch. Machines are namespaces with `eth0` on it: number 7 has 10.99.0.7/24 and fd99::7/64.
#[derive(Debug)]
pub struct Fabric(Underlay);

/// A machine on a [`Fabric`].
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its addresses.
    pub addresses: Addresses,
}

impl Fabric {
    /// An empty switch of both families.
    pub fn new() -> Result<Self, LabError> {
        Underlay::new(Shape::OneSwitch, Stack::Dual).map(Self)
    }

    /// Puts a machine on it (1 to 253), which forwards and has no route but that of the link.
    pub fn machine(&self, number: u8) -> Result<Machine, LabError> {
        machine(&self.0, number)
    }
}

/// Puts a machine on the first switch of an underlay (1 to 253), which forwards and has no route but those of the link.
pub fn machine(underlay: &Underlay, number: u8) -> Result<Machine, LabError> {
    let namespace = Namespace::new(&format!("machine{number}"))?;
    namespace.set_sysctls(&[
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv6/conf/all/forwarding", "1"),
        ("net/ipv6/conf/default/accept_dad", "0"),
    ])?;
    let addresses = underlay.attach(&namespace, 1, number)?;
    for family in ["-4", "-6"] {
        lab::ip(&namespace, &[family, "route", "flush", "default"])?;
    }
    Ok(Machine {
        namespace,
        addresses,
    })
}
