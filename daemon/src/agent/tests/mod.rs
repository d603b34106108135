//! The agent on a fake kernel: store events in, kernel tables out.

mod first_listing;
mod steps;
mod vanished;

use std::time::{Duration, Instant};

use kernel::{
    FakeKernel, Hop, IfIndex, Kernel, Mac, Notification, Ownership, Route, RouteKey, RouteTarget,
};
use subnet_alloc::{Block, Hold, Lease, LeaseAttrs, LeaseEvent, LeaseId, Revision};

use super::*;
use crate::backend::Backend;
use crate::underlay::Underlay;

const OWNERSHIP: Ownership = Ownership {
    protocol: 84,
    adopt_boot_routes: true,
};

fn local(backend: Backend) -> Local {
    Local {
        backend,
        underlay: Underlay {
            link: IfIndex(2),
            name: "eth0".into(),
            mtu: 1500,
            v4: Some([10, 99, 0, 1].into()),
            v6: None,
            public_v4: Some([10, 99, 0, 1].into()),
            public_v6: None,
            connected: vec!["10.99.0.1/24".parse().unwrap()],
            why: String::new(),
        },
        pools: ["10.244.0.0/16".parse().ok(), None],
        block: Block::from_key("10.244.1.0-24").ok(),
        macs: [Mac([2; 6]); 2],
        node: "node1".into(),
    }
}

fn vxlan() -> Backend {
    Backend::Vxlan(vxlan::Options::default())
}

/// Node `number` at 10.99.0.`underlay` with this MAC's last octet.
fn lease(number: u8, underlay: u8, mac: u8, revision: u64) -> Lease {
    let value = format!(
        r#"{{"PublicIP":"10.99.0.{underlay}","BackendType":"vxlan","BackendData":{{"VtepMAC":"02:00:00:00:00:{mac:02x}"}}}}"#
    );
    Lease {
        block: Block::from_key(&format!("10.244.{number}.0-24")).unwrap(),
        attrs: LeaseAttrs::from_json(value.as_bytes()).unwrap(),
        hold: Hold::Leased(LeaseId(1)),
        revision: Revision(revision),
    }
}

/// An agent with the kernel that it works on, and a clock.
struct World {
    kernel: FakeKernel,
    agent: Agent,
    now: Instant,
    notices: Vec<Notice>,
}

impl World {
    fn new(backend: Backend) -> World {
        World::on(FakeKernel::with_underlay("10.99.0.1/24"), backend)
    }

    fn on(kernel: FakeKernel, backend: Backend) -> World {
        World::of(kernel, local(backend))
    }

    /// One that has no block yet.
    fn without_block(kernel: FakeKernel, backend: Backend) -> World {
        let block = None;
        World::of(
            kernel,
            Local {
                block,
                ..local(backend)
            },
        )
    }

    fn of(kernel: FakeKernel, local: Local) -> World {
        let mut world = World {
            kernel,
            agent: Agent::new(local, OWNERSHIP, Grace::NONE),
            now: Instant::now(),
            notices: Vec::new(),
        };
        world.drain();
        world
    }

    fn tell(&mut self, events: Vec<LeaseEvent>) {
        self.agent.handle(Input::Leases(events), self.now);
        self.drain();
    }

    fn list(&mut self, part: Vec<Lease>) {
        self.agent.handle(Input::Part(part), self.now);
        self.drain();
    }

    /// The listing is complete, and this is the own lease.
    fn end_listing(&mut self, own: Lease) {
        self.agent.handle(Input::Own(own), self.now);
        self.agent.handle(Input::Listed, self.now);
        self.drain();
    }

    /// Does all that the agent asks for, until it asks for nothing now.
    fn drain(&mut self) {
        while let Some(output) = self.agent.poll_output(self.now) {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        let input = match output {
            Output::ReadLinks => {
                let (links, addresses) = self.kernel.links().unwrap();
                Input::Links(links, addresses)
            }
            Output::Dump(interest) => Input::Dump(self.kernel.dump(&interest).unwrap()),
            Output::Apply(changes) => {
                let refusals = self.kernel.apply(&changes).unwrap();
                Input::Applied(changes, refusals)
            }
            Output::Notice(notice) => return self.notices.push(notice),
            Output::Nodes(_) | Output::Refused(_) => return,
        };
        self.agent.handle(input, self.now);
    }

    /// Lets the time pass that the agent waits for.
    fn wait(&mut self) {
        self.now = self
            .agent
            .poll_timeout()
            .expect("the agent waits for something");
        self.agent.handle_timeout(self.now);
        self.drain();
    }

    fn routes(&self) -> Vec<String> {
        let unicast = |r: &Route| r.target != RouteTarget::Unreachable;
        self.kernel
            .routes
            .iter()
            .filter(|(_, r)| unicast(r))
            .map(|(k, _)| k.prefix.to_string())
            .collect()
    }

    fn fdb(&self) -> Vec<(u8, String)> {
        self.kernel
            .fdb
            .iter()
            .map(|((_, mac), ip)| (mac.0[5], ip.to_string()))
            .collect()
    }
}

/// The same lease of a node with this backend.
fn as_of(backend: Backend, lease: Lease) -> Lease {
    let attrs = LeaseAttrs {
        backend: Some(backend.name().to_owned()),
        ..lease.attrs
    };
    Lease { attrs, ..lease }
}

fn reset(leases: Vec<Lease>) -> Vec<LeaseEvent> {
    vec![LeaseEvent::Reset(leases)]
}

fn put(number: u8) -> LeaseEvent {
    LeaseEvent::Put(lease(number, number, number, u64::from(number)))
}

fn gone(number: u8) -> LeaseEvent {
    LeaseEvent::Gone(lease(number, number, number, 1).block)
}

#[test]
fn it_is_not_ready_while_the_kernel_refuses_its_device() {
    let mut kernel = FakeKernel::with_underlay("10.99.0.1/24");
    kernel.refuse_next = 1;
    let mut world = World::on(kernel, vxlan());
    world.tell(reset(vec![lease(2, 2, 2, 1)]));
    assert!(!world.agent.is_ready());
    world.wait();
    assert!(world.agent.is_ready());
}

#[test]
fn a_restart_changes_nothing_in_the_kernel() {
    let leases = vec![lease(2, 2, 2, 1), lease(3, 3, 3, 2)];
    let mut world = World::new(vxlan());
    world.tell(reset(leases.clone()));
    world.wait();
    world.kernel.journal.clear();
    let mut world = World::on(world.kernel, vxlan());
    world.tell(reset(leases));
    assert_eq!(world.kernel.journal, []);
    assert!(world.agent.is_ready());
}

#[test]
fn a_lease_that_goes_takes_its_entries_with_it() {
    let mut world = World::new(vxlan());
    world.tell(reset(vec![lease(2, 2, 2, 1), lease(3, 3, 3, 2)]));
    world.wait();
    world.tell(vec![LeaseEvent::Gone(lease(2, 2, 2, 1).block)]);
    assert_eq!(world.routes(), ["10.244.3.0/24"]);
    assert_eq!(world.fdb(), [(3, "10.99.0.3".into())]);
    assert_eq!(
        (world.kernel.nexthops.len(), world.kernel.neighbours.len()),
        (1, 1)
    );
}

#[test]
fn a_lease_with_another_mac_leaves_nothing_of_the_old_one() {
    let mut world = World::new(vxlan());
    world.tell(reset(vec![lease(2, 2, 2, 1)]));
    world.wait();
    world.tell(vec![LeaseEvent::Put(lease(2, 2, 77, 2))]);
    assert_eq!(world.fdb(), [(77, "10.99.0.2".into())]);
}

#[test]
fn the_same_lease_again_changes_nothing() {
    let mut world = World::new(vxlan());
    world.tell(reset(vec![lease(2, 2, 2, 1)]));
    world.wait();
    world.kernel.journal.clear();
    world.tell(vec![LeaseEvent::Put(lease(2, 2, 2, 9))]);
    assert_eq!(world.kernel.journal, []);
}

/// A node whose address changed has two leases for a while, with one MAC.
#[test]
fn of_two_leases_with_one_mac_the_younger_is_believed_and_the_older_one_leaves_quietly() {
    let mut world = World::new(vxlan());
    world.tell(reset(vec![lease(3, 33, 2, 8), lease(2, 2, 2, 1)]));
    world.wait();
    assert_eq!(world.fdb(), [(2, "10.99.0.33".into())]);
    world.tell(vec![LeaseEvent::Gone(lease(2, 2, 2, 1).block)]);
    assert_eq!(world.fdb(), [(2, "10.99.0.33".into())]);
    world.tell(vec![LeaseEvent::Put(lease(4, 44, 2, 9))]);
    assert_eq!(world.fdb(), [(2, "10.99.0.44".into())]);
    world.tell(vec![LeaseEvent::Gone(lease(4, 44, 2, 9).block)]);
    assert_eq!(
        world.fdb(),
        [(2, "10.99.0.33".into())],
        "the one that is left has it back"
    );
}

fn named(name: &str, lease: Lease) -> Lease {
    let node = Some(name.to_owned());
    Lease {
        attrs: LeaseAttrs {
            node,
            ..lease.attrs
        },
        ..lease
    }
}

fn passed_over(world: &World) -> usize {
    world.agent.lease_counts().1
}

#[test]
fn of_two_nodes_with_one_mac_the_first_stays_in_use_and_the_other_waits_until_it_is_gone() {
    let (first, clone) = (
        named("a", lease(2, 2, 2, 1)),
        named("b", lease(3, 33, 2, 8)),
    );
    let mut listed = World::new(vxlan());
    listed.tell(reset(vec![clone.clone(), first.clone()]));
    let mut watched = World::new(vxlan());
    watched.tell(reset(vec![first.clone()]));
    watched.wait();
    watched.tell(vec![LeaseEvent::Put(clone.clone())]);
    for mut world in [listed, watched] {
        assert_eq!(
            (world.fdb(), passed_over(&world)),
            (vec![(2, "10.99.0.2".into())], 1)
        );
        world.tell(reset(vec![clone.clone(), first.clone()]));
        assert_eq!((world.routes().len(), passed_over(&world)), (1, 1));
        world.tell(vec![LeaseEvent::Gone(first.block)]);
        assert_eq!(
            (world.fdb(), passed_over(&world)),
            (vec![(2, "10.99.0.33".into())], 0)
        );
        assert_eq!(world.routes(), ["10.244.3.0/24"]);
    }
}

#[test]
fn a_block_across_another_nodes_is_passed_over_until_that_is_gone_whichever_came_first() {
    let good = lease(2, 2, 2, 5);
    let across = Lease {
        block: Block::from_key("10.244.2.128-25").unwrap(),
        ..lease(9, 9, 9, 1)
    };
    let mut listed = World::new(vxlan());
    listed.tell(reset(vec![across.clone(), good.clone()]));
    let mut watched = World::new(vxlan());
    watched.tell(reset(vec![across.clone()]));
    assert_eq!(watched.routes(), ["10.244.2.128/25"]);
    watched.tell(vec![LeaseEvent::Put(good.clone())]);
    for mut world in [listed, watched] {
        world.tell(vec![LeaseEvent::Put(across.clone())]);
        assert_eq!(
            (world.routes(), passed_over(&world)),
            (vec!["10.244.2.0/24".into()], 1)
        );
        world.tell(vec![LeaseEvent::Gone(good.block)]);
        assert_eq!(
            (world.routes(), passed_over(&world)),
            (vec!["10.244.2.128/25".into()], 0)
        );
    }
}

#[test]
fn two_blocks_of_one_node_share_a_hop_until_both_are_gone() {
    let host_gw = |number| Lease {
        attrs: LeaseAttrs::from_json(br#"{"PublicIP":"10.99.0.2","BackendType":"host-gw"}"#)
            .unwrap(),
        ..lease(number, 2, 2, u64::from(number))
    };
    let mut world = World::new(Backend::HostGw);
    world.tell(reset(vec![host_gw(2), host_gw(3)]));
    assert_eq!(world.kernel.nexthops.len(), 1);
    world.tell(vec![LeaseEvent::Gone(host_gw(2).block)]);
    assert_eq!(
        (world.routes(), world.kernel.nexthops.len()),
        (vec!["10.244.3.0/24".into()], 1)
    );
    world.tell(vec![LeaseEvent::Gone(host_gw(3).block)]);
    assert_eq!((world.routes().len(), world.kernel.nexthops.len()), (0, 0));
}

#[test]
fn a_node_that_lost_its_block_reaches_the_one_that_has_it_now() {
    let mut world = World::new(vxlan());
    world.tell(reset(vec![lease(2, 2, 2, 1)]));
    let taken = lease(1, 9, 9, 5);
    world.tell(vec![LeaseEvent::Put(taken.clone())]);
    let moved = Local {
        block: Block::from_key("10.244.7.0-24").ok(),
        ..local(vxlan())
    };
    world.agent.handle(Input::Local(Box::new(moved)), world.now);
    world.tell(reset(vec![lease(2, 2, 2, 1), taken]));
    assert_eq!(world.routes(), ["10.244.1.0/24", "10.244.2.0/24"]);
    assert_eq!(world.agent.reconciler().drift(), 0);
}

#[test]
fn a_device_that_is_deleted_comes_back_with_all_its_entries_and_its_mac() {
    let mut world = World::new(vxlan());
    world.tell(reset(vec![lease(2, 2, 2, 1)]));
    world.wait();
    let link = world
        .kernel
        .links
        .values()
        .find(|link| link.name == "flannel.1")
        .unwrap()
        .clone();
    world.kernel.links.remove(&link.index);
    world
        .kernel
        .addresses
        .retain(|address| address.link != link.index);
    world.kernel.fdb.clear();
    world.kernel.neighbours.clear();
    world.kernel.nexthops.clear();
    world.kernel.routes.clear();
    world.now += Duration::from_secs(1);
    world.agent.handle(
        Input::Kernel(vec![Notification::LinkGone(link.index)]),
        world.now,
    );
    world.drain();
    world.wait();
    let again = world
        .kernel
        .links
        .values()
        .find(|link| link.name == "flannel.1")
        .unwrap();
    assert_eq!(again.mac, link.mac);
    assert_eq!(
        (
            world.routes().len(),
            world.fdb().len(),
            world.kernel.neighbours.len()
        ),
        (1, 1, 1)
    );
    assert_eq!(world.agent.reconciler().drift(), 0);
}

#[test]
fn a_refused_change_is_told_once_and_tried_again() {
    let mut world = World::new(Backend::HostGw);
    let lease = Lease {
        attrs: LeaseAttrs::from_json(br#"{"PublicIP":"10.99.0.2","BackendType":"host-gw"}"#)
            .unwrap(),
        ..lease(2, 2, 2, 1)
    };
    world.kernel.refuse_next = 2;
    world.tell(reset(vec![lease]));
    assert_eq!(world.agent.counts().refusals, 2);
    world.wait();
    world.wait();
    assert_eq!(world.routes(), ["10.244.2.0/24"]);
    assert_eq!(world.agent.reconciler().drift(), 0);
}

#[test]
fn flannels_leftovers_are_taken_over_and_its_stale_routes_go() {
    let mut world = World::new(vxlan());
    world.tell(reset(vec![lease(2, 2, 2, 1)]));
    world.wait();
    let device = world
        .kernel
        .links
        .values()
        .find(|link| link.name == "flannel.1")
        .unwrap()
        .index;
    let boot = |last: u8| {
        let hop = Hop {
            gateway: [10, 244, last, 0].into(),
            link: device,
            onlink: true,
        };
        let key = RouteKey::with_default_metric(format!("10.244.{last}.0/24").parse().unwrap());
        (
            key,
            Route {
                target: RouteTarget::Gateway(hop),
                protocol: 3,
            },
        )
    };
    let mut kernel = world.kernel;
    kernel.routes.clear();
    kernel.nexthops.clear();
    kernel.routes.extend([boot(2), boot(8)]);
    let mut world = World::on(kernel, vxlan());
    world.tell(reset(vec![lease(2, 2, 2, 1)]));
    assert_eq!(world.routes(), ["10.244.2.0/24"]);
    assert_eq!(world.kernel.routes[&boot(2).0].protocol, 84);
}

#[test]
fn leases_that_are_passed_over_are_told_of_once() {
    let mut world = World::new(vxlan());
    world.tell(vec![LeaseEvent::Reset(vec![])]);
    let own_address = || LeaseEvent::Put(lease(5, 1, 5, 5));
    world.tell(vec![own_address(), put(3)]);
    world.tell(vec![own_address()]);
    assert!(
        matches!(&world.notices[..], [Notice::Skipped(leases)] if leases.len() == 1),
        "{:?}",
        world.notices
    );
}

#[test]
fn another_node_with_this_nodes_name_is_named_once() {
    let mut world = World::new(vxlan());
    world.tell(vec![LeaseEvent::Reset(vec![])]);
    let namesake = || {
        let mut lease = lease(5, 5, 5, 5);
        lease.attrs.node = Some("node1".into());
        LeaseEvent::Put(lease)
    };
    world.tell(vec![namesake(), put(3)]);
    world.tell(vec![namesake()]);
    let block = lease(5, 5, 5, 5).block;
    assert_eq!(world.notices, [Notice::Namesake(block)]);
    assert_eq!(world.routes().len(), 2);
}
