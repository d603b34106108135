//! Writing one message.

use std::net::IpAddr;

use super::wire::*;

#[cfg(test)]
const HEADER: usize = 16;

/// One request, and in words what it asks for.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    bytes: Vec<u8>,
    what: String,
}

impl Message {
    /// A request of this kind. `what` completes the sentence "the kernel refused …".
    pub(crate) fn new(kind: u16, flags: u16, what: impl Into<String>) -> Message {
        let mut message = Message {
            bytes: Vec::with_capacity(128),
            what: what.into(),
        };
        message.put(&[0; 4]);
        message.put(&kind.to_ne_bytes());
        message.put(&(flags | NLM_F_REQUEST).to_ne_bytes());
        message.put(&[0; 8]);
        message
    }

    /// What it asks for.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The bytes to send, with this number.
    pub(crate) fn finished(&self, seq: u32, more_flags: u16) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let length = u32::try_from(bytes.len()).expect("a message is far below 4 GiB");
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        let flags = u16::from_ne_bytes([bytes[6], bytes[7]]) | more_flags;
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes[8..12].copy_from_slice(&seq.to_ne_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// Appends bytes as they are.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// `struct ifinfomsg`.
    pub(crate) fn link_header(&mut self, index: u32, flags: u32) {
        self.put(&[0; 4]);
        self.put(&index.to_ne_bytes());
        self.put(&flags.to_ne_bytes());
        self.put(&flags.to_ne_bytes());
    }

    /// An attribute.
    pub(crate) fn attr(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).expect("our attributes are below 300 bytes");
        self.put(&length.to_ne_bytes());
        self.put(&kind.to_ne_bytes());
        self.put(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A string with its terminator.
    pub(crate) fn text_attr(&mut self, kind: u16, text: &str) {
        self.attr(kind, &[text.as_bytes(), &[0]].concat());
    }

    /// An address.
    pub(crate) fn address_attr(&mut self, kind: u16, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.attr(kind, &ip.octets()),
            IpAddr::V6(ip) => self.attr(kind, &ip.octets()),
        }
    }

    /// An attribute that holds others.
    pub(crate) fn nested(&mut self, kind: u16, inner: impl FnOnce(&mut Message)) {
        let start = self.bytes.len();
        self.put(&[0; 2]);
        self.put(&(kind | NLA_F_NESTED).to_ne_bytes());
        inner(self);
        let length =
            u16::try_from(self.bytes.len() - start).expect("our attributes are below 300 bytes");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// What follows the header.
    #[cfg(test)]
    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[HEADER..]
    }
}
