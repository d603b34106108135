//! ROUTE-REFRESH and its begin and end marks (RFC 2918, RFC 7313).

use crate::family::{Family, UNICAST};
use crate::wire::reader::Reader;

/// What a ROUTE-REFRESH message means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RefreshKind {
    /// Send me your routes again.
    Request = 0,
    /// BoRR: all my routes follow.
    Begin = 1,
    /// EoRR: that was all; what I did not repeat is gone.
    End = 2,
}

/// One ROUTE-REFRESH message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refresh {
    /// Which routes.
    pub family: Family,
    /// What is asked or marked.
    pub kind: RefreshKind,
}

impl Refresh {
    /// Reads the body. `None` for a family that we do not speak or a kind that RFC 7313 does not know: both are ignored.
    pub fn decode(body: &[u8]) -> Option<Refresh> {
        let mut reader = Reader::new(body);
        let (afi, kind, safi) = (reader.u16()?, reader.u8()?, reader.u8()?);
        let kind = match kind {
            0 => RefreshKind::Request,
            1 => RefreshKind::Begin,
            2 => RefreshKind::End,
            _ => return None,
        };
        Some(Refresh {
            family: Family::of(afi, safi)?,
            kind,
        })
    }

    /// Appends the body to `out`.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.family.afi().to_be_bytes());
        out.extend_from_slice(&[self.kind as u8, UNICAST]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_reads_back_as_it_is_written() {
        for family in Family::ALL {
            for kind in [RefreshKind::Request, RefreshKind::Begin, RefreshKind::End] {
                let refresh = Refresh { family, kind };
                let mut body = Vec::new();
                refresh.encode(&mut body);
                assert_eq!(Refresh::decode(&body), Some(refresh));
            }
        }
    }

    #[test]
    fn unknown_families_and_kinds_are_ignored() {
        assert_eq!(Refresh::decode(&[0x40, 4, 0, 0x85]), None);
        assert_eq!(Refresh::decode(&[0, 1, 3, 1]), None);
    }
}
