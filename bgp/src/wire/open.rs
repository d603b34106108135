//! OPEN: who a speaker is and what it can do (RFC 4271 section 4.2 and 6.2, RFC 5492, RFC 9072).

use crate::family::Families;
use crate::ident::{Asn, RouterId};
use crate::wire::capability::Capabilities;
use crate::wire::notification::Notification;
use crate::wire::reader::Reader;

const VERSION: u8 = 4;
const CAPABILITIES: u8 = 2;
/// Both the length and the type octet of RFC 9072's longer form.
const EXTENDED: u8 = 255;

/// Who a speaker is and what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The AS number: that of the four-octet capability where there is one (RFC 6793 section 4.1).
    pub asn: Asn,
    /// Seconds that the speaker proposes for the hold time: 0 (none), or 3 and more.
    pub hold_time: u16,
    /// The BGP identifier.
    pub router_id: RouterId,
    /// What it can do.
    pub capabilities: Capabilities,
}

impl Open {
    /// Reads the body, and refuses what no speaker may say: an AS or identifier of 0, a hold time of 1 or 2 seconds.
    pub fn decode(body: &[u8]) -> Result<Open, Notification> {
        let mut reader = Reader::new(body);
        let open = Open::read(&mut reader)?;
        if open.asn.0 == 0 {
            return Err(Notification::new(2, 2));
        }
        if open.router_id.to_bits() == 0 {
            return Err(Notification::new(2, 3));
        }
        if matches!(open.hold_time, 1 | 2) {
            return Err(Notification::new(2, 6));
        }
        Ok(open)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Open, Notification> {
        let malformed = || Notification::new(2, 0);
        let version = reader.u8().ok_or_else(malformed)?;
        if version != VERSION {
            return Err(Notification::new(2, 1).with(&u16::from(VERSION).to_be_bytes()));
        }
        let asn = Asn(reader.u16().ok_or_else(malformed)?.into());
        let hold_time = reader.u16().ok_or_else(malformed)?;
        let router_id = RouterId::from_bits(reader.u32().ok_or_else(malformed)?);
        let mut parameters = Parameters::new(reader.rest()).ok_or_else(malformed)?;
        let mut capabilities = Capabilities::default();
        let mut multiprotocol = false;
        while let Some((kind, value)) = parameters.next().ok_or_else(malformed)? {
            if kind != CAPABILITIES {
                return Err(Notification::new(2, 4));
            }
            capabilities.read(value).ok_or_else(malformed)?;
            multiprotocol |= names_families(value);
        }
        if !multiprotocol {
            capabilities.families = Families::IPV4;
        }
        Ok(Open {
            asn: capabilities.four_octet_as.unwrap_or(asn),
            hold_time,
            router_id,
            capabilities,
        })
    }

    /// Appends the body to `out`. All capabilities go into one parameter.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut capabilities = Vec::with_capacity(64);
        self.capabilities.encode(&mut capabilities);
        let length = capabilities.len() as u8;
        out.push(VERSION);
        out.extend_from_slice(&self.asn.two_octets().to_be_bytes());
        out.extend_from_slice(&self.hold_time.to_be_bytes());
        out.extend_from_slice(&self.router_id.to_bits().to_be_bytes());
        out.extend_from_slice(&[length + 2, CAPABILITIES, length]);
        out.extend_from_slice(&capabilities);
    }
}

/// Whether a well-formed list of capabilities has the multiprotocol one, of whatever family.
fn names_families(value: &[u8]) -> bool {
    let mut reader = Reader::new(value);
    while let (Some(code), Some(length)) = (reader.u8(), reader.u8()) {
        if code == 1 {
            return true;
        }
        reader.take(length.into());
    }
    false
}

/// The optional parameters, in the short form or in that of RFC 9072.
struct Parameters<'a> {
    reader: Reader<'a>,
    extended: bool,
}

impl<'a> Parameters<'a> {
    fn new(bytes: &'a [u8]) -> Option<Parameters<'a>> {
        let mut reader = Reader::new(bytes);
        let short = reader.u8()?;
        let extended = short == EXTENDED && bytes.get(1) == Some(&EXTENDED);
        let length = if extended {
            reader.u8()?;
            usize::from(reader.u16()?)
        } else {
            usize::from(short)
        };
        let rest = reader.rest();
        (rest.len() == length).then_some(Parameters {
            reader: Reader::new(rest),
            extended,
        })
    }

    /// The next parameter. Outer `None`: malformed; inner `None`: no more.
    #[allow(
        clippy::option_option,
        reason = "three outcomes, of which the caller turns one into an error"
    )]
    fn next(&mut self) -> Option<Option<(u8, &'a [u8])>> {
        if self.reader.is_empty() {
            return Some(None);
        }
        let kind = self.reader.u8()?;
        let length = if self.extended {
            usize::from(self.reader.u16()?)
        } else {
            usize::from(self.reader.u8()?)
        };
        Some(Some((kind, self.reader.take(length)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Kind, encode_open, frame};

    fn body(asn: u16, hold: u16, id: u32, parameters: &[u8]) -> Vec<u8> {
        let mut body = vec![4];
        body.extend_from_slice(&asn.to_be_bytes());
        body.extend_from_slice(&hold.to_be_bytes());
        body.extend_from_slice(&id.to_be_bytes());
        body.extend_from_slice(parameters);
        body
    }

    fn refused(body: &[u8]) -> (u8, u8) {
        let why = Open::decode(body).unwrap_err();
        (why.code, why.subcode)
    }

    #[test]
    fn an_open_reads_back_as_it_is_written() {
        let open = Open {
            asn: Asn(4_200_000_001),
            hold_time: 90,
            router_id: RouterId::from_bits(0x0a63_0001),
            capabilities: Capabilities {
                families: Families::BOTH,
                four_octet_as: Some(Asn(4_200_000_001)),
                ..Capabilities::default()
            },
        };
        let message = encode_open(&open);
        assert_eq!(frame(&message, 4096), Ok(Some((Kind::Open, message.len()))));
        assert_eq!(message[20..22], 23456_u16.to_be_bytes());
        assert_eq!(Open::decode(&message[19..]), Ok(open));
    }

    #[test]
    fn an_open_without_capabilities_is_ipv4_with_two_octets() {
        let open = Open::decode(&body(65010, 90, 1, &[0])).unwrap();
        assert_eq!(open.asn, Asn(65010));
        assert_eq!(open.capabilities.families, Families::IPV4);
    }

    #[test]
    fn naming_only_foreign_families_leaves_none() {
        let open = Open::decode(&body(65010, 90, 1, &[8, 2, 6, 1, 4, 0, 25, 0, 70])).unwrap();
        assert!(open.capabilities.families.is_empty());
    }

    #[test]
    fn what_no_speaker_may_say_is_refused() {
        let mut version = body(65010, 90, 1, &[0]);
        version[0] = 3;
        let why = Open::decode(&version).unwrap_err();
        assert_eq!((why.code, why.subcode, why.data), (2, 1, vec![0, 4]));
        assert_eq!(refused(&body(0, 90, 1, &[0])), (2, 2));
        assert_eq!(
            refused(&body(65010, 90, 1, &[8, 2, 6, 65, 4, 0, 0, 0, 0])),
            (2, 2)
        );
        assert_eq!(refused(&body(65010, 90, 0, &[0])), (2, 3));
        assert_eq!(refused(&body(65010, 1, 1, &[0])), (2, 6));
        assert_eq!(refused(&body(65010, 2, 1, &[0])), (2, 6));
    }

    #[test]
    fn broken_parameters_are_malformed_and_unknown_ones_unsupported() {
        for parameters in [
            &[6, 2, 32, 2, 0, 6, 0][..],
            &[64, 2, 6, 65, 4, 0, 0, 253, 242],
            &[2, 2, 6, 65, 4, 0, 0, 253, 242],
            &[1, 2],
            &[255],
            &[255, 255, 0],
            &[255, 255, 0, 128, 2, 0, 6, 65, 4, 0, 0, 253, 242],
            &[255, 255, 0, 2, 0, 1],
            &[],
        ] {
            assert_eq!(
                refused(&body(65010, 90, 1, parameters)),
                (2, 0),
                "{parameters:?}"
            );
        }
        assert_eq!(refused(&body(65010, 90, 1, &[3, 99, 1, 0])), (2, 4));
        assert_eq!(refused(&body(65010, 90, 1, &[3, 1, 1, 0])), (2, 4));
    }

    #[test]
    fn the_longer_form_of_parameters_is_read() {
        let parameters = [255, 255, 0, 9, 2, 0, 6, 65, 4, 0, 0, 253, 242];
        let open = Open::decode(&body(23456, 90, 1, &parameters)).unwrap();
        assert_eq!(open.asn, Asn(65010));
    }

    #[test]
    fn an_open_cut_anywhere_is_an_error_and_no_panic() {
        let whole = body(65010, 90, 1, &[8, 2, 6, 65, 4, 0, 0, 253, 242]);
        for end in 0..whole.len() {
            assert!(Open::decode(&whole[..end]).is_err());
        }
    }
}
