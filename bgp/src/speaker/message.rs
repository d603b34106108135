//! What goes into a speaker and what comes out of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::family::Family;
use crate::peer::{ConnId, Direction};
use crate::prefix::Prefix;
use crate::rib::{PeerId, Reach};
use crate::session::Cause;
use crate::speaker::config::{Config, Origination, PeerConfig, PeerName};
use crate::wire::{Fault, NextHop, TooLong};

/// What happens to a speaker.
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection that [`Output::Connect`] asked for has been made.
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
    ConnectFailed(PeerId),
    /// Somebody has connected to us.
    Accepted {
        /// Its number, never used before.
        conn: ConnId,
        /// Our end.
        local: SocketAddr,
        /// The other end, by whose address the peer is known.
        remote: SocketAddr,
    },
    /// Bytes have come.
    Bytes(ConnId, &'a [u8]),
    /// The socket took so many octets of what [`Output::Send`] gave.
    Sent(ConnId, usize),
    /// The connection is gone.
    Closed(ConnId),
    /// All that we originate. What is not in it is withdrawn.
    Originate(BTreeMap<Prefix, Origination>),
    /// How next hops can be reached. Those not named stay as they are; one never named counts as near.
    NextHops(Vec<(IpAddr, Reach)>),
    /// Another configuration. Touches only what differs.
    Reconfigure(Box<Config>),
    /// One peer is new or different, as a lease that came or changed.
    SetPeer(PeerName, Box<PeerConfig>),
    /// One peer is gone, as a lease that went.
    RemovePeer(PeerName),
    /// Asks a peer for its routes again, where it takes that (RFC 2918).
    Refresh(PeerName),
    /// Tells a peer all its routes again.
    TellAgain(PeerName),
    /// Ends the session and makes another, on an operator's word (RFC 9003), also where there were too many prefixes. Nothing
    /// happens to a peer that is shut.
    Reset(PeerName, String),
    /// Ends all sessions for good and tells the peers why (RFC 9003): none of them keeps our routes. To come back soon, close
    /// the connections instead and say nothing.
    Stop(String),
    /// We are going away, or not any more (RFC 8326): peers use other paths where they have some.
    Drain(bool),
}

/// What a speaker wants done or has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Connect to this peer; answer with [`Input::Connected`] or [`Input::ConnectFailed`], within seconds.
    Connect(PeerId),
    /// Send this on the connection; answer with [`Input::Sent`] as the socket takes it.
    Send(ConnId, Bytes),
    /// Close the connection when what was sent before is out. Nothing need be said about it afterwards.
    Close(ConnId),
    /// Change routes in the kernel.
    Routes(Vec<RouteChange>),
    /// Something to log or count.
    Event(Event),
}

/// One route for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteChange {
    /// Packets for the prefix go to these next hops, whatever they did before.
    Install {
        /// Which.
        prefix: Prefix,
        /// Where to: one, or several that share the load. Equal lists are often the same in memory.
        hops: Arc<[Hop]>,
        /// Where to before.
        was: Option<Arc<[Hop]>>,
    },
    /// Packets for the prefix go nowhere by us.
    Remove {
        /// Which.
        prefix: Prefix,
        /// Where to before.
        was: Arc<[Hop]>,
    },
}

/// A next hop, and who told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// The address.
    pub via: NextHop,
    /// The peer that told the path.
    pub peer: PeerId,
}

/// How it is known that a peer has said all that it has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncedBy {
    /// It said so.
    EndOfRib,
    /// It took too long, or did not come.
    Timer,
    /// The family is not exchanged with it, or it is no peer any more.
    Nothing,
}

/// Something to log or count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The session came up.
    Up(PeerId),
    /// The session went; `kept`: its routes are used until it is back or this time is over.
    Down {
        /// Whose.
        peer: PeerId,
        /// Why.
        cause: Cause,
        /// How long its routes are kept.
        kept: Option<Duration>,
    },
    /// A connection came to nothing.
    Failed {
        /// With whom.
        peer: PeerId,
        /// Who made it.
        direction: Direction,
        /// Why.
        cause: Cause,
    },
    /// Somebody connected who is no peer.
    Stranger(SocketAddr),
    /// An UPDATE had errors that the session survives (RFC 7606).
    Faulty(PeerId, Vec<Fault>),
    /// What is stale of this peer, in the RIB and in the kernel, may go: all that it has to say has been said.
    Synced(PeerId, Family, SyncedBy),
    /// The peer announces nearly as many prefixes as it may.
    ManyPrefixes(PeerId, usize),
    /// The peer announced more prefixes than it may; the session is closed.
    TooManyPrefixes(PeerId, usize),
    /// A route cannot be announced: its attributes are too long.
    TooLong(TooLong),
    /// The peer is new; its number stands for this name until [`Event::Forgotten`].
    Known(PeerId, PeerName),
    /// The peer is no more, and its number may be given to another.
    Forgotten(PeerId, PeerName),
}

impl Event {
    /// The peer that it is about, if it is about one.
    pub fn peer(&self) -> Option<PeerId> {
        match self {
            Event::Up(id)
            | Event::Down { peer: id, .. }
            | Event::Failed { peer: id, .. }
            | Event::Faulty(id, _)
            | Event::Synced(id, ..)
            | Event::ManyPrefixes(id, _)
            | Event::TooManyPrefixes(id, _)
            | Event::Known(id, _)
            | Event::Forgotten(id, _) => Some(*id),
            Event::Stranger(_) | Event::TooLong(_) => None,
        }
    }
}
