//! Capabilities: what a speaker can do beyond RFC 4271 (RFC 5492).

use crate::family::{Families, Family, UNICAST};
use crate::ident::Asn;
use crate::wire::reader::Reader;

const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const EXTENDED_NEXT_HOP: u8 = 5;
const EXTENDED_MESSAGE: u8 = 6;
const GRACEFUL_RESTART: u8 = 64;
const FOUR_OCTET_AS: u8 = 65;
const ENHANCED_REFRESH: u8 = 70;

/// What one side of a session can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Multiprotocol (RFC 4760): the families named. Without the capability at all it is IPv4; `Open::decode` sees to it.
    pub families: Families,
    /// Route refresh (RFC 2918).
    pub route_refresh: bool,
    /// Enhanced route refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Extended messages, up to 65,535 octets (RFC 8654).
    pub extended_message: bool,
    /// IPv4 routes may have an IPv6 next hop (RFC 8950).
    pub extended_next_hop: bool,
    /// Four-octet AS numbers, and the number (RFC 6793).
    pub four_octet_as: Option<Asn>,
    /// Graceful restart (RFC 4724).
    pub graceful_restart: Option<GracefulRestart>,
}

/// The graceful restart capability (RFC 4724 section 3, RFC 8538).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GracefulRestart {
    /// R: this speaker has just restarted and waits for routes.
    pub restarting: bool,
    /// N: routes are kept through a NOTIFICATION and a hold timer, too (RFC 8538).
    pub notification: bool,
    /// Seconds, 0 to 4095, that the session will be back in.
    pub restart_time: u16,
    /// The families whose routes are kept.
    pub families: Families,
    /// F: the families in which the kernel forwarded through the restart.
    pub forwarding: Families,
}

impl Capabilities {
    /// Reads the value of one capabilities parameter into `self`. `None`: malformed, which RFC 4271 section 6.2 answers
    /// with 2/0. What is unknown is passed over (RFC 5492 section 3).
    pub(crate) fn read(&mut self, value: &[u8]) -> Option<()> {
        let mut reader = Reader::new(value);
        while !reader.is_empty() {
            let (code, length) = (reader.u8()?, reader.u8()?);
            self.read_one(code, reader.take(length.into())?)?;
        }
        Some(())
    }

    fn read_one(&mut self, code: u8, value: &[u8]) -> Option<()> {
        match code {
            MULTIPROTOCOL => {
                let &[a, b, _, safi] = value else { return None };
                if let Some(family) = Family::of(u16::from_be_bytes([a, b]), safi) {
                    self.families.set(family, true);
                }
            }
            ROUTE_REFRESH => flag(&mut self.route_refresh, value)?,
            ENHANCED_REFRESH => flag(&mut self.enhanced_refresh, value)?,
            EXTENDED_MESSAGE => flag(&mut self.extended_message, value)?,
            EXTENDED_NEXT_HOP => self.read_next_hops(value)?,
            FOUR_OCTET_AS => {
                let asn = u32::from_be_bytes(value.try_into().ok()?);
                self.four_octet_as = Some(Asn(asn));
            }
            GRACEFUL_RESTART => self.graceful_restart = Some(GracefulRestart::read(value)?),
            _ => (),
        }
        Some(())
    }

    fn read_next_hops(&mut self, value: &[u8]) -> Option<()> {
        let (triples, []) = value.as_chunks::<6>() else {
            return None;
        };
        self.extended_next_hop |= triples.contains(&[0, 1, 0, UNICAST, 0, 2]);
        Some(())
    }

    /// Appends all of them, each with code and length: at most 60 octets.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for family in self.families.iter() {
            let [a, b] = family.afi().to_be_bytes();
            out.extend_from_slice(&[MULTIPROTOCOL, 4, a, b, 0, UNICAST]);
        }
        for (there, code) in [
            (self.route_refresh, ROUTE_REFRESH),
            (self.enhanced_refresh, ENHANCED_REFRESH),
            (self.extended_message, EXTENDED_MESSAGE),
        ] {
            if there {
                out.extend_from_slice(&[code, 0]);
            }
        }
        if self.extended_next_hop {
            out.extend_from_slice(&[EXTENDED_NEXT_HOP, 6, 0, 1, 0, UNICAST, 0, 2]);
        }
        if let Some(asn) = self.four_octet_as {
            out.extend_from_slice(&[FOUR_OCTET_AS, 4]);
            out.extend_from_slice(&asn.0.to_be_bytes());
        }
        if let Some(restart) = &self.graceful_restart {
            restart.encode(out);
        }
    }
}

/// A capability without a value.
fn flag(there: &mut bool, value: &[u8]) -> Option<()> {
    *there = true;
    value.is_empty().then_some(())
}

impl GracefulRestart {
    const RESTARTING: u16 = 0x8000;
    const NOTIFICATION: u16 = 0x4000;
    const FORWARDING: u8 = 0x80;
    /// The longest restart time that the capability can carry, in seconds.
    pub const MAX_TIME: u16 = 0x0fff;

    fn read(value: &[u8]) -> Option<GracefulRestart> {
        let (head, families) = value.split_first_chunk::<2>()?;
        let (families, []) = families.as_chunks::<4>() else {
            return None;
        };
        let head = u16::from_be_bytes(*head);
        let mut restart = GracefulRestart {
            restarting: head & Self::RESTARTING != 0,
            notification: head & Self::NOTIFICATION != 0,
            restart_time: head & Self::MAX_TIME,
            ..GracefulRestart::default()
        };
        for &[a, b, safi, flags] in families {
            if let Some(family) = Family::of(u16::from_be_bytes([a, b]), safi) {
                restart.families.set(family, true);
                restart
                    .forwarding
                    .set(family, flags & Self::FORWARDING != 0);
            }
        }
        Some(restart)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut head = self.restart_time.min(Self::MAX_TIME);
        head |= if self.restarting { Self::RESTARTING } else { 0 };
        head |= if self.notification {
            Self::NOTIFICATION
        } else {
            0
        };
        let families = self.families.iter().count() as u8;
        out.extend_from_slice(&[GRACEFUL_RESTART, 2 + 4 * families]);
        out.extend_from_slice(&head.to_be_bytes());
        for family in self.families.iter() {
            let flags = if self.forwarding.has(family) {
                Self::FORWARDING
            } else {
                0
            };
            out.extend_from_slice(&family.afi().to_be_bytes());
            out.extend_from_slice(&[UNICAST, flags]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &[u8]) -> Option<Capabilities> {
        let mut capabilities = Capabilities::default();
        capabilities.read(value)?;
        Some(capabilities)
    }

    #[test]
    fn capabilities_read_back_as_they_are_written() {
        let all = Capabilities {
            families: Families::BOTH,
            route_refresh: true,
            enhanced_refresh: true,
            extended_message: true,
            extended_next_hop: true,
            four_octet_as: Some(Asn(4_200_000_001)),
            graceful_restart: Some(GracefulRestart {
                restarting: true,
                notification: true,
                restart_time: 120,
                families: Families::BOTH,
                forwarding: Families::IPV4,
            }),
        };
        for one in [all, Capabilities::default()] {
            let mut value = Vec::new();
            one.encode(&mut value);
            assert!(value.len() <= 60);
            assert_eq!(read(&value), Some(one));
        }
    }

    #[test]
    fn known_capabilities_of_a_wrong_length_are_malformed() {
        for value in [
            &[1, 3, 0, 1, 0][..],
            &[1, 0],
            &[1, 5, 0, 1, 0, 1, 0],
            &[65, 2, 0xfd, 0xf2],
            &[65, 0],
            &[2, 1, 0],
            &[64, 1, 0],
            &[64, 3, 0, 120, 0],
            &[6, 1, 0],
            &[5, 5, 0, 1, 0, 1, 0],
            &[1],
            &[1, 32, 0, 1, 0, 1],
        ] {
            assert_eq!(read(value), None, "{value:?}");
        }
    }

    #[test]
    fn unknown_capabilities_and_families_are_passed_over() {
        let known = read(&[200, 4, 1, 2, 3, 4, 1, 4, 0, 25, 0, 70, 1, 4, 0, 2, 0, 1]).unwrap();
        assert_eq!(known.families, Families::IPV6);
    }

    #[test]
    fn a_capability_said_twice_is_one() {
        let known = read(&[1, 4, 0, 1, 0, 1, 1, 4, 0, 1, 0, 1]).unwrap();
        assert_eq!(known.families, Families::IPV4);
    }
}
