//! The netlink speaker on the real kernel, each test in a network namespace of
//! its own. Needs root; without it the tests fail and say so.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod entries;
mod foreign_routes;
mod groups;
mod resolve;
mod world;
