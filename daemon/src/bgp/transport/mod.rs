//! TCP for BGP: who connects to whom, with which TTL and key, and bytes in both directions. Knows nothing of what they mean.
//!
//! Each connection has a task, which waits for its socket and tells the transport through one channel that holds few
//! messages. That gives all that is needed and nothing has to be made for it: those who wait for room in the channel are
//! served in turn, whoever owns the transport and is busy makes TCP hold the peers back, and nothing looks at connections on
//! which nothing happens.
//!
//! ```text
//!  door      where we listen, who is let in: keys, TTL, places      listener  one socket of it
//!  dial      connections that we make                               manners   TTL, priority of packets
//!  connection  the task: read, write, close                         sockopt   what only libc can set
//! ```

mod connection;
mod dial;
mod door;
mod error;
mod event;
mod key;
mod listener;
mod manners;
mod places;
mod sockopt;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::Arc;

use bgp::peer::ConnId;
use bgp::rib::PeerId;
use bytes::{Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use connection::{Connection, Inbox, Outbox};
use dial::Dialed;
use door::Porter;
use places::Places;

pub(crate) use dial::{DialError, Dialing};
pub(crate) use door::{ANYWHERE, Door, Guest};
pub(crate) use error::TransportError;
pub(crate) use event::{Event, Limits};
pub(crate) use key::Key;
pub(crate) use manners::Ttl;

/// All connections. Dropped, it closes them without a word, as a restart should.
///
/// Its functions want to be called within a tokio runtime.
pub(crate) struct Transport {
    limits: Limits,
    porter: Porter,
    open: BTreeMap<ConnId, Arc<Outbox>>,
    dialing: BTreeMap<PeerId, Dial>,
    tasks: JoinSet<()>,
    inbox: Arc<Inbox>,
    sender: mpsc::Sender<Message>,
    messages: mpsc::Receiver<Message>,
    last: u64,
}

/// An attempt to connect that is under way.
struct Dial {
    attempt: u64,
    task: AbortHandle,
}

/// What tasks tell.
enum Message {
    Dialed {
        peer: PeerId,
        attempt: u64,
        result: Result<Dialed, DialError>,
    },
    Bytes(ConnId, BytesMut),
    Sent(ConnId, usize),
    Closed(ConnId, Option<io::Error>),
}

/// Messages that wait: what was read and not yet looked at is 4 MiB at most.
const WAITING: usize = 64;

impl Transport {
    /// Without connections, and the door closed.
    pub(crate) fn new() -> Transport {
        Transport::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Transport {
        let (sender, messages) = mpsc::channel(WAITING);
        Transport {
            limits,
            porter: Porter::new(Places::new(limits.strangers, limits.of_each_guest)),
            open: BTreeMap::new(),
            dialing: BTreeMap::new(),
            tasks: JoinSet::new(),
            inbox: Arc::default(),
            sender,
            messages,
            last: 0,
        }
    }

    /// Opens, changes or closes the door. Touches only what differs, and nobody who has come in. If something fails, the rest
    /// is done; doing it again tries what failed.
    pub(crate) fn open(&mut self, door: &Door) -> Result<(), TransportError> {
        self.porter.open(door)
    }

    /// How many who connected to us were sent away at once: there were too many, or they came from too far.
    #[cfg_attr(not(test), expect(dead_code, reason = "a count for /metrics"))]
    pub(crate) fn turned_away(&self) -> u64 {
        self.porter.turned_away()
    }

    /// Connects to a peer: [`Event::Connected`] or [`Event::ConnectFailed`], and not a word of an attempt to connect to the
    /// same peer that is under way.
    pub(crate) fn connect(&mut self, peer: PeerId, dialing: Dialing) {
        self.give_up(peer);
        let attempt = self.number();
        let (sender, patience) = (self.sender.clone(), self.limits.connect);
        let task = self.tasks.spawn(async move {
            let result = dialing.dial(patience).await;
            let _ = sender
                .send(Message::Dialed {
                    peer,
                    attempt,
                    result,
                })
                .await;
        });
        self.dialing.insert(peer, Dial { attempt, task });
    }

    /// Forgets an attempt to connect that is under way, as when the peer is no more.
    pub(crate) fn give_up(&mut self, peer: PeerId) {
        if let Some(dial) = self.dialing.remove(&peer) {
            dial.task.abort();
        }
    }

    /// Sends bytes, after those that were to be sent before. Whoever calls it bounds how much is unsent. Does nothing if the
    /// connection is gone.
    pub(crate) fn send(&mut self, conn: ConnId, bytes: Bytes) {
        if let Some(outbox) = self.open.get(&conn) {
            outbox.push(bytes);
        }
    }

    /// Closes a connection when what was sent before is out, or a few seconds are over. Nothing is heard of it after this.
    pub(crate) fn close(&mut self, conn: ConnId) {
        if let Some(outbox) = self.open.remove(&conn) {
            outbox.close();
        }
    }

    /// Closes all connections at once and without a word: peers with graceful restart keep the routes. The door stays as it is.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "dropping the transport does the same")
    )]
    pub(crate) fn drop_all(&mut self) {
        self.open.clear();
        self.dialing.clear();
        self.tasks.abort_all();
    }

    /// Closes all connections, each when what was sent before is out, and waits for that, a few seconds at most.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for a drain that ends the daemon")
    )]
    pub(crate) async fn finish(mut self) {
        for dial in mem::take(&mut self.dialing).into_values() {
            dial.task.abort();
        }
        for outbox in mem::take(&mut self.open).into_values() {
            outbox.close();
        }
        self.messages.close();
        while self.tasks.join_next().await.is_some() {}
    }

    /// The next thing that happens. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            while self.tasks.try_join_next().is_some() {}
            let event = tokio::select! {
                Some(message) = self.messages.recv() => self.hear(message),
                caller = self.porter.caller() => {
                    let conn = self.attach(caller.stream, Some(caller.place));
                    Some(Event::Accepted { conn, local: caller.local, remote: caller.remote })
                }
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    /// What there is to tell of a message; nothing, if it is about what has been forgotten.
    fn hear(&mut self, message: Message) -> Option<Event> {
        match message {
            Message::Dialed {
                peer,
                attempt,
                result,
            } => {
                let dial = self.dialing.get(&peer)?;
                if dial.attempt != attempt {
                    return None;
                }
                self.dialing.remove(&peer);
                Some(match result {
                    Ok(Dialed {
                        stream,
                        local,
                        remote,
                    }) => {
                        let conn = self.attach(stream, None);
                        Event::Connected {
                            peer,
                            conn,
                            local,
                            remote,
                        }
                    }
                    Err(why) => Event::ConnectFailed { peer, why },
                })
            }
            Message::Bytes(conn, bytes) => self
                .open
                .contains_key(&conn)
                .then_some(Event::Bytes(conn, bytes)),
            Message::Sent(conn, count) => self
                .open
                .contains_key(&conn)
                .then_some(Event::Sent(conn, count)),
            Message::Closed(conn, why) => self.open.remove(&conn).map(|_| Event::Closed(conn, why)),
        }
    }

    /// Gives a connection its number and its task.
    fn attach(&mut self, stream: TcpStream, place: Option<OwnedSemaphorePermit>) -> ConnId {
        let conn = ConnId(self.number());
        let outbox = Arc::new(Outbox::default());
        let connection = Connection {
            conn,
            stream,
            outbox: outbox.clone(),
            inbox: self.inbox.clone(),
            messages: self.sender.clone(),
            linger: self.limits.linger,
            _place: place,
        };
        self.tasks.spawn(connection.run());
        self.open.insert(conn, outbox);
        conn
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}
