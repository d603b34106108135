//! Pods, services and names, with every backend in both families.

use crate::scene::{Probe, cluster, probes_of};
use lab::Stack;
use netns_tests::kubernetes::Cluster;
use std::net::IpAddr;

#[test]
fn nodes_become_ready_by_vxlan_and_pods_services_and_names_are_reached() {
    everything_is_reached("vxlan", Stack::V4);
}

#[test]
fn nodes_become_ready_by_vxlan_and_all_is_reached_in_both_families() {
    everything_is_reached("vxlan", Stack::Dual);
}

#[test]
fn nodes_become_ready_by_host_gw_and_all_is_reached_in_both_families() {
    everything_is_reached("host-gw", Stack::Dual);
}

#[test]
fn nodes_become_ready_by_bgp_and_all_is_reached_in_both_families() {
    everything_is_reached("bgp", Stack::Dual);
}

fn everything_is_reached(backend: &str, stack: Stack) {
    let cluster = cluster(3, backend, stack);
    let probes = probes_of(&cluster);
    let nodes: Vec<&str> = probes.iter().map(|probe| probe.node.as_str()).collect();
    assert_eq!(nodes, ["node1", "node2", "node3"]);
    for from in &probes {
        for to in &probes {
            pods_reach_each_other(&cluster, from, to);
        }
        // A name is resolved by a pod of the DNS, through its service, and leads to a service.
        let answered = from
            .fetch(&cluster, "probe.default.svc.cluster.local", "hostname")
            .unwrap();
        assert!(
            probes.iter().any(|probe| probe.name == answered),
            "{answered}"
        );
    }
}

/// In every family, with the sender's own address.
fn pods_reach_each_other(cluster: &Cluster, from: &Probe, to: &Probe) {
    assert_eq!(
        from.addresses.len(),
        if cluster.stack() == Stack::Dual { 2 } else { 1 }
    );
    for (own, other) in from.addresses.iter().zip(&to.addresses) {
        let host = match other {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        let seen = from.fetch(cluster, &host, "clientip").unwrap();
        let seen = seen.rsplit_once(':').map_or("", |(address, _)| address);
        let seen = seen.trim_matches(['[', ']']).parse();
        assert_eq!(seen, Ok(*own), "from {} to {}", from.name, to.name);
    }
}
