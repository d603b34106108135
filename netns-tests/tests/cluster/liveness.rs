//! When the kubelet starts a daemon again, and when it must not.

use crate::scene::{cluster, inside, probes_of};
use lab::probe::PingStream;
use lab::{Stack, eventually};
use netns_tests::kubernetes::{Cluster, Machine, PATIENCE};
use std::thread;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(10);
/// Pings of a stream while which a daemon that is not alive is started again: 45 s.
const LONG: u64 = 4500;

#[test]
fn a_daemon_that_hangs_is_started_again_and_no_ping_is_lost() {
    let cluster = cluster(2, "vxlan", Stack::V4);
    let stream = pings(&cluster);
    let machine = cluster.machine(1);
    let hanging = daemon(machine);
    machine.run("kill", &["-STOP", &hanging]).unwrap();
    eventually("another daemon is ready", PATIENCE, || {
        let pods = [
            "pods",
            "--namespace=kube-system",
            "--field-selector=spec.nodeName=node1",
        ];
        let pods = cluster.server.get(&pods).unwrap();
        let twill = pods["items"].as_array().unwrap().iter();
        let mut twill = twill.filter(|pod| pod["spec"]["serviceAccountName"] == "twill");
        let status = twill
            .next()
            .map(|pod| pod["status"]["containerStatuses"][0].clone());
        status.is_some_and(|status| status["restartCount"] == 1 && status["ready"] == true)
    })
    .unwrap();
    assert_ne!(daemon(machine), hanging);
    let loss = stream.finish();
    assert_eq!(loss.lost, 0, "{loss:?}");
}

#[test]
fn no_daemon_is_started_again_because_the_api_server_is_away() {
    let mut cluster = cluster(2, "vxlan", Stack::V4);
    let daemons = |cluster: &Cluster| cluster.machines().map(daemon).collect::<Vec<_>>();
    let before = daemons(&cluster);
    let stream = pings(&cluster);
    cluster.server.stop();
    while stream.sent() < LONG {
        thread::sleep(INTERVAL);
    }
    assert_eq!(daemons(&cluster), before);
    cluster.server.resume().unwrap();
    cluster.wait_ready().unwrap();
    assert_eq!(daemons(&cluster), before);
    let loss = stream.finish();
    assert_eq!(loss.lost, 0, "{loss:?}");
}

/// The process of a machine's daemon.
fn daemon(machine: &Machine) -> String {
    let pid = machine.run("pgrep", &["--exact", "twill"]).unwrap();
    pid.trim().to_owned()
}

/// From the first probe to the second.
fn pings(cluster: &Cluster) -> PingStream {
    let probes = probes_of(cluster);
    let from = inside(cluster, &probes[0]);
    PingStream::start(&from, probes[1].addresses[0], INTERVAL).unwrap()
}
