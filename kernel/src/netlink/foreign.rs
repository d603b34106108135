//! The socket that listens to routes of others, and only for whether there were
//! any.
//!
//! Its buffer holds a handful of notifications. What comes beyond that is dropped
//! by the kernel at once, which tells the same: somebody who adds a hundred
//! thousand routes costs one look each [`PAUSE`].

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, TokioSocket};
use socket2::{SockFilter, SockRef};
use tokio::time::{Instant, sleep_until};

use crate::speaker::{KernelError, Notification};

use super::request::io_error;
use super::wire::*;

/// From one telling to the next at least.
const PAUSE: Duration = Duration::from_millis(100);
/// The kernel makes it some 2 KiB.
const RECEIVE_BUFFER: usize = 1;
/// Whoever writes as fast as we read does not keep us here.
const AT_ONCE: usize = 64;

pub(super) struct ForeignRoutes {
    socket: TokioSocket,
    protocol: u8,
    buffer: Vec<u8>,
    /// Something was heard that has not been told.
    heard: bool,
    quiet_until: Instant,
}

impl ForeignRoutes {
    /// Hears from here on of routes of other protocols than `protocol`.
    pub(super) fn listen(protocol: u8) -> Result<ForeignRoutes, KernelError> {
        let open = |step| move |source| KernelError::Open { step, source };
        let mut socket = TokioSocket::new(NETLINK_ROUTE).map_err(open("socket"))?;
        let options = SockRef::from(socket.socket_ref());
        options
            .set_recv_buffer_size(RECEIVE_BUFFER)
            .map_err(open("SO_RCVBUF"))?;
        options
            .attach_filter(&filter(protocol))
            .map_err(open("SO_ATTACH_FILTER"))?;
        socket.socket_mut().bind_auto().map_err(open("bind"))?;
        for group in [RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE] {
            let joined = socket.socket_ref().add_membership(group);
            joined.map_err(io_error("NETLINK_ADD_MEMBERSHIP"))?;
        }
        Ok(ForeignRoutes {
            socket,
            protocol,
            buffer: Vec::with_capacity(4 << 10),
            heard: false,
            quiet_until: Instant::now(),
        })
    }

    /// Routes go in silence with addresses, links and nexthops, so these count,
    /// too.
    pub(super) fn hear(&mut self, told: &[Notification]) {
        let takes_routes = |notification: &Notification| match notification {
            Notification::Link(_)
            | Notification::LinkGone(_)
            | Notification::Address(_)
            | Notification::AddressGone(_)
            | Notification::NexthopGone(_)
            | Notification::Overrun => true,
            Notification::Nexthop(_, _, protocol) => *protocol != self.protocol,
            _ => false,
        };
        self.heard |= told.iter().any(takes_routes);
    }

    /// Waits until there was something and it is time to tell of it. Dropping the
    /// future loses nothing.
    pub(super) async fn told(&mut self) -> Result<(), KernelError> {
        sleep_until(self.quiet_until).await;
        poll_fn(|context| self.poll_drain(context))
            .await
            .map_err(io_error("foreign routes"))?;
        self.heard = false;
        self.quiet_until = Instant::now() + PAUSE;
        Ok(())
    }

    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..AT_ONCE {
            self.buffer.clear();
            match self.socket.poll_recv(context, &mut self.buffer) {
                Poll::Pending if self.heard => break,
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => self.heard = true,
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.heard = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Runs in the kernel for each route that somebody changes.
///
/// ```text
///   if it is of our protocol: drop
///   if it is in the table local: drop; addresses tell of those
///   keep
/// ```
fn filter(protocol: u8) -> [SockFilter; 6] {
    let load = |at: u32| {
        let code = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
        SockFilter::new(code as u16, 0, 0, at)
    };
    let drop_if = |value: u8, way: u8| {
        let code = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        SockFilter::new(code as u16, way, 0, u32::from(value))
    };
    let end = |keep: u32| SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, keep);
    [
        load(21),
        drop_if(protocol, 3),
        load(20),
        drop_if(RT_TABLE_LOCAL, 1),
        end(u32::MAX),
        end(0),
    ]
}
