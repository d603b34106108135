//! What becomes of packets while Twill's pods come and go.

use crate::scene::{Probe, cluster, inside, probes_of, rolled_out};
use lab::Stack;
use lab::probe::PingStream;
use netns_tests::kubernetes::Cluster;
use std::thread;
use std::time::Duration;

const TWILL: &str = "--selector=app.kubernetes.io/name=twill";
const INTERVAL: Duration = Duration::from_millis(5);
const ENOUGH: u64 = 2000;

#[test]
fn a_rolling_update_and_the_deletion_of_each_of_its_pods_lose_no_ping() {
    let cluster = cluster(3, "vxlan", Stack::V4);
    let kubectl = |words: &[&str]| {
        let words = [words, &["--namespace=kube-system"]].concat();
        cluster.server.kubectl(&words).unwrap()
    };
    nothing_is_lost_while(&cluster, || {
        kubectl(&["rollout", "restart", "daemonset/twill"]);
        rolled_out(&cluster, "kube-system", "daemonset/twill");
    });
    let pods = kubectl(&["get", "pods", TWILL, "--output=name"]);
    assert_eq!(pods.lines().count(), 3);
    nothing_is_lost_while(&cluster, || {
        for pod in pods.lines() {
            kubectl(&["delete", pod]);
            rolled_out(&cluster, "kube-system", "daemonset/twill");
        }
    });
}

/// Pods of every node ping one of the next node, for as long as `work` lasts and until there are enough.
fn nothing_is_lost_while(cluster: &Cluster, work: impl FnOnce()) {
    let probes = probes_of(cluster);
    let next = probes.iter().cycle().skip(1);
    let start = |(from, to): (&Probe, &Probe)| {
        PingStream::start(&inside(cluster, from), to.addresses[0], INTERVAL).unwrap()
    };
    let streams: Vec<PingStream> = probes.iter().zip(next).map(start).collect();
    work();
    while streams.iter().any(|stream| stream.sent() < ENOUGH) {
        thread::sleep(INTERVAL);
    }
    for (stream, from) in streams.into_iter().zip(&probes) {
        let loss = stream.finish();
        assert_eq!(loss.lost, 0, "from {}: {loss}", from.node);
    }
}
