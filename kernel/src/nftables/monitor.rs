//! The socket that listens: what others change in nftables.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{AsyncSocket, TokioSocket};
use socket2::{SockFilter, SockRef};

use crate::netlink::decode::{self, Message};
use crate::netlink::sockopt::force_receive_buffer;

use super::decode::table;
use super::error::NfTablesError;
use super::firewall::TableName;
use super::forward::concerns_forwarding;
use super::socket::io_error;
use super::wire::*;

const RECEIVE_BUFFER: i32 = 1 << 20;
/// So that a flood of notifications cannot keep the daemon from its other work.
const DATAGRAMS_AT_ONCE: usize = 64;

/// Something in nftables that somebody else changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum NfTablesNotification {
    /// Our table, or something in it: see how it differs, or replace it.
    Table,
    /// A chain `FORWARD` of iptables: open it again.
    Forward,
    /// The kernel said more than we could take in: both may have changed.
    Overrun,
}

pub(super) struct Monitor {
    socket: TokioSocket,
    buffer: Vec<u8>,
    table: TableName,
}

impl Monitor {
    /// Listens, except for what the socket `own_port` changes.
    pub(super) fn open(own_port: u32, table: TableName) -> Result<Monitor, NfTablesError> {
        let open = |step| move |source| NfTablesError::Open { step, source };
        let mut socket = TokioSocket::new(NETLINK_NETFILTER).map_err(open("socket"))?;
        // Without the capability the default buffer serves, with more overruns.
        let _ = force_receive_buffer(&socket, RECEIVE_BUFFER);
        SockRef::from(socket.socket_ref())
            .attach_filter(&filter(own_port))
            .map_err(open("SO_ATTACH_FILTER"))?;
        socket.socket_mut().bind_auto().map_err(open("bind"))?;
        socket
            .socket_ref()
            .add_membership(NFNLGRP_NFTABLES)
            .map_err(open("NETLINK_ADD_MEMBERSHIP"))?;
        Ok(Monitor {
            socket,
            buffer: Vec::with_capacity(64 << 10),
            table,
        })
    }

    /// Waits until something that concerns us changes; each kind at most once.
    pub(super) async fn next(&mut self) -> Result<Vec<NfTablesNotification>, NfTablesError> {
        let mut notifications = Vec::new();
        while notifications.is_empty() {
            poll_fn(|context| self.poll_take(context, &mut notifications))
                .await
                .map_err(io_error("monitor"))?;
        }
        notifications.sort_unstable();
        notifications.dedup();
        Ok(notifications)
    }

    fn poll_take(
        &mut self,
        context: &mut Context<'_>,
        into: &mut Vec<NfTablesNotification>,
    ) -> Poll<io::Result<()>> {
        for taken in 0..DATAGRAMS_AT_ONCE {
            self.buffer.clear();
            match self.socket.poll_recv(context, &mut self.buffer) {
                Poll::Pending if taken == 0 => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(Ok(())) => {
                    let messages = decode::messages(&self.buffer);
                    into.extend(messages.filter_map(|m| notification(&m, &self.table)));
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    into.push(NfTablesNotification::Overrun);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn notification(message: &Message<'_>, ours: &TableName) -> Option<NfTablesNotification> {
    let (family, name) = table(message)?;
    if family == NFPROTO_INET && name == ours.as_str() {
        return Some(NfTablesNotification::Table);
    }
    concerns_forwarding(message).then_some(NfTablesNotification::Forward)
}

/// Runs in the kernel for each datagram, which holds messages of one
/// transaction only.
///
/// ```text
///   if nlmsg_pid == own_port: drop
///   if it says that a transaction ended: drop
///   keep
/// ```
fn filter(own_port: u32) -> [SockFilter; 6] {
    // A classic BPF load turns network byte order into the host's; netlink
    // headers are in the host's order already.
    let load = |width: u32, at: u32| {
        SockFilter::new((libc::BPF_LD | width | libc::BPF_ABS) as u16, 0, 0, at)
    };
    let equal = |value: u32, yes: u8, no: u8| {
        SockFilter::new(
            (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            yes,
            no,
            value,
        )
    };
    let end = |keep: u32| SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, keep);
    [
        load(libc::BPF_W, 12),
        equal(own_port.to_be(), 3, 0),
        load(libc::BPF_H, 4),
        equal(u32::from(NEWGEN.to_be()), 1, 0),
        end(u32::MAX),
        end(0),
    ]
}
