//! The socket that asks: batches of changes, and dumps.
//!
//! Netlink does the work inside `sendmsg`, so a call that blocks is the
//! shortest way; the answers are there when it returns.

use std::io;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use socket2::SockRef;

use crate::speaker::KernelError;

use super::decode::{self, Message};
use super::encode::{DumpOf, Messages, dump_request};
use super::sockopt::force_receive_buffer;
use super::wire::*;

/// An answer that takes longer is not coming: it was lost, or the kernel is
/// stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const RECEIVE_BUFFER: i32 = 1 << 20;
/// The kernel fills at most 32 KiB in one call.
const DATAGRAM: usize = 64 << 10;
/// A table that changes all the time is not worth more.
const DUMP_TRIES: u32 = 4;

pub(super) struct Requests {
    socket: Socket,
    port: u32,
    seq: u32,
    buffer: Vec<u8>,
    doubtful: bool,
}

/// What became of one message of a batch: its place, errno, the kernel's words.
pub(super) type Failure = (usize, i32, Option<String>);

impl Requests {
    pub(super) fn open() -> Result<Requests, KernelError> {
        let open = |step| move |source| KernelError::Open { step, source };
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(open("socket"))?;
        let port = socket.bind_auto().map_err(open("bind"))?.port_number();
        socket
            .connect(&SocketAddr::new(0, 0))
            .map_err(open("connect"))?;
        socket.set_cap_ack(true).map_err(open("NETLINK_CAP_ACK"))?;
        socket.set_ext_ack(true).map_err(open("NETLINK_EXT_ACK"))?;
        socket
            .set_netlink_get_strict_chk(true)
            .map_err(open("NETLINK_GET_STRICT_CHK"))?;
        SockRef::from(&socket)
            .set_read_timeout(Some(ANSWER_TIMEOUT))
            .map_err(open("SO_RCVTIMEO"))?;
        // Without the capability the default buffer serves: a batch is small.
        let _ = force_receive_buffer(&socket, RECEIVE_BUFFER);
        Ok(Requests {
            socket,
            port,
            seq: 0,
            buffer: Vec::with_capacity(DATAGRAM),
            doubtful: false,
        })
    }

    /// Our netlink address, which stands in what the kernel tells others of
    /// our changes.
    pub(super) fn port(&self) -> u32 {
        self.port
    }

    /// The number for the next message.
    pub(super) fn next_seq(&mut self) -> u32 {
        self.seq = self.seq.wrapping_add(1);
        self.seq
    }

    /// Sends a batch whose messages are numbered up to the latest
    /// [`next_seq`](Self::next_seq), and waits until all are carried out or
    /// refused.
    pub(super) fn execute(&mut self, batch: &mut Messages) -> Result<Vec<Failure>, KernelError> {
        let count = batch.count();
        if count == 0 {
            return Ok(Vec::new());
        }
        batch.acknowledge_last();
        self.send(batch)?;
        let last = self.seq;
        let mut failures = Vec::new();
        loop {
            match self.receive() {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Ok((0..count).map(|at| (at, libc::ENOBUFS, None)).collect());
                }
                Err(source) => {
                    return Err(KernelError::Io {
                        step: "receive",
                        source,
                    });
                }
            }
            for message in decode::messages(&self.buffer).filter(|m| m.kind == NLMSG_ERROR) {
                let Some(at) = place(message.seq, (last, count)) else {
                    continue;
                };
                let (errno, reason) = decode::acknowledgement(&message);
                if errno != 0 {
                    failures.push((at, errno, reason));
                }
                if message.seq == last {
                    return Ok(failures);
                }
            }
        }
    }

    /// Sends questions, numbered as a batch is, each of which has one answer, and
    /// hands out the answers with their places. An answer of "there is none" is
    /// left out.
    pub(super) fn ask(
        &mut self,
        questions: &Messages,
        mut each: impl FnMut(usize, &Message<'_>),
    ) -> Result<(), KernelError> {
        let (last, count) = (self.seq, questions.count());
        self.send(questions)?;
        let mut answered = 0;
        while answered < count {
            self.receive().map_err(io_error("receive"))?;
            for message in decode::messages(&self.buffer) {
                let Some(at) = place(message.seq, (last, count)) else {
                    continue;
                };
                answered += 1;
                if message.kind != NLMSG_ERROR {
                    each(at, &message);
                }
            }
        }
        Ok(())
    }

    /// Reads a whole table. One that changes meanwhile is read again; if it never
    /// rests, the last reading counts, and is [known to be doubtful](Self::doubt).
    pub(super) fn dump<T>(
        &mut self,
        what: DumpOf,
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, KernelError> {
        let mut rows = Vec::new();
        let each = |rows: &mut Vec<T>, message: &Message<'_>| rows.extend(read(message));
        self.dump_into(what, &mut rows, Vec::clear, each)?;
        Ok(rows)
    }

    /// The same, where `each` adds a row, if it is one, and `restart` takes all
    /// of them out again.
    pub(super) fn dump_into<C>(
        &mut self,
        what: DumpOf,
        rows: &mut C,
        restart: impl Fn(&mut C),
        each: impl Fn(&mut C, &Message<'_>),
    ) -> Result<(), KernelError> {
        for _ in 0..DUMP_TRIES {
            restart(rows);
            if self.dump_once(what, |message| each(rows, message))? {
                return Ok(());
            }
        }
        self.doubtful = true;
        Ok(())
    }

    /// Whether a table that never rested was read since the last call.
    pub(super) fn doubt(&mut self) -> bool {
        std::mem::take(&mut self.doubtful)
    }

    fn dump_once(
        &mut self,
        what: DumpOf,
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<bool, KernelError> {
        let seq = self.next_seq();
        self.send(&dump_request(seq, &what))?;
        let mut steady = true;
        loop {
            self.receive().map_err(io_error(what.table()))?;
            for message in decode::messages(&self.buffer).filter(|m| m.seq == seq) {
                steady &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE => return Ok(steady),
                    NLMSG_ERROR => {
                        let (errno, _) = decode::acknowledgement(&message);
                        return Err(io_error(what.table())(io::Error::from_raw_os_error(errno)));
                    }
                    _ => each(&message),
                }
            }
        }
    }

    fn send(&self, messages: &Messages) -> Result<(), KernelError> {
        let sent = self.socket.send(messages.bytes(), 0);
        sent.map(drop).map_err(io_error("send"))
    }

    fn receive(&mut self) -> io::Result<()> {
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map(drop),
            }
        }
    }
}

/// The place of a message among `count` whose last one has the number `last`.
fn place(seq: u32, (last, count): (u32, usize)) -> Option<usize> {
    count.checked_sub(1 + usize::try_from(last.wrapping_sub(seq)).ok()?)
}

pub(super) fn io_error(step: &'static str) -> impl Fn(io::Error) -> KernelError {
    move |source| KernelError::Io { step, source }
}
