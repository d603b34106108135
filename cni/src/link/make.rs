//! Makes and removes a pod's link in the kernel.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use crate::netlink::{Answer, Attrs, LinkView, Message, Refusal, Socket, address, wire::*};
use crate::netns::Netns;
use crate::spec::CniError;
use crate::sysctl;

use super::plan::{self, PodLink};

/// Why a link was not made. What was made of it is removed.
#[derive(Debug)]
pub(crate) enum Unmade {
    /// Something outside of our state has a route to one of the addresses.
    AddressInUse(CniError),
    /// Anything else.
    Failed(CniError),
}

impl From<CniError> for Unmade {
    fn from(error: CniError) -> Unmade {
        Unmade::Failed(error)
    }
}

/// Makes both ends of the link with all that belongs to them, or nothing.
pub(crate) fn make(link: &PodLink, netns: &Netns, host: &mut Socket) -> Result<(), Unmade> {
    let mut pod = netns.run(Socket::open)??;
    create(link, netns, (&mut pod, host))?;
    let made = equip(link, netns, (&mut pod, host));
    if made.is_err() {
        // The first error is what the operator has to read; DEL removes what may be left.
        let _ = remove(host, &link.host);
    }
    made
}

/// A link of this name on the node is what a killed call left: its name belongs to this one attachment.
fn create(
    link: &PodLink,
    netns: &Netns,
    (pod, host): (&mut Socket, &mut Socket),
) -> Result<(), CniError> {
    let creation = [link.creation(netns.host().as_raw_fd())];
    let Some(refusal) = pod.execute(&creation)? else {
        return Ok(());
    };
    if !refusal.is(libc::EEXIST) {
        return Err(refusal.into());
    }
    if pod.link(&link.pod)?.is_some() && host.link(&link.host)?.is_none() {
        return Err(exists(link));
    }
    remove(host, &link.host)?;
    match pod.execute(&creation)? {
        None => Ok(()),
        Some(refusal) if refusal.is(libc::EEXIST) => Err(exists(link)),
        Some(refusal) => Err(refusal.into()),
    }
}

fn exists(link: &PodLink) -> CniError {
    CniError::InterfaceExists {
        ifname: link.pod.clone(),
    }
}

fn equip(
    link: &PodLink,
    netns: &Netns,
    (pod, host): (&mut Socket, &mut Socket),
) -> Result<(), Unmade> {
    let vanished = || CniError::NoSuchPod(format!("the link {}", link.pod).into());
    let inside = pod.link(&link.pod)?.ok_or_else(vanished)?;
    if link.has_v6() {
        netns.run(|| sysctl::enable_ipv6(&link.pod))??;
        sysctl::enable_ipv6(&link.host)?;
    }
    if let Some(refusal) = pod.execute(&link.pod_side(inside.index))? {
        return Err(CniError::from(refusal).into());
    }
    for own in &link.addresses {
        sysctl::forward(&link.host, *own)?;
    }
    let index = inside.peer.ok_or_else(vanished)?;
    match host.execute(&link.host_side(index))? {
        None => Ok(()),
        Some(refusal) => Err(judge(refusal)),
    }
}

/// Of all that the node's side consists of, only a route can be there before.
fn judge(refusal: Refusal) -> Unmade {
    let in_use = refusal.is(libc::EEXIST);
    let error = CniError::from(refusal);
    if in_use {
        Unmade::AddressInUse(error)
    } else {
        Unmade::Failed(error)
    }
}

/// Removes the link of that name on the node, if it is there.
pub(crate) fn remove(host: &mut Socket, name: &str) -> Result<(), CniError> {
    match host.execute(&[plan::removal(name)])? {
        Some(refusal) if !refusal.is(libc::ENODEV) => Err(refusal.into()),
        _ => Ok(()),
    }
}

/// The veth links on the node whose names start so.
pub(crate) fn stray_links(host: &mut Socket, prefix: &str) -> Result<BTreeSet<String>, CniError> {
    let mut question = Message::new(RTM_GETLINK, 0, "to list links");
    question.link_header(0, 0);
    let links = host
        .dump(&question, |answer| LinkView::read(answer.payload))?
        .into_iter();
    let ours =
        links.filter(|link| link.kind.as_deref() == Some("veth") && link.name.starts_with(prefix));
    Ok(ours.map(|link| link.name).collect())
}

/// The single addresses that the node has routes to.
pub(crate) fn host_addresses(host: &mut Socket) -> Result<BTreeSet<IpAddr>, CniError> {
    let mut all = BTreeSet::new();
    for family in [AF_INET, AF_INET6] {
        let mut question = Message::new(RTM_GETROUTE, 0, "to list routes");
        question.put(&[family, 0, 0, 0, RT_TABLE_MAIN, 0, 0, 0, 0, 0, 0, 0]);
        all.extend(host.dump(&question, single_address)?);
    }
    Ok(all)
}

fn single_address(answer: &Answer<'_>) -> Option<IpAddr> {
    let (kind, length) = (answer.payload.first()?, answer.payload.get(1)?);
    let mut attrs = Attrs(answer.payload.get(12..)?);
    let to = attrs
        .find(|(kind, _)| *kind == RTA_DST)
        .and_then(|(_, value)| address(value))?;
    (*kind == family(to) && *length == host_length(to)).then_some(to)
}
