//! A BGP peer made of bytes: it says whatever a test wants said, counts what it hears, and is slowed down by nobody but TCP.
//!
//! Its codec is zettabgp, which knows nothing of ours; where that cannot write or read something
//! ([decision 0010](../../docs/decisions/0010-own-bgp-codec.md)) the bytes are made here.
//!
//! ```text
//! Load (pre-encoded UPDATEs) ──> RawPeer ── own thread ──> TCP ──> who is under test
//!                                   Heard <── own thread <── TCP <──
//! ```

mod codec;
mod heard;
mod load;
mod peer;

pub use codec::{Announced, AsPath};
pub use heard::{Ear, Heard, Notification};
pub use load::Load;
pub use peer::{RawPeer, RawSetup, Sending};
