//! Real BGP daemons in namespaces: BIRD, FRR, GoBGP, ExaBGP and OpenBGPD behind one face.
//!
//! ```text
//! Brand ──start(namespace, PeerSetup)──> Speaker ── Dialect (how this daemon is configured, started and asked)
//!                                           └────── Process (dies with the Speaker)
//! ```
//!
//! | daemon | installs routes | restarts gracefully | keeps others' routes | asks for a refresh | listens with MD5 |
//! |---|---|---|---|---|---|
//! | BIRD 2 | yes | yes | yes | yes | yes |
//! | FRR | yes | yes | yes | yes | yes |
//! | GoBGP | no | yes | yes | no | yes |
//! | ExaBGP | no | no | no | yes | yes |
//! | OpenBGPD | no | no | yes | yes | no |

mod bird;
mod exabgp;
mod fabric;
mod frr;
mod gobgp;
mod openbgpd;
mod seat;
mod setup;
mod speaker;

pub use fabric::{Fabric, Machine, machine};
pub use setup::{Brand, Neighbour, PeerSetup};
pub use speaker::Speaker;
