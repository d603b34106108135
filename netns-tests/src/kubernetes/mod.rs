//! A real Kubernetes, as far as a pod network meets it. Its programs are built by `netns-tests/kubernetes/build`.
//!
//! [`ApiServer`] alone is what the store of a cluster needs: Nodes, watches, annotations, RBAC, and an outage now and then.

mod api_server;
mod certificates;
mod nodes;
mod programs;

pub use api_server::ApiServer;
pub use nodes::NodeObject;
pub use programs::kubernetes_program;
