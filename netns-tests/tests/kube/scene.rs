//! Nodes on an underlay, an API server that knows them, and daemons as the DaemonSet's service account.

use lab::probe::{PingStream, ping_between};
use lab::{Cluster, Daemon, DaemonCommand, Node, Plan, Pod, Shape, Stack, Store, eventually};
use netns_tests::{ApiServer, NodeObject};
use netns_tests::{READY, block_routes, config, twill};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const VXLAN: &str = r#"{"Type":"vxlan"}"#;
pub(crate) const PREFIX: &str = "flannel.alpha.coreos.com";
/// What an operator applies.
const MANIFEST: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/kubernetes/twill.yaml"
);
/// The API server's number on the underlay.
const SERVER: u8 = 250;
const INTERVAL: Duration = Duration::from_millis(5);

/// Its parts end in this order.
pub(crate) struct Scene {
    pub(crate) daemons: Vec<Daemon>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) server: ApiServer,
    pub(crate) cluster: Cluster,
    pub(crate) account: PathBuf,
}

impl Scene {
    /// Machines and an API server with the manifest applied. It knows no Node yet.
    pub(crate) fn new(nodes: u8, stack: Stack, backend: &str, more: &[&str]) -> Scene {
        let shape = Shape::OneSwitch;
        let plan = Plan {
            nodes,
            shape,
            stack,
        };
        let cluster = Cluster::build(plan).unwrap();
        let server = ApiServer::start(&cluster.underlay, SERVER, more).unwrap();
        server.kubectl(&["apply", "--filename", MANIFEST]).unwrap();
        let account = server.service_account("kube-system", "twill").unwrap();
        std::fs::write(
            cluster.directory().join("net-conf.json"),
            config(stack, backend),
        )
        .unwrap();
        Scene {
            daemons: Vec::new(),
            pods: Vec::new(),
            server,
            cluster,
            account,
        }
    }

    /// The same with a Node and a ready daemon on each machine, and a pod behind each.
    pub(crate) fn running(nodes: u8, stack: Stack, backend: &str) -> Scene {
        Scene::running_with(nodes, stack, backend, &[])
    }

    /// The same with further flags for each daemon.
    pub(crate) fn running_with(nodes: u8, stack: Stack, backend: &str, flags: &[&str]) -> Scene {
        let mut scene = Scene::new(nodes, stack, backend, &[]);
        for number in 1..=nodes {
            scene.register(number);
        }
        for place in 0..usize::from(nodes) {
            let daemon = scene
                .node(place)
                .start(&scene.command().args(flags))
                .unwrap();
            scene.daemons.push(daemon);
        }
        for daemon in &mut scene.daemons {
            daemon.wait_ready(READY).unwrap();
        }
        scene.wait_for_blocks();
        for node in &scene.cluster.nodes {
            let env = node.subnet_env().unwrap();
            node.add_bridge(&env).unwrap();
            scene.pods.push(node.add_pod(&env, 1).unwrap());
        }
        scene
    }

    pub(crate) fn node(&self, place: usize) -> &Node {
        &self.cluster.nodes[place]
    }

    /// How a daemon is started: as the service account.
    pub(crate) fn command(&self) -> DaemonCommand {
        self.command_as(self.account.clone())
    }

    /// How a daemon is started by somebody.
    pub(crate) fn command_as(&self, kubeconfig: PathBuf) -> DaemonCommand {
        let network_config = self.cluster.directory().join("net-conf.json");
        DaemonCommand::new(
            twill(),
            Store::Kube {
                kubeconfig,
                network_config,
            },
        )
    }

    /// The Node of machine `number`, with a block.
    pub(crate) fn register(&self, number: u8) {
        let node = NodeObject {
            pod_cidrs: cidrs(self.cluster.underlay.stack(), number),
            ..self.without_block(number)
        };
        self.server.create_nodes(&[node]).unwrap();
    }

    /// The Node of machine `number`, to which no block is given yet.
    pub(crate) fn without_block(&self, number: u8) -> NodeObject {
        let addresses = self.cluster.underlay.addresses(1, number);
        NodeObject {
            name: format!("node{number}"),
            addresses: addresses.iter().collect(),
            ..NodeObject::default()
        }
    }

    /// An annotation of the network on a Node.
    pub(crate) fn annotation(&self, node: &str, name: &str) -> Option<String> {
        let node = self.server.get(&["node", node]).unwrap();
        let value = &node["metadata"]["annotations"][format!("{PREFIX}/{name}")];
        value.as_str().map(str::to_owned)
    }

    /// A condition of a Node: its status.
    pub(crate) fn condition(&self, node: &str, kind: &str) -> Option<String> {
        let node = self.server.get(&["node", node]).unwrap();
        let all = node["status"]["conditions"].as_array()?;
        let found: Option<&Value> = all.iter().find(|condition| condition["type"] == kind);
        found?["status"].as_str().map(str::to_owned)
    }

    /// Waits until every machine has routes to every other.
    pub(crate) fn wait_for_blocks(&self) {
        let families = self.node(0).addresses().iter().count();
        let others = self.cluster.nodes.len() - 1;
        for node in &self.cluster.nodes {
            eventually("every node has routes to every other", READY, || {
                block_routes(node).is_ok_and(|routes| routes.len() == others * families)
            })
            .unwrap();
        }
    }

    /// A stream of pings from the first pod to the second.
    pub(crate) fn ping(&self) -> PingStream {
        ping_between(&self.pods[0], &self.pods[1]).unwrap();
        let there = self.pods[1].addresses().first().unwrap();
        PingStream::start(self.pods[0].namespace(), there, INTERVAL).unwrap()
    }

    /// Whether a machine's table has a route to this block.
    pub(crate) fn has_route(&self, place: usize, block: &str) -> bool {
        block_routes(self.node(place))
            .unwrap()
            .iter()
            .any(|route| route.dst == block)
    }

    /// What a daemon has logged.
    pub(crate) fn log(&mut self, place: usize) -> String {
        self.daemons[place].process().log_text()
    }

    /// Waits until a daemon logs this.
    pub(crate) fn wait_for_log(&mut self, place: usize, text: &str, patience: Duration) {
        let daemon = &mut self.daemons[place];
        let said = eventually(&format!("the daemon says {text:?}"), patience, || {
            daemon.process().log_text().contains(text)
        });
        assert!(said.is_ok(), "{}", self.log(place));
    }
}

/// What the cluster gives to machine `number`.
pub(crate) fn cidrs(stack: Stack, number: u8) -> Vec<String> {
    let v4 = stack.has_v4().then(|| format!("10.244.{number}.0/24"));
    let v6 = stack
        .has_v6()
        .then(|| format!("fd00:244:0:{number:x}::/64"));
    v4.into_iter().chain(v6).collect()
}

/// A Node on which flannel runs, at an address where nobody is.
pub(crate) fn flannels(number: u8) -> NodeObject {
    let said = [
        ("kube-subnet-manager", "true".to_owned()),
        ("backend-type", "vxlan".to_owned()),
        (
            "backend-data",
            format!(r#"{{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:{number:02x}"}}"#),
        ),
        ("public-ip", format!("10.99.0.{number}")),
    ];
    NodeObject {
        name: format!("flannel{number}"),
        pod_cidrs: cidrs(Stack::V4, number),
        annotations: said
            .map(|(name, value)| (format!("{PREFIX}/{name}"), value))
            .into(),
        ..NodeObject::default()
    }
}
