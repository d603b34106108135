//! A real Kubernetes cluster whose pod network is Twill.

mod api_server;
mod migration;
mod network;
mod scene;
mod tmp_up;
