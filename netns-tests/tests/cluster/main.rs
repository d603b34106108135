//! A real Kubernetes cluster whose pod network is Twill.

mod api_server;
mod network;
mod scene;
mod tmp_up;
