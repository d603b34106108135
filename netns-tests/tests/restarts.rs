//! The data plane does not notice what happens to the daemon: 0 lost of at least 2,000 pings, 5 ms apart.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::probe::{PingStream, ping_between};
use lab::{DaemonCommand, Plan, Shape, Stack, eventually};
use netns_tests::{PodNetwork, READY, config};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(5);
const PINGS: u64 = 2_000;

/// What happens to a daemon between its end and its new start.
type Ending = fn(&mut lab::Daemon);

fn kill(daemon: &mut lab::Daemon) {
    daemon.kill().unwrap();
}

fn terminate(daemon: &mut lab::Daemon) {
    let status = daemon.terminate().unwrap();
    assert!(
        status.success(),
        "SIGTERM should end the daemon with exit code 0, not {status}"
    );
}

/// Ends and starts the daemons of both nodes in turn while pings flow between their pods.
fn nothing_is_lost(backend: &str, end: Ending, next: impl Fn(DaemonCommand) -> DaemonCommand) {
    let plan = Plan {
        nodes: 2,
        shape: Shape::OneSwitch,
        stack: Stack::V4,
    };
    let config = config(Stack::V4, &format!(r#"{{"Type":"{backend}"}}"#));
    let mut network = PodNetwork::running(plan, 1, &config).unwrap();
    network.add_pods(1).unwrap();
    ping_between(&network.pods[0], &network.pods[1]).unwrap();
    let there = network.pods[1].addresses().first().unwrap();
    let stream = PingStream::start(network.pods[0].namespace(), there, INTERVAL).unwrap();
    let command = next(network.command());
    let mut restarts = 0;
    for seat in [0, 1, 0, 1] {
        let before = stream.sent();
        eventually("pings flow", READY, || stream.sent() > before + 100).unwrap();
        end(&mut network.daemons[seat]);
        let down = stream.sent();
        eventually("pings flow while the daemon is down", READY, || {
            stream.sent() > down + 100
        })
        .unwrap();
        network.daemons[seat] = network.cluster.nodes[seat].start(&command).unwrap();
        network.daemons[seat].wait_ready(READY).unwrap();
        restarts += 1;
    }
    eventually("2,000 pings are sent", Duration::from_secs(60), || {
        stream.sent() >= PINGS
    })
    .unwrap();
    let loss = stream.finish();
    assert!(loss.sent >= PINGS);
    assert_eq!(loss.lost, 0, "over {restarts} restarts: {loss}");
}

fn the_same(command: DaemonCommand) -> DaemonCommand {
    command
}

/// An upgrade replaces the binary: another file at another path.
fn an_upgrade_loses_nothing(backend: &str) {
    let directory = tempfile::tempdir().unwrap();
    let newer = directory.path().join("twill-newer");
    std::fs::copy(netns_tests::twill(), &newer).unwrap();
    nothing_is_lost(backend, terminate, |command| command.binary(&newer));
}

#[test]
fn killing_and_restarting_loses_no_ping_over_vxlan() {
    nothing_is_lost("vxlan", kill, the_same);
}

#[test]
fn killing_and_restarting_loses_no_ping_by_direct_routes() {
    nothing_is_lost("host-gw", kill, the_same);
}

#[test]
fn killing_and_restarting_loses_no_ping_by_bgp() {
    nothing_is_lost("bgp", kill, the_same);
}

#[test]
fn stopping_and_restarting_loses_no_ping_by_bgp() {
    nothing_is_lost("bgp", terminate, the_same);
}

#[test]
fn stopping_and_restarting_loses_no_ping_over_vxlan() {
    nothing_is_lost("vxlan", terminate, the_same);
}

#[test]
fn stopping_and_restarting_loses_no_ping_by_direct_routes() {
    nothing_is_lost("host-gw", terminate, the_same);
}

#[test]
fn upgrading_loses_no_ping_over_vxlan() {
    an_upgrade_loses_nothing("vxlan");
}

#[test]
fn upgrading_loses_no_ping_by_direct_routes() {
    an_upgrade_loses_nothing("host-gw");
}
