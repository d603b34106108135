//! Communities of three sizes: RFC 1997, RFC 4360, RFC 8092.

use std::fmt::{self, Debug, Display};
use std::str::FromStr;

/// A community of four octets (RFC 1997), written `64512:100`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u32);

/// An extended community of eight octets (RFC 4360), written in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedCommunity(pub [u8; 8]);

/// A large community of three numbers (RFC 8092), written `64512:1:2`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity(pub [u32; 3]);

impl Community {
    /// The peer that sends this is going away; use another path if there is one (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Community = Community(0xffff_0000);
    /// Not to be announced to external peers.
    pub const NO_EXPORT: Community = Community(0xffff_ff01);
    /// Not to be announced at all.
    pub const NO_ADVERTISE: Community = Community(0xffff_ff02);
    /// Not to be announced to external peers; as we are in no confederation, the same as [`Community::NO_EXPORT`].
    pub const NO_EXPORT_SUBCONFED: Community = Community(0xffff_ff03);
}

impl ExtendedCommunity {
    /// Whether it may leave the AS (RFC 4360 section 2: bit 0x40 of the type is clear).
    pub fn is_transitive(self) -> bool {
        self.0[0] & 0x40 == 0
    }
}

impl Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Community::GRACEFUL_SHUTDOWN => f.write_str("graceful-shutdown"),
            Community::NO_EXPORT => f.write_str("no-export"),
            Community::NO_ADVERTISE => f.write_str("no-advertise"),
            Community::NO_EXPORT_SUBCONFED => f.write_str("no-export-subconfed"),
            Community(bits) => write!(f, "{}:{}", bits >> 16, bits & 0xffff),
        }
    }
}

impl Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:016x}", u64::from_be_bytes(self.0))
    }
}

impl Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [admin, a, b] = self.0;
        write!(f, "{admin}:{a}:{b}")
    }
}

/// A text that is no community of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a community; expected {expected}")]
pub struct BadCommunity {
    /// The text as given.
    pub text: String,
    /// The form that it should have.
    pub expected: &'static str,
}

impl FromStr for Community {
    type Err = BadCommunity;

    fn from_str(text: &str) -> Result<Community, BadCommunity> {
        let known = [
            Community::GRACEFUL_SHUTDOWN,
            Community::NO_EXPORT,
            Community::NO_ADVERTISE,
            Community::NO_EXPORT_SUBCONFED,
        ];
        if let Some(known) = known.into_iter().find(|c| c.to_string() == text) {
            return Ok(known);
        }
        let parts = text.split_once(':').and_then(|(asn, value)| {
            let (asn, value): (u16, u16) = (asn.parse().ok()?, value.parse().ok()?);
            Some(Community(u32::from(asn) << 16 | u32::from(value)))
        });
        parts.ok_or_else(|| BadCommunity {
            text: text.to_owned(),
            expected: "the form 64512:100, no-export, no-advertise or graceful-shutdown",
        })
    }
}

impl FromStr for LargeCommunity {
    type Err = BadCommunity;

    fn from_str(text: &str) -> Result<LargeCommunity, BadCommunity> {
        let parts: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
        let three = parts.and_then(|parts| <[u32; 3]>::try_from(parts).ok());
        three.map(LargeCommunity).ok_or_else(|| BadCommunity {
            text: text.to_owned(),
            expected: "the form 64512:1:2",
        })
    }
}

impl FromStr for ExtendedCommunity {
    type Err = BadCommunity;

    fn from_str(text: &str) -> Result<ExtendedCommunity, BadCommunity> {
        let digits = text.strip_prefix("0x");
        let digits = digits.filter(|d| d.len() == 16 && d.bytes().all(|b| b.is_ascii_hexdigit()));
        let bits = digits.and_then(|d| u64::from_str_radix(d, 16).ok());
        let bits = bits.map(|bits| ExtendedCommunity(bits.to_be_bytes()));
        bits.ok_or_else(|| BadCommunity {
            text: text.to_owned(),
            expected: "sixteen hexadecimal digits after 0x",
        })
    }
}

macro_rules! debug_as_display {
    ($($kind:ty),*) => {$(
        impl Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Display::fmt(self, f)
            }
        }
    )*};
}
debug_as_display!(Community, ExtendedCommunity, LargeCommunity);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_read_back_as_they_are_shown() {
        for text in [
            "64512:100",
            "no-export",
            "no-advertise",
            "graceful-shutdown",
        ] {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), text);
        }
        let large = "4200000000:1:2";
        assert_eq!(large.parse::<LargeCommunity>().unwrap().to_string(), large);
        let extended = "0x0002fde800000064";
        assert_eq!(
            extended.parse::<ExtendedCommunity>().unwrap().to_string(),
            extended
        );
    }

    #[test]
    fn texts_that_are_no_community_are_refused_and_named() {
        for text in ["", "65536:1", "1", "1:2:3", "x:y"] {
            assert_eq!(text.parse::<Community>().unwrap_err().text, text);
        }
        for text in ["1:2", "1:2:3:4", "1:2:4294967296"] {
            assert_eq!(text.parse::<LargeCommunity>().unwrap_err().text, text);
        }
        assert!("0x12".parse::<ExtendedCommunity>().is_err());
        assert!("0x+000000000000000".parse::<ExtendedCommunity>().is_err());
    }
}
