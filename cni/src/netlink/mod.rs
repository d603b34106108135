//! rtnetlink, as much as one pod's link needs. The `kernel` crate's speaker is made for tables and a runtime; this one
//! is a socket that asks and waits.

mod decode;
mod message;
mod socket;
mod sockopt;
pub(crate) mod wire;

pub(crate) use decode::{Answer, Attrs, LinkView, address, u16_at, u32_at};
pub(crate) use message::Message;
pub(crate) use socket::{Refusal, Socket};
