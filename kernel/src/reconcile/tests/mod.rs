use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use super::*;
use crate::entry::{GroupName, Hop, HopName, RouteTarget, To};
use crate::fake::FakeKernel;
use crate::speaker::{Kernel, Notification};

mod groups;

const LINK: IfIndex = IfIndex(2);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn hop(gateway: &str) -> Hop {
    Hop {
        gateway: ip(gateway),
        link: LINK,
        onlink: false,
    }
}

fn key(prefix: &str) -> RouteKey {
    RouteKey::with_default_metric(prefix.parse().unwrap())
}

/// A reconciler and the fake kernel that it works on.
struct World {
    kernel: FakeKernel,
    reconciler: Reconciler,
}

impl World {
    fn new() -> World {
        World::on(FakeKernel::with_underlay("10.99.0.1/24"))
    }

    fn on(kernel: FakeKernel) -> World {
        let ownership = Ownership {
            protocol: 84,
            adopt_boot_routes: true,
        };
        let mut world = World {
            kernel,
            reconciler: Reconciler::new(ownership),
        };
        world.dump();
        world
    }

    fn dump(&mut self) {
        let (links, addresses) = self.kernel.links().unwrap();
        self.reconciler.observe_links(links, addresses);
        let dump = self.kernel.dump(&self.reconciler.interest(true)).unwrap();
        self.reconciler.resync(dump);
    }

    fn want_route(&mut self, prefix: &str, gateway: &str) {
        self.reconciler
            .want(Entry::Hop(HopName(ip(gateway)), hop(gateway)));
        self.reconciler
            .want(Entry::Route(key(prefix), To::Via(HopName(ip(gateway)))));
    }

    fn run(&mut self, scope: Scope<'_>) -> Vec<Change> {
        let now = Instant::now();
        let changes = self.reconciler.pending(now, scope, 1000);
        let refusals = self.kernel.apply(&changes).unwrap();
        self.reconciler.settle(&changes, &refusals, now);
        changes
    }

    fn prefixes(&self) -> BTreeSet<String> {
        self.kernel
            .routes
            .keys()
            .map(|key| key.prefix.to_string())
            .collect()
    }
}

use crate::change::Change;

#[test]
fn what_is_wanted_is_put_in_one_pass_and_then_nothing_is_pending() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    assert_eq!(world.prefixes(), BTreeSet::from(["10.244.1.0/24".into()]));
    assert_eq!(world.run(Scope::All), []);
    assert_eq!(world.reconciler.drift(), 0);
}

#[test]
fn a_restart_adopts_what_is_right_and_changes_nothing() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    let mut world = World::on(world.kernel);
    world.want_route("10.244.1.0/24", "10.99.0.2");
    assert_eq!(world.run(Scope::All), []);
}

#[test]
fn a_restart_deletes_what_is_stale_only_when_it_may() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    let mut world = World::on(world.kernel);
    assert_eq!(world.run(Scope::PutsOnly), []);
    assert_eq!(world.prefixes().len(), 1);
    world.run(Scope::All);
    assert!(world.kernel.routes.is_empty() && world.kernel.nexthops.is_empty());
}

#[test]
fn a_route_that_moves_is_put_before_its_old_nexthop_goes() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    world.want_route("10.244.1.0/24", "10.99.0.3");
    world.reconciler.unwant(&Key::Hop(HopName(ip("10.99.0.2"))));
    let kinds: Vec<bool> = world
        .run(Scope::All)
        .iter()
        .map(Change::is_removal)
        .collect();
    assert_eq!(kinds, [false, false]);
    assert_eq!(
        world.run(Scope::All).len(),
        1,
        "the old nexthop goes once nothing names it"
    );
    assert_eq!(world.kernel.routes.len(), 1);
}

#[test]
fn a_nexthop_whose_route_could_not_move_stays() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    world.want_route("10.244.1.0/24", "10.99.0.3");
    world.reconciler.unwant(&Key::Hop(HopName(ip("10.99.0.2"))));
    world.kernel.refuse_next = 2;
    world.run(Scope::All);
    assert!(world.run(Scope::All).is_empty());
    assert_eq!(world.prefixes().len(), 1);
}

#[test]
fn one_refused_route_holds_up_no_other() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    let foreign = Route {
        target: RouteTarget::Other,
        protocol: 4,
    };
    world
        .kernel
        .routes
        .insert(key("10.244.9.0/24"), foreign.clone());
    world.want_route("10.244.9.0/24", "10.99.0.2");
    world.want_route("10.244.8.0/24", "10.99.0.2");
    world.run(Scope::All);
    assert_eq!(
        world.kernel.routes[&key("10.244.9.0/24")],
        foreign,
        "a foreign route stays"
    );
    assert!(world.prefixes().contains("10.244.8.0/24"));
    assert_eq!(world.reconciler.drift(), 1);
    let refused = world
        .reconciler
        .routes()
        .filter(|row| row.status() == Status::Refused);
    assert_eq!(refused.count(), 1);
}

#[test]
fn a_route_that_somebody_replaced_is_taken_back() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    let route = Route {
        target: RouteTarget::Gateway(hop("10.99.0.66")),
        protocol: 3,
    };
    world
        .kernel
        .routes
        .insert(key("10.244.1.0/24"), route.clone());
    world.reconciler.observe(Notification::Route {
        key: key("10.244.1.0/24"),
        route,
        replaced: true,
    });
    world.run(Scope::All);
    assert_eq!(world.kernel.routes[&key("10.244.1.0/24")].protocol, 84);
}

#[test]
fn a_route_that_somebody_deleted_comes_back() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    let route = world.kernel.routes.remove(&key("10.244.1.0/24")).unwrap();
    world
        .reconciler
        .observe(Notification::RouteGone(key("10.244.1.0/24"), route));
    world.run(Scope::All);
    assert_eq!(world.prefixes().len(), 1);
}

#[test]
fn a_nexthop_that_vanishes_asks_for_a_dump_because_its_routes_went_silently() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    let id = *world.kernel.nexthops.keys().next().unwrap();
    world.kernel.apply(&[Change::RemoveNexthop { id }]).unwrap();
    world.reconciler.observe(Notification::NexthopGone(id));
    assert!(world.reconciler.needs_dump());
    world.dump();
    world.run(Scope::All);
    assert_eq!(
        (world.kernel.routes.len(), world.kernel.nexthops.len()),
        (1, 1)
    );
}

#[test]
fn flannels_route_in_our_place_is_replaced_and_an_admins_elsewhere_stays() {
    let mut kernel = FakeKernel::with_underlay("10.99.0.1/24");
    let boot = Route {
        target: RouteTarget::Gateway(hop("10.99.0.2")),
        protocol: 3,
    };
    kernel.routes.insert(key("10.244.1.0/24"), boot.clone());
    kernel.routes.insert(key("192.168.7.0/24"), boot.clone());
    let mut world = World::on(kernel);
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.reconciler.adopt_leftovers();
    world.run(Scope::All);
    assert_eq!(world.kernel.routes[&key("10.244.1.0/24")].protocol, 84);
    assert_eq!(world.kernel.routes[&key("192.168.7.0/24")], boot);
}

#[test]
fn without_nexthop_objects_routes_carry_their_gateway_and_move_with_it() {
    let mut world = World::new();
    world.reconciler.resync(crate::speaker::Dump::default());
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    let name = HopName(ip("10.99.0.2"));
    world.reconciler.want(Entry::Hop(
        name,
        Hop {
            onlink: true,
            ..hop("10.99.0.2")
        },
    ));
    world.run(Scope::All);
    let target = RouteTarget::Gateway(Hop {
        onlink: true,
        ..hop("10.99.0.2")
    });
    assert_eq!(world.kernel.routes[&key("10.244.1.0/24")].target, target);
    assert!(world.kernel.nexthops.is_empty());
}

/// Another program puts a route of its own in the place of ours.
fn take_the_place(world: &mut World, prefix: &str) {
    let route = Route {
        target: RouteTarget::Gateway(hop("10.99.0.66")),
        protocol: 4,
    };
    world.kernel.routes.insert(key(prefix), route.clone());
    world.reconciler.observe(Notification::Route {
        key: key(prefix),
        route,
        replaced: true,
    });
}

#[test]
fn a_program_that_insists_is_named_once_with_its_protocol_and_fought_slowly() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    let mut fights = Vec::new();
    let mut changes = 0;
    for _ in 0..100 {
        take_the_place(&mut world, "10.244.1.0/24");
        changes += world.run(Scope::All).len();
        fights.extend(world.reconciler.fights());
    }
    assert!(changes < 10, "{changes} changes");
    let words: Vec<String> = fights.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), 1);
    assert!(
        words[0].starts_with(
            "route 10.244.1.0/24 metric 0: another program made it a route via 10.99.0.66 on link 2 of protocol static, 4 times"
        ),
        "{words:?}"
    );
    assert_eq!(world.reconciler.drift(), 1);
    assert!(world.reconciler.next_due().is_some());
}

#[test]
fn a_fight_over_one_route_delays_no_other() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.want_route("10.244.2.0/24", "10.99.0.2");
    world.run(Scope::All);
    for _ in 0..10 {
        take_the_place(&mut world, "10.244.1.0/24");
        world.run(Scope::All);
    }
    take_the_place(&mut world, "10.244.2.0/24");
    world.want_route("10.244.3.0/24", "10.99.0.3");
    world.run(Scope::All);
    let protocol = |prefix| world.kernel.routes[&key(prefix)].protocol;
    assert_eq!(
        ["10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"].map(protocol),
        [4, 84, 84]
    );
}

fn eth0(world: &World, up: bool) -> Link {
    let link = world.kernel.links[&LINK].clone();
    Link {
        up,
        carrier: up,
        ..link
    }
}

#[test]
fn a_link_that_flaps_is_nobodys_fight() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    for _ in 0..20 {
        let link = eth0(&world, false);
        world.reconciler.observe(Notification::Link(link));
        world.kernel.routes.clear();
        world.kernel.nexthops.clear();
        let link = eth0(&world, true);
        world.reconciler.observe(Notification::Link(link));
        assert!(world.reconciler.needs_dump());
        world.dump();
        world.run(Scope::All);
        assert_eq!(world.prefixes().len(), 1);
    }
    assert_eq!(world.reconciler.fights(), []);
}

#[test]
fn a_link_of_others_that_goes_is_no_reason_for_a_dump() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    let veth = Link {
        index: IfIndex(77),
        name: "veth0".into(),
        ..eth0(&world, true)
    };
    world.reconciler.observe(Notification::Link(veth));
    world
        .reconciler
        .observe(Notification::LinkGone(IfIndex(77)));
    assert!(!world.reconciler.needs_dump());
    world.reconciler.observe(Notification::LinkGone(LINK));
    assert!(world.reconciler.needs_dump());
}

#[test]
fn a_nexthop_that_another_program_replaced_is_taken_back() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    let id = *world.kernel.nexthops.keys().next().unwrap();
    for theirs in [Some(Nexthop::Hop(hop("10.99.0.66"))), None] {
        world
            .reconciler
            .observe(Notification::Nexthop(id, theirs, 4));
        let replace = Change::PutNexthop {
            id,
            nexthop: Nexthop::Hop(hop("10.99.0.2")),
            replace: true,
        };
        assert_eq!(world.run(Scope::All), [replace]);
    }
}

#[test]
fn what_was_refused_is_tried_at_once_when_the_link_has_an_address_again() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.kernel.refuse_next = 2;
    world.run(Scope::All);
    assert!(world.run(Scope::All).is_empty());
    let network = "10.99.0.7/24".parse().unwrap();
    world.reconciler.observe(Notification::Address(Address {
        link: LINK,
        network,
    }));
    world.run(Scope::All);
    assert_eq!(world.prefixes().len(), 1);
}

#[test]
fn a_sysctl_that_somebody_changed_is_set_again_and_one_that_nobody_wants_is_let_be() {
    let mut world = World::new();
    world.reconciler.want(Entry::Sysctl(Sysctl::ForwardV4, 1));
    world.run(Scope::All);
    for sysctl in [Sysctl::ForwardV4, Sysctl::ForwardV6] {
        world.reconciler.observe(Notification::Sysctl(sysctl, 0));
    }
    let set = Change::PutSysctl {
        sysctl: Sysctl::ForwardV4,
        value: 1,
    };
    assert_eq!(world.run(Scope::All), [set]);
}

#[test]
fn what_is_told_while_a_change_is_on_its_way_may_have_come_after_it() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    let lose = |world: &mut World| {
        let route = world.kernel.routes.remove(&key("10.244.1.0/24")).unwrap();
        let gone = Notification::RouteGone(key("10.244.1.0/24"), route);
        world.reconciler.observe(gone);
    };
    lose(&mut world);
    let now = Instant::now();
    let changes = world.reconciler.pending(now, Scope::All, 1000);
    let refusals = world.kernel.apply(&changes).unwrap();
    lose(&mut world);
    world.reconciler.settle(&changes, &refusals, now);
    assert_eq!(world.reconciler.drift(), 1);
    world.run(Scope::All);
    assert_eq!((world.prefixes().len(), world.reconciler.drift()), (1, 0));
}
