//! A network of speakers: bytes are carried, time passes, and what each wants of its kernel is kept.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::ident::{Asn, RouterId};
use crate::peer::ConnId;
use crate::policy::{Import, OwnHops, Policy};
use crate::prefix::Prefix;
use crate::rib::PeerId;
use crate::speaker::{
    Config, Event, Input, Origination, Output, PeerConfig, PeerName, Restart, RouteChange, Speaker,
};

/// One node: its speaker, its kernel, its end of the wires.
pub(super) struct Node {
    pub(super) speaker: Speaker,
    pub(super) config: Config,
    /// Where packets go, by prefix.
    pub(super) kernel: BTreeMap<Prefix, Vec<String>>,
    pub(super) events: Vec<Event>,
    /// Octets sent, by kind of message.
    pub(super) sent: BTreeMap<u8, usize>,
    /// Whether its processes are there at all.
    pub(super) alive: bool,
}

/// A network of speakers. Node `n` has the address 10.99.0.`n` and, unless told otherwise, the AS 65000.
pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) nodes: BTreeMap<u8, Node>,
    /// Connections: the two ends, the active first.
    wires: BTreeMap<ConnId, (u8, u8)>,
    next: u64,
    todo: VecDeque<(u8, Output)>,
    /// Nodes that take nothing from their sockets.
    pub(super) stuck: Vec<u8>,
}

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn prefix(text: &str) -> Prefix {
    text.parse().expect(text)
}

pub(super) fn name(n: u8) -> PeerName {
    PeerName(format!("node-{n}"))
}

pub(super) fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, n)
}

/// Settings under which everything is taken and told.
pub(super) fn open_peer(n: u8, asn: u32) -> PeerConfig {
    PeerConfig {
        import: Import::Policy(Policy::everything()),
        export: Some(Policy::everything()),
        ..PeerConfig::new(address(n).into(), Asn(asn))
    }
}

pub(super) fn config(n: u8, asn: u32, peers: &[(u8, u32)]) -> Config {
    Config {
        asn: Asn(asn),
        router_id: RouterId(address(n)),
        addresses: OwnHops {
            v4: Some(address(n)),
            v6: None,
        },
        max_paths: 8,
        guard: Default::default(),
        restart: Restart::default(),
        peers: peers
            .iter()
            .map(|(n, asn)| (name(*n), open_peer(*n, *asn)))
            .collect(),
        listen: Vec::new(),
    }
}

impl Net {
    #[allow(
        clippy::disallowed_methods,
        reason = "tests need some instant to begin with"
    )]
    pub(super) fn new(configs: Vec<(u8, Config)>) -> Net {
        let now = Instant::now();
        let mut net = Net {
            now,
            nodes: BTreeMap::new(),
            wires: BTreeMap::new(),
            next: 0,
            todo: VecDeque::new(),
            stuck: Vec::new(),
        };
        for (n, config) in configs {
            let speaker = Speaker::new(config.clone(), false, n.into(), now);
            let node = Node {
                speaker,
                config,
                kernel: BTreeMap::new(),
                events: Vec::new(),
                sent: BTreeMap::new(),
                alive: true,
            };
            net.nodes.insert(n, node);
        }
        net
    }

    /// A full mesh within one AS.
    pub(super) fn mesh(count: u8) -> Net {
        let all: Vec<(u8, u32)> = (1..=count).map(|n| (n, 65000)).collect();
        let config = |n: u8| {
            let others: Vec<_> = all.iter().copied().filter(|(m, _)| *m != n).collect();
            (n, config(n, 65000, &others))
        };
        let mut net = Net::new((1..=count).map(config).collect());
        for n in 1..=count {
            net.originate(n, &[&format!("10.244.{n}.0/24")]);
        }
        net.settle();
        net
    }

    pub(super) fn node(&mut self, n: u8) -> &mut Node {
        self.nodes.get_mut(&n).unwrap()
    }

    pub(super) fn id(&self, at: u8, of: u8) -> PeerId {
        self.nodes[&at].speaker.peer_named(&name(of)).unwrap()
    }

    pub(super) fn input(&mut self, n: u8, input: Input<'_>) {
        let now = self.now;
        let node = self.nodes.get_mut(&n).unwrap();
        if node.alive {
            node.speaker.handle_input(input, now);
        }
        self.collect(n);
    }

    pub(super) fn originate(&mut self, n: u8, prefixes: &[&str]) {
        let all = prefixes
            .iter()
            .map(|p| (prefix(p), Origination::default()))
            .collect();
        self.input(n, Input::Originate(all));
    }

    /// Carries everything until nobody has anything more to say.
    pub(super) fn settle(&mut self) {
        let all: Vec<u8> = self.nodes.keys().copied().collect();
        all.into_iter().for_each(|n| self.collect(n));
        let mut carried = 0;
        while let Some((n, output)) = self.todo.pop_front() {
            carried += 1;
            assert!(carried < 200_000, "they talk without end: {n} {output:?}");
            self.carry(n, output);
        }
    }

    /// Lets time pass, timer by timer.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        loop {
            let due = |node: &Node| node.speaker.poll_timeout().filter(|_| node.alive);
            let next = self.nodes.values().filter_map(due).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            for node in self.nodes.values_mut().filter(|node| node.alive) {
                node.speaker.handle_timeout(self.now);
            }
            self.settle();
        }
        self.now = end;
    }

    /// The process of a node dies; its kernel and its peers' connections are told.
    pub(super) fn kill(&mut self, n: u8) {
        self.node(n).alive = false;
        for (conn, (a, b)) in self.wires.clone() {
            if a == n || b == n {
                self.wires.remove(&conn);
                self.input(if a == n { b } else { a }, Input::Closed(conn));
            }
        }
        self.settle();
    }

    /// The process of a node is there again, with its kernel as it was.
    pub(super) fn revive(&mut self, n: u8) {
        let now = self.now;
        let node = self.node(n);
        node.speaker = Speaker::new(node.config.clone(), true, n.into(), now);
        node.alive = true;
        node.events.clear();
    }

    /// The connections between two nodes are gone.
    pub(super) fn cut(&mut self, a: u8, b: u8) {
        for (conn, ends) in self.wires.clone() {
            if ends == (a, b) || ends == (b, a) {
                self.wires.remove(&conn);
                self.input(a, Input::Closed(conn));
                self.input(b, Input::Closed(conn));
            }
        }
        self.settle();
    }

    /// One node says this to another, whatever its speaker says.
    pub(super) fn say(&mut self, from: u8, to: u8, bytes: &[u8]) {
        let mut wires = self.wires.iter();
        let wire = wires.find(|(_, ends)| **ends == (from, to) || **ends == (to, from));
        let conn = *wire.expect("a connection between the two").0;
        self.input(to, Input::Bytes(conn, bytes));
        self.settle();
    }

    fn collect(&mut self, n: u8) {
        let node = self.nodes.get_mut(&n).unwrap();
        while let Some(output) = node.speaker.poll_output() {
            if node.alive {
                self.todo.push_back((n, output));
            }
        }
    }

    fn carry(&mut self, n: u8, output: Output) {
        match output {
            Output::Connect(peer) => self.connect(n, peer),
            Output::Send(conn, bytes) => {
                *self.node(n).sent.entry(bytes[18]).or_default() += bytes.len();
                let Some((a, b)) = self.wires.get(&conn).copied() else {
                    return;
                };
                let other = if a == n { b } else { a };
                if !self.stuck.contains(&other) {
                    self.input(n, Input::Sent(conn, bytes.len()));
                    self.input(other, Input::Bytes(conn, &bytes));
                }
            }
            Output::Close(conn) => {
                if let Some((a, b)) = self.wires.remove(&conn) {
                    self.input(if a == n { b } else { a }, Input::Closed(conn));
                }
            }
            Output::Routes(changes) => {
                for change in changes {
                    match change {
                        RouteChange::Install { prefix, hops, .. } => {
                            let hops = hops.iter().map(|hop| hop.via.to_string()).collect();
                            self.node(n).kernel.insert(prefix, hops);
                        }
                        RouteChange::Remove { prefix, .. } => {
                            assert!(
                                self.node(n).kernel.remove(&prefix).is_some(),
                                "{prefix} was not there"
                            );
                        }
                    }
                }
            }
            Output::Event(event) => self.node(n).events.push(event),
        }
    }

    fn connect(&mut self, n: u8, peer: PeerId) {
        let to = self.nodes[&n].speaker.peer_config(peer).unwrap().address;
        let other = self
            .nodes
            .keys()
            .copied()
            .find(|m| to == address(*m) && self.nodes[m].alive);
        let Some(other) = other else {
            return self.input(n, Input::ConnectFailed(peer));
        };
        self.next += 1;
        let conn = ConnId(self.next);
        self.wires.insert(conn, (n, other));
        let end = |m| SocketAddr::from((address(m), 179));
        self.input(
            other,
            Input::Accepted {
                conn,
                local: end(other),
                remote: end(n),
            },
        );
        self.input(
            n,
            Input::Connected {
                peer,
                conn,
                local: end(n),
                remote: end(other),
            },
        );
    }

    /// The next hops that a node's kernel has for a prefix.
    pub(super) fn hops(&self, n: u8, net: &str) -> Vec<String> {
        self.nodes[&n]
            .kernel
            .get(&prefix(net))
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn events(&self, n: u8, wanted: impl Fn(&Event) -> bool) -> usize {
        self.nodes[&n]
            .events
            .iter()
            .filter(|event| wanted(event))
            .count()
    }

    pub(super) fn downs(&self, n: u8) -> usize {
        self.events(n, |event| matches!(event, Event::Down { .. }))
    }
}
