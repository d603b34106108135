//! A real API server: what is applied to a cluster.

mod manifests;
