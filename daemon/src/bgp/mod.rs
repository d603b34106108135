//! The BGP backend: peers tell each other their blocks, and what they tell is installed.
//!
//! ```text
//! fabric/      the pure core: leases and settings -> peers; routes of peers -> wishes to the kernel
//! transport/   TCP: who may connect, connections, MD5, GTSM
//! orders.rs    what an operator has done with peers
//! words.rs     the log
//! ```
//!
//! The driver (`driver/peers.rs`) carries between these two, the agent and the kernel.

pub(crate) mod fabric;
pub(crate) mod orders;
pub(crate) mod transport;
pub(crate) mod words;
