//! The data plane does not notice what happens to the speakers: 0 lost of at least 2,000 pings, 5 ms apart.

use crate::SOON;
use crate::scene::{Between, Pair};
use lab::probe::{Loss, PingStream, ping, ping_between};
use lab::{Daemon, Plan, Shape, Stack, eventually, ip};
use netns_tests::peers::Brand;
use netns_tests::{PodNetwork, READY, config};
use std::slice;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(5);
const PINGS: u64 = 2_000;
/// How long somebody is away: 100 pings.
const AWAY: u64 = 100;

fn terminate(daemon: &mut Daemon) {
    assert!(daemon.terminate().unwrap().success());
}

fn kill(daemon: &mut Daemon) {
    daemon.kill().unwrap();
}

/// Waits until so many more pings are sent.
fn flow(stream: &PingStream, more: u64) {
    let before = stream.sent();
    eventually("pings flow", READY, || stream.sent() >= before + more).unwrap();
}

fn nothing_is_lost(stream: PingStream, daemons: &mut [Daemon]) {
    eventually("2,000 pings are sent", Duration::from_secs(60), || {
        stream.sent() >= PINGS
    })
    .unwrap();
    let loss: Loss = stream.finish();
    assert!(loss.sent >= PINGS);
    let daemons = daemons.iter_mut();
    let logs: Vec<String> = daemons.map(|one| one.process().log_tail(20)).collect();
    assert_eq!(loss.lost, 0, "{loss}\n{}", logs.join("\n\n"));
}

fn mesh(nodes: u8) -> PodNetwork {
    let plan = Plan {
        nodes,
        shape: Shape::OneSwitch,
        stack: Stack::V4,
    };
    let mut network =
        PodNetwork::running(plan, 1, &config(Stack::V4, r#"{"Type":"bgp"}"#)).unwrap();
    network.add_pods(1).unwrap();
    ping_between(&network.pods[0], &network.pods[1]).unwrap();
    network
}

fn stream(network: &PodNetwork) -> PingStream {
    let there = network.pods[1].addresses().first().unwrap();
    PingStream::start(network.pods[0].namespace(), there, INTERVAL).unwrap()
}

/// Ends and starts the daemons of both nodes in turn.
fn one_after_the_other(end: fn(&mut Daemon)) {
    let mut network = mesh(2);
    let (stream, command) = (stream(&network), network.command());
    for seat in [0, 1, 0, 1] {
        flow(&stream, AWAY);
        end(&mut network.daemons[seat]);
        flow(&stream, AWAY);
        network.daemons[seat] = network.cluster.nodes[seat].start(&command).unwrap();
        network.daemons[seat].wait_ready(READY).unwrap();
    }
    nothing_is_lost(stream, &mut network.daemons);
}

fn all_at_once(end: fn(&mut Daemon)) {
    let mut network = mesh(3);
    let (stream, command) = (stream(&network), network.command());
    for _ in 0..2 {
        flow(&stream, AWAY);
        network.daemons.iter_mut().for_each(end);
        flow(&stream, AWAY);
        for (daemon, node) in network.daemons.iter_mut().zip(&network.cluster.nodes) {
            *daemon = node.start(&command).unwrap();
        }
        network
            .daemons
            .iter_mut()
            .for_each(|daemon| daemon.wait_ready(READY).unwrap());
    }
    nothing_is_lost(stream, &mut network.daemons);
}

#[test]
fn killing_and_restarting_loses_no_ping_in_a_mesh() {
    one_after_the_other(kill);
}

#[test]
fn stopping_and_restarting_loses_no_ping_in_a_mesh() {
    one_after_the_other(terminate);
}

#[test]
fn killing_and_restarting_all_nodes_at_once_loses_no_ping() {
    all_at_once(kill);
}

#[test]
fn stopping_and_restarting_all_nodes_at_once_loses_no_ping() {
    all_at_once(terminate);
}

/// A pod of Twill's node talks with an address behind another router, which has the pod's block by BGP alone.
fn beside(brand: Brand, restart: impl Fn(&mut Pair, &PingStream)) {
    let mut pair = Pair::new(brand, &Between::default(), |neighbour| {
        neighbour.graceful_restart = Some(120);
    });
    let both = [pair.scene.node.namespace(), &pair.other.namespace];
    let _watched = both.map(|namespace| pair.scene.watch(namespace));
    ip(
        &pair.other.namespace,
        &["addr", "add", "10.2.0.1/32", "dev", "lo"],
    )
    .unwrap();
    pair.is_up();
    pair.routes_go_both_ways();
    pair.has_told_all();
    pair.scene.is_ready();
    let env = pair.scene.node.subnet_env().unwrap();
    pair.scene.node.add_bridge(&env).unwrap();
    let pod = pair.scene.node.add_pod(&env, 1).unwrap();
    let there = "10.2.0.1".parse().unwrap();
    ping(pod.namespace(), there, SOON).unwrap();
    let stream = PingStream::start(pod.namespace(), there, INTERVAL).unwrap();
    for _ in 0..2 {
        flow(&stream, AWAY);
        restart(&mut pair, &stream);
        pair.is_up();
        pair.routes_go_both_ways();
        pair.has_told_all();
    }
    nothing_is_lost(stream, slice::from_mut(&mut pair.scene.daemon));
}

fn twill_is_killed(pair: &mut Pair, stream: &PingStream) {
    pair.scene.kill();
    flow(stream, AWAY);
    pair.scene.start();
}

fn twill_is_stopped(pair: &mut Pair, stream: &PingStream) {
    pair.scene.terminate();
    flow(stream, AWAY);
    pair.scene.start();
}

fn the_other_is_killed(pair: &mut Pair, stream: &PingStream) {
    pair.speaker.kill().unwrap();
    flow(stream, AWAY);
    pair.speaker.restart().unwrap();
}

#[test]
fn killing_twill_beside_bird_loses_no_ping() {
    beside(Brand::Bird, twill_is_killed);
}

#[test]
fn stopping_twill_beside_bird_loses_no_ping() {
    beside(Brand::Bird, twill_is_stopped);
}

#[test]
fn killing_bird_beside_twill_loses_no_ping() {
    beside(Brand::Bird, the_other_is_killed);
}

#[test]
fn killing_twill_beside_frr_loses_no_ping() {
    beside(Brand::Frr, twill_is_killed);
}

#[test]
fn stopping_twill_beside_frr_loses_no_ping() {
    beside(Brand::Frr, twill_is_stopped);
}

#[test]
fn killing_frr_beside_twill_loses_no_ping() {
    beside(Brand::Frr, the_other_is_killed);
}
