//! Nodes that go and come back.

use crate::scene::{Probe, cluster, inside, probes_of};
use lab::probe::{PingStream, ping};
use lab::{Stack, eventually, ip};
use netns_tests::kubernetes::{Cluster, PATIENCE};
use std::time::Duration;

#[test]
fn a_node_that_was_switched_off_is_reached_again() {
    let mut cluster = cluster(3, "vxlan", Stack::V4);
    let before = probes_of(&cluster);
    let others = PingStream::start(
        &inside(&cluster, &before[0]),
        before[1].addresses[0],
        Duration::from_millis(10),
    )
    .unwrap();
    cluster.switch_off(3).unwrap();
    cluster.switch_on(3).unwrap();
    is_reached(&cluster);
    assert_eq!(others.finish().lost, 0);
}

#[test]
fn a_node_that_left_is_forgotten_and_may_join_again() {
    let mut cluster = cluster(3, "vxlan", Stack::V4);
    let node = cluster.server.get(&["node/node3"]).unwrap();
    let block = node["spec"]["podCIDR"].as_str().unwrap().to_owned();
    cluster.switch_off(3).unwrap();
    cluster.server.kubectl(&["delete", "node/node3"]).unwrap();
    for machine in cluster.machines() {
        let gone = || {
            !ip(machine.namespace(), &["route"])
                .unwrap()
                .contains(&block)
        };
        eventually("the routes to a node that left are gone", PATIENCE, gone).unwrap();
    }
    cluster.switch_on(3).unwrap();
    is_reached(&cluster);
}

/// Whether the pod of node3 is reached by all, once it is back.
fn is_reached(cluster: &Cluster) {
    cluster.wait_ready().unwrap();
    let pings = |from: &Probe, to: &Probe| {
        let patience = Duration::from_secs(1);
        ping(&inside(cluster, from), to.addresses[0], patience).is_ok()
    };
    let all_reach_all = || {
        let probes = probes_of(cluster);
        probes.len() == 3
            && probes.iter().all(|probe| !probe.addresses.is_empty())
            && probes
                .iter()
                .all(|from| probes.iter().all(|to| pings(from, to)))
    };
    eventually(
        "pods of all nodes reach each other",
        PATIENCE,
        all_reach_all,
    )
    .unwrap();
}
