//! Reading what the kernel answers.

use std::io;
use std::net::IpAddr;

use crate::attachment::Mac;

use super::wire::*;

/// One message of the kernel.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) kind: u16,
    pub(crate) seq: u32,
    pub(crate) payload: &'a [u8],
}

/// The messages of a datagram; what is cut off ends it.
pub(super) fn answers(mut bytes: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let answer = Answer {
            kind: u16_at(bytes, 4)?,
            seq: u32_at(bytes, 8)?,
            payload: bytes.get(16..length)?,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(answer)
    })
}

/// The errno of an acknowledgement (`None`: done) and the kernel's own words.
pub(super) fn acknowledgement(answer: &Answer<'_>) -> (Option<io::Error>, String) {
    let errno = u32_at(answer.payload, 0).map_or(libc::EIO, |e| e.cast_signed().saturating_neg());
    // With NETLINK_CAP_ACK only the header of the request stands before the attributes (netlink_ack()).
    let words = Attrs(answer.payload.get(20..).unwrap_or_default())
        .find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG)
        .map(|(_, text)| format!(" ({})", text_of(text)));
    let error = (errno != 0).then(|| io::Error::from_raw_os_error(errno));
    (error, words.unwrap_or_default())
}

/// The attributes after a message's own header.
#[derive(Clone, Debug)]
pub(crate) struct Attrs<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attrs<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16_at(self.0, 0)?);
        // The two top bits say "nested" and "network byte order".
        let kind = u16_at(self.0, 2)? & 0x3fff;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// A link as the kernel has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LinkView {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: Option<Mac>,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    pub(crate) alias: Option<String>,
    /// `veth` and so on.
    pub(crate) kind: Option<String>,
    /// A veth's other end, by its number in its own namespace.
    pub(crate) peer: Option<u32>,
}

impl LinkView {
    /// Reads `struct ifinfomsg` and its attributes.
    pub(crate) fn read(payload: &[u8]) -> Option<LinkView> {
        let mut link = LinkView {
            index: u32_at(payload, 4)?,
            name: String::new(),
            mac: None,
            mtu: 0,
            up: u32_at(payload, 8)? & IFF_UP != 0,
            alias: None,
            kind: None,
            peer: None,
        };
        for (kind, value) in Attrs(payload.get(16..)?) {
            match kind {
                IFLA_IFNAME => link.name = text_of(value),
                IFLA_ADDRESS => link.mac = value.try_into().ok().map(Mac),
                IFLA_MTU => link.mtu = u32_at(value, 0)?,
                IFLA_IFALIAS => link.alias = Some(text_of(value)),
                IFLA_LINK => link.peer = u32_at(value, 0),
                IFLA_LINKINFO => {
                    let mut info = Attrs(value);
                    let kind = info.find(|(kind, _)| *kind == IFLA_INFO_KIND);
                    link.kind = kind.map(|(_, value)| text_of(value));
                }
                _ => {}
            }
        }
        Some(link)
    }
}

/// An address of either family, by its length.
pub(crate) fn address(value: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(value).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(value).ok().map(IpAddr::from);
    v4().or_else(v6)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn text_of(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for answer in answers(&bytes) {
                let _ = acknowledgement(&answer);
            }
            let _ = LinkView::read(&bytes);
            prop_assert!(Attrs(&bytes).count() <= bytes.len());
        }
    }
}
