//! Connections that we make.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnetwork::IpNetwork;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::key::{self, Key, KeyError};
use super::manners::{Ttl, prepare};
use super::sockopt::choose_port_late;

/// How a peer is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialing {
    /// The peer's address and port.
    pub(crate) remote: SocketAddr,
    /// Our address; none: the kernel chooses.
    pub(crate) source: Option<IpAddr>,
    /// How far it may be away.
    pub(crate) ttl: Ttl,
    /// What segments are signed with.
    pub(crate) key: Option<Key>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// Nothing came back.
    #[error(
        "{remote} did not answer within {} s: it is away, something drops the packets, or the passwords differ",
        after.as_secs_f32()
    )]
    NoAnswer {
        /// Who was asked.
        remote: SocketAddr,
        /// For how long.
        after: Duration,
    },
    /// Our own address cannot be used.
    #[error(
        "cannot connect to {remote} from {source_address}: {source}; `source` has to be an address of this node"
    )]
    Source {
        /// To whom.
        remote: SocketAddr,
        /// Our address.
        source_address: IpAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Anything else, as a refusal.
    #[error("cannot connect to {remote}: {source}")]
    Failed {
        /// To whom.
        remote: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A connection that we made.
pub(super) struct Dialed {
    pub(super) stream: TcpStream,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

impl Dialing {
    /// Connects, or gives up after some time.
    pub(super) async fn dial(self, patience: Duration) -> Result<Dialed, DialError> {
        let remote = self.remote;
        let failed = |source| DialError::Failed { remote, source };
        let socket = self.socket().map_err(failed)?;
        if let Some(source) = self.source {
            bind(&socket, source).map_err(|error| DialError::Source {
                remote,
                source_address: source,
                source: error,
            })?;
        }
        if self.key.is_some() {
            key::put(&socket, IpNetwork::from(remote.ip()), self.key.as_ref())?;
        }
        let connecting = TcpSocket::from_std_stream(socket.into()).connect(remote);
        let no_answer = |_| DialError::NoAnswer {
            remote,
            after: patience,
        };
        let stream = timeout(patience, connecting)
            .await
            .map_err(no_answer)?
            .map_err(failed)?;
        let local = stream.local_addr().map_err(failed)?;
        Ok(Dialed {
            stream,
            local,
            remote,
        })
    }

    fn socket(&self) -> io::Result<Socket> {
        let domain = Domain::for_address(self.remote);
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        prepare(&SockRef::from(&socket), self.remote.is_ipv6())?;
        self.ttl
            .put(&SockRef::from(&socket), self.remote.is_ipv6())?;
        Ok(socket)
    }
}

fn bind(socket: &Socket, source: IpAddr) -> io::Result<()> {
    choose_port_late(socket)?;
    socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))
}
