//! The BGP backend: peers tell each other their blocks, and what they tell is installed.
//!
//! ```text
//! fabric/      the pure core: leases and settings -> peers; routes of peers -> wishes to the kernel
//! transport/   TCP: who may connect, connections, MD5, GTSM
//! words.rs     the log
//! ```
//!
//! The driver (`driver/bgp.rs`) carries between these two, the agent and the kernel.

pub(crate) mod fabric;
pub(crate) mod transport;
pub(crate) mod words;
