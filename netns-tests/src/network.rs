//! A pod network under test: nodes, a real etcd, a daemon in each node, pods.

use crate::{PREFIX, twill};
use lab::kernel_view::{Family, Route, routes};
use lab::{Cluster, Daemon, DaemonCommand, Etcd, LabError, Node, Plan, Pod, Store, eventually};
use std::time::Duration;

/// How long a daemon may take to be ready. Generous: other tests share the machine.
pub const READY: Duration = Duration::from_secs(30);

/// Twill's own route protocol number, as `ip route` prints it.
const OURS: &str = "84";

/// Nodes and an etcd with a network config. Its parts end in this order, when it is dropped.
#[derive(Debug)]
pub struct PodNetwork {
    /// The daemons, that of `node1` first.
    pub daemons: Vec<Daemon>,
    /// The pods, those of `node1` first.
    pub pods: Vec<Pod>,
    /// The store.
    pub etcd: Etcd,
    /// The nodes and their underlay.
    pub cluster: Cluster,
}

impl PodNetwork {
    /// Nodes and an etcd of `members` that holds this network config. No daemon runs yet.
    pub fn new(plan: Plan, members: u8, config: &str) -> Result<Self, LabError> {
        let cluster = Cluster::build(plan)?;
        let etcd = cluster.etcd(members)?;
        etcd.put(&format!("{PREFIX}/config"), config)?;
        Ok(Self {
            daemons: Vec::new(),
            pods: Vec::new(),
            etcd,
            cluster,
        })
    }

    /// The same with a ready daemon in each node.
    pub fn running(plan: Plan, members: u8, config: &str) -> Result<Self, LabError> {
        let mut network = Self::new(plan, members, config)?;
        network.start_daemons()?;
        Ok(network)
    }

    /// How every daemon here is started.
    pub fn command(&self) -> DaemonCommand {
        DaemonCommand::new(twill(), Store::Etcd(self.etcd.endpoints()))
    }

    /// The first node.
    ///
    /// # Panics
    ///
    /// When the plan had none.
    pub fn node(&self) -> &Node {
        self.cluster
            .nodes
            .first()
            .expect("a plan has at least one node")
    }

    /// Starts a daemon in every node and waits until each is ready and knows every other.
    pub fn start_daemons(&mut self) -> Result<(), LabError> {
        let command = self.command();
        for node in &self.cluster.nodes {
            self.daemons.push(node.start(&command)?);
        }
        self.daemons
            .iter_mut()
            .try_for_each(|daemon| daemon.wait_ready(READY))?;
        let others = self.cluster.nodes.len() - 1;
        self.cluster
            .nodes
            .iter()
            .try_for_each(|node| wait_for_blocks(node, others))
    }

    /// Puts this many pods on every node.
    pub fn add_pods(&mut self, per_node: u32) -> Result<(), LabError> {
        for node in &self.cluster.nodes {
            let env = node.subnet_env()?;
            node.add_bridge(&env)?;
            for number in 1..=per_node {
                self.pods.push(node.add_pod(&env, number)?);
            }
        }
        Ok(())
    }
}

/// Twill's routes to other nodes' blocks, of both families.
pub fn block_routes(node: &Node) -> Result<Vec<Route>, LabError> {
    let mut all = routes(node.namespace(), Family::V4)?;
    all.extend(routes(node.namespace(), Family::V6)?);
    all.retain(|route| route.protocol.as_deref() == Some(OURS) && route.kind == "unicast");
    Ok(all)
}

fn wait_for_blocks(node: &Node, others: usize) -> Result<(), LabError> {
    let families = node.addresses().iter().count();
    eventually(
        &format!(
            "{} has a route to each of {others} other nodes",
            node.name()
        ),
        READY,
        || block_routes(node).is_ok_and(|routes| routes.len() == others * families),
    )
}
