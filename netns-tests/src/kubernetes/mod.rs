//! A real Kubernetes, as far as a pod network meets it. Its programs are built by `netns-tests/kubernetes/build`.
//!
//! ```text
//! Cluster ── ApiServer (with an etcd), controllers, scheduler
//!       └─── Machine ── containerd, kubelet, kube-proxy ── pods
//! ```
//!
//! [`ApiServer`] alone is what a store in Kubernetes needs: Nodes, watches, annotations, RBAC, and an outage now and then.

mod api_server;
mod certificates;
mod cluster;
mod conformance;
mod machine;
mod node;
mod node_object;
mod programs;
mod turn;

pub use api_server::ApiServer;
pub use cluster::{Cluster, PATIENCE, POD_RANGES, Plan};
pub use conformance::{CONFORMANCE, DUAL_STACK, Verdict};
pub use machine::Machine;
pub use node_object::NodeObject;
pub use programs::kubernetes_program;
