//! NOTIFICATION: why a session ends (RFC 4271 section 4.5, RFC 6608, RFC 9003, RFC 8538, RFC 9687).

use std::fmt::{self, Display};

use crate::wire::reader::Reader;

/// Why a speaker closes a session, in the words of the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The error code, 1 to 8.
    pub code: u8,
    /// The subcode; 0 is "unspecific".
    pub subcode: u8,
    /// Octets that say more; what they mean depends on the codes.
    pub data: Vec<u8>,
}

/// Why a peering is ended on purpose: the subcodes of Cease (RFC 4486, RFC 8538, RFC 9384).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cease {
    /// More prefixes than the limit for this peer.
    MaxPrefixes = 1,
    /// An operator shuts the peering down and means it to stay so.
    Shutdown = 2,
    /// The peer is not configured any more.
    Deconfigured = 3,
    /// An operator resets the session.
    Reset = 4,
    /// This peer may not connect.
    Rejected = 5,
    /// A setting changed that an open session cannot follow.
    ConfigChange = 6,
    /// The other of two connections is kept (RFC 4271 section 6.8).
    Collision = 7,
    /// There is no room for this peer.
    OutOfResources = 8,
    /// The routes shall not be kept through this end (RFC 8538 section 3).
    HardReset = 9,
    /// BFD says that the peer is gone (RFC 9384).
    BfdDown = 10,
}

impl Notification {
    /// The longest text that RFC 9003 lets us send, in octets of UTF-8.
    pub const MAX_TEXT: usize = 255;

    /// A notification without data.
    pub const fn new(code: u8, subcode: u8) -> Notification {
        Notification {
            code,
            subcode,
            data: Vec::new(),
        }
    }

    /// The same with data. What exceeds 4,000 octets is cut, so that it fits into any message.
    #[must_use]
    pub fn with(mut self, data: &[u8]) -> Notification {
        self.data = data[..data.len().min(4000)].to_vec();
        self
    }

    /// Hold Timer Expired (4/0).
    pub const HOLD_TIMER: Notification = Notification::new(4, 0);
    /// Send Hold Timer Expired (8/0, RFC 9687).
    pub const SEND_HOLD_TIMER: Notification = Notification::new(8, 0);

    /// Cease for this reason.
    pub fn cease(reason: Cease) -> Notification {
        Notification::new(6, reason as u8)
    }

    /// Administrative Shutdown or Reset with a text for the operator over there (RFC 9003), cut to
    /// [`Notification::MAX_TEXT`] octets at a character's end.
    pub fn administrative(reason: Cease, text: &str) -> Notification {
        let mut end = text.len().min(Notification::MAX_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut data = vec![end as u8];
        data.extend_from_slice(&text.as_bytes()[..end]);
        Notification::cease(reason).with(if end == 0 { &[] } else { &data })
    }

    /// The same reason inside of a Hard Reset, which ends graceful restart as well (RFC 8538 section 3.1).
    #[must_use]
    pub fn hard(self) -> Notification {
        let mut data = vec![self.code, self.subcode];
        data.extend_from_slice(&self.data);
        Notification::cease(Cease::HardReset).with(&data)
    }

    /// Whether it forbids to keep the routes even where the N-bit is agreed.
    pub fn is_hard_reset(&self) -> bool {
        (self.code, self.subcode) == (6, Cease::HardReset as u8)
    }

    /// Whether it ends one connection because another one to the same speaker is kept (RFC 4271 section 6.8).
    pub fn is_collision(&self) -> bool {
        (self.code, self.subcode) == (6, Cease::Collision as u8)
    }

    /// The operator's text of an Administrative Shutdown or Reset, also inside of a Hard Reset. Octets that are no UTF-8
    /// are replaced, control characters left out.
    pub fn text(&self) -> Option<String> {
        let mut reader = Reader::new(&self.data);
        let mut kind = (self.code, self.subcode);
        if self.is_hard_reset() {
            kind = (reader.u8()?, reader.u8()?);
        }
        if !matches!(kind, (6, 2 | 4)) {
            return None;
        }
        let length = usize::from(reader.u8()?);
        let text = String::from_utf8_lossy(reader.take(length)?);
        Some(text.chars().filter(|c| !c.is_control()).collect())
    }

    /// Reads the body of a NOTIFICATION. `None` where even the codes are missing.
    pub fn decode(body: &[u8]) -> Option<Notification> {
        let mut reader = Reader::new(body);
        Some(Notification::new(reader.u8()?, reader.u8()?).with(reader.rest()))
    }

    /// Appends the body to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.code, self.subcode]);
        out.extend_from_slice(&self.data);
    }

    fn meaning(&self) -> &'static str {
        match (self.code, self.subcode) {
            (1, 1) => "connection not synchronized",
            (1, 2) => "bad message length",
            (1, 3) => "bad message type",
            (1, _) => "message header error",
            (2, 1) => "unsupported version",
            (2, 2) => "bad peer AS",
            (2, 3) => "bad BGP identifier",
            (2, 4) => "unsupported optional parameter",
            (2, 6) => "unacceptable hold time",
            (2, 7) => "unsupported capability",
            (2, _) => "OPEN message error",
            (3, 1) => "malformed attribute list",
            (3, 2) => "unrecognized well-known attribute",
            (3, 3) => "missing well-known attribute",
            (3, 4) => "attribute flags error",
            (3, 5) => "attribute length error",
            (3, 6) => "invalid ORIGIN",
            (3, 8) => "invalid NEXT_HOP",
            (3, 9) => "optional attribute error",
            (3, 10) => "invalid network field",
            (3, 11) => "malformed AS_PATH",
            (3, _) => "UPDATE message error",
            (4, _) => "hold timer expired",
            (5, 1) => "unexpected message in OpenSent",
            (5, 2) => "unexpected message in OpenConfirm",
            (5, 3) => "unexpected message in Established",
            (5, _) => "finite state machine error",
            (6, 1) => "maximum number of prefixes reached",
            (6, 2) => "administrative shutdown",
            (6, 3) => "peer de-configured",
            (6, 4) => "administrative reset",
            (6, 5) => "connection rejected",
            (6, 6) => "other configuration change",
            (6, 7) => "connection collision resolution",
            (6, 8) => "out of resources",
            (6, 9) => "hard reset",
            (6, 10) => "BFD down",
            (6, _) => "cease",
            (7, 1) => "invalid ROUTE-REFRESH length",
            (7, _) => "ROUTE-REFRESH message error",
            (8, _) => "send hold timer expired",
            _ => "unknown error",
        }
    }
}

impl Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.code, self.subcode, self.meaning())?;
        if let (true, [code, subcode, ..]) = (self.is_hard_reset(), self.data.as_slice()) {
            let inner = Notification::new(*code, *subcode);
            write!(f, " ({code}/{subcode} {})", inner.meaning())?;
        }
        match self.text() {
            Some(text) if !text.is_empty() => write!(f, ": {text:?}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdown_carries_the_operators_text_and_shows_it() {
        let sent = Notification::administrative(Cease::Shutdown, "kernel upgrade, back at 03:00");
        let mut body = Vec::new();
        sent.encode(&mut body);
        let read = Notification::decode(&body).unwrap();
        assert_eq!(read, sent);
        assert_eq!(
            read.to_string(),
            "6/2 administrative shutdown: \"kernel upgrade, back at 03:00\""
        );
    }

    #[test]
    fn a_long_text_is_cut_at_a_characters_end() {
        let sent = Notification::administrative(Cease::Reset, &"ä".repeat(200));
        assert_eq!(sent.text().unwrap(), "ä".repeat(127));
    }

    #[test]
    fn a_hard_reset_shows_what_it_wraps() {
        let hard = Notification::administrative(Cease::Shutdown, "bye").hard();
        assert!(hard.is_hard_reset());
        assert_eq!(hard.text().as_deref(), Some("bye"));
        assert_eq!(
            hard.to_string(),
            "6/9 hard reset (6/2 administrative shutdown): \"bye\""
        );
    }

    #[test]
    fn texts_from_the_wire_are_bounded_and_harmless() {
        assert_eq!(
            Notification::cease(Cease::Shutdown).with(&[9, b'x']).text(),
            None
        );
        let text = Notification::cease(Cease::Shutdown).with(&[4, b'a', 27, 0xff, b'b']);
        assert_eq!(text.text().as_deref(), Some("a\u{fffd}b"));
        assert_eq!(Notification::decode(&[6]), None);
        assert_eq!(Notification::cease(Cease::HardReset).text(), None);
    }
}
