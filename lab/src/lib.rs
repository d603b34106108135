//! Hosts in network namespaces, wires, pods and probes: a whole pod network on one machine.
//!
//! Everything here cleans up by construction: a namespace lives as long as the value that holds its file descriptor,
//! a process as long as its handle, and both die with this process even when it is killed.
//!
//! ```text
//! lab::run ── Cluster ── Underlay (switches, router)     Etcd (one member or three)
//!                └────── Node ── cni0 ── Pod             Daemon (a twill binary in a node)
//!                          probe (packets)  kernel_view (what the kernel holds)
//! ```

mod address;
mod cluster;
mod daemon;
mod enter;
mod error;
mod etcd;
mod http;
mod interrupt;
pub mod kernel_view;
mod leftovers;
mod namespace;
mod node;
mod pod;
pub mod probe;
mod process;
mod program;
mod run;
mod subnet_env;
mod underlay;
mod wait;

pub use address::{Addresses, Cidr, Stack};
pub use cluster::{Cluster, Plan};
pub use daemon::{Daemon, DaemonCommand, HEALTH_PORT, Store};
pub use error::LabError;
pub use etcd::{Etcd, EtcdOptions, Member};
pub use http::{HttpResponse, get, send_json};
pub use namespace::{Namespace, PublishedName};
pub use nix::sys::signal::Signal;
pub use node::Node;
pub use pod::Pod;
pub use process::Process;
pub use program::{bridge, ip, ip_batch, output};
pub use run::{Backend, Hold, Options, Report, run};
pub use subnet_env::SubnetEnv;
pub use underlay::{Shape, Underlay};
pub use wait::{Deadline, eventually};
