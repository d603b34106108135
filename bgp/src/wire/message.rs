//! The header, and which message it is (RFC 4271 section 4.1 and 6.1, RFC 8654).

use crate::family::Family;
use crate::wire::notification::Notification;
use crate::wire::open::Open;
use crate::wire::refresh::Refresh;
use crate::wire::rules::Rules;
use crate::wire::update::{Update, decode_update};

/// Octets of the header.
pub const HEADER: usize = 19;
/// The longest message without RFC 8654, and the longest OPEN and KEEPALIVE in any case.
pub const MAX_MESSAGE: usize = 4096;
/// The longest message where both sides agreed on RFC 8654.
pub const MAX_EXTENDED: usize = 65535;

const MARKER: [u8; 16] = [0xff; 16];

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Type 1.
    Open = 1,
    /// Type 2.
    Update = 2,
    /// Type 3.
    Notification = 3,
    /// Type 4.
    Keepalive = 4,
    /// Type 5 (RFC 2918).
    RouteRefresh = 5,
}

/// One message from a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Who the peer is and what it can do.
    Open(Open),
    /// Routes.
    Update(Update),
    /// The peer ends the session.
    Notification(Notification),
    /// The peer lives.
    Keepalive,
    /// The peer wants our routes again, or marks the begin or end of its own. `None`: a family that we do not speak.
    Refresh(Option<Refresh>),
}

/// Bytes that end the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// Tell the peer why, then close.
    Notify(Notification),
    /// Close without a word: what is broken is itself a NOTIFICATION (RFC 4271 section 6.4).
    Close,
}

impl From<Notification> for Broken {
    fn from(notification: Notification) -> Broken {
        Broken::Notify(notification)
    }
}

/// Looks for one message at the start of `bytes`: its type and its length with the header. `None` while octets are missing.
/// A header is judged as soon as it is there, whatever follows. `limit` is [`MAX_MESSAGE`] or [`MAX_EXTENDED`].
pub fn frame(bytes: &[u8], limit: usize) -> Result<Option<(Kind, usize)>, Broken> {
    let Some(header) = bytes.get(..HEADER) else {
        return Ok(None);
    };
    if header[..16] != MARKER {
        return Err(Notification::new(1, 1).into());
    }
    let length = u16::from_be_bytes([header[16], header[17]]);
    let (kind, shortest, longest) = bounds(header[18], limit);
    let fits = (shortest..=longest).contains(&usize::from(length));
    match kind {
        Some(Kind::Notification) if !fits => Err(Broken::Close),
        _ if !fits => Err(Notification::new(1, 2).with(&header[16..18]).into()),
        None => Err(Notification::new(1, 3).with(&header[18..19]).into()),
        Some(kind) if bytes.len() >= usize::from(length) => Ok(Some((kind, length.into()))),
        Some(_) => Ok(None),
    }
}

/// The type with that number, and how long its messages may be.
fn bounds(number: u8, limit: usize) -> (Option<Kind>, usize, usize) {
    match number {
        1 => (Some(Kind::Open), 29, MAX_MESSAGE),
        2 => (Some(Kind::Update), 23, limit),
        3 => (Some(Kind::Notification), 21, limit),
        4 => (Some(Kind::Keepalive), HEADER, HEADER),
        5 => (Some(Kind::RouteRefresh), 23, 23),
        _ => (None, HEADER, limit),
    }
}

/// Reads the body of a message, which is what follows the header.
pub fn decode_message(kind: Kind, body: &[u8], rules: &Rules) -> Result<Message, Broken> {
    Ok(match kind {
        Kind::Open => Message::Open(Open::decode(body)?),
        Kind::Update => Message::Update(decode_update(body, rules)?),
        Kind::Notification => {
            Message::Notification(Notification::decode(body).ok_or(Broken::Close)?)
        }
        Kind::Keepalive => Message::Keepalive,
        Kind::RouteRefresh => Message::Refresh(Refresh::decode(body)),
    })
}

/// A whole message: the header and what `body` appends. A body that is too long for the length field is a bug of ours; the
/// callers bound it.
pub(crate) fn message(kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&[0, 0, kind as u8]);
    body(&mut out);
    let length = u16::try_from(out.len()).expect("bodies are bounded to 65,535 octets");
    out[16..18].copy_from_slice(&length.to_be_bytes());
    out
}

/// A whole OPEN.
pub fn encode_open(open: &Open) -> Vec<u8> {
    message(Kind::Open, |out| open.encode(out))
}

/// A whole NOTIFICATION.
pub fn encode_notification(notification: &Notification) -> Vec<u8> {
    message(Kind::Notification, |out| notification.encode(out))
}

/// A whole KEEPALIVE.
pub fn encode_keepalive() -> Vec<u8> {
    message(Kind::Keepalive, |_| ())
}

/// A whole ROUTE-REFRESH.
pub fn encode_refresh(refresh: Refresh) -> Vec<u8> {
    message(Kind::RouteRefresh, |out| refresh.encode(out))
}

/// A whole End-of-RIB marker (RFC 4724 section 2).
pub fn encode_end_of_rib(family: Family) -> Vec<u8> {
    message(Kind::Update, |out| match family {
        Family::Ipv4 => out.extend_from_slice(&[0, 0, 0, 0]),
        Family::Ipv6 => out.extend_from_slice(&[0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(length: u16, kind: u8) -> Vec<u8> {
        let mut bytes = MARKER.to_vec();
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.push(kind);
        bytes
    }

    fn refused(bytes: &[u8]) -> (u8, u8, Vec<u8>) {
        match frame(bytes, MAX_MESSAGE) {
            Err(Broken::Notify(n)) => (n.code, n.subcode, n.data),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_keepalive_is_framed_when_its_last_octet_is_there() {
        let keepalive = encode_keepalive();
        for end in 0..HEADER {
            assert_eq!(frame(&keepalive[..end], MAX_MESSAGE), Ok(None));
        }
        assert_eq!(
            frame(&keepalive, MAX_MESSAGE),
            Ok(Some((Kind::Keepalive, 19)))
        );
    }

    #[test]
    fn a_marker_with_one_bit_clear_is_not_synchronized() {
        let mut bytes = encode_keepalive();
        bytes[15] = 0xfe;
        assert_eq!(refused(&bytes), (1, 1, vec![]));
    }

    #[test]
    fn lengths_that_the_type_cannot_have_are_refused_with_the_length() {
        for (length, kind) in [
            (0, 4),
            (18, 4),
            (20, 4),
            (28, 1),
            (22, 2),
            (4097, 2),
            (65535, 4),
            (22, 5),
            (24, 5),
            (4097, 9),
        ] {
            assert_eq!(
                refused(&header(length, kind)),
                (1, 2, length.to_be_bytes().to_vec())
            );
        }
    }

    #[test]
    fn a_long_update_is_fine_where_extended_messages_are_agreed_and_a_long_open_never() {
        assert_eq!(frame(&header(65535, 2), MAX_EXTENDED), Ok(None));
        assert!(frame(&header(4097, 1), MAX_EXTENDED).is_err());
    }

    #[test]
    fn unknown_types_are_refused_with_the_type() {
        for kind in [0, 6, 255] {
            assert_eq!(refused(&header(19, kind)), (1, 3, vec![kind]));
        }
    }

    #[test]
    fn a_notification_of_impossible_length_is_never_answered() {
        assert_eq!(frame(&header(20, 3), MAX_MESSAGE), Err(Broken::Close));
        assert_eq!(frame(&header(4097, 3), MAX_MESSAGE), Err(Broken::Close));
    }
}
