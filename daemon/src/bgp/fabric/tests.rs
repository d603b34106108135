//! Nodes that speak to each other over wires in memory.

mod operator;
mod reload;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::peer::ConnId;
use bgp::speaker;
use kernel::{Entry, Family, Held as _, Hop, HopName, IfIndex, Key, Mac, Resolved, RouteKey, To};
use subnet_alloc::{Block, Hold, Lease, LeaseAttrs, LeaseId, Revision};

use super::*;
use crate::backend::Backend;
use crate::underlay::Underlay;

const ETH0: IfIndex = IfIndex(2);

fn address(number: u8) -> IpAddr {
    [10, 99, 0, number].into()
}

fn block(number: u8) -> Block {
    Block::from_key(&format!("10.244.{number}.0-24")).unwrap()
}

fn local(number: u8) -> Local {
    Local {
        backend: Backend::Bgp,
        underlay: Underlay {
            link: ETH0,
            name: "eth0".into(),
            mtu: 1500,
            v4: Some([10, 99, 0, number].into()),
            v6: None,
            public_v4: Some([10, 99, 0, number].into()),
            public_v6: None,
            connected: vec![format!("10.99.0.{number}/24").parse().unwrap()],
            why: String::new(),
        },
        pools: ["10.244.0.0/16".parse().ok(), None],
        block: Some(block(number)),
        macs: [Mac([2; 6]); 2],
        node: format!("node{number}"),
    }
}

/// The lease of a node as another sees it.
fn remote(number: u8, seen_by: &Local) -> Remote {
    let value = format!(
        r#"{{"PublicIP":"10.99.0.{number}","BackendType":"bgp","NodeName":"node{number}"}}"#
    );
    let lease = Lease {
        block: block(number),
        attrs: LeaseAttrs::from_json(value.as_bytes()).unwrap(),
        hold: Hold::Leased(LeaseId(1)),
        revision: Revision(1),
    };
    Remote::read(&lease, seen_by).unwrap()
}

/// A node with what its kernel would hold.
struct Machine {
    fabric: Fabric,
    wanted: BTreeMap<Key, Entry>,
    held: Option<Held>,
    notes: Vec<Event>,
    /// The same with the names that are told with them.
    names: Vec<(String, Event)>,
    given_up: Vec<PeerId>,
    /// Next hops that the kernel does not reach.
    cut: Vec<IpAddr>,
}

/// Machines, and the wires between them.
struct World {
    machines: BTreeMap<u8, Machine>,
    /// Both ends of a connection: machine and number.
    wires: Vec<[(u8, ConnId); 2]>,
    next: u64,
    now: Instant,
}

impl World {
    /// Nodes that know each other's leases.
    fn mesh(numbers: &[u8]) -> World {
        World::with(numbers, BgpChoice::default())
    }

    fn with(numbers: &[u8], choice: BgpChoice) -> World {
        let now = Instant::now();
        let choice = Arc::new(choice);
        let machine = |number: u8| {
            let local = local(number);
            let others = numbers.iter().filter(|other| **other != number);
            let leases = others.map(|other| (block(*other), Some(remote(*other, &local))));
            let leases: Vec<_> = leases.collect();
            let fabric = Fabric::new((choice.clone(), local), &leases, (false, 7), now);
            (number, Machine::new(fabric))
        };
        let mut world = World {
            machines: numbers.iter().map(|number| machine(*number)).collect(),
            wires: Vec::new(),
            next: 0,
            now,
        };
        world.settle();
        world
    }

    fn at(&mut self, number: u8) -> &mut Machine {
        self.machines.get_mut(&number).unwrap()
    }

    fn tell(&mut self, number: u8, input: Input<'_>) {
        let now = self.now;
        self.at(number).fabric.handle(input, now);
        self.settle();
    }

    /// Time passes, and what is due happens.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = self
                .machines
                .values()
                .filter_map(|m| m.fabric.poll_timeout())
                .min();
            let Some(due) = due.filter(|due| *due <= end) else {
                break;
            };
            self.now = self.now.max(due);
            let now = self.now;
            self.machines
                .values_mut()
                .for_each(|m| m.fabric.handle_timeout(now));
            self.settle();
        }
        self.now = end;
    }

    /// Carries until nobody has anything to do.
    fn settle(&mut self) {
        let numbers: Vec<u8> = self.machines.keys().copied().collect();
        loop {
            let mut quiet = true;
            for number in &numbers {
                while let Some(output) = self.at(*number).fabric.poll_output() {
                    quiet = false;
                    self.carry(*number, output);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn carry(&mut self, number: u8, output: Output) {
        match output {
            Output::Connect(peer, dialing) => self.connect(number, peer, &dialing),
            Output::Send(conn, bytes) => {
                let (other, its) = self.other_end(number, conn);
                self.hear(number, speaker::Input::Sent(conn, bytes.len()));
                self.hear(other, speaker::Input::Bytes(its, &bytes));
            }
            Output::Close(conn) => {
                let (other, its) = self.other_end(number, conn);
                self.hear(other, speaker::Input::Closed(its));
            }
            output => {
                let now = self.now;
                self.at(number).carry(output, now);
            }
        }
    }

    fn connect(&mut self, number: u8, peer: PeerId, dialing: &Dialing) {
        let IpAddr::V4(to) = dialing.remote.ip() else {
            panic!("all addresses are IPv4 here");
        };
        let other = to.octets()[3];
        if !self.machines.contains_key(&other) {
            return self.hear(number, speaker::Input::ConnectFailed(peer));
        }
        self.next += 2;
        let (ours, theirs) = (ConnId(self.next), ConnId(self.next + 1));
        self.wires.push([(number, ours), (other, theirs)]);
        let here = (address(number), 40_000).into();
        let accepted = speaker::Input::Accepted {
            conn: theirs,
            local: dialing.remote,
            remote: here,
        };
        let connected = speaker::Input::Connected {
            peer,
            conn: ours,
            local: here,
            remote: dialing.remote,
        };
        self.hear(other, accepted);
        self.hear(number, connected);
    }

    fn other_end(&self, number: u8, conn: ConnId) -> (u8, ConnId) {
        let wire = self
            .wires
            .iter()
            .find(|wire| wire.contains(&(number, conn)))
            .unwrap();
        *wire.iter().find(|end| **end != (number, conn)).unwrap()
    }

    fn hear(&mut self, number: u8, input: speaker::Input<'_>) {
        let now = self.now;
        self.at(number).fabric.handle(Input::Speaker(input), now);
    }
}

impl Machine {
    fn new(fabric: Fabric) -> Machine {
        Machine {
            fabric,
            wanted: BTreeMap::new(),
            held: None,
            notes: Vec::new(),
            names: Vec::new(),
            given_up: Vec::new(),
            cut: Vec::new(),
        }
    }

    fn carry(&mut self, output: Output, now: Instant) {
        match output {
            Output::Resolve(hops) => {
                let way = |hop: IpAddr| (!self.cut.contains(&hop)).then_some(on_link(hop));
                let answers = hops.into_iter().map(|hop| (hop, way(hop))).collect();
                self.fabric.handle(Input::Resolved(answers), now);
            }
            Output::Wishes(wishes) => wishes.into_iter().for_each(|wish| self.wish(wish)),
            Output::Hold(held) => self.held = Some(held),
            Output::Note(event, name) => {
                let name = name.map(|name| name.0).unwrap_or_default();
                self.names.push((name, event.clone()));
                self.notes.push(event);
            }
            Output::Open(_) => {}
            Output::GiveUp(peer) => self.given_up.push(peer),
            other => panic!("{other:?}"),
        }
    }

    fn wish(&mut self, wish: Wish) {
        match wish {
            Wish::Want(entry) => {
                self.check(&entry);
                self.wanted.insert(entry.key(), entry);
            }
            Wish::Unwant(key) => {
                assert!(self.wanted.remove(&key).is_some(), "{key} was not wanted");
            }
        }
    }

    /// What a wish names must be there.
    fn check(&self, entry: &Entry) {
        let named = match entry {
            Entry::Route(_, To::Via(hop)) => vec![Key::Hop(*hop)],
            Entry::Route(_, To::Over(group)) => vec![Key::Group(*group)],
            Entry::Group(_, hops) => hops.iter().map(|hop| Key::Hop(*hop)).collect(),
            _ => vec![],
        };
        for key in named {
            assert!(self.wanted.contains_key(&key), "{key} is not wanted");
        }
    }

    /// Prefixes that are wanted, and the next hops that they lead to.
    fn routes(&self) -> BTreeMap<String, Vec<IpAddr>> {
        let route = |entry: &Entry| {
            let Entry::Route(key, to) = entry else {
                return None;
            };
            let hops = match to {
                To::Via(hop) => vec![hop.0],
                To::Over(group) => match &self.wanted[&Key::Group(*group)] {
                    Entry::Group(_, hops) => hops.iter().map(|hop| hop.0).collect(),
                    _ => vec![],
                },
                To::Unreachable => vec![],
            };
            Some((key.prefix.to_string(), hops))
        };
        self.wanted.values().filter_map(route).collect()
    }
}

fn on_link(gateway: IpAddr) -> Resolved {
    Resolved {
        hop: Hop {
            gateway,
            link: ETH0,
            onlink: false,
        },
        metric: 0,
    }
}

fn routes(pairs: &[(&str, &[u8])]) -> BTreeMap<String, Vec<IpAddr>> {
    let route = |(prefix, hops): &(&str, &[u8])| {
        (
            prefix.to_string(),
            hops.iter().map(|hop| address(*hop)).collect(),
        )
    };
    pairs.iter().map(route).collect()
}

#[test]
fn nodes_find_each_other_by_their_leases_and_route_to_each_others_blocks() {
    let mut world = World::mesh(&[1, 2, 3]);
    assert_eq!(
        world.at(1).routes(),
        routes(&[("10.244.2.0/24", &[2]), ("10.244.3.0/24", &[3])])
    );
    assert_eq!(
        world.at(3).routes(),
        routes(&[("10.244.1.0/24", &[1]), ("10.244.2.0/24", &[2])])
    );
    // One connection for each pair, made by the lower address.
    assert_eq!(world.wires.len(), 3);
    assert!(world.at(1).held.as_ref().unwrap().is_over());
}

#[test]
fn a_node_that_never_answers_delays_nobody_and_holds_only_its_own_routes() {
    let now = Instant::now();
    let choice = Arc::new(BgpChoice::default());
    let mut world = World::mesh(&[1, 2]);
    let local = local(1);
    let leases = [2, 9].map(|other| (block(other), Some(remote(other, &local))));
    let fabric = Fabric::new((choice, local), &leases, (true, 7), now);
    world.machines.insert(1, Machine::new(fabric));
    // The old session is gone without a word, and the new one comes up.
    let [_, (_, old)] = *world.wires.last().unwrap();
    world.hear(2, speaker::Input::Closed(old));
    world.settle();
    assert_eq!(world.at(1).routes(), routes(&[("10.244.2.0/24", &[2])]));
    let held = world.at(1).held.clone().unwrap();
    assert!(!held.keeps(Family::V4, &[address(2)]));
    assert!(held.keeps(Family::V4, &[address(9)]));
    world.pass(Duration::from_secs(121));
    assert!(
        !world
            .at(1)
            .held
            .clone()
            .unwrap()
            .keeps(Family::V4, &[address(9)])
    );
}

#[test]
fn a_lease_that_comes_makes_a_peer_and_one_that_goes_takes_its_routes_away() {
    let mut world = World::mesh(&[1, 2]);
    let lease = remote(3, &local(1));
    world.tell(1, Input::Leases(vec![(block(3), Some(lease))]));
    assert_eq!(
        world.at(1).fabric.speaker().peers(Instant::now()).count(),
        2
    );
    world.tell(1, Input::Leases(vec![(block(2), None), (block(3), None)]));
    assert_eq!(world.at(1).routes(), routes(&[]));
    assert_eq!(world.at(1).wanted, BTreeMap::new());
    assert_eq!(
        world.at(1).fabric.speaker().peers(Instant::now()).count(),
        0
    );
}

#[test]
fn a_next_hop_that_the_kernel_does_not_reach_carries_no_route_until_it_does() {
    let mut world = World::mesh(&[1, 2]);
    world.at(1).cut = vec![address(2)];
    world.tell(1, Input::WaysMoved);
    assert_eq!(world.at(1).wanted, BTreeMap::new());
    world.at(1).cut.clear();
    world.tell(1, Input::WaysMoved);
    assert_eq!(world.at(1).routes(), routes(&[("10.244.2.0/24", &[2])]));
}

#[test]
fn a_next_hop_behind_another_router_moves_with_one_change() {
    let mut world = World::mesh(&[1, 2]);
    let way = Resolved {
        hop: Hop {
            gateway: address(254),
            ..on_link(address(2)).hop
        },
        metric: 10,
    };
    world.tell(1, Input::Resolved(vec![(address(2), Some(way))]));
    let hop = Key::Hop(HopName(address(2)));
    assert_eq!(
        world.at(1).wanted[&hop],
        Entry::Hop(HopName(address(2)), way.hop)
    );
    assert_eq!(world.at(1).routes(), routes(&[("10.244.2.0/24", &[2])]));
}

#[test]
fn a_prefix_that_others_announce_leads_to_all_of_them() {
    let shared = "10.96.0.0/16";
    let announcing = BgpChoice {
        announce: [(shared.parse().unwrap(), Default::default())].into(),
        ..BgpChoice::default()
    };
    // A node announces it itself, and routes it nowhere.
    let mut world = World::with(&[1, 2, 3], announcing);
    assert!(!world.at(1).routes().contains_key(shared));
    // Node 4 hears of it from all, and takes it from nobody: nothing of that is in its settings.
    let peer = |number: u8| {
        let mut peer = bgp::speaker::PeerConfig::new(address(number), bgp::Asn(64_512));
        peer.import = bgp::policy::Import::Policy(bgp::policy::Policy::everything());
        peer
    };
    let now = world.now;
    let local = local(4);
    let leases = [1, 2, 3].map(|other| (block(other), Some(remote(other, &local))));
    let choice = Arc::new(BgpChoice::default());
    let fabric = Fabric::new((choice.clone(), local), &leases, (false, 7), now);
    world.machines.insert(4, Machine::new(fabric));
    for number in [1, 2, 3] {
        let lease = remote(4, &super::tests::local(number));
        world.tell(number, Input::Leases(vec![(block(4), Some(lease))]));
    }
    world.pass(Duration::from_secs(10));
    assert!(!world.at(4).routes().contains_key(shared));
    for number in [1, 2, 3] {
        let name = PeerName(format!("node{number}"));
        world.tell(
            4,
            Input::Speaker(speaker::Input::SetPeer(name, Box::new(peer(number)))),
        );
    }
    world.pass(Duration::from_secs(10));
    assert_eq!(
        world.at(4).routes()[shared],
        [address(1), address(2), address(3)]
    );
    world.tell(4, Input::Leases(vec![(block(1), None)]));
    assert_eq!(world.at(4).routes()[shared], [address(2), address(3)]);
}

#[test]
fn routes_bear_the_metric_that_is_set() {
    let choice = BgpChoice {
        metric: 77,
        ..BgpChoice::default()
    };
    let mut world = World::with(&[1, 2], choice);
    let key = RouteKey {
        prefix: "10.244.2.0/24".parse().unwrap(),
        metric: 77,
    };
    assert!(world.at(1).wanted.contains_key(&Key::Route(key)));
}

#[test]
fn another_block_is_announced_in_place_of_the_one_of_before() {
    let mut world = World::mesh(&[1, 2]);
    let lease = Remote::read(
        &Lease {
            block: block(7),
            attrs: LeaseAttrs::from_json(
                br#"{"PublicIP":"10.99.0.2","BackendType":"bgp","NodeName":"node2"}"#,
            )
            .unwrap(),
            hold: Hold::Leased(LeaseId(1)),
            revision: Revision(2),
        },
        &local(1),
    )
    .unwrap();
    world.tell(
        1,
        Input::Leases(vec![(block(2), None), (block(7), Some(lease))]),
    );
    let moved = Local {
        block: Some(block(7)),
        ..local(2)
    };
    world.tell(2, Input::Local(Box::new(moved)));
    assert_eq!(world.at(1).routes(), routes(&[("10.244.7.0/24", &[2])]));
    let downs = world
        .at(1)
        .notes
        .iter()
        .filter(|note| matches!(note, Event::Down { .. }));
    assert_eq!(downs.count(), 0);
}

#[test]
fn nodes_of_one_name_are_told_apart_by_their_addresses() {
    let mut world = World::mesh(&[1, 2]);
    let twin = Lease {
        block: block(5),
        attrs: LeaseAttrs::from_json(
            br#"{"PublicIP":"10.99.0.5","BackendType":"bgp","NodeName":"node2"}"#,
        )
        .unwrap(),
        hold: Hold::Leased(LeaseId(1)),
        revision: Revision(2),
    };
    let twin = Remote::read(&twin, &local(1)).unwrap();
    world.tell(1, Input::Leases(vec![(block(5), Some(twin))]));
    let now = Instant::now();
    let names = |world: &mut World| -> Vec<String> {
        world
            .at(1)
            .fabric
            .speaker()
            .peers(now)
            .map(|peer| peer.name.0.clone())
            .collect()
    };
    let mut both = names(&mut world);
    both.sort();
    assert_eq!(both, ["node2@10.99.0.2", "node2@10.99.0.5"]);
    world.tell(1, Input::Leases(vec![(block(5), None)]));
    assert_eq!(names(&mut world), ["node2"]);
}

#[test]
fn what_waits_is_told_once_for_each_prefix() {
    let prefix = "10.0.0.0/8".parse().unwrap();
    let hops = |last: u8| -> Arc<[speaker::Hop]> {
        [speaker::Hop {
            via: address(last).into(),
            peer: PeerId(1),
        }]
        .into()
    };
    let changes = vec![
        speaker::RouteChange::Install {
            prefix,
            hops: hops(1),
            was: None,
        },
        speaker::RouteChange::Install {
            prefix,
            hops: hops(2),
            was: Some(hops(1)),
        },
        speaker::RouteChange::Remove {
            prefix,
            was: hops(2),
        },
    ];
    assert_eq!(wishes::folded(changes.clone()), vec![]);
    assert_eq!(
        wishes::folded(changes[1..].to_vec()),
        vec![speaker::RouteChange::Remove {
            prefix,
            was: hops(1)
        }]
    );
}
