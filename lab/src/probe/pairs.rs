//! The probes of a whole pod network, pair by pair.

use super::{Fate, ping, send_sized, tcp_source, udp_source};
use crate::Pod;
use crate::error::{LabError, Result};
use std::net::IpAddr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// Every ordered pair of different pods.
pub fn all_pairs(pods: &[Pod]) -> impl Iterator<Item = (&Pod, &Pod)> {
    pods.iter().flat_map(move |from| {
        pods.iter()
            .filter(move |to| to.name() != from.name())
            .map(move |to| (from, to))
    })
}

/// Pings every address of `to`.
pub fn ping_between(from: &Pod, to: &Pod) -> Result<()> {
    to.addresses()
        .iter()
        .try_for_each(|address| ping(from.namespace(), address, PATIENCE).map(drop))
}

/// Talks UDP and TCP to every address of `to`, which must see `from`'s own address.
pub fn source_is_kept(from: &Pod, to: &Pod) -> Result<()> {
    for address in to.addresses().iter() {
        let own = from.addresses().like(address).unwrap_or(address);
        let check = |probe, seen: IpAddr| {
            let changed = || LabError::SourceChanged {
                probe,
                from: from.name().into(),
                sent: own,
                to: address,
                seen,
            };
            (seen == own).then_some(()).ok_or_else(changed)
        };
        check(
            "UDP",
            udp_source(from.namespace(), to.namespace(), address)?,
        )?;
        check(
            "TCP",
            tcp_source(from.namespace(), to.namespace(), address)?,
        )?;
    }
    Ok(())
}

/// A packet of exactly `mtu` bytes passes to every address of `to`; one byte more does not.
pub fn mtu_is_exact(from: &Pod, to: &Pod, mtu: usize) -> Result<()> {
    for address in to.addresses().iter() {
        let send = |size| send_sized(from.namespace(), to.namespace(), address, size);
        let wrong = |size, became: Fate| LabError::WrongMtu {
            size,
            mtu,
            from: from.name().into(),
            to: address,
            outcome: became.describe(),
        };
        let exact = send(mtu)?;
        if exact != Fate::Passed {
            return Err(wrong(mtu, exact));
        }
        let above = send(mtu + 1)?;
        if above == Fate::Passed {
            return Err(wrong(mtu + 1, above));
        }
    }
    Ok(())
}
