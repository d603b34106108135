//! A BGP speaker without sockets and clocks: bytes and time in, bytes and routes out.

mod family;
mod ident;
pub mod peer;
pub mod policy;
mod prefix;
pub mod rib;
pub mod session;
pub mod speaker;
pub mod wire;

pub use family::{Families, Family};
pub use ident::{Asn, Peering, RouterId};
pub use prefix::{BadPrefix, Net, Prefix, Prefix4, Prefix6};
