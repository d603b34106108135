//! `--store kube` against a real API server: Nodes give blocks, annotations say how nodes are reached.
//!
//! - `blocks`: what a daemon takes from its Node, and says on it.
//! - `nodes`: other Nodes come, change, go, and are many.
//! - `outages`: the API server is away, forgets, or refuses.
//! - `manifests`: what is applied to a cluster.
//!
//! Kubernetes' programs are built by `make test-kube`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "the figures are the answer")]

mod blocks;
mod manifests;
mod nodes;
mod outages;
mod scene;
