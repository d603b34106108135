//! The socket that asks: transactions, and dumps.

use std::io;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use socket2::SockRef;

use crate::netlink::decode::{self, Message};
use crate::netlink::sockopt::{force_receive_buffer, force_send_buffer};

use super::batch::{Attributes, Batch};
use super::error::{NfTablesError, Reason};
use super::wire::*;

/// An answer that takes longer is not coming.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const RECEIVE_BUFFER: i32 = 1 << 20;
/// The longest batch, about 200,000 elements: a transaction is one `sendmsg`.
const SEND_BUFFER: i32 = 8 << 20;
const DATAGRAM: usize = 64 << 10;
const DUMP_TRIES: u32 = 8;

pub(super) struct Requests {
    socket: Socket,
    port: u32,
    seq: u32,
    buffer: Vec<u8>,
}

impl Requests {
    pub(super) fn open() -> Result<Requests, NfTablesError> {
        let open = |step| move |source| NfTablesError::Open { step, source };
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(open("socket"))?;
        let port = socket.bind_auto().map_err(open("bind"))?.port_number();
        socket
            .connect(&SocketAddr::new(0, 0))
            .map_err(open("connect"))?;
        socket.set_cap_ack(true).map_err(open("NETLINK_CAP_ACK"))?;
        socket.set_ext_ack(true).map_err(open("NETLINK_EXT_ACK"))?;
        SockRef::from(&socket)
            .set_read_timeout(Some(ANSWER_TIMEOUT))
            .map_err(open("SO_RCVTIMEO"))?;
        // Without the capability no batch is accepted either, and that says it.
        let _ = force_send_buffer(&socket, SEND_BUFFER);
        let _ = force_receive_buffer(&socket, RECEIVE_BUFFER);
        Ok(Requests {
            socket,
            port,
            seq: 0,
            buffer: Vec::with_capacity(DATAGRAM),
        })
    }

    /// Our netlink address, which stands in what the kernel tells others of
    /// our changes.
    pub(super) fn port(&self) -> u32 {
        self.port
    }

    /// Carries out all messages that `write` adds to a batch, or none; `what`
    /// they do stands in the error.
    pub(super) fn transact(
        &mut self,
        what: &str,
        write: impl FnOnce(&mut Batch),
    ) -> Result<(), NfTablesError> {
        let begin = self.seq;
        let mut batch = Batch::starting_at(begin);
        write(&mut batch);
        if batch.next_seq() == begin.wrapping_add(1) {
            return Ok(());
        }
        let last = batch.end();
        self.seq = batch.next_seq();
        self.socket
            .send(batch.bytes(), 0)
            .map_err(io_error("send"))?;
        match self.first_refusal(begin, last)? {
            None => Ok(()),
            Some(Refused {
                kind,
                errno,
                reason,
            }) => Err(NfTablesError::Refused {
                what: what.to_owned(),
                object: object(kind),
                source: io::Error::from_raw_os_error(errno),
                reason: Reason(reason),
            }),
        }
    }

    /// Waits for the acknowledgement of the last message. A refusal of the
    /// first one, `BATCH_BEGIN`, is of the whole batch, and may come alone
    /// (nfnetlink_rcv_batch() in net/netfilter/nfnetlink.c).
    fn first_refusal(&mut self, begin: u32, last: u32) -> Result<Option<Refused>, NfTablesError> {
        let mut first = None;
        loop {
            self.receive().map_err(io_error("receive"))?;
            for message in decode::messages(&self.buffer).filter(|m| m.kind == NLMSG_ERROR) {
                let of_batch = message.seq.wrapping_sub(begin) <= last.wrapping_sub(begin);
                if !of_batch {
                    continue;
                }
                let refused = refusal(&message);
                let ends = message.seq == last || message.seq == begin && refused.is_some();
                first = first.or(refused);
                if ends {
                    return Ok(first);
                }
            }
        }
    }

    /// Asks for one object; nothing when there is none of that name.
    pub(super) fn find<T>(
        &mut self,
        (kind, family): (u16, u8),
        name: impl Fn(&mut Attributes<'_>),
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, NfTablesError> {
        let mut found = None;
        match self.ask((kind, NLM_F_ACK, family), &name, |m| found = read(m)) {
            Err(error) if error.is_not_found() => Ok(None),
            other => other.map(|_| found),
        }
    }

    /// Reads a whole table. A table that changed meanwhile is read again; one
    /// that is not there is empty.
    pub(super) fn dump<T>(
        &mut self,
        (kind, family): (u16, u8),
        of: impl Fn(&mut Attributes<'_>),
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, NfTablesError> {
        for _ in 0..DUMP_TRIES {
            let mut rows = Vec::new();
            match self.ask((kind, NLM_F_DUMP, family), &of, |m| rows.extend(read(m))) {
                Ok(true) => return Ok(rows),
                Ok(false) => {}
                Err(error) if error.is_not_found() => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        Err(NfTablesError::Unsteady { tries: DUMP_TRIES })
    }

    /// Sends a request and takes the answers; false when they do not belong
    /// to one state.
    fn ask(
        &mut self,
        header: super::batch::Header,
        body: impl Fn(&mut Attributes<'_>),
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<bool, NfTablesError> {
        let seq = self.seq;
        let mut request = Batch::single(seq);
        request.message(header, body);
        self.seq = request.next_seq();
        self.socket
            .send(request.bytes(), 0)
            .map_err(io_error("send"))?;
        let mut steady = true;
        loop {
            self.receive().map_err(io_error("receive"))?;
            for message in decode::messages(&self.buffer).filter(|m| m.seq == seq) {
                steady &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE => return Ok(steady),
                    NLMSG_ERROR => match refusal(&message) {
                        None => return Ok(steady),
                        Some(refused) => {
                            let source = io::Error::from_raw_os_error(refused.errno);
                            return Err(io_error("dump")(source));
                        }
                    },
                    _ => each(&message),
                }
            }
        }
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

pub(super) fn io_error(step: &'static str) -> impl Fn(io::Error) -> NfTablesError {
    move |source| NfTablesError::Io { step, source }
}

/// A message that the kernel refused.
struct Refused {
    kind: u16,
    errno: i32,
    reason: Option<String>,
}

/// Nothing when the message is an acknowledgement. The header of the request
/// stands behind the errno.
fn refusal(message: &Message<'_>) -> Option<Refused> {
    let (errno, reason) = decode::acknowledgement(message);
    let kind = message.payload.get(8..10).and_then(|k| k.try_into().ok());
    let kind = kind.map_or(0, u16::from_ne_bytes);
    (errno != 0).then_some(Refused {
        kind,
        errno,
        reason,
    })
}

fn object(kind: u16) -> &'static str {
    match kind {
        NEWTABLE => "a new table",
        DELTABLE => "a table's removal",
        NEWCHAIN => "a new chain",
        DELCHAIN => "a chain's removal",
        NEWRULE => "a new rule",
        DELRULE => "a rule's removal",
        NEWSET => "a new set",
        NEWSETELEM => "new elements of a set",
        DELSETELEM => "the removal of elements of a set",
        _ => "the batch",
    }
}
