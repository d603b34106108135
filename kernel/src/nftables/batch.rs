//! Writing nftables messages: a batch is one buffer for one `sendmsg`, and one
//! transaction. Integers are big-endian, other than netlink's own.

use super::wire::*;

/// Messages between `BATCH_BEGIN` and `BATCH_END`: all are carried out, or none.
pub(super) struct Batch {
    bytes: Vec<u8>,
    seq: u32,
    /// Where the last message starts.
    last: usize,
}

/// The header of a message: kind, flags and the family of the table.
pub(super) type Header = (u16, u16, u8);

impl Batch {
    /// A batch whose first message has the number `seq`.
    pub(super) fn starting_at(seq: u32) -> Batch {
        let mut batch = Batch::single(seq);
        batch.boundary(NFNL_MSG_BATCH_BEGIN);
        batch
    }

    /// No batch at all, but room for the one message of a request.
    pub(super) fn single(seq: u32) -> Batch {
        let (bytes, last) = (Vec::new(), 0);
        Batch { bytes, seq, last }
    }

    pub(super) fn message(&mut self, header: Header, body: impl FnOnce(&mut Attributes<'_>)) {
        self.write(header, 0, body);
    }

    /// Asks for an acknowledgement of the last message and ends the batch;
    /// returns the number of that message.
    pub(super) fn end(&mut self) -> u32 {
        let at = self.last + 6;
        let flags = u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]) | NLM_F_ACK;
        self.bytes[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
        let acknowledged = self.seq.wrapping_sub(1);
        self.boundary(NFNL_MSG_BATCH_END);
        acknowledged
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number that comes after the last message's.
    pub(super) fn next_seq(&self) -> u32 {
        self.seq
    }

    fn boundary(&mut self, kind: u16) {
        self.write((kind, 0, NFPROTO_UNSPEC), NFTABLES, |_| ());
    }

    fn write(
        &mut self,
        (kind, flags, family): Header,
        resource: u16,
        body: impl FnOnce(&mut Attributes<'_>),
    ) {
        self.last = self.bytes.len();
        let bytes = &mut self.bytes;
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&self.seq.to_ne_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 0, family, 0]);
        bytes.extend_from_slice(&resource.to_be_bytes());
        body(&mut Attributes { bytes });
        let length =
            u32::try_from(self.bytes.len() - self.last).expect("a message is far below 4 GiB");
        self.bytes[self.last..self.last + 4].copy_from_slice(&length.to_ne_bytes());
        self.seq = self.seq.wrapping_add(1);
    }
}

/// The attributes of one message, or of one nest in it.
pub(super) struct Attributes<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Attributes<'_> {
    pub(super) fn put(&mut self, kind: u16, value: &[u8]) {
        self.attribute(kind, |a| a.bytes.extend_from_slice(value));
    }

    pub(super) fn number(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    pub(super) fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, |a| {
            a.bytes.extend_from_slice(value.as_bytes());
            a.bytes.push(0);
        });
    }

    pub(super) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Attributes<'_>)) {
        self.attribute(kind | NLA_F_NESTED, body);
    }

    /// A comment as the nft program reads it from user data: type, length, text.
    pub(super) fn comment(&mut self, kind: u16, text: &str) {
        let length = u8::try_from(text.len() + 1).expect("our comments are below 128 bytes");
        let mut value = vec![UDATA_COMMENT, length];
        value.extend_from_slice(text.as_bytes());
        value.push(0);
        self.put(kind, &value);
    }

    fn attribute(&mut self, kind: u16, body: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        body(self);
        let length = u16::try_from(self.bytes.len() - start)
            .expect("lists of elements, the only long attribute, are split");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
