//! A real Kubernetes cluster whose pod network is Twill.

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
