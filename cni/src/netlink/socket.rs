//! The socket that asks. Netlink does the work inside `send`: the answers are there when it returns.

use std::io::{self, Read};
use std::time::Duration;

use socket2::{Domain, Protocol, Type};

use crate::spec::CniError;

use super::decode::{self, Answer, LinkView};
use super::message::Message;
use super::sockopt;
use super::wire::*;

/// An answer that takes longer is not coming.
const PATIENCE: Duration = Duration::from_secs(20);
/// The kernel fills at most 32 KiB in one call.
const DATAGRAM: usize = 64 << 10;

/// Speaks to the network namespace in which it was opened, whoever uses it.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: socket2::Socket,
    seq: u32,
    buffer: Vec<u8>,
}

/// The kernel's no to one message of a batch.
#[derive(Debug)]
pub(crate) struct Refusal {
    what: String,
    pub(crate) source: io::Error,
    words: String,
}

impl Refusal {
    /// Whether the kernel said this.
    pub(crate) fn is(&self, errno: i32) -> bool {
        self.source.raw_os_error() == Some(errno)
    }
}

impl From<Refusal> for CniError {
    fn from(refusal: Refusal) -> CniError {
        CniError::Refused {
            what: refusal.what,
            source: refusal.source,
            words: refusal.words,
        }
    }
}

impl Socket {
    /// Opens one in the calling thread's namespace.
    pub(crate) fn open() -> Result<Socket, CniError> {
        let open = || -> io::Result<socket2::Socket> {
            let protocol = Protocol::from(libc::NETLINK_ROUTE);
            let socket =
                socket2::Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(protocol))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            sockopt::turn_on(&socket, libc::NETLINK_CAP_ACK)?;
            sockopt::turn_on(&socket, libc::NETLINK_EXT_ACK)?;
            sockopt::turn_on(&socket, libc::NETLINK_GET_STRICT_CHK)?;
            Ok(socket)
        };
        let socket = open().map_err(|source| CniError::Io {
            what: "open a netlink socket".into(),
            source,
        })?;
        Ok(Socket {
            socket,
            seq: 0,
            buffer: vec![0; DATAGRAM],
        })
    }

    /// Sends all in one call; the first refusal of the kernel is returned when all are done or refused.
    pub(crate) fn execute(&mut self, batch: &[Message]) -> Result<Option<Refusal>, CniError> {
        let first = self.send(batch, NLM_F_ACK)?;
        let (mut refusal, mut open) = (None, batch.len());
        while open > 0 {
            let length = self.receive()?;
            for answer in decode::answers(&self.buffer[..length]).filter(|a| a.kind == NLMSG_ERROR)
            {
                let Some(message) = batch.get(answer.seq.wrapping_sub(first) as usize) else {
                    continue;
                };
                open -= 1;
                let (error, words) = decode::acknowledgement(&answer);
                refusal = refusal.or(error.map(|source| Refusal {
                    what: message.what().into(),
                    source,
                    words,
                }));
            }
        }
        Ok(refusal)
    }

    /// Asks for a table and reads what comes of it.
    pub(crate) fn dump<T>(
        &mut self,
        question: &Message,
        read: impl Fn(&Answer<'_>) -> Option<T>,
    ) -> Result<Vec<T>, CniError> {
        let seq = self.send(std::slice::from_ref(question), NLM_F_DUMP)?;
        let mut rows = Vec::new();
        loop {
            let length = self.receive()?;
            for answer in decode::answers(&self.buffer[..length]).filter(|a| a.seq == seq) {
                match answer.kind {
                    NLMSG_DONE => return Ok(rows),
                    NLMSG_ERROR => return Err(refused(question, &answer)),
                    _ => rows.extend(read(&answer)),
                }
            }
        }
    }

    /// The link of that name, if there is one.
    pub(crate) fn link(&mut self, name: &str) -> Result<Option<LinkView>, CniError> {
        let mut question = Message::new(RTM_GETLINK, 0, format!("to show link {name}"));
        question.link_header(0, 0);
        question.text_attr(IFLA_IFNAME, name);
        self.show(&question)
    }

    /// The link of that number, if there is one.
    pub(crate) fn link_at(&mut self, index: u32) -> Result<Option<LinkView>, CniError> {
        let mut question = Message::new(RTM_GETLINK, 0, format!("to show link number {index}"));
        question.link_header(index, 0);
        self.show(&question)
    }

    fn show(&mut self, question: &Message) -> Result<Option<LinkView>, CniError> {
        let seq = self.send(std::slice::from_ref(question), 0)?;
        loop {
            let length = self.receive()?;
            let mut answers = decode::answers(&self.buffer[..length]);
            let Some(answer) = answers.find(|answer| answer.seq == seq) else {
                continue;
            };
            if answer.kind != NLMSG_ERROR {
                return Ok(LinkView::read(answer.payload));
            }
            return match decode::acknowledgement(&answer).0 {
                Some(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
                _ => Err(refused(question, &answer)),
            };
        }
    }

    fn send(&mut self, batch: &[Message], flags: u16) -> Result<u32, CniError> {
        let first = self.seq.wrapping_add(1);
        let mut bytes = Vec::with_capacity(1024);
        for message in batch {
            self.seq = self.seq.wrapping_add(1);
            bytes.extend(message.finished(self.seq, flags));
        }
        let sent = self.socket.send(&bytes);
        sent.map(|_| first).map_err(|source| CniError::Io {
            what: "send to the kernel".into(),
            source,
        })
    }

    fn receive(&mut self) -> Result<usize, CniError> {
        let received = loop {
            match (&self.socket).read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        received.map_err(|source| CniError::Io {
            what: "receive the kernel's answer".into(),
            source,
        })
    }
}

fn refused(question: &Message, answer: &Answer<'_>) -> CniError {
    let (error, words) = decode::acknowledgement(answer);
    Refusal {
        what: question.what().into(),
        source: error.unwrap_or_else(|| io::ErrorKind::InvalidData.into()),
        words,
    }
    .into()
}
