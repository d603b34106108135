//! The only netlink speaker: batches out, dumps and notifications in.

pub(crate) mod decode;
mod decode_link;
mod encode;
mod links;
mod monitor;
mod request;
pub(crate) mod sockopt;
mod wire;

use std::fs;
use std::io;

use crate::change::{Change, Refusal};
use crate::entry::{NexthopId, Route, RouteKey};
use crate::link::{Address, Link};
use crate::speaker::{Dump, Interest, Kernel, KernelError, Notification};
use crate::sysctl::Sysctl;

use decode::Nexthop;
use encode::{DumpOf, Messages};
use monitor::Monitor;
use request::Requests;
use wire::*;

/// Messages in one `sendmsg`: more gains nothing, and fewer costs up to half
/// of the rate (measured in `docs/performance.md`).
const BATCH: usize = 128;

/// How to speak to the kernel.
#[derive(Clone, Copy, Debug)]
pub struct NetlinkOptions {
    /// The `rtm_protocol` of our routes and nexthop objects.
    pub protocol: u8,
    /// Use nexthop objects where the kernel has them.
    pub nexthop_objects: bool,
}

/// The kernel of the network namespace in which this was opened.
pub struct Netlink {
    options: NetlinkOptions,
    requests: Requests,
    monitor: Monitor,
}

impl Netlink {
    /// Opens the sockets. Needs a tokio runtime around it.
    pub fn open(options: NetlinkOptions) -> Result<Netlink, KernelError> {
        let requests = Requests::open()?;
        let monitor = Monitor::open(requests.port(), options.protocol)?;
        Ok(Netlink {
            options,
            requests,
            monitor,
        })
    }

    fn dump_nexthops(&mut self, dump: &mut Dump) -> Result<(), KernelError> {
        if !self.options.nexthop_objects {
            return Ok(());
        }
        let read = |m: &decode::Message<'_>| decode::nexthop(m.payload);
        let all: Vec<Nexthop> = match self.requests.dump(DumpOf::Nexthops, read) {
            Err(error) if is_unsupported(&error) => return Ok(()),
            other => other?,
        };
        let mut ours = Vec::new();
        for nexthop in all {
            match nexthop.hop {
                Some(hop) if nexthop.protocol == self.options.protocol => {
                    ours.push((nexthop.id, hop))
                }
                _ => dump.foreign_nexthops.push(nexthop.id),
            }
        }
        dump.nexthops = Some(ours);
        Ok(())
    }

    fn dump_routes(&mut self, interest: &Interest) -> Result<Vec<(RouteKey, Route)>, KernelError> {
        let boot = interest
            .boot_routes
            .then_some(crate::reconcile::PROTOCOL_BOOT);
        let mut routes = Vec::new();
        for protocol in std::iter::once(interest.protocol).chain(boot) {
            for family in [AF_INET, AF_INET6] {
                let read = |m: &decode::Message<'_>| match decode::notification(m)? {
                    Notification::Route { key, route, .. } if route.protocol == protocol => {
                        Some((key, route))
                    }
                    _ => None,
                };
                routes.extend(
                    self.requests
                        .dump(DumpOf::Routes { family, protocol }, read)?,
                );
            }
        }
        Ok(routes)
    }
}

impl Kernel for Netlink {
    fn links(&mut self) -> Result<(Vec<Link>, Vec<Address>), KernelError> {
        let links = self
            .requests
            .dump(DumpOf::Links, |m| match decode::notification(m)? {
                Notification::Link(link) => Some(link),
                _ => None,
            })?;
        let addresses = self
            .requests
            .dump(DumpOf::Addresses, |m| decode_link::link_address(m.payload))?;
        Ok((links, addresses))
    }

    fn dump(&mut self, interest: &Interest) -> Result<Dump, KernelError> {
        let mut dump = Dump::default();
        for link in &interest.links {
            for family in [AF_INET, AF_INET6, AF_BRIDGE] {
                let of = DumpOf::Neighbours {
                    family,
                    link: *link,
                };
                for notification in self.requests.dump(of, decode::notification)? {
                    match notification {
                        Notification::Neighbour(at, ip, mac) if at == *link => {
                            dump.neighbours.push(((at, ip), mac));
                        }
                        Notification::Fdb(at, mac, dst) if at == *link => {
                            dump.fdb.push(((at, mac), dst))
                        }
                        _ => {}
                    }
                }
            }
        }
        self.dump_nexthops(&mut dump)?;
        dump.routes = self.dump_routes(interest)?;
        dump.sysctls = interest
            .sysctls
            .iter()
            .filter_map(|s| Some((s.clone(), read_sysctl(s)?)))
            .collect();
        Ok(dump)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Refusal>, KernelError> {
        let mut batch = Batch {
            protocol: self.options.protocol,
            ..Batch::default()
        };
        for (index, change) in changes.iter().enumerate() {
            if let Change::PutSysctl { sysctl, value } = change {
                batch.flush(&mut self.requests)?;
                batch.refuse_io(index, write_sysctl(sysctl, *value));
                continue;
            }
            batch.add(index, change, &mut self.requests);
            if batch.messages.count() >= BATCH {
                batch.flush(&mut self.requests)?;
            }
        }
        batch.flush(&mut self.requests)?;
        Ok(batch.refusals)
    }

    fn listen(&mut self) -> Result<(), KernelError> {
        self.monitor.listen()
    }

    async fn notifications(&mut self) -> Result<Vec<Notification>, KernelError> {
        self.monitor.next().await
    }
}

/// Changes on their way into one `sendmsg`.
#[derive(Default)]
struct Batch {
    protocol: u8,
    messages: Messages,
    /// For each message, which change it belongs to.
    owners: Vec<usize>,
    refusals: Vec<Refusal>,
}

impl Batch {
    fn add(&mut self, index: usize, change: &Change, requests: &mut Requests) {
        let before = self.messages.count();
        self.encode(change, requests);
        let added = self.messages.count() - before;
        self.owners.extend(std::iter::repeat_n(index, added));
    }

    fn encode(&mut self, change: &Change, requests: &mut Requests) {
        let messages = &mut self.messages;
        let mut raw = |steps: Vec<(u16, u16, Vec<u8>)>| {
            for (kind, flags, payload) in steps {
                messages.raw(kind, flags, requests.next_seq(), &payload);
            }
        };
        match change {
            Change::PutDevice { name, have, want } => {
                return raw(links::steps(name, have.as_ref(), want));
            }
            Change::RemoveDevice { name } => return raw(vec![links::removal(name)]),
            _ => {}
        }
        let seq = requests.next_seq();
        match change {
            Change::PutAddress { link, network } => messages.address(seq, *link, network, true),
            Change::RemoveAddress { link, network } => messages.address(seq, *link, network, false),
            Change::PutNeighbour { link, ip, mac } => {
                messages.neighbour(seq, *link, *ip, Some(*mac))
            }
            Change::RemoveNeighbour { link, ip } => messages.neighbour(seq, *link, *ip, None),
            Change::PutFdb { link, mac, dst } => messages.fdb(seq, *link, *mac, *dst, true),
            Change::RemoveFdb { link, mac, dst } => messages.fdb(seq, *link, *mac, *dst, false),
            Change::PutNexthop { id, hop, replace } => {
                messages.nexthop(seq, *id, hop, (self.protocol, *replace));
            }
            Change::RemoveNexthop { id } => messages.nexthop_removal(seq, NexthopId(id.0)),
            Change::PutRoute {
                key,
                route,
                replace,
            } => messages.route(seq, key, route, *replace),
            Change::RemoveRoute { key, route } => messages.route_removal(seq, key, route),
            Change::PutDevice { .. } | Change::RemoveDevice { .. } | Change::PutSysctl { .. } => {}
        }
    }

    fn flush(&mut self, requests: &mut Requests) -> Result<(), KernelError> {
        for (at, errno, reason) in requests.execute(&mut self.messages)? {
            let index = self.owners[at];
            if self.refusals.last().is_none_or(|last| last.index != index) {
                self.refusals.push(Refusal {
                    index,
                    errno,
                    reason,
                });
            }
        }
        self.messages.clear();
        self.owners.clear();
        Ok(())
    }

    fn refuse_io(&mut self, index: usize, result: io::Result<()>) {
        if let Err(error) = result {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            self.refusals.push(Refusal {
                index,
                errno,
                reason: None,
            });
        }
    }
}

fn is_unsupported(error: &KernelError) -> bool {
    let errno = match error {
        KernelError::Io { source, .. } => source.raw_os_error(),
        KernelError::Open { .. } | KernelError::Unsteady { .. } => None,
    };
    matches!(errno, Some(libc::EOPNOTSUPP | libc::EINVAL))
}

fn read_sysctl(sysctl: &Sysctl) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/sys/{}", sysctl.path())).ok()?;
    text.trim().parse().ok()
}

/// A value that is right already is left alone: `/proc/sys` may be read-only.
fn write_sysctl(sysctl: &Sysctl, value: u32) -> io::Result<()> {
    if read_sysctl(sysctl) == Some(value) {
        return Ok(());
    }
    fs::write(format!("/proc/sys/{}", sysctl.path()), value.to_string())
}
