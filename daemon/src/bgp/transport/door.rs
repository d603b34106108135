//! Connections that others make: where they may knock, and who is let in.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use ipnetwork::IpNetwork;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::TransportError;
use super::key::Key;
use super::listener::{Keys, Listener};
use super::manners::Ttl;
use super::places::Places;

/// Where we listen, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Door {
    /// TCP port; 0: closed.
    pub(crate) port: u16,
    /// Local addresses; see [`ANYWHERE`].
    pub(crate) addresses: Vec<IpAddr>,
    /// Peers and ranges of peers. Somebody else is let in, too, to be told that he is no peer.
    pub(crate) guests: Vec<Guest>,
}

/// Every local address. A kernel without IPv6 listens to IPv4 only.
pub(crate) const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    IpAddr::V6(Ipv6Addr::UNSPECIFIED),
];

/// Somebody who may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guest {
    /// From where. The longest prefix counts; the kernel finds keys alike, so that a guest without a key is not heard within
    /// the prefix of one that has a key.
    pub(crate) from: IpNetwork,
    /// What segments are signed with.
    pub(crate) key: Option<Key>,
    /// How far he may be away.
    pub(crate) ttl: Ttl,
}

/// Somebody who was let in.
pub(super) struct Caller {
    pub(super) stream: TcpStream,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) place: OwnedSemaphorePermit,
}

/// How long nobody is let in when the kernel has no room for another socket.
const REST: Duration = Duration::from_secs(1);

/// The door as it is.
pub(super) struct Porter {
    listeners: Vec<Listener>,
    guests: Vec<Guest>,
    places: Places,
    turned_away: u64,
    is_full: bool,
    rests_until: Option<Instant>,
}

/// Somebody who has connected to one of the listeners.
struct Knock {
    listener: usize,
    stream: TcpStream,
    remote: SocketAddr,
}

impl Porter {
    pub(super) fn new(places: Places) -> Porter {
        Porter {
            listeners: Vec::new(),
            guests: Vec::new(),
            places,
            turned_away: 0,
            is_full: false,
            rests_until: None,
        }
    }

    /// Makes the door what is asked for, as far as possible; the first thing that was not possible is told, and tried again
    /// the next time.
    pub(super) fn open(&mut self, door: &Door) -> Result<(), TransportError> {
        let at = |address: &IpAddr| SocketAddr::new(*address, door.port);
        let mut wanted: Vec<_> = door.addresses.iter().map(at).collect();
        wanted.retain(|at| at.port() != 0);
        let keys = keys_of(&door.guests);
        self.guests.clone_from(&door.guests);
        self.listeners
            .retain(|listener| wanted.contains(&listener.at));
        let mut result = Ok(());
        for at in wanted {
            result = result.and(self.listen(at, &keys));
        }
        for listener in &mut self.listeners {
            result = result.and(listener.set_keys(&keys).map_err(TransportError::from));
        }
        result
    }

    fn listen(&mut self, at: SocketAddr, keys: &Keys) -> Result<(), TransportError> {
        if self.listeners.iter().all(|listener| listener.at != at) {
            self.listeners.extend(Listener::open(at, keys)?);
        }
        Ok(())
    }

    /// How many connections were closed at once: there were too many, they came from too far, or a key could not be put.
    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away
    }

    /// The next one who is let in.
    pub(super) async fn caller(&mut self) -> Caller {
        loop {
            if let Some(until) = self.rests_until {
                sleep_until(until).await;
                self.rests_until = None;
            }
            match poll_fn(|context| self.poll_accept(context)).await {
                Ok(knock) => match self.admit(knock) {
                    Some(caller) => return caller,
                    None => self.turned_away += 1,
                },
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => self.rest(&error),
            }
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Knock>> {
        for (listener, door) in self.listeners.iter().enumerate() {
            if let Poll::Ready(came) = door.poll_accept(context) {
                return Poll::Ready(came.map(|(stream, remote)| Knock {
                    listener,
                    stream,
                    remote,
                }));
            }
        }
        Poll::Pending
    }

    /// Without room for another socket, asking again at once would only burn a CPU.
    fn rest(&mut self, error: &io::Error) {
        if !self.is_full {
            warn!("cannot accept BGP connections: {error}; trying again each second");
        }
        self.is_full = true;
        self.rests_until = Some(Instant::now() + REST);
    }

    fn admit(&mut self, knock: Knock) -> Option<Caller> {
        self.is_full = false;
        let Knock {
            listener,
            stream,
            remote,
        } = knock;
        let guest = find(&self.guests, remote.ip());
        let place = self.places.take(guest.map(|_| remote.ip()))?;
        if let Some(guest) = guest {
            if guest.key.is_some() && !self.listeners[listener].has_key(&whole(guest.from)) {
                return None;
            }
            let socket = SockRef::from(&stream);
            guest.ttl.put(&socket, remote.is_ipv6()).ok()?;
            if !guest.ttl.lets_in(&socket).ok()? {
                return None;
            }
        }
        let local = stream.local_addr().ok()?;
        Some(Caller {
            stream,
            local,
            remote,
            place,
        })
    }
}

/// Who comes from there, as precisely as it is known.
fn find(guests: &[Guest], address: IpAddr) -> Option<&Guest> {
    let fitting = guests.iter().filter(|guest| guest.from.contains(address));
    fitting.max_by_key(|guest| guest.from.prefix())
}

/// Of two that are alike the last counts, as in [`find`].
fn keys_of(guests: &[Guest]) -> Keys {
    let all = guests.iter().map(|guest| (whole(guest.from), &guest.key));
    let last: BTreeMap<_, _> = all.collect();
    last.into_iter()
        .filter_map(|(from, key)| Some((from, key.clone()?)))
        .collect()
}

/// The network without the bits of a host in it, which would make two of one.
fn whole(network: IpNetwork) -> IpNetwork {
    IpNetwork::new(network.network(), network.prefix()).unwrap_or(network)
}
