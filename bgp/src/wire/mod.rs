//! Messages as they stand on the wire: reading with the reactions of RFC 7606, writing with as many routes in a message as it
//! holds.
//!
//! ```text
//! message.rs      header, frame, which message it is
//! open.rs         OPEN           capability.rs   what a speaker can do
//! update.rs       UPDATE: three parts, reaction   collect.rs    each attribute by its rules   reach.rs   multiprotocol
//! attribute.rs    flags, code, value              attributes.rs what they mean   as_path.rs, community.rs, nlri.rs
//! fault.rs        what an UPDATE survives         notification.rs  what a session does not
//! encode.rs       UPDATEs out
//! ```
//!
//! Nothing here keeps state: the session's agreement comes in as [`Rules`]. Reading is linear in the octets, and what it
//! allocates is bounded by a small multiple of the message's length.

mod as_path;
mod attribute;
mod attributes;
mod capability;
mod collect;
mod community;
mod encode;
mod fault;
mod message;
mod nlri;
mod notification;
mod open;
mod reach;
mod reader;
mod refresh;
mod rules;
mod update;

pub use as_path::AsPath;
pub use attributes::{Aggregator, Attributes, NextHop, Origin, Unknown};
pub use capability::{Capabilities, GracefulRestart};
pub use community::{BadCommunity, Community, ExtendedCommunity, LargeCommunity};
pub use encode::{TooLong, encode_announce, encode_withdraw};
pub use fault::{Fault, Severity};
pub use message::{
    Broken, HEADER, Kind, MAX_EXTENDED, MAX_MESSAGE, Message, decode_message, encode_end_of_rib,
    encode_keepalive, encode_notification, encode_open, encode_refresh, frame,
};
pub use nlri::Prefixes;
pub use notification::{Cease, Notification};
pub use open::Open;
pub use refresh::{Refresh, RefreshKind};
pub use rules::Rules;
pub use update::{Announced, Update, decode_attributes_only, decode_update};

#[cfg(test)]
mod tests;
