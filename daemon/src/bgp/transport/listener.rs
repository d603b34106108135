//! One listening socket.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};

use ipnetwork::IpNetwork;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::TransportError;
use super::key::{self, Key, KeyError};
use super::manners::prepare;
use super::sockopt::keep_syn;

/// How many may wait to be accepted: all nodes of a large cluster come at once when this one is back.
const WAITING: i32 = 1024;

/// Keys by who uses them.
pub(super) type Keys = BTreeMap<IpNetwork, Key>;

/// A socket that listens, with the keys that the kernel has for it.
pub(super) struct Listener {
    pub(super) at: SocketAddr,
    socket: TcpListener,
    keys: Keys,
}

impl Listener {
    /// Listens; `None` where the kernel does not know the address family and nobody asked for a certain address of it.
    /// The keys are there before the first can connect.
    pub(super) fn open(at: SocketAddr, keys: &Keys) -> Result<Option<Listener>, TransportError> {
        let socket = match bind(at) {
            Ok(socket) => socket,
            Err(error) if is_unknown_family(&error) && at.ip().is_unspecified() => return Ok(None),
            Err(error) => return Err(TransportError::listen(at, error)),
        };
        let mut had = Keys::new();
        // What cannot be put here is tried again with `set_keys`, which tells.
        let _ = change_keys(&socket, &mut had, &of_family(keys, at));
        let listen = || {
            socket.listen(WAITING)?;
            TcpListener::from_std(socket.into())
        };
        let socket = listen().map_err(|error| TransportError::listen(at, error))?;
        Ok(Some(Listener {
            at,
            socket,
            keys: had,
        }))
    }

    /// Puts and removes keys; those who are connected keep the one they came with.
    pub(super) fn set_keys(&mut self, keys: &Keys) -> Result<(), KeyError> {
        let wanted = of_family(keys, self.at);
        change_keys(&self.socket, &mut self.keys, &wanted)
    }

    /// Whether the kernel checks those who come from there.
    pub(super) fn has_key(&self, from: &IpNetwork) -> bool {
        self.keys.contains_key(from)
    }

    pub(super) fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.socket.poll_accept(context)
    }
}

fn bind(at: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(at),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    prepare(&SockRef::from(&socket), at.is_ipv6())?;
    keep_syn(&socket)?;
    socket.bind(&SockAddr::from(at))?;
    Ok(socket)
}

fn is_unknown_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn of_family(keys: &Keys, at: SocketAddr) -> Keys {
    let same = keys
        .iter()
        .filter(|(from, _)| from.is_ipv6() == at.is_ipv6());
    same.map(|(from, key)| (*from, key.clone())).collect()
}

/// Makes `have` what is wanted, as far as the kernel takes it. A key that cannot be put holds up none of the others.
/// Removes last: who goes from the key of a prefix to its own is never without.
fn change_keys(socket: &impl AsRawFd, have: &mut Keys, want: &Keys) -> Result<(), KeyError> {
    let mut result = Ok(());
    for (from, key) in want {
        if have.get(from) != Some(key) {
            match key::put(socket, *from, Some(key)) {
                Ok(()) => drop(have.insert(*from, key.clone())),
                Err(error) => result = result.and(Err(error)),
            }
        }
    }
    let stale: Vec<_> = have
        .keys()
        .filter(|from| !want.contains_key(from))
        .copied()
        .collect();
    for from in stale {
        match key::put(socket, from, None) {
            Ok(()) => drop(have.remove(&from)),
            Err(error) => result = result.and(Err(error)),
        }
    }
    result
}
