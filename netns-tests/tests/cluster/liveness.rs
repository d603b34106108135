//! When the kubelet starts a daemon again, and when it must not.

use crate::scene::{cluster, inside, probes_of};
use lab::probe::PingStream;
use lab::{Stack, eventually};
use netns_tests::kubernetes::{Cluster, Machine, PATIENCE};
use std::thread;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(10);
/// For 45 s of pings: the kubelet has given up a daemon that is not alive by then.
const LONG: u64 = 4500;

#[test]
fn a_daemon_that_hangs_is_started_again_and_none_because_the_api_server_is_away() {
    let mut cluster = cluster(2, "vxlan", Stack::V4);
    let daemons = |cluster: &Cluster| cluster.machines().map(daemon).collect::<Vec<_>>();
    let before = daemons(&cluster);
    let probes = probes_of(&cluster);
    let from = inside(&cluster, &probes[0]);
    let stream = PingStream::start(&from, probes[1].addresses[0], INTERVAL).unwrap();

    cluster.server.stop();
    while stream.sent() < LONG {
        thread::sleep(INTERVAL);
    }
    assert_eq!(daemons(&cluster), before);
    cluster.server.resume().unwrap();
    cluster.wait_ready().unwrap();
    assert_eq!(daemons(&cluster), before);

    let machine = cluster.machine(1);
    machine.run("kill", &["-STOP", &before[0]]).unwrap();
    eventually("another daemon is ready", PATIENCE, || {
        is_started_again(&cluster, machine)
    })
    .unwrap();
    assert_ne!(daemon(machine), before[0]);
    let loss = stream.finish();
    assert_eq!(loss.lost, 0, "{loss}");
}

/// The process of a machine's daemon.
fn daemon(machine: &Machine) -> String {
    let pid = machine.run("pgrep", &["--exact", "twill"]).unwrap();
    pid.trim().to_owned()
}

/// Whether its daemon has been started again once, and is ready.
fn is_started_again(cluster: &Cluster, machine: &Machine) -> bool {
    let on_machine = format!("--field-selector=spec.nodeName={}", machine.name());
    let twill = "--selector=app.kubernetes.io/name=twill";
    let pods = ["pods", "--namespace=kube-system", twill, &on_machine];
    let pods = cluster.server.get(&pods).unwrap();
    let status = &pods["items"][0]["status"]["containerStatuses"][0];
    status["restartCount"] == 1 && status["ready"] == true
}
