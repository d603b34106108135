//! The store goes away, and lies: the data plane stays, the daemons say how old their view is, and all is right again
//! soon after the store's return.
//!
//! - `bars`: six outages over which none of at least 2,000 pings is lost, over both backends.
//! - `faults`: the other ways in which an etcd goes away.
//! - `doubt`: leases that vanish, are taken, given up, or claimed twice.
//!
//! What is measured is printed: `cargo test -p netns-tests --test outages -- --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "the times are the answer")]

mod bars;
mod certificates;
mod doubt;
mod faults;
mod scene;
