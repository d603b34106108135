//! One attribute of an UPDATE: flags, type code, value, and the walk from one to the next (RFC 4271 section 4.3).

use crate::wire::reader::Reader;

/// Type codes.
pub(crate) mod code {
    pub(crate) const ORIGIN: u8 = 1;
    pub(crate) const AS_PATH: u8 = 2;
    pub(crate) const NEXT_HOP: u8 = 3;
    pub(crate) const MED: u8 = 4;
    pub(crate) const LOCAL_PREF: u8 = 5;
    pub(crate) const ATOMIC_AGGREGATE: u8 = 6;
    pub(crate) const AGGREGATOR: u8 = 7;
    pub(crate) const COMMUNITIES: u8 = 8;
    pub(crate) const ORIGINATOR_ID: u8 = 9;
    pub(crate) const CLUSTER_LIST: u8 = 10;
    pub(crate) const MP_REACH: u8 = 14;
    pub(crate) const MP_UNREACH: u8 = 15;
    pub(crate) const EXTENDED_COMMUNITIES: u8 = 16;
    pub(crate) const AS4_PATH: u8 = 17;
    pub(crate) const AS4_AGGREGATOR: u8 = 18;
    pub(crate) const LARGE_COMMUNITIES: u8 = 32;
}

pub(crate) const OPTIONAL: u8 = 0x80;
pub(crate) const TRANSITIVE: u8 = 0x40;
pub(crate) const PARTIAL: u8 = 0x20;
const EXTENDED_LENGTH: u8 = 0x10;

pub(crate) const WELL_KNOWN: u8 = TRANSITIVE;
const OPTIONAL_TRANSITIVE: u8 = OPTIONAL | TRANSITIVE;

/// An attribute as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawAttribute<'a> {
    pub(crate) flags: u8,
    pub(crate) code: u8,
    pub(crate) value: &'a [u8],
}

/// The Optional and Transitive bits that an attribute must have; `None` for one that we do not know.
pub(crate) fn expected_flags(code: u8) -> Option<u8> {
    match code {
        code::ORIGIN
        | code::AS_PATH
        | code::NEXT_HOP
        | code::LOCAL_PREF
        | code::ATOMIC_AGGREGATE => Some(WELL_KNOWN),
        code::MED
        | code::ORIGINATOR_ID
        | code::CLUSTER_LIST
        | code::MP_REACH
        | code::MP_UNREACH => Some(OPTIONAL),
        code::AGGREGATOR
        | code::COMMUNITIES
        | code::EXTENDED_COMMUNITIES
        | code::AS4_PATH
        | code::AS4_AGGREGATOR
        | code::LARGE_COMMUNITIES => Some(OPTIONAL_TRANSITIVE),
        _ => None,
    }
}

impl RawAttribute<'_> {
    /// Whether the flags are those of its type (RFC 7606 section 3 c). The Partial bit has no place on a well-known attribute
    /// (RFC 4271 section 4.3).
    pub(crate) fn has_expected_flags(&self) -> bool {
        let kind = self.flags & OPTIONAL_TRANSITIVE;
        match expected_flags(self.code) {
            Some(WELL_KNOWN) => kind == WELL_KNOWN && self.flags & PARTIAL == 0,
            Some(expected) => kind == expected,
            None => true,
        }
    }
}

/// The attributes one after the other. An `Err` is the last item: a header is cut off, or a length runs over the end (RFC
/// 7606 section 4).
pub(crate) struct Walk<'a>(pub(crate) Reader<'a>);

/// The rest of the attributes cannot be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CutOff;

impl<'a> Iterator for Walk<'a> {
    type Item = Result<RawAttribute<'a>, CutOff>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let attribute = read(&mut self.0);
        if attribute.is_none() {
            self.0.rest();
        }
        Some(attribute.ok_or(CutOff))
    }
}

fn read<'a>(reader: &mut Reader<'a>) -> Option<RawAttribute<'a>> {
    let (flags, code) = (reader.u8()?, reader.u8()?);
    let length = if flags & EXTENDED_LENGTH != 0 {
        usize::from(reader.u16()?)
    } else {
        usize::from(reader.u8()?)
    };
    let value = reader.take(length)?;
    Some(RawAttribute { flags, code, value })
}

/// Appends one attribute; the length takes two octets only where it must.
pub(crate) fn encode(flags: u8, code: u8, value: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(value.len()) {
        Ok(length) => out.extend_from_slice(&[flags, code, length]),
        Err(_) => {
            out.extend_from_slice(&[flags | EXTENDED_LENGTH, code]);
            out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_takes_an_extended_length_and_reads_back() {
        for length in [0, 1, 255, 256, 3000] {
            let value = vec![7; length];
            let mut out = Vec::new();
            encode(OPTIONAL_TRANSITIVE, 99, &value, &mut out);
            let read: Vec<_> = Walk(Reader::new(&out)).map(Result::unwrap).collect();
            assert_eq!(
                (read.len(), read[0].code, read[0].value),
                (1, 99, value.as_slice())
            );
        }
    }

    #[test]
    fn the_walk_ends_where_a_header_or_value_is_cut_off() {
        for bytes in [
            &[0x40, 1][..],
            &[0x50, 8, 0],
            &[0x40, 1, 2, 0],
            &[0x50, 8, 0xff, 0xff, 1],
        ] {
            let walked: Vec<_> = Walk(Reader::new(bytes)).collect();
            assert_eq!(walked, [Err(CutOff)]);
        }
    }

    #[test]
    fn the_low_four_flag_bits_are_ignored() {
        let origin = |flags| RawAttribute {
            flags,
            code: code::ORIGIN,
            value: &[0],
        };
        assert!(origin(0x4f).has_expected_flags());
        for flags in [0xc0, 0x00, 0x60, 0x80] {
            assert!(!origin(flags).has_expected_flags());
        }
    }
}
