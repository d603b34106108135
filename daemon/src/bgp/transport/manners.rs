//! How the packets of a connection look.

use std::io;

use socket2::Socket;

use super::sockopt::{set_least_ttl, syn_ttl};

/// How far packets go, and from how far they may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ttl {
    /// Ours go out with this TTL (hop limit).
    Hops(u8),
    /// Ours go out with 255, and the peer's are heard if they crossed fewer routers than this, which is 1 for a neighbour
    /// on the link (GTSM, RFC 5082).
    Security(u8),
}

/// Internetwork control (RFC 4271 section 1 of appendix E; RFC 2474): DSCP CS6.
const CS6: u32 = 0xc0;

/// Sets what does not depend on the peer: priority, no waiting for more to send, and the TTL that a peer with GTSM needs to
/// see in our very first packet.
pub(super) fn prepare(socket: &Socket, ipv6: bool) -> io::Result<()> {
    if ipv6 {
        socket.set_tclass_v6(CS6)?;
    } else {
        socket.set_tos_v4(CS6)?;
    }
    socket.set_tcp_nodelay(true)?;
    set_ttl(socket, ipv6, u8::MAX)
}

impl Ttl {
    /// Sets it on a socket.
    pub(super) fn put(self, socket: &Socket, ipv6: bool) -> io::Result<()> {
        match self {
            Ttl::Hops(hops) => set_ttl(socket, ipv6, hops),
            Ttl::Security(hops) => {
                set_ttl(socket, ipv6, u8::MAX)?;
                set_least_ttl(socket, ipv6, least(hops))
            }
        }
    }

    /// Whether the first packet of an accepted connection came from no further than it may. What came with it and after it
    /// is heard before [`put`](Self::put) can keep it out.
    pub(super) fn lets_in(self, socket: &Socket) -> io::Result<bool> {
        match self {
            Ttl::Hops(_) => Ok(true),
            Ttl::Security(hops) => Ok(syn_ttl(socket)?.is_some_and(|ttl| ttl >= least(hops))),
        }
    }
}

/// The lowest TTL that a packet has left after it came over so many hops.
fn least(hops: u8) -> u8 {
    u8::MAX - hops.saturating_sub(1)
}

fn set_ttl(socket: &Socket, ipv6: bool, ttl: u8) -> io::Result<()> {
    if ipv6 {
        socket.set_unicast_hops_v6(ttl.into())
    } else {
        socket.set_ttl_v4(ttl.into())
    }
}
