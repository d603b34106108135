//! AS_PATH: through which autonomous systems a route came (RFC 4271 section 4.3 b, RFC 6793).

use std::fmt::{self, Debug, Display};

use crate::ident::Asn;
use crate::wire::reader::Reader;

const SET: u8 = 1;
const SEQUENCE: u8 = 2;
const MOST_IN_SEGMENT: usize = 255;

/// A path of AS_SEQUENCE segments, kept as the four-octet wire has it, so that comparing and sending it is a copy.
///
/// AS_SET is refused on reading (RFC 9774), and so are confederation segments (RFC 5065: no peer of ours is in one), AS 0
/// (RFC 7607), and segments that are empty or cut off.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AsPath(Box<[u8]>);

impl AsPath {
    /// A path with these systems, the nearest first.
    pub fn of(asns: &[Asn]) -> AsPath {
        let mut wire = Vec::with_capacity(2 + 4 * asns.len());
        for segment in asns.chunks(MOST_IN_SEGMENT) {
            wire.extend_from_slice(&[SEQUENCE, segment.len() as u8]);
            segment
                .iter()
                .for_each(|asn| wire.extend_from_slice(&asn.0.to_be_bytes()));
        }
        AsPath(wire.into())
    }

    /// Reads the attribute's value with AS numbers of four or two octets. `None`: malformed.
    pub(crate) fn decode(value: &[u8], four_octets: bool) -> Option<AsPath> {
        let mut reader = Reader::new(value);
        let mut wire = Vec::with_capacity(if four_octets {
            value.len()
        } else {
            2 * value.len()
        });
        while !reader.is_empty() {
            let (kind, count) = (reader.u8()?, reader.u8()?);
            if kind != SEQUENCE || count == 0 {
                return None;
            }
            wire.extend_from_slice(&[SEQUENCE, count]);
            for _ in 0..count {
                let asn = if four_octets {
                    reader.u32()?
                } else {
                    reader.u16()?.into()
                };
                if asn == 0 {
                    return None;
                }
                wire.extend_from_slice(&asn.to_be_bytes());
            }
        }
        Some(AsPath(wire.into()))
    }

    /// The systems, the nearest first.
    pub fn iter(&self) -> impl Iterator<Item = Asn> + '_ {
        let mut wire: &[u8] = &self.0;
        let segments = std::iter::from_fn(move || {
            let (&[_, count], rest) = wire.split_first_chunk()?;
            let (asns, rest) = rest.split_at_checked(4 * usize::from(count))?;
            wire = rest;
            Some(asns)
        });
        let asns = segments.flat_map(|asns| asns.as_chunks::<4>().0);
        asns.map(|asn| Asn(u32::from_be_bytes(*asn)))
    }

    /// How many systems it counts in the decision.
    pub fn hops(&self) -> usize {
        let mut hops = 0;
        let mut at = 0;
        while let Some(&count) = self.0.get(at + 1) {
            hops += usize::from(count);
            at += 2 + 4 * usize::from(count);
        }
        hops
    }

    /// The nearest system: the neighbour that told us.
    pub fn first(&self) -> Option<Asn> {
        self.iter().next()
    }

    /// How often the system is in the path.
    pub fn count(&self, asn: Asn) -> usize {
        self.iter().filter(|a| *a == asn).count()
    }

    /// The path with a system put in front so many times.
    #[must_use]
    pub fn prepended(&self, asn: Asn, times: usize) -> AsPath {
        let mut asns = vec![asn; times];
        match self.0.get(1) {
            // Segments behind the first need not be touched, but a path is rarely longer than one.
            Some(_) => asns.extend(self.iter()),
            None if times == 0 => return self.clone(),
            None => (),
        }
        AsPath::of(&asns)
    }

    /// What a path of two-octet numbers, with AS_TRANS in it, was before an old speaker shortened it: the last systems are
    /// those of AS4_PATH (RFC 6793 section 4.2.3). An AS4_PATH that is longer than the path is ignored.
    #[must_use]
    pub(crate) fn restored(&self, as4: &AsPath) -> AsPath {
        let (old, new) = (self.hops(), as4.hops());
        if new > old {
            return self.clone();
        }
        let mut asns: Vec<Asn> = self.iter().take(old - new).collect();
        asns.extend(as4.iter());
        AsPath::of(&asns)
    }

    /// Whether a number does not fit into two octets.
    pub(crate) fn needs_four_octets(&self) -> bool {
        self.iter().any(|asn| asn.0 > u32::from(u16::MAX))
    }

    /// The attribute's value with four octets each.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The attribute's value with two octets each, AS_TRANS for what does not fit.
    pub(crate) fn two_octet_wire(&self) -> Vec<u8> {
        let asns: Vec<Asn> = self.iter().collect();
        let mut wire = Vec::with_capacity(2 + 2 * asns.len());
        for segment in asns.chunks(MOST_IN_SEGMENT) {
            wire.extend_from_slice(&[SEQUENCE, segment.len() as u8]);
            segment
                .iter()
                .for_each(|asn| wire.extend_from_slice(&asn.two_octets().to_be_bytes()));
        }
        wire
    }
}

/// Whether a well-formed value has an AS_SET somewhere, which says in the log why it is refused.
pub(crate) fn has_set(value: &[u8], four_octets: bool) -> bool {
    let width = if four_octets { 4 } else { 2 };
    let mut reader = Reader::new(value);
    while let (Some(kind), Some(count)) = (reader.u8(), reader.u8()) {
        if kind == SET {
            return true;
        }
        reader.take(width * usize::from(count));
    }
    false
}

impl Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, asn) in self.iter().enumerate() {
            write!(f, "{}{asn}", if n == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl Debug for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(asns: &[u32]) -> AsPath {
        AsPath::of(&asns.iter().map(|a| Asn(*a)).collect::<Vec<_>>())
    }

    #[test]
    fn a_path_reads_back_as_it_is_written() {
        for asns in [&[][..], &[65010], &[65010, 4_200_000_000, 1]] {
            let path = path(asns);
            assert_eq!(AsPath::decode(path.wire(), true), Some(path.clone()));
            assert_eq!(path.hops(), asns.len());
        }
    }

    #[test]
    fn a_long_path_has_several_segments_and_counts_all_of_them() {
        let long = path(&[65010; 600]);
        assert_eq!(long.hops(), 600);
        assert_eq!(long.wire().len(), 3 * 2 + 600 * 4);
        assert_eq!(long.prepended(Asn(1), 2).hops(), 602);
        assert_eq!(long.prepended(Asn(1), 2).first(), Some(Asn(1)));
    }

    #[test]
    fn malformed_segments_sets_confederations_and_as_0_are_refused() {
        for value in [
            &[0, 1, 0, 0, 253, 242][..],
            &[5, 1, 0, 0, 253, 242],
            &[2, 0],
            &[2, 255, 0, 0, 253, 242],
            &[2],
            &[2, 1, 253, 242],
            &[2, 1, 0, 0, 0, 0],
            &[1, 1, 0, 0, 253, 242],
            &[3, 1, 0, 0, 253, 242],
            &[4, 1, 0, 0, 253, 242],
        ] {
            assert_eq!(AsPath::decode(value, true), None, "{value:?}");
        }
        assert!(has_set(&[2, 1, 0, 0, 253, 242, 1, 1, 0, 0, 0, 1], true));
    }

    #[test]
    fn an_old_speakers_path_is_restored_from_as4_path() {
        let old = AsPath::decode(&[2, 3, 0xfd, 0xf2, 0x5b, 0xa0, 0x5b, 0xa0], false).unwrap();
        assert_eq!(
            old.restored(&path(&[100_000, 200_000])),
            path(&[65010, 100_000, 200_000])
        );
        assert_eq!(old.restored(&path(&[1, 2, 3, 4])), old);
    }

    #[test]
    fn two_octets_show_as_trans_for_what_does_not_fit() {
        let path = path(&[65010, 100_000]);
        assert!(path.needs_four_octets());
        assert_eq!(path.two_octet_wire(), [2, 2, 0xfd, 0xf2, 0x5b, 0xa0]);
    }
}
