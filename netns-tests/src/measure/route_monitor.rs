//! Hears of every IPv4 route of Twill's that a kernel takes, at the moment when it does.

use lab::{LabError, Namespace};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use std::io;
use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

const RTMGRP_IPV4_ROUTE: u32 = 0x40;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTA_DST: u16 = 1;
const PROTOCOL: u8 = 84;
const UNICAST: u8 = 1;

/// A route that came or went.
#[derive(Debug, Clone, Copy)]
pub struct RouteEvent {
    /// When we heard of it.
    pub at: Instant,
    /// Its destination.
    pub block: Ipv4Addr,
    /// Whether it came.
    pub installed: bool,
}

/// Listens on a thread of its own, which ends with the process.
pub struct RouteMonitor(Receiver<RouteEvent>);

impl RouteMonitor {
    /// Starts to listen; no route that comes after this is missed.
    pub fn open(namespace: &Namespace) -> Result<Self, LabError> {
        let what = || format!("listen for routes in {}", namespace.label());
        let opened = namespace.run(|| -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.set_rx_buf_sz(4 << 20)?;
            socket.bind(&SocketAddr::new(0, RTMGRP_IPV4_ROUTE))?;
            Ok(socket)
        })?;
        let socket = opened.map_err(|source| LabError::System {
            what: what(),
            source,
        })?;
        let (events, queue) = channel();
        thread::spawn(move || {
            while let Ok((datagram, _)) = socket.recv_from_full() {
                let at = Instant::now();
                let heard = messages(&datagram).filter_map(|message| event(message, at));
                if heard
                    .map(|event| events.send(event))
                    .any(|sent| sent.is_err())
                {
                    return;
                }
            }
        });
        Ok(Self(queue))
    }

    /// The next event; `None` after `patience`.
    pub fn next(&self, patience: Duration) -> Option<RouteEvent> {
        self.0.recv_timeout(patience).ok()
    }

    /// When this route came (or went); `None` after `patience`.
    pub fn heard_of(
        &self,
        block: Ipv4Addr,
        installed: bool,
        patience: Duration,
    ) -> Option<Instant> {
        let deadline = Instant::now() + patience;
        loop {
            let event = self.next(deadline.saturating_duration_since(Instant::now()))?;
            if event.block == block && event.installed == installed {
                return Some(event.at);
            }
        }
    }
}

fn messages(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let len = u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let message = rest.get(..len).filter(|message| message.len() >= 28)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// `struct nlmsghdr`, `struct rtmsg`, attributes.
fn event(message: &[u8], at: Instant) -> Option<RouteEvent> {
    let kind = u16::from_ne_bytes([message[4], message[5]]);
    let installed = match kind {
        RTM_NEWROUTE => true,
        RTM_DELROUTE => false,
        _ => return None,
    };
    let route = &message[16..28];
    if route[5] != PROTOCOL || route[7] != UNICAST {
        return None;
    }
    let mut rest = &message[28..];
    while rest.len() >= 4 {
        let len = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        if u16::from_ne_bytes([rest[2], rest[3]]) == RTA_DST {
            let octets: [u8; 4] = rest.get(4..8)?.try_into().ok()?;
            return Some(RouteEvent {
                at,
                block: octets.into(),
                installed,
            });
        }
        rest = rest
            .get(len.max(4).next_multiple_of(4)..)
            .unwrap_or_default();
    }
    None
}
