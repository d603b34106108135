//! Three nodes with daemons, a stream of pings between pods of two, and a picture of how all was.

use lab::kernel_view::Route;
use lab::probe::{PingStream, ping_between};
use lab::{Cluster, DaemonCommand, EtcdOptions, Node, Plan, Shape, Stack, Store, eventually};
use netns_tests::{PREFIX, PodNetwork, READY, block_routes, subnet_key, twill};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const VXLAN: &str = "vxlan";
pub(crate) const HOST_GW: &str = "host-gw";

/// Long enough to be renewed on a busy machine, short enough to end within a test.
pub(crate) const TTL: Duration = Duration::from_secs(4);
const INTERVAL: Duration = Duration::from_millis(5);
const PINGS: u64 = 2_000;
/// The promises are 15 s to notice and 2 s to be right again; other tests share the machine.
const NOTICED: Duration = Duration::from_secs(25);
pub(crate) const RIGHT_AGAIN: Duration = Duration::from_secs(20);

/// What to build.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    pub(crate) backend: &'a str,
    pub(crate) members: u8,
    pub(crate) etcd: EtcdOptions,
    pub(crate) args: &'a [&'a str],
    /// Where the daemons learn their store; from the command line if nothing is said.
    pub(crate) store: Option<&'a dyn Fn(&PodNetwork) -> Store>,
}

pub(crate) struct Scene {
    pub(crate) network: PodNetwork,
    pub(crate) command: DaemonCommand,
    name: String,
    stream: PingStream,
    before: Picture,
}

/// What must not change: keys and values of leases, each node's subnet.env and routes.
#[derive(Debug, PartialEq)]
pub(crate) struct Picture {
    leases: Vec<(String, String)>,
    nodes: Vec<(String, Vec<Route>)>,
}

/// The same with vxlan and with direct routes, at the same time.
pub(crate) fn with_both_backends(scene: impl Fn(&str) + Sync) {
    thread::scope(|scope| {
        let others = scope.spawn(|| scene(HOST_GW));
        scene(VXLAN);
        others.join().unwrap();
    });
}

/// The nodes' own blocks are drawn from a part of the pool in which 10.244.60.0/24 does not lie.
pub(crate) fn config(backend: &str) -> String {
    format!(
        r#"{{"Network":"10.244.0.0/16","SubnetMax":"10.244.50.0","Backend":{{"Type":"{backend}"}}}}"#
    )
}

impl Setup<'_> {
    /// One member, leases of [`TTL`].
    pub(crate) fn of(backend: &str) -> Setup<'_> {
        Setup {
            backend,
            members: 1,
            ..Setup::default()
        }
    }

    /// Ready daemons, and pings that flow from a pod of the first node to one of the second.
    pub(crate) fn begin(self, name: &str) -> Scene {
        let plan = Plan {
            nodes: 3,
            shape: Shape::OneSwitch,
            stack: Stack::V4,
        };
        let cluster = Cluster::build(plan).unwrap();
        let etcd = cluster.etcd_with(self.members, &self.etcd).unwrap();
        let mut network = PodNetwork {
            daemons: Vec::new(),
            pods: Vec::new(),
            etcd,
            cluster,
        };
        put_config(&network, self.backend);
        let endpoints = || Store::Etcd(network.etcd.endpoints());
        let store = self.store.map_or_else(endpoints, |store| store(&network));
        let ttl = format!("{}s", TTL.as_secs());
        let command = DaemonCommand::new(twill(), store)
            .args(&["--lease-ttl", &ttl])
            .args(self.args);
        for node in &network.cluster.nodes {
            network.daemons.push(node.start(&command).unwrap());
        }
        for daemon in &mut network.daemons {
            daemon.wait_ready(READY).unwrap();
        }
        eventually("each node has routes to both others", READY, || {
            let mut nodes = network.cluster.nodes.iter();
            nodes.all(|node| block_routes(node).unwrap().len() == 2)
        })
        .unwrap();
        network.add_pods(1).unwrap();
        ping_between(&network.pods[0], &network.pods[1]).unwrap();
        let there = network.pods[1].addresses().first().unwrap();
        let stream = PingStream::start(network.pods[0].namespace(), there, INTERVAL).unwrap();
        Scene {
            before: Picture::of(&network),
            name: format!("{name}, {}", self.backend),
            network,
            command,
            stream,
        }
    }
}

/// Puts the network config where daemons look for it.
pub(crate) fn put_config(network: &PodNetwork, backend: &str) {
    let key = format!("{PREFIX}/config");
    network.etcd.put(&key, &config(backend)).unwrap();
}

impl Picture {
    fn of(network: &PodNetwork) -> Picture {
        let leases = network.etcd.list(&subnet_key("")).unwrap();
        let of_node = |node: &Node| {
            let env = std::fs::read_to_string(node.subnet_file()).unwrap();
            (env, block_routes(node).unwrap())
        };
        let nodes = network.cluster.nodes.iter().map(of_node).collect();
        Picture { leases, nodes }
    }
}

impl Scene {
    pub(crate) fn node(&self, number: usize) -> &Node {
        &self.network.cluster.nodes[number]
    }

    /// Waits until these daemons say that the store is away and how old their view is.
    pub(crate) fn is_noticed_by(&self, nodes: &[usize], since: Instant) {
        for &number in nodes {
            let daemon = &self.network.daemons[number];
            let mut said = String::new();
            eventually("/readyz says that the store is away", NOTICED, || {
                let answer = daemon.get("/readyz").unwrap();
                said = String::from_utf8(answer.body).unwrap();
                // Before the store is given up, a lease of a few seconds is in doubt.
                answer.status == 503 && said.contains("knows the other nodes as they were ")
            })
            .unwrap();
            assert!(said.contains(" s ago"), "{said}");
            let status = self
                .node(number)
                .twill_says(&self.command, &["show", "status"]);
            let status = status.unwrap();
            assert!(
                status.contains("leases are known as they were "),
                "{status}"
            );
        }
        self.say(&format!(
            "noticed after {:.1} s",
            since.elapsed().as_secs_f64()
        ));
    }

    /// Waits until all daemons are ready and the store has every lease that it had; then all is as it was.
    pub(crate) fn is_right_again(&self, since: Instant) {
        let right = eventually("all is right again", RIGHT_AGAIN, || {
            self.network.daemons.iter().all(lab::Daemon::is_ready)
                && self.leases() == self.before.leases
        });
        let took = since.elapsed().as_secs_f64();
        right.unwrap_or_else(|error| panic!("{error}: {:#?}", self.leases()));
        self.say(&format!("right again after {took:.1} s"));
        assert_eq!(Picture::of(&self.network), self.before);
    }

    pub(crate) fn leases(&self) -> Vec<(String, String)> {
        let listed = self.network.etcd.list(&subnet_key(""));
        listed.unwrap_or_default()
    }

    /// Waits until this many pings have been sent since the beginning.
    pub(crate) fn flow(&self, pings: u64) {
        let patience = Duration::from_secs(60);
        eventually("pings flow", patience, || self.stream.sent() >= pings).unwrap();
    }

    /// Nothing was lost, all is as it was, and nobody was woken up.
    pub(crate) fn end(mut self) {
        self.flow(PINGS);
        let loss = self.stream.finish();
        assert_eq!(loss.lost, 0, "{}: {loss}", self.name);
        eprintln!("{}: 0 of {} pings lost", self.name, loss.sent);
        assert_eq!(Picture::of(&self.network), self.before);
        let nodes = self.network.cluster.nodes.iter();
        for (node, daemon) in nodes.zip(&mut self.network.daemons) {
            daemon.process().must_run().unwrap();
            let log = daemon.process().log_text();
            assert!(!log.contains("ERROR"), "{log}");
            node.twill_says(&self.command, &["check"]).unwrap();
        }
    }

    pub(crate) fn say(&self, what: &str) {
        eprintln!("{}: {what}", self.name);
    }

    /// A number that `/metrics` tells.
    pub(crate) fn metric(&self, node: usize, name: &str) -> f64 {
        let answer = self.network.daemons[node].get("/metrics").unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        let value = text.lines().find_map(|line| {
            let value = line.strip_prefix(name)?.strip_prefix(' ')?;
            value.parse().ok()
        });
        value.unwrap_or_else(|| panic!("{name} is not in {text}"))
    }
}
