//! A BGP speaker without sockets and clocks: bytes and time in, bytes and routes out.
//!
//! ```text
//!  driver: TCP, time, kernel, leases                         speaker::Input / speaker::Output
//!  -------------------------------------------------------------------------------------------
//!  speaker   peers, RIBs and policy tied together: restart, refresh, groups of peers, settings
//!  peer      when to connect, two connections at a time, which is kept
//!  session   one connection: OPEN to the last byte, timers
//!  wire      messages, attributes, errors (RFC 7606)     policy    what is taken, what is told
//!                                                        rib       paths, decision, explanation
//! ```
//!
//! A driver owns the sockets. It gives the [`speaker::Speaker`] what happens, with the time, and does what comes out:
//!
//! * [`speaker::Output::Connect`] -> TCP connect from the right address, with the right TTL and MD5 key -> `Connected` or
//!   `ConnectFailed`. A connection that was accepted -> `Accepted`. The driver numbers connections; a number is used once.
//! * [`speaker::Output::Send`] -> write; for each octet that the socket takes -> `Sent`. A peer that takes nothing is given no
//!   more than a window, and is given up after the send hold time (RFC 9687).
//! * [`speaker::Output::Routes`] -> the kernel. What an earlier run left there and this one did not install may go, for each
//!   peer by itself, with [`speaker::Event::Synced`].
//! * [`speaker::Output::Event`] -> log and counters.
//!
//! To stop for good, give it [`speaker::Input::Stop`] and carry out what comes of it. To stop for a restart, close the sockets
//! and say nothing: peers that speak graceful restart keep the routes.
//!
//! Everything is ordered and nothing is by chance but the pauses between attempts to connect, whose seed is an argument: the
//! same events in the same order give the same outputs.

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
