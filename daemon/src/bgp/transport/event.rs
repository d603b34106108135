//! What a transport tells, and what it is bound to.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bgp::peer::ConnId;
use bgp::rib::PeerId;
use bytes::BytesMut;

use super::dial::DialError;

/// What happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A connection that was asked for has been made.
    Connected {
        /// To whom.
        peer: PeerId,
        /// Its number, never used before.
        conn: ConnId,
        /// Our end.
        local: SocketAddr,
        /// The peer's end.
        remote: SocketAddr,
    },
    /// It could not be made.
    ConnectFailed {
        /// To whom.
        peer: PeerId,
        /// Why.
        why: DialError,
    },
    /// Somebody has connected to us.
    Accepted {
        /// Its number, never used before.
        conn: ConnId,
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// Bytes have come, at least one. Dropped before the next event is asked for, its memory is used again.
    Bytes(ConnId, BytesMut),
    /// The kernel took so many bytes of what was to be sent.
    Sent(ConnId, usize),
    /// The peer has closed the connection, or it broke for this reason. Its number means nothing any longer.
    Closed(ConnId, Option<io::Error>),
}

/// How long and how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long a peer may take to answer when we connect.
    pub(crate) connect: Duration,
    /// How long a connection that is closed may take for what was sent before.
    pub(crate) linger: Duration,
    /// How many may be connected to us who are no guests.
    pub(crate) strangers: usize,
    /// How many connections to us a guest may have.
    pub(crate) of_each_guest: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(5),
            linger: Duration::from_secs(5),
            strangers: 64,
            of_each_guest: 8,
        }
    }
}
