//! One node on a wide link, with an etcd of its own on loopback: where one daemon meets thousands of peers.

use super::{EtcdClient, Peers, wait_for_rest};
use crate::PREFIX;
use lab::{
    Cluster, Daemon, DaemonCommand, Etcd, EtcdOptions, LabError, Namespace, Node, Plan, Shape,
    Stack, Store, ip_batch,
};
use std::path::PathBuf;

/// The node, its etcd, and the peers' numbering. Its parts end in this order, when it is dropped.
pub struct Arena {
    /// The store.
    pub etcd: Etcd,
    /// The leases that can be put into it.
    pub peers: Peers,
    cluster: Cluster,
    binary: PathBuf,
}

impl Arena {
    /// An empty etcd with the network config, and no daemon. The kernel has no arena of before to take down.
    pub fn new(peers: Peers, binary: PathBuf) -> Result<Self, LabError> {
        wait_for_rest()?;
        let cluster = Cluster::build(Plan {
            nodes: 1,
            shape: Shape::OneSwitch,
            stack: Stack::V4,
        })?;
        let arena_node = &cluster.nodes[0];
        widen_the_link(arena_node.namespace())?;
        let options = EtcdOptions {
            args: EtcdClient::etcd_arguments(),
            ..EtcdOptions::default()
        };
        let etcd = Etcd::on_loopback(
            arena_node.namespace(),
            &cluster.directory().join("etcd"),
            &options,
        )?;
        etcd.put(&format!("{PREFIX}/config"), &peers.config())?;
        Ok(Self {
            etcd,
            peers,
            cluster,
            binary,
        })
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.cluster.nodes[0]
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        self.node().namespace()
    }

    /// Starts a daemon; it is not waited for.
    pub fn start(&self) -> Result<Daemon, LabError> {
        self.start_with(&[])
    }

    /// The same with these flags.
    pub fn start_with(&self, flags: &[&str]) -> Result<Daemon, LabError> {
        let command = DaemonCommand::new(&self.binary, Store::Etcd(self.etcd.endpoints()));
        // What is measured is how soon a removed lease is gone.
        let command = command.args(&["--vanished-grace", "0"]);
        self.node().start(&command.args(flags))
    }
}

/// All peers must be on the link for direct routes: a /15 instead of the lab's /24.
fn widen_the_link(namespace: &Namespace) -> Result<(), LabError> {
    let lines = [
        "addr flush dev eth0",
        "addr add 10.98.0.1/15 dev eth0",
        "route add default via 10.99.0.254",
    ];
    ip_batch(namespace, &lines.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{BackendKind, FibGauge, RouteMonitor};
    use std::time::Duration;

    #[test]
    fn leases_go_in_and_out_and_routes_are_heard_of() {
        let peers = Peers(BackendKind::Vxlan);
        let arena = Arena::new(peers, "/nonexistent".into()).unwrap();
        let counted = EtcdClient::within(arena.namespace(), |etcd| {
            etcd.put(peers, 0..1_500)?;
            etcd.delete(peers, 0..250)?;
            Ok(etcd.list()?.0)
        });
        assert_eq!(counted.unwrap(), 1_250);
        let mut gauge = FibGauge::open(arena.namespace()).unwrap();
        let (before, monitor) = (
            gauge.count(),
            RouteMonitor::open(arena.namespace()).unwrap(),
        );
        let route = format!("{}/26", peers.block(7));
        lab::ip(
            arena.namespace(),
            &["route", "add", &route, "via", "10.98.1.7", "proto", "84"],
        )
        .unwrap();
        assert!(
            monitor
                .heard_of(peers.block(7), true, Duration::from_secs(5))
                .is_some()
        );
        assert_eq!(gauge.count(), before + 1);
    }
}
