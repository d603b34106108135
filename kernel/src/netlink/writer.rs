//! Changes, in batches.

use std::io;

use crate::change::{Change, Refusal};
use crate::entry::NexthopId;
use crate::speaker::KernelError;

use super::encode::Messages;
use super::links;
use super::request::Requests;
use super::sysctls;

/// Messages in one `sendmsg`: more gains nothing, and fewer costs up to half
/// of the rate (measured in `docs/performance.md`).
const BATCH: usize = 128;

/// Carries out changes.
pub(super) struct Writer {
    protocol: u8,
    requests: Requests,
}

impl Writer {
    pub(super) fn new(protocol: u8, requests: Requests) -> Writer {
        Writer { protocol, requests }
    }

    /// Carries out the changes in order. One that is refused stops none of the
    /// others.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<Vec<Refusal>, KernelError> {
        let mut batch = Batch {
            protocol: self.protocol,
            ..Batch::default()
        };
        for (index, change) in changes.iter().enumerate() {
            if let Change::PutSysctl { sysctl, value } = change {
                batch.flush(&mut self.requests)?;
                batch.refuse_io(index, sysctls::write(sysctl, *value));
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
                return raw(links::steps(name, have.as_deref(), want));
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
            Change::PutNexthop {
                id,
                nexthop,
                replace,
            } => messages.nexthop(seq, *id, nexthop, (self.protocol, *replace)),
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
