//! Just enough netlink to ask the kernel for its best: messages built by hand, packed, acknowledged once per packet.

use lab::{LabError, Namespace};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use std::io;

const HEADER: usize = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;

/// Messages that go out in one send.
const PER_SEND: usize = 100;

/// One netlink message, without its flags and sequence number.
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    pub(super) fn new(kind: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(body);
        Self { bytes }
    }

    /// Overwrites a part of the body, which starts at 0.
    pub(super) fn patch(&mut self, at: usize, value: &[u8]) {
        self.bytes[HEADER + at..][..value.len()].copy_from_slice(value);
    }

    #[must_use]
    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let len =
            u16::try_from(4 + value.len()).expect("attributes here are addresses and numbers");
        self.bytes.extend_from_slice(&len.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// As a question that needs no acknowledgement.
    pub(super) fn request(mut self) -> Vec<u8> {
        let len = u32::try_from(self.bytes.len()).expect("a message is short");
        self.bytes[0..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        self.bytes
    }

    fn finish(&mut self, last: bool) -> &[u8] {
        let len = u32::try_from(self.bytes.len()).expect("a message is short");
        let flags = NLM_F_REQUEST | NLM_F_CREATE | if last { NLM_F_ACK } else { 0 };
        self.bytes[0..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        &self.bytes
    }
}

/// Sends all of them from inside `namespace`; the first refusal is an error.
pub(super) fn send_all(namespace: &Namespace, messages: &mut [Message]) -> Result<(), LabError> {
    let sent = namespace.run(|| -> io::Result<()> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let mut buffer = Vec::with_capacity(PER_SEND * 128);
        for chunk in messages.chunks_mut(PER_SEND) {
            buffer.clear();
            let last = chunk.len() - 1;
            for (position, message) in chunk.iter_mut().enumerate() {
                buffer.extend_from_slice(message.finish(position == last));
            }
            socket.send(&buffer, 0)?;
            acknowledged(&socket)?;
        }
        Ok(())
    })?;
    sent.map_err(|source| LabError::System {
        what: "install entries by netlink".into(),
        source,
    })
}

/// A refusal of any message comes before the acknowledgement of the last.
fn acknowledged(socket: &Socket) -> io::Result<()> {
    let (answer, _) = socket.recv_from_full()?;
    let kind = u16::from_ne_bytes([answer[4], answer[5]]);
    let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    match (kind, code) {
        (NLMSG_ERROR, 0) => Ok(()),
        (NLMSG_ERROR, code) => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
