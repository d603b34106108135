//! Twill on a real kernel, with a real etcd, in network namespaces.
//!
//! The tests, one file for each question:
//!
//! | file | asks |
//! |---|---|
//! | `tests/reachability.rs` | Does every pod reach every pod, with its own address and the full MTU? |
//! | `tests/restarts.rs` | Is a packet lost when the daemon is killed, stopped or upgraded? |
//! | `tests/flannel_contract.rs` | Can Twill and flannel share a cluster, a node, a device? |
//! | `tests/outside.rs` | Do pods reach the outside as they should, and what of flannel's rules is left? |
//! | `tests/tunnel.rs` | Who may send VXLAN packets to pods? |
//! | `tests/drift/` | Does what somebody changes in the kernel come back at once? |
//! | `tests/foreign.rs` | Does what others made stay as it is? |
//! | `tests/table.rs` | Does a full routing table of somebody else cost anything? |
//! | `tests/mixed.rs` | Can a cluster go over from flannel to Twill and back while pods talk? |
//! | `tests/changes.rs` | What changes under running daemons, and do they follow? |
//! | `tests/outages/` | Is a packet or a lease lost when the store goes away, and are leases in doubt handled? |
//! | `tests/histories.rs` | Do the invariants of leases hold over random faults? |
//! | `tests/hostile.rs` | Does the good work beside whatever somebody writes to the store? |
//! | `tests/startup_errors.rs` | Does each thing that keeps a daemon from its work say so, and what to do? |
//! | `tests/crowd.rs` | Do daemons that start at once all get a block? |
//! | `tests/commands.rs` | Do the commands say and do what they promise? |
//! | `tests/bgp/` | Do Twill, BIRD, FRR, GoBGP, ExaBGP and OpenBGPD understand each other, and is a packet lost? |
//! | `tests/cni/` | Does twill-cni give pods a network, keep to the specification, and survive kills? |
//! | `tests/cri/` | Do pods of a real containerd, driven as a kubelet does, get their network and leave nothing? |
//! | `tests/kube/` | Does `--store kube` keep its promises with a real API server? |
//! | `tests/cluster/` | Does a real Kubernetes cluster work on Twill, come what may? |
//! | `tests/lab.rs` | Does `twill lab` work, and leave nothing behind? |
//!
//! The benchmarks, `cargo bench -p netns-tests --bench NAME`: `scale`, `crowd`, `latency`, `idle`, `repair`, `cni`, `bgp`.
//!
//! They run the twill binary and look with `ip -j` and with packets; they know the inside of no crate. All of them need
//! root, and fail without it.

mod binary;
mod cri;
mod flannel;
pub mod histories;
pub mod kubernetes;
pub mod measure;
mod network;
pub mod peers;
mod plane;
pub mod raw_bgp;
mod runtime;

pub use binary::{twill, twill_cni};
pub use cri::{Containerd, PodPort, Sandbox};
pub use flannel::{PREFIX, config, subnet_key};
pub use kubernetes::{ApiServer, NodeObject};
pub use network::{PodNetwork, READY, block_routes};
pub use plane::{data_plane, metric};
pub use runtime::{Call, DEBIAN_PLUGINS, PluginNode, Said};
