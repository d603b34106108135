//! Leases that vanish, are taken, given up, or claimed twice.

use super::scene::{HOST_GW, TTL, VXLAN, config};
use lab::{Daemon, DaemonCommand, Node, Plan, Process, Shape, Stack, eventually, output};
use netns_tests::{PodNetwork, READY, block_routes, subnet_key};
use std::time::{Duration, Instant};

/// In nobody's block.
const STRANGER: &str = "10.244.60.0-24";
/// Longer than any test waits.
const LONG: &str = "1h";
const SHORT: Duration = Duration::from_secs(3);

/// Ready daemons whose entries for vanished leases stay for `grace`.
struct Nodes {
    network: PodNetwork,
    command: DaemonCommand,
}

impl Nodes {
    fn new(count: u8, backend: &str, grace: &str) -> Nodes {
        Nodes::with_ttl(count, backend, grace, TTL)
    }

    fn with_ttl(count: u8, backend: &str, grace: &str, ttl: Duration) -> Nodes {
        let plan = Plan {
            nodes: count,
            shape: Shape::OneSwitch,
            stack: Stack::V4,
        };
        let mut network = PodNetwork::new(plan, 1, &config(backend)).unwrap();
        let ttl = format!("{}s", ttl.as_secs());
        let args = ["--lease-ttl", &ttl, "--vanished-grace", grace];
        let command = network.command().args(&args);
        for node in &network.cluster.nodes {
            let mut daemon = node.start(&command).unwrap();
            daemon.wait_ready(READY).unwrap();
            network.daemons.push(daemon);
        }
        let nodes = Nodes { network, command };
        for node in 0..usize::from(count) {
            nodes.until_routes(node, usize::from(count) - 1);
        }
        nodes
    }

    fn node(&self, number: usize) -> &Node {
        &self.network.cluster.nodes[number]
    }

    /// The key of a node's block, as the node itself has it.
    fn key(&self, number: usize) -> String {
        let block = self.node(number).subnet_env().unwrap().subnet.unwrap();
        subnet_key(&block.network().to_string().replace('/', "-"))
    }

    fn put_stranger(&self, host: u8) {
        let key = subnet_key(STRANGER);
        self.network.etcd.put(&key, &direct(host)).unwrap();
    }

    fn delete(&self, key: &str) {
        self.network.etcd.ctl(&["del", key]).unwrap();
    }

    /// What the key has been through: revisions, versions, lease.
    fn fields(&self, key: &str) -> String {
        let etcd = &self.network.etcd;
        let all = etcd.ctl(&["get", key, "-w", "fields"]).unwrap();
        let kept = all.lines().filter(|line| {
            let names = [
                "\"CreateRevision\"",
                "\"ModRevision\"",
                "\"Value\"",
                "\"Lease\"",
            ];
            names.iter().any(|name| line.starts_with(name))
        });
        kept.collect::<Vec<_>>().join("\n")
    }

    fn has_route_via(&self, number: usize, host: u8) -> bool {
        let gateway = Some(format!("10.99.0.{host}"));
        let routes = block_routes(self.node(number)).unwrap();
        routes.iter().any(|route| route.gateway == gateway)
    }

    fn until_route_via(&self, host: u8) {
        let what = format!("there is a route via host {host}");
        eventually(&what, READY, || self.has_route_via(0, host)).unwrap();
    }

    fn until_routes(&self, number: usize, count: usize) {
        eventually(&format!("there are {count} routes"), READY, || {
            block_routes(self.node(number)).is_ok_and(|routes| routes.len() == count)
        })
        .unwrap();
    }

    fn until_vanished_is_counted(&self) {
        eventually("a lease is counted as vanished", READY, || {
            let answer = self.network.daemons[0].get("/metrics").unwrap();
            let text = String::from_utf8(answer.body).unwrap();
            text.contains("twill_leases_vanished 1\n")
        })
        .unwrap();
    }
}

/// A value of a node with direct routes.
fn direct(host: u8) -> String {
    format!(r#"{{"PublicIP":"10.99.0.{host}","PublicIPv6":null,"BackendType":"host-gw"}}"#)
}

#[test]
fn a_vanished_lease_keeps_its_route_for_the_grace_and_then_goes() {
    let nodes = Nodes::new(1, HOST_GW, "3s");
    nodes.put_stranger(98);
    nodes.until_route_via(98);
    let gone = Instant::now();
    nodes.delete(&subnet_key(STRANGER));
    nodes.until_vanished_is_counted();
    assert!(nodes.has_route_via(0, 98));
    nodes.until_routes(0, 0);
    let stayed = gone.elapsed();
    eprintln!(
        "a vanished lease's route stayed {:.1} s",
        stayed.as_secs_f64()
    );
    assert!(stayed >= SHORT, "{stayed:?}");
}

#[test]
fn a_lease_that_comes_back_within_the_grace_changes_nothing() {
    let nodes = Nodes::new(1, HOST_GW, "3s");
    nodes.put_stranger(98);
    nodes.until_route_via(98);
    nodes.delete(&subnet_key(STRANGER));
    nodes.until_vanished_is_counted();
    let back = Instant::now();
    nodes.put_stranger(98);
    while back.elapsed() < SHORT * 2 {
        assert!(nodes.has_route_via(0, 98));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn another_node_that_takes_a_vanished_block_is_believed_at_once() {
    let nodes = Nodes::new(1, HOST_GW, LONG);
    nodes.put_stranger(98);
    nodes.until_route_via(98);
    nodes.delete(&subnet_key(STRANGER));
    nodes.until_vanished_is_counted();
    assert!(nodes.has_route_via(0, 98));
    nodes.put_stranger(99);
    nodes.until_route_via(99);
    nodes.until_routes(0, 1);
}

#[test]
fn a_lease_that_is_given_up_on_purpose_does_not_wait_for_the_grace() {
    let mut nodes = Nodes::new(3, VXLAN, LONG);
    nodes.network.daemons[0].terminate().unwrap();
    let words = ["cleanup", "--release"];
    let said = nodes.node(0).twill_says(&nodes.command, &words).unwrap();
    assert!(said.contains("removed lease on 10.244."), "{said}");
    for node in [1, 2] {
        nodes.until_routes(node, 1);
    }
}

#[test]
fn an_own_key_that_is_deleted_is_there_again() {
    let nodes = Nodes::new(2, VXLAN, LONG);
    let (key, env) = (nodes.key(0), nodes.node(0).subnet_env().unwrap());
    for _ in 0..5 {
        let before = nodes.fields(&key);
        let gone = Instant::now();
        nodes.delete(&key);
        eventually("the key is there again", READY, || {
            let fields = nodes.fields(&key);
            !fields.is_empty() && fields != before
        })
        .unwrap();
        eprintln!(
            "a deleted key is back after {:.2} s",
            gone.elapsed().as_secs_f64()
        );
    }
    eventually("the node is ready", READY, || {
        nodes.network.daemons[0].is_ready()
    })
    .unwrap();
    assert_eq!(nodes.node(0).subnet_env().unwrap(), env);
    assert_eq!(nodes.network.etcd.list(&subnet_key("")).unwrap().len(), 2);
    assert_eq!(block_routes(nodes.node(1)).unwrap().len(), 1);
}

#[test]
fn a_frozen_node_whose_block_was_given_away_finds_out_and_overwrites_nothing() {
    let mut nodes = Nodes::new(2, HOST_GW, LONG);
    let (key, env) = (nodes.key(0), nodes.node(0).subnet_env().unwrap());
    nodes.network.daemons[0].process().freeze().unwrap();
    let frozen = Instant::now();
    nodes.revoke_lease_of(&key);
    let lease = nodes.network.etcd.ctl(&["lease", "grant", "3600"]).unwrap();
    let lease = format!("--lease={}", lease.split_whitespace().nth(1).unwrap());
    let etcd = &nodes.network.etcd;
    etcd.ctl(&["put", &lease, &key, &direct(77)]).unwrap();
    let rivals = nodes.fields(&key);
    std::thread::sleep((TTL + TTL / 4).saturating_sub(frozen.elapsed()));
    let on = Instant::now();
    nodes.network.daemons[0].process().thaw().unwrap();

    // The first time that it says that it is ready, it has its new block.
    let mut unready = String::new();
    eventually("the node is ready", READY, || {
        let answer = nodes.network.daemons[0].get("/readyz").unwrap();
        if answer.status != 200 {
            unready = String::from_utf8(answer.body).unwrap();
        }
        answer.status == 200
    })
    .unwrap();
    let new = nodes.node(0).subnet_env().unwrap();
    eprintln!(
        "another block after {:.2} s; before: {unready}",
        on.elapsed().as_secs_f64()
    );
    assert_ne!(new, env);
    assert!(!unready.is_empty());
    assert_eq!(nodes.fields(&key), rivals);
    assert!(nodes.fields(&nodes.key(0)).contains("10.99.0.1"));
    let log = nodes.network.daemons[0].process().log_text();
    let loud = format!(
        "ERROR block {} is another node's",
        env.subnet.unwrap().network()
    );
    assert!(log.contains(&loud), "{log}");
    nodes.until_route_via(77);
}

impl Nodes {
    fn revoke_lease_of(&self, key: &str) {
        let fields = self.fields(key);
        let lease = fields
            .lines()
            .find_map(|line| line.strip_prefix("\"Lease\" : "));
        let lease: i64 = lease.unwrap().parse().unwrap();
        let etcd = &self.network.etcd;
        etcd.ctl(&["lease", "revoke", &format!("{lease:x}")])
            .unwrap();
    }

    /// Starts a daemon in the second node with a setting that is the first one's; it is refused, and the first is not
    /// disturbed.
    fn is_refused(&self, flag: &str, value: &str) -> String {
        let (node, key) = (self.node(1), self.key(0));
        let before = self.fields(&key);
        let mut words = self.command.settings(node);
        match words.iter().position(|word| word == flag) {
            Some(at) => words[at + 1] = value.to_owned(),
            None => words.extend([flag.to_owned(), value.to_owned()]),
        }
        let mut command = node.namespace().command(&self.command.binary);
        command.arg("run").args(words);
        let log = node.directory().join("refused.log");
        let mut second = Process::start("the second", command, &log).unwrap();
        assert_eq!(second.wait(READY).unwrap().code(), Some(2));
        assert!(self.network.daemons[0].is_ready());
        assert_eq!(self.fields(&key), before);
        assert_eq!(self.network.etcd.list(&subnet_key("")).unwrap().len(), 1);
        second.log_text()
    }
}

/// Two nodes; a daemon runs in the first.
fn one_of_two() -> Nodes {
    // etcd tells the time left in whole seconds: of four, the rounding is too much.
    let mut nodes = Nodes::with_ttl(2, VXLAN, LONG, Duration::from_secs(60));
    let mut second: Daemon = nodes.network.daemons.remove(1);
    second.terminate().unwrap();
    let mut command = nodes
        .node(1)
        .twill(&nodes.command, &["cleanup", "--release"]);
    output(nodes.node(1).namespace(), &mut command).unwrap();
    nodes.until_routes(0, 0);
    nodes
}

#[test]
fn a_second_node_with_one_name_is_refused_and_the_first_undisturbed() {
    let said = one_of_two().is_refused("--node-name", "node1");
    assert!(said.contains("two nodes have one node name"), "{said}");
    assert!(said.contains("--node-name"), "{said}");
}

#[test]
fn a_second_node_with_one_address_is_refused_and_the_first_undisturbed() {
    let said = one_of_two().is_refused("--public-ip", "10.99.0.1");
    assert!(
        said.contains("two nodes have one underlay address"),
        "{said}"
    );
    assert!(said.contains("--public-ip"), "{said}");
}
