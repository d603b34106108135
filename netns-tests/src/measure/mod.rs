//! What the benchmarks share: synthetic leases, a fast way into etcd, the kernel's floor, clocks and tables.

mod arena;
mod contender;
mod etcd;
mod fib;
mod floor;
mod gate;
mod netlink;
mod process;
mod rest;
mod route_monitor;
mod route_probe;
mod synthetic;
mod table;

pub use arena::Arena;
pub use contender::{Contender, Rival};
pub use etcd::EtcdClient;
pub use fib::{FibGauge, settled};
pub use floor::{
    add_foreign_neighbours, add_foreign_routes, add_hop, change_networks, delete_routes, install,
    prepare, put_routes,
};
pub use gate::Gate;
pub use process::Usage;
pub use rest::wait_for_rest;
pub use route_monitor::RouteMonitor;
pub use route_probe::RouteProbe;
pub use synthetic::{BackendKind, Peers};
pub use table::{Table, megabytes, milliseconds, percentile};

use std::path::PathBuf;

/// The release binary.
///
/// # Panics
///
/// When the binary found is not of the release profile: figures of another one mislead.
pub fn release_twill() -> PathBuf {
    let binary = crate::twill();
    let named = std::env::var_os("TWILL_BIN").is_some();
    assert!(
        named
            || binary
                .components()
                .any(|part| part.as_os_str() == "release"),
        "{} is not a release binary: run `make bench`",
        binary.display()
    );
    binary
}

/// Prints one line of a benchmark.
#[expect(clippy::print_stdout, reason = "a benchmark's figures are for people")]
pub fn say(line: &str) {
    println!("{line}");
}
