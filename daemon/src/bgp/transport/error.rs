//! What can be wrong with the door.

use std::io;
use std::net::SocketAddr;

use super::key::KeyError;

/// The door is not open as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// The port is taken.
    #[error(
        "another program has {0}, perhaps another BGP speaker (BIRD, FRR); stop it, or set `port` of [bgp] to another \
         number on all nodes, or to 0 to not listen"
    )]
    Occupied(SocketAddr),
    /// Ports below 1024 are not for everybody.
    #[error(
        "may not listen on {0}: give the daemon the capability CAP_NET_BIND_SERVICE, or set `port` of [bgp] above 1023"
    )]
    Forbidden(SocketAddr),
    /// No link has the address.
    #[error("cannot listen on {0}: it is no address of this node")]
    NotOurs(SocketAddr),
    /// Anything else about listening.
    #[error("cannot listen on {at}: {source}")]
    Listen {
        /// Where.
        at: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A peer's key; the peer is turned away until it can be used.
    #[error("{0}; it is not let in")]
    Key(#[from] KeyError),
}

impl TransportError {
    pub(super) fn listen(at: SocketAddr, source: io::Error) -> TransportError {
        match source.raw_os_error() {
            Some(libc::EADDRINUSE) => TransportError::Occupied(at),
            Some(libc::EACCES) => TransportError::Forbidden(at),
            Some(libc::EADDRNOTAVAIL) => TransportError::NotOurs(at),
            _ => TransportError::Listen { at, source },
        }
    }
}
