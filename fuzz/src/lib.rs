//! What comes from outside, read with every wrong input that can be found.
//!
//! A target is a function of bytes that must not panic. Each has a line in [`TARGETS`], a file in `fuzz_targets/` for
//! libFuzzer, and a directory in `corpus/`.

mod mutate;
mod speaker;
mod targets;

// The daemon is a program, not a library: these files of it are built here once more.
#[path = "../../daemon/src/atomic_file.rs"]
mod atomic_file;
#[allow(
    dead_code,
    unused_imports,
    reason = "what the daemon does with it is not done here"
)]
mod config;
#[expect(dead_code, reason = "one function of the file is of interest here")]
#[path = "../../daemon/src/subnet_env.rs"]
mod subnet_env;
#[expect(dead_code, reason = "what nobody asks for by name is in it too")]
#[path = "../../daemon/src/control/topic.rs"]
mod topic;

pub use mutate::Mutator;
pub use speaker::{bgp_notification, bgp_open, bgp_session, bgp_stream, bgp_update};
pub use targets::{
    TARGETS, bgp_config, control_question, kube_node, lease_key, lease_value, netlink,
    network_config, nftables, subnet_env, vtep_data,
};
