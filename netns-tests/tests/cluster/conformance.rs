//! Kubernetes' own tests of networks; the table of docs/conformance.md is what they say.

use crate::scene::cluster;
use lab::{Stack, output};
use netns_tests::kubernetes::{CONFORMANCE, Cluster, DUAL_STACK, Verdict};
use std::time::Duration;

/// The one where a pod asks those of other nodes.
const BETWEEN_PODS: &str =
    "Granular Checks: Pods should function for intra-pod communication: http";

const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// A green run alone does not show which way the packets went: without the overlay's, the tests must fail.
#[test]
fn every_test_of_networks_passes_over_vxlan_and_none_without_its_packets() {
    let cluster = cluster(2, "vxlan", Stack::V4);
    let verdict = all_pass(&cluster, CONFORMANCE);
    assert!(verdict.passed.len() >= 45, "{:#?}", verdict.passed);
    let patience = 3 * all_pass(&cluster, BETWEEN_PODS).took;
    let drop = "add table inet cut; add chain inet cut out { type filter hook output priority 0; }; \
                add rule inet cut out udp dport 8472 drop";
    let node = cluster.machine(1).namespace();
    output(node, node.command("nft").arg(drop)).unwrap();
    let verdict = cluster.conformance(BETWEEN_PODS, patience).unwrap();
    assert!(verdict.passed.is_empty(), "{verdict:?}");
    assert!(!verdict.failed.is_empty(), "{verdict:?}");
}

#[test]
#[ignore = "takes half an hour: make conformance"]
#[expect(
    clippy::print_stdout,
    reason = "the rows of the table in docs/conformance.md"
)]
fn every_test_of_networks_passes_with_every_backend_in_both_families() {
    let mut all_failed = Vec::new();
    for stack in [Stack::V4, Stack::Dual] {
        for backend in ["vxlan", "host-gw", "bgp"] {
            let cluster = cluster(3, backend, stack);
            let focus = match stack {
                Stack::Dual => format!("{CONFORMANCE}|{DUAL_STACK}"),
                _ => CONFORMANCE.into(),
            };
            let verdict = cluster.conformance(&focus, PATIENCE).unwrap();
            let (passed, failed) = (verdict.passed.len(), verdict.failed.len());
            let took = verdict.took.as_secs();
            println!("| {backend} | {stack} | {passed} | {failed} | {took} s |");
            all_failed.extend(verdict.failed);
        }
    }
    assert!(all_failed.is_empty(), "{all_failed:#?}");
}

fn all_pass(cluster: &Cluster, focus: &str) -> Verdict {
    let verdict = cluster.conformance(focus, PATIENCE).unwrap();
    assert!(verdict.failed.is_empty(), "{:#?}", verdict.failed);
    assert!(!verdict.passed.is_empty(), "no test is called {focus}");
    verdict
}
