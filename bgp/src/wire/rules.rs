//! What a session agreed on, as far as reading and writing UPDATEs depends on it.

use crate::family::Families;
use crate::ident::{Asn, Peering};

/// What a session agreed on, as far as reading and writing UPDATEs depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rules {
    /// Internal or external: some attributes mean something only inside of an AS.
    pub peering: Peering,
    /// The peer's AS, with which every path from an external peer begins.
    pub peer_asn: Asn,
    /// Whether a path from an external peer must begin with its AS (RFC 4271 section 6.3). Route servers need it off.
    pub enforce_first_as: bool,
    /// AS numbers have four octets in both directions (RFC 6793).
    pub four_octet_as: bool,
    /// The families agreed on; others are ignored.
    pub families: Families,
    /// IPv4 routes may have an IPv6 next hop (RFC 8950).
    pub extended_next_hop: bool,
    /// The longest message in octets: 4,096, or 65,535 (RFC 8654).
    pub max_message: usize,
}
