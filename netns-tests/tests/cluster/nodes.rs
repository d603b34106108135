//! Nodes that go and come back.

use crate::scene::{Probe, cluster, inside, probes_of, seek};
use lab::probe::{PingStream, ping};
use lab::{Stack, eventually, ip};
use netns_tests::kubernetes::{Cluster, PATIENCE};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(10);

#[test]
fn a_node_that_leaves_is_reached_again_when_it_comes_back_and_nobody_else_notices() {
    let mut cluster = cluster(3, "vxlan", Stack::V4);
    let probes = probes_of(&cluster);
    let from = inside(&cluster, &probes[0]);
    let others = PingStream::start(&from, probes[1].addresses[0], INTERVAL).unwrap();
    // A reboot: its Node stays.
    cluster.switch_off(3).unwrap();
    cluster.switch_on(3).unwrap();
    all_are_reached(&cluster);
    // An end: its Node is deleted, and its block may be another's.
    let node = cluster.server.get(&["node/node3"]).unwrap();
    let block = node["spec"]["podCIDR"].as_str().unwrap().to_owned();
    cluster.switch_off(3).unwrap();
    cluster.server.kubectl(&["delete", "node/node3"]).unwrap();
    for machine in cluster.machines() {
        let routes = || ip(machine.namespace(), &["route"]).unwrap();
        eventually("no route leads to the node that left", PATIENCE, || {
            !routes().contains(&block)
        })
        .unwrap();
    }
    cluster.switch_on(3).unwrap();
    all_are_reached(&cluster);
    assert_eq!(others.finish().lost, 0);
}

/// Pods of all nodes reach each other, once those that must begin anew have done so.
fn all_are_reached(cluster: &Cluster) {
    cluster.wait_ready().unwrap();
    let pings = |from: &Probe, to: &Probe| {
        let patience = Duration::from_secs(1);
        let from = seek(cluster, from);
        from.is_some_and(|from| ping(&from, to.addresses[0], patience).is_ok())
    };
    let all_reach_all = || {
        let probes = probes_of(cluster);
        let pairs = probes
            .iter()
            .flat_map(|from| probes.iter().map(move |to| (from, to)));
        probes.len() == 3
            && probes.iter().all(|probe| !probe.addresses.is_empty())
            && pairs.into_iter().all(|(from, to)| pings(from, to))
    };
    eventually(
        "pods of all nodes reach each other",
        PATIENCE,
        all_reach_all,
    )
    .unwrap();
}
