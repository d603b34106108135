//! One connection, and the task that it has: what comes goes to the transport, what is to be sent is sent as the peer takes it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bgp::peer::ConnId;
use bytes::{Buf, Bytes, BytesMut};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::Message;

/// The most that is read at once, after which others have their turn.
const READ: usize = 16 * 1024;
/// The most pieces that are written at once.
const PIECES: usize = 64;

/// What the task of a connection works with.
pub(super) struct Connection {
    pub(super) conn: ConnId,
    pub(super) stream: TcpStream,
    pub(super) outbox: Arc<Outbox>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) messages: mpsc::Sender<Message>,
    /// How long a connection that is to be closed may take for what was sent before.
    pub(super) linger: Duration,
    /// Its place among those that were accepted, free when it ends.
    pub(super) _place: Option<OwnedSemaphorePermit>,
}

/// What is to be sent on a connection. Whoever sends bounds it: the speaker gives a peer no more than a window.
#[derive(Default)]
pub(super) struct Outbox {
    unsent: Mutex<VecDeque<Bytes>>,
    filled: Notify,
    closed: Notify,
}

/// Where all connections read to: what is taken out of it and given back is used again.
#[derive(Default)]
pub(super) struct Inbox(Mutex<BytesMut>);

impl Connection {
    /// Lives until the peer closes, the connection breaks, or it is to be closed.
    pub(super) async fn run(self) {
        let end = tokio::select! {
            biased;
            () = self.outbox.closed.notified() => None,
            why = self.live() => Some(why),
        };
        match end {
            Some(why) => {
                let _ = self.messages.send(Message::Closed(self.conn, why)).await;
            }
            None => {
                let _ = timeout(self.linger, self.finish()).await;
            }
        }
    }

    /// Reads and writes. What the peer said before it went is read, even if writing tells first that it has gone.
    async fn live(&self) -> Option<io::Error> {
        let mut read = pin!(self.read());
        tokio::select! {
            why = &mut read => why,
            error = self.write() => read.await.or(Some(error)),
        }
    }

    /// Reads to the end. There is room in the channel before anything is read, so that a busy driver makes TCP hold back.
    async fn read(&self) -> Option<io::Error> {
        loop {
            if let Err(error) = self.stream.readable().await {
                return Some(error);
            }
            let room = self.messages.reserve().await.ok()?;
            match self.inbox.fill(&self.stream) {
                Ok(bytes) if bytes.is_empty() => return None,
                Ok(bytes) => room.send(Message::Bytes(self.conn, bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Some(error),
            }
        }
    }

    /// Writes whatever there is, until that fails.
    async fn write(&self) -> io::Error {
        loop {
            self.outbox.something().await;
            match self.put().await {
                Ok(count) => {
                    let _ = self.messages.send(Message::Sent(self.conn, count)).await;
                }
                Err(error) => return error,
            }
        }
    }

    /// Writes once, as much as the socket takes.
    async fn put(&self) -> io::Result<usize> {
        loop {
            self.stream.writable().await?;
            match self.outbox.empty_into(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// Sends what is left, says that there is no more, and hears the peer out: closing a socket that holds unread bytes
    /// would reset the connection, and the peer might not see our last words.
    async fn finish(&self) -> io::Result<()> {
        let speak = async {
            while !self.outbox.is_empty() {
                self.put().await?;
            }
            SockRef::from(&self.stream).shutdown(Shutdown::Write)
        };
        let listen = async {
            loop {
                self.stream.readable().await?;
                match discard(&self.stream) {
                    Ok(0) => return Ok(()),
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    _ => {}
                }
            }
        };
        tokio::try_join!(speak, listen).map(drop)
    }
}

impl Outbox {
    /// Something more to send.
    pub(super) fn push(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.unsent().push_back(bytes);
            self.filled.notify_one();
        }
    }

    /// Nothing more will be sent.
    pub(super) fn close(&self) {
        self.closed.notify_one();
    }

    fn is_empty(&self) -> bool {
        self.unsent().is_empty()
    }

    async fn something(&self) {
        while self.is_empty() {
            self.filled.notified().await;
        }
    }

    /// Writes the first pieces and forgets what was taken of them.
    fn empty_into(&self, stream: &TcpStream) -> io::Result<usize> {
        let mut unsent = self.unsent();
        let mut slices = [IoSlice::new(&[]); PIECES];
        let used = unsent.len().min(PIECES);
        for (slice, piece) in slices.iter_mut().zip(unsent.iter()) {
            *slice = IoSlice::new(piece);
        }
        let count = stream.try_write_vectored(&slices[..used])?;
        forget(&mut unsent, count);
        Ok(count)
    }

    fn unsent(&self) -> MutexGuard<'_, VecDeque<Bytes>> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first `count` bytes are gone.
fn forget(unsent: &mut VecDeque<Bytes>, mut count: usize) {
    while let Some(first) = unsent.front_mut() {
        if count < first.len() {
            first.advance(count);
            return;
        }
        count -= first.len();
        unsent.pop_front();
    }
}

impl Inbox {
    /// Reads once. Empty at the end of what the peer has to say.
    fn fill(&self, stream: &TcpStream) -> io::Result<BytesMut> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.reserve(READ);
        stream.try_read_buf(&mut *buffer)?;
        Ok(buffer.split())
    }
}

fn discard(stream: &TcpStream) -> io::Result<usize> {
    let mut scratch = [0; 16 * 1024];
    stream.try_read(&mut scratch)
}
