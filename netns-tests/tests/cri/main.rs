//! Pods of a real containerd, which is told what a kubelet tells it, on nodes with a real daemon that installs the plugin.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pods;
mod verbs;

use lab::{Daemon, DaemonCommand, Node, Plan, Shape, Stack, eventually, ip};
use netns_tests::{Call, Containerd, DEBIAN_PLUGINS, PREFIX, PodNetwork, READY, Said, Sandbox};
use netns_tests::{PluginNode, config};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
const VXLAN: &str = r#"{"Type":"vxlan"}"#;

/// Nodes with a containerd each, and an etcd that has no network config yet.
struct Stage {
    runtimes: Vec<Containerd>,
    daemons: Vec<Daemon>,
    network: PodNetwork,
}

impl Stage {
    fn new(nodes: u8, stack: Stack) -> Stage {
        let plan = Plan {
            nodes,
            shape: Shape::OneSwitch,
            stack,
        };
        let network = PodNetwork::new(plan, 1, "{}").unwrap();
        let key = format!("{PREFIX}/config");
        network.etcd.ctl(&["del", &key]).unwrap();
        let runtimes = network.cluster.nodes.iter().map(runtime).collect();
        Stage {
            runtimes,
            daemons: Vec::new(),
            network,
        }
    }

    /// The same with daemons, when each runtime says that pods can be added.
    fn ready(nodes: u8, stack: Stack) -> Stage {
        let mut stage = Stage::new(nodes, stack);
        stage.put_config(stack);
        stage.start_daemons();
        for (daemon, runtime) in stage.daemons.iter_mut().zip(&stage.runtimes) {
            daemon.wait_ready(READY).unwrap();
            wait_for_network(runtime);
        }
        stage
    }

    fn put_config(&self, stack: Stack) {
        let key = format!("{PREFIX}/config");
        self.network.etcd.put(&key, &config(stack, VXLAN)).unwrap();
    }

    fn start_daemons(&mut self) {
        for node in &self.network.cluster.nodes {
            let command = command(&self.network, node);
            self.daemons.push(node.start(&command).unwrap());
        }
    }

    fn node(&self) -> &Node {
        self.network.node()
    }

    fn runtime(&self) -> &Containerd {
        &self.runtimes[0]
    }
}

fn command(network: &PodNetwork, node: &Node) -> DaemonCommand {
    let of = |name: &str| node.directory().join(name).display().to_string();
    let (plugins, configs) = (of("bin"), of("net.d"));
    let command = network.command();
    command.args(&["--cni-bin-dir", &plugins, "--cni-conf-dir", &configs])
}

/// A containerd whose plugins are Debian's so far.
fn runtime(node: &Node) -> Containerd {
    let (plugins, configs) = (node.directory().join("bin"), node.directory().join("net.d"));
    fs::create_dir_all(&plugins).unwrap();
    fs::create_dir_all(&configs).unwrap();
    for name in ["loopback", "portmap", "bandwidth"] {
        let there = PathBuf::from(DEBIAN_PLUGINS).join(name);
        std::os::unix::fs::symlink(there, plugins.join(name)).unwrap();
    }
    Containerd::start(node.namespace(), &plugins, &configs).unwrap()
}

fn wait_for_network(runtime: &Containerd) {
    eventually("the runtime can add pods", READY, || {
        runtime.network_ready().is_ok_and(|(ready, _)| ready)
    })
    .unwrap();
}

/// The plugin's links, routes and records on a node.
fn traces(node: &Node) -> Vec<String> {
    let links = ip(node.namespace(), &["-br", "link"]).unwrap();
    let of_pods = links.lines().filter(|line| line.starts_with("tw"));
    let mut found: Vec<String> = of_pods.map(str::to_owned).collect();
    for family in ["-4", "-6"] {
        let routes = ip(node.namespace(), &[family, "route", "show", "proto", "85"]).unwrap();
        found.extend(routes.lines().map(str::to_owned));
    }
    found.extend(PluginNode::records(&state(node)));
    found
}

fn state(node: &Node) -> PathBuf {
    node.directory().join("state/cni")
}
