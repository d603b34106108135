//! twill-cni, called as a container runtime does, on a real kernel.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chain;
mod crash;
mod crowd;
mod flannel;
mod installed;
mod pods;
mod protocol;

use lab::{Namespace, ip};
use netns_tests::PluginNode;
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;

const V4: Option<&str> = Some("10.244.72.1/24");
const V6: Option<&str> = Some("fd00:244:0:50::1/64");
const PATIENCE: Duration = Duration::from_secs(5);

fn dual() -> PluginNode {
    PluginNode::new(V4, V6).unwrap()
}

fn pod(name: &str) -> Namespace {
    Namespace::new(name).unwrap()
}

/// The addresses of a result.
fn addresses(result: &Value) -> Vec<IpAddr> {
    let ips = result["ips"].as_array().unwrap().iter();
    let texts = ips.map(|ip| ip["address"].as_str().unwrap().split('/').next().unwrap());
    texts.map(|text| text.parse().unwrap()).collect()
}

/// The plugin's links and routes on a node, as `ip` tells them.
fn ours(node: &PluginNode) -> Vec<String> {
    let links = ip(&node.namespace, &["-br", "link"]).unwrap();
    let mut found: Vec<String> = links
        .lines()
        .filter(|line| line.starts_with("tw"))
        .map(str::to_owned)
        .collect();
    for family in ["-4", "-6"] {
        let routes = ip(&node.namespace, &[family, "route", "show", "proto", "85"]).unwrap();
        found.extend(routes.lines().map(str::to_owned));
    }
    found
}

fn nothing_is_left(node: &PluginNode) {
    assert_eq!(ours(node), [""; 0]);
    assert_eq!(node.held(), [""; 0]);
}
