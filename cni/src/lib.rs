//! The CNI plugin: it knows the CNI specification and one pod's link, and nothing of backends and stores.
//!
//! ```text
//!   environment, stdin --> spec::Request --> commands --> spec::Reply --> stdout, exit code
//!                                             |     \
//!                    ledger (who holds what)--+      +-- link (what is made in the kernel)
//!                    pure; Store: files, locks           pure; netlink, sysctls, namespaces
//! ```
//!
//! * [`Request`]: what the runtime asks; [`answer`] does it and [`Reply`] is what it is told.
//! * `ledger`: which attachment holds which addresses, and which ones rest.
//! * `link`: the veth pair with its addresses, routes and neighbours, as messages, and the comparison for CHECK.

mod attachment;
mod commands;
mod ledger;
mod link;
mod netlink;
mod netns;
mod spec;
mod subnet_env;
mod sysctl;

pub use commands::answer;
pub use spec::{CniError, Reply, Request, Variables};
