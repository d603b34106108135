//! ADD: addresses first, then the link, then the result.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::attachment::Attachment;
use crate::ledger::{
    Allotment, Claim, Held, Ledger, Locked, Step, Store, Unmet, seconds_since_boot,
};
use crate::link::{PodLink, Unmade, answer_for, gateway, host_addresses, make, remove};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::spec::{CniError, Interface, Ip, Place, PodResult, Request, Route, Wishes};
use crate::subnet_env::SubnetEnv;

use super::host_local;

/// All that an ADD works with.
struct Adding<'a> {
    request: &'a Request,
    place: &'a Place,
    wishes: &'a Wishes,
    env: SubnetEnv,
    netns: Netns,
    host: Socket,
    store: Store,
    /// Addresses that somebody outside of our state has.
    taken: BTreeSet<IpAddr>,
}

/// Makes an attachment.
pub(super) fn add(
    request: &Request,
    place: &Place,
    wishes: &Wishes,
) -> Result<PodResult, CniError> {
    let config = &request.config;
    let env = SubnetEnv::read(&config.subnet_file).map_err(|why| CniError::NoBlockYet { why })?;
    let mut adding = Adding {
        request,
        place,
        wishes,
        env,
        netns: Netns::open(&place.netns)?,
        host: Socket::open()?,
        store: Store::open(&config.state_dir)?,
        taken: host_local::addresses(&config.host_local_dir),
    };
    match adding.attempt() {
        Err(Unmade::AddressInUse(_)) => {
            // The state was lost, or somebody routes single addresses of our block.
            let in_use = host_addresses(&mut adding.host)?;
            adding.taken.extend(in_use);
            adding
                .attempt()
                .map_err(|(Unmade::AddressInUse(error) | Unmade::Failed(error))| error)
        }
        Err(Unmade::Failed(error)) => Err(error),
        Ok(result) => Ok(result),
    }
}

impl Adding<'_> {
    /// Until this returns, the record is locked: nobody takes it for what a killed call left.
    fn attempt(&mut self) -> Result<PodResult, Unmade> {
        let (held, _claim) = self.claim()?;
        let link = self.link(&held);
        match self.make(&link) {
            Ok(()) => Ok(self.result(&link)),
            Err(unmade) => {
                // No packet was ever sent from these addresses: they need no rest.
                self.store.lock()?.carry_out(&[Step::Remove(held.name())])?;
                Err(unmade)
            }
        }
    }

    /// Answers for an address that nobody has yet are not given.
    fn make(&mut self, link: &PodLink) -> Result<(), Unmade> {
        answer_for(&link.addresses, &self.env.blocks, &mut self.host)?;
        make(link, &self.netns, &mut self.host)
    }

    /// Takes addresses for the attachment.
    fn claim(&mut self) -> Result<(Held, Claim), CniError> {
        let locked = self.store.lock()?;
        let (now, rest) = (seconds_since_boot(), self.request.config.rest().as_secs());
        let mut ledger = locked.ledger()?;
        if let Some(held) = ledger.held_by(&self.place.attachment) {
            clear_what_a_killed_call_left(&locked, held, &mut self.host)?;
            ledger = locked.ledger()?;
        }
        let need = Allotment {
            blocks: &self.env.blocks,
            wanted: &self.wishes.ips,
            taken: &self.taken,
            rest,
            now,
        };
        let mut allotted = ledger.allot(&need);
        if let Err(Unmet::Exhausted(_)) = allotted {
            release_what_has_no_link(&locked, &ledger, &mut self.host)?;
            ledger = locked.ledger()?;
            allotted = ledger.allot(&need);
        }
        let held = Held {
            attachment: self.place.attachment.clone(),
            addresses: allotted.map_err(|unmet| explain(unmet, &ledger))?,
        };
        let claim = locked.claim(&held)?;
        locked.carry_out(&ledger.after_claim(&held, rest, now))?;
        Ok((held, claim))
    }

    fn link(&self, held: &Held) -> PodLink {
        let (attachment, config) = (&self.place.attachment, &self.request.config);
        PodLink {
            host: attachment.host_link(),
            pod: attachment.ifname.clone(),
            host_mac: attachment.host_mac(),
            pod_mac: self.wishes.mac.unwrap_or_else(|| attachment.pod_mac()),
            mtu: config.mtu.unwrap_or(self.env.mtu),
            addresses: held.addresses.clone(),
            alias: self.wishes.alias.clone(),
            protocol: config.route_protocol,
        }
    }

    /// What a plugin before us made, and what we made.
    fn result(&self, link: &PodLink) -> PodResult {
        let config = &self.request.config;
        let empty = || PodResult::empty(self.request.version, &config.dns);
        let mut result = config.prev_result.clone().unwrap_or_else(empty);
        let sandbox = self.place.netns.display().to_string();
        result
            .interfaces
            .push(interface(&link.host, link, String::new()));
        result.interfaces.push(interface(&link.pod, link, sandbox));
        let inside = result.interfaces.len() - 1;
        for own in &link.addresses {
            let length = if own.is_ipv4() { 32 } else { 128 };
            result.ips.push(Ip {
                address: format!("{own}/{length}"),
                gateway: Some(gateway(*own)),
                interface: Some(inside),
            });
            result.routes.push(Route {
                dst: if own.is_ipv4() { "0.0.0.0/0" } else { "::/0" }.into(),
                gw: Some(gateway(*own)),
                more: serde_json::Map::new(),
            });
        }
        result
    }
}

fn interface(name: &str, link: &PodLink, sandbox: String) -> Interface {
    let mac = if sandbox.is_empty() {
        link.host_mac
    } else {
        link.pod_mac
    };
    Interface {
        name: name.into(),
        mac: mac.to_string(),
        mtu: Some(link.mtu),
        sandbox,
        socket_path: None,
        pci_id: None,
    }
}

/// A record of the same attachment is that of a killed call, unless its link is whole.
fn clear_what_a_killed_call_left(
    locked: &Locked<'_>,
    held: &Held,
    host: &mut Socket,
) -> Result<(), CniError> {
    let Attachment { ifname, .. } = &held.attachment;
    if locked.take_over(held)?.is_none() {
        return Err(CniError::Busy(held.attachment.to_string()));
    }
    let name = held.attachment.host_link();
    if host.link(&name)?.is_some_and(|link| link.alias.is_some()) {
        return Err(CniError::InterfaceExists {
            ifname: ifname.clone(),
        });
    }
    remove(host, &name)?;
    locked.carry_out(&Ledger::release(held, seconds_since_boot()))
}

/// A pod without its link is gone, whoever forgot to say so.
fn release_what_has_no_link(
    locked: &Locked<'_>,
    ledger: &Ledger,
    host: &mut Socket,
) -> Result<(), CniError> {
    for held in &ledger.held {
        let has_link = host.link(&held.attachment.host_link())?.is_some();
        if !has_link && locked.take_over(held)?.is_some() {
            locked.carry_out(&Ledger::release(held, seconds_since_boot()))?;
        }
    }
    Ok(())
}

fn explain(unmet: Unmet, ledger: &Ledger) -> CniError {
    match unmet {
        Unmet::Exhausted(block) => CniError::Exhausted {
            block,
            held: ledger.held.len(),
        },
        Unmet::Resting(block, seconds) => CniError::Resting { block, seconds },
        Unmet::Unavailable(address, why) => CniError::AddressUnavailable { address, why },
    }
}
