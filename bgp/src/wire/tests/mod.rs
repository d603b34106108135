//! What needs more than one file of the wire: UPDATEs, right and wrong, and other codecs.

mod generate;
mod oracle;

mod properties;
mod reactions;

use crate::family::Families;
use crate::ident::{Asn, Peering};
use crate::wire::Rules;

/// An external session that agreed on everything but long messages and IPv6 next hops of IPv4 routes.
pub(crate) const EXTERNAL: Rules = Rules {
    peering: Peering::External,
    peer_asn: Asn(65010),
    enforce_first_as: true,
    four_octet_as: true,
    families: Families::BOTH,
    extended_next_hop: false,
    max_message: 4096,
};

/// The same within one AS.
pub(crate) const INTERNAL: Rules = Rules {
    peering: Peering::Internal,
    peer_asn: Asn(65001),
    ..EXTERNAL
};
