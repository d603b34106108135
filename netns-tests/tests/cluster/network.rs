//! A cluster at work, with every backend and in both families.

use crate::scene::{Probe, cluster, probes_of};
use lab::Stack;
use netns_tests::kubernetes::Cluster;
use std::net::IpAddr;

/// `NET_BIND_SERVICE` and `NET_ADMIN`, as `/proc/PID/status` writes sets of capabilities.
const CAPABILITIES: &str = "0000000000001400";

#[test]
fn a_cluster_works_over_vxlan() {
    it_works("vxlan", Stack::V4);
}

#[test]
fn a_cluster_works_over_vxlan_in_both_families() {
    it_works("vxlan", Stack::Dual);
}

#[test]
fn a_cluster_works_by_host_gw_in_both_families() {
    it_works("host-gw", Stack::Dual);
}

#[test]
fn a_cluster_works_by_bgp_in_both_families() {
    it_works("bgp", Stack::Dual);
}

fn it_works(backend: &str, stack: Stack) {
    let cluster = cluster(3, backend, stack);
    let probes = probes_of(&cluster);
    let nodes: Vec<&str> = probes.iter().map(|probe| probe.node.as_str()).collect();
    assert_eq!(nodes, ["node1", "node2", "node3"]);
    for from in &probes {
        for to in &probes {
            pods_reach_each_other(&cluster, from, to);
        }
        names_lead_to_services(&cluster, from, &probes);
    }
    two_capabilities_suffice(&cluster);
}

/// A pod of the DNS resolves it, asked through a service, and it leads to another service.
fn names_lead_to_services(cluster: &Cluster, from: &Probe, behind: &[Probe]) {
    let name = "probe.default.svc.cluster.local";
    let answered = from.fetch(cluster, name, "hostname").unwrap();
    let mut names = behind.iter().map(|probe| &probe.name);
    assert!(names.any(|name| *name == answered), "{answered}");
}

fn two_capabilities_suffice(cluster: &Cluster) {
    for machine in cluster.machines() {
        let pid = machine.run("pgrep", &["--exact", "twill"]).unwrap();
        let status = format!("/proc/{}/status", pid.trim());
        let status = machine.run("cat", &[&status]).unwrap();
        let value = |name: &str| {
            let mut lines = status.lines().filter_map(|line| line.strip_prefix(name));
            lines.next().map(str::trim).unwrap_or_default()
        };
        for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
            assert_eq!(value(set), CAPABILITIES, "{set}");
        }
        assert_eq!((value("NoNewPrivs:"), value("Seccomp:")), ("1", "2"));
    }
    let check = ["daemonset/twill", "--", "twill", "check"];
    let words = [&["exec", "--namespace=kube-system"][..], &check].concat();
    cluster.server.kubectl(&words).unwrap();
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
