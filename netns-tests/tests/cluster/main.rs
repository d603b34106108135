//! A real Kubernetes cluster whose pod network is Twill.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api_server;
mod conformance;
mod etcd;
mod flannel;
mod liveness;
mod loss;
mod migration;
mod network;
mod nodes;
mod removal;
mod scene;
