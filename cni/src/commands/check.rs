//! CHECK: what ADD made is compared with what is there.

use std::net::IpAddr;

use crate::ledger::{Held, Store};
use crate::link::{PodLink, Seen, drift, look};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::spec::{CniError, Config, Interface, Place, PodResult};

/// Compares an attachment with what ADD made.
pub(super) fn check(config: &Config, place: &Place) -> Result<(), CniError> {
    let missing = || CniError::Config("CHECK needs a prevResult".into());
    let made = config.prev_result.as_ref().ok_or_else(missing)?;
    let netns = Netns::open(&place.netns)?;
    let Some(held) = held(config, place)? else {
        return Err(CniError::Drift(vec![format!(
            "{} holds no address",
            place.attachment
        )]));
    };
    let mut wrong = unsaid(&held, made);
    let mut link = wanted(config, held, made);
    let seen = look(&link, &netns, &mut Socket::open()?)?;
    link.mtu = said_interface(made, &link.pod)
        .and_then(|i| i.mtu)
        .unwrap_or_else(|| mtu_of(&seen));
    wrong.extend(drift(&link, &seen));
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(CniError::Drift(wrong))
    }
}

fn held(config: &Config, place: &Place) -> Result<Option<Held>, CniError> {
    let Some(store) = Store::open_existing(&config.state_dir)? else {
        return Ok(None);
    };
    let ledger = store.lock()?.ledger()?;
    Ok(ledger.held_by(&place.attachment).cloned())
}

/// Held addresses that the result does not name.
fn unsaid(held: &Held, made: &PodResult) -> Vec<String> {
    let said = |own: &IpAddr| {
        let mut texts = made
            .ips
            .iter()
            .filter_map(|ip| ip.address.split('/').next());
        texts.any(|text| text.parse() == Ok(*own))
    };
    let unsaid = held.addresses.iter().filter(|own| !said(own));
    unsaid
        .map(|own| format!("{own} is held but not in the prevResult"))
        .collect()
}

/// A plugin after us may have changed the pod's MAC address, and says so in the result.
fn wanted(config: &Config, held: Held, made: &PodResult) -> PodLink {
    let attachment = held.attachment;
    let said = said_interface(made, &attachment.ifname).and_then(|i| i.mac.parse().ok());
    PodLink {
        host: attachment.host_link(),
        host_mac: attachment.host_mac(),
        pod_mac: said.unwrap_or_else(|| attachment.pod_mac()),
        pod: attachment.ifname,
        mtu: 0,
        addresses: held.addresses,
        alias: String::new(),
        protocol: config.route_protocol,
    }
}

fn said_interface<'a>(made: &'a PodResult, name: &str) -> Option<&'a Interface> {
    let mut inside = made.interfaces.iter().filter(|i| !i.sandbox.is_empty());
    inside.find(|interface| interface.name == name)
}

/// Results before 1.1.0 have no MTU: then both ends have to agree.
fn mtu_of(seen: &Seen) -> u32 {
    seen.host.as_ref().map_or(0, |end| end.link.mtu)
}
