//! Nodes without a machine behind them, by the thousand.

use super::ApiServer;
use lab::LabError;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What the API server is to know of a node.
#[derive(Debug, Clone, Default)]
pub struct NodeObject {
    /// Its name.
    pub name: String,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<String>,
    /// `status.addresses` of the type `InternalIP`.
    pub addresses: Vec<IpAddr>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl NodeObject {
    fn json(&self) -> Value {
        let addresses = self.addresses.iter();
        let addresses =
            addresses.map(|address| json!({ "type": "InternalIP", "address": address }));
        let mut spec = json!({});
        if let Some(first) = self.pod_cidrs.first() {
            spec = json!({ "podCIDR": first, "podCIDRs": self.pod_cidrs });
        }
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": { "name": self.name, "annotations": self.annotations },
            "spec": spec,
            "status": { "addresses": addresses.collect::<Vec<_>>() },
        })
    }
}

impl ApiServer {
    /// Creates Nodes, many at a time.
    pub fn create_nodes(&self, nodes: &[NodeObject]) -> Result<(), LabError> {
        let path = "/api/v1/nodes".to_owned();
        let requests = nodes.iter().map(|node| ("POST", path.clone(), node.json()));
        self.request_all(requests.collect())
    }

    /// Deletes Nodes, many at a time.
    pub fn delete_nodes(&self, names: &[String]) -> Result<(), LabError> {
        let path = |name| format!("/api/v1/nodes/{name}");
        let requests = names.iter().map(|name| ("DELETE", path(name), json!({})));
        self.request_all(requests.collect())
    }

    /// Merges something into Nodes, many at a time: `{"metadata": {"annotations": {"colour": "blue"}}}`.
    pub fn patch_nodes(&self, patches: &[(String, Value)]) -> Result<(), LabError> {
        let path = |name| format!("/api/v1/nodes/{name}");
        let requests = patches.iter();
        let requests = requests.map(|(name, patch)| ("PATCH", path(name), patch.clone()));
        self.request_all(requests.collect())
    }
}
