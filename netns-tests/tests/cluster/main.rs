//! A real Kubernetes cluster whose pod network is Twill.

mod api_server;
