//! The socket that listens: what others change in the kernel.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, TokioSocket};
use socket2::{SockFilter, SockRef};

use crate::speaker::{KernelError, Notification};

use super::decode;
use super::request::io_error;
use super::sockopt::force_receive_buffer;
use super::wire::*;

/// Holds about ten thousand notifications: the kernel accounts some 830 bytes
/// for each.
const RECEIVE_BUFFER: i32 = 8 << 20;
const GROUPS: [u32; 9] = [
    RTNLGRP_LINK,
    RTNLGRP_NEIGH,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_NEXTHOP,
    RTNLGRP_IPV4_NETCONF,
    RTNLGRP_IPV6_NETCONF,
];
/// So that a flood of notifications cannot keep the daemon from its other work.
const AT_ONCE: usize = 512;

/// What the kernel told of its own accord.
#[derive(Default)]
pub(super) struct Told {
    pub(super) notifications: Vec<Notification>,
    /// Somebody wrote a sysctl about forwarding.
    pub(super) forwarding: bool,
}

impl Told {
    fn is_empty(&self) -> bool {
        self.notifications.is_empty() && !self.forwarding
    }

    fn take_in(&mut self, datagram: &[u8]) {
        for message in decode::messages(datagram) {
            self.forwarding |= message.kind == RTM_NEWNETCONF;
            self.notifications.extend(decode::notification(&message));
        }
    }
}

pub(super) struct Monitor {
    socket: TokioSocket,
    buffer: Vec<u8>,
}

impl Monitor {
    /// A socket that will listen, except for what the socket `own_port` changes and for routes
    /// of other protocols that take no place of ours.
    pub(super) fn open(own_port: u32, protocol: u8) -> Result<Monitor, KernelError> {
        let open = |step| move |source| KernelError::Open { step, source };
        let mut socket = TokioSocket::new(NETLINK_ROUTE).map_err(open("socket"))?;
        // Without the capability the default buffer serves, with more dumps.
        let _ = force_receive_buffer(&socket, RECEIVE_BUFFER);
        SockRef::from(socket.socket_ref())
            .attach_filter(&filter(own_port, protocol))
            .map_err(open("SO_ATTACH_FILTER"))?;
        socket.socket_mut().bind_auto().map_err(open("bind"))?;
        Ok(Monitor {
            socket,
            buffer: Vec::with_capacity(64 << 10),
        })
    }

    /// From here on no notification is missed.
    pub(super) fn listen(&mut self) -> Result<(), KernelError> {
        for group in GROUPS {
            // Kernels before 5.3 have no nexthop objects, nor their group.
            let joined = self.socket.socket_ref().add_membership(group);
            if group != RTNLGRP_NEXTHOP {
                joined.map_err(io_error("NETLINK_ADD_MEMBERSHIP"))?;
            }
        }
        Ok(())
    }

    /// Waits for notifications and takes what is there, up to a bound.
    pub(super) async fn next(&mut self) -> Result<Told, KernelError> {
        let mut told = Told::default();
        poll_fn(|context| self.poll_take(context, &mut told))
            .await
            .map_err(io_error("monitor"))?;
        Ok(told)
    }

    fn poll_take(&mut self, context: &mut Context<'_>, into: &mut Told) -> Poll<io::Result<()>> {
        while into.notifications.len() < AT_ONCE {
            self.buffer.clear();
            match self.socket.poll_recv(context, &mut self.buffer) {
                Poll::Pending if into.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(Ok(())) => into.take_in(&self.buffer),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    into.notifications.push(Notification::Overrun);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Runs in the kernel for each notification, so that twenty thousand changes
/// of our own, or a full table of somebody else's, do not overrun the socket.
///
/// ```text
///   if nlmsg_pid == own_port: drop
///   if it is a route, not of our protocol, and replaces nothing: drop
///   keep
/// ```
fn filter(own_port: u32, protocol: u8) -> [SockFilter; 11] {
    // A classic BPF load turns network byte order into the host's; netlink
    // headers are in the host's order already.
    let word = own_port.to_be();
    let half = |value: u16| u32::from(value.to_be());
    let load = |width: u32, at: u32| {
        SockFilter::new((libc::BPF_LD | width | libc::BPF_ABS) as u16, 0, 0, at)
    };
    let jump = |test: u32, value: u32, yes: u8, no: u8| {
        SockFilter::new((libc::BPF_JMP | test | libc::BPF_K) as u16, yes, no, value)
    };
    let end = |keep: u32| SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, keep);
    [
        load(libc::BPF_W, 12),
        jump(libc::BPF_JEQ, word, 8, 0),
        load(libc::BPF_H, 4),
        jump(libc::BPF_JEQ, half(RTM_NEWROUTE), 1, 0),
        jump(libc::BPF_JEQ, half(RTM_DELROUTE), 0, 4),
        load(libc::BPF_B, 21),
        jump(libc::BPF_JEQ, u32::from(protocol), 2, 0),
        load(libc::BPF_H, 6),
        jump(libc::BPF_JSET, half(NLM_F_REPLACE), 0, 1),
        end(u32::MAX),
        end(0),
    ]
}
