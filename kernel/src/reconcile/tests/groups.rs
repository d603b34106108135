//! Groups of hops, and stale routes that are held.

use std::cell::RefCell;

use super::*;

const GROUP: GroupName = GroupName(7);

impl World {
    fn want_over(&mut self, prefix: &str, gateways: &[&str]) {
        for gateway in gateways {
            self.reconciler
                .want(Entry::Hop(HopName(ip(gateway)), hop(gateway)));
        }
        let hops = gateways.iter().map(|gateway| HopName(ip(gateway)));
        self.reconciler.want(Entry::Group(GROUP, hops.collect()));
        self.reconciler
            .want(Entry::Route(key(prefix), To::Over(GROUP)));
    }

    fn unwant_hop(&mut self, gateway: &str) {
        self.reconciler.unwant(&Key::Hop(HopName(ip(gateway))));
    }

    /// The gateways that a route of the kernel leads through.
    fn gateways(&self, prefix: &str) -> Vec<IpAddr> {
        let mut rows = self.reconciler.routes();
        let row = rows.find(|row| row.key == Key::Route(key(prefix))).unwrap();
        match row.have {
            Some(Detail::Over(hops)) => hops.iter().map(|hop| hop.gateway).collect(),
            Some(Detail::Via(hop)) => vec![hop.gateway],
            _ => Vec::new(),
        }
    }
}

fn kind(change: &Change) -> &'static str {
    match change {
        Change::PutNexthop { nexthop, .. } => match nexthop {
            Nexthop::Hop(_) => "hop",
            Nexthop::Group(_) => "group",
        },
        Change::PutRoute { .. } => "route",
        Change::RemoveRoute { .. } => "no route",
        Change::RemoveNexthop { .. } => "no nexthop",
        _ => "other",
    }
}

fn kinds(changes: &[Change]) -> Vec<&'static str> {
    changes.iter().map(kind).collect()
}

#[test]
fn hops_come_before_their_group_and_that_before_its_routes_and_they_go_in_reverse() {
    let mut world = World::new();
    world.want_over("10.244.1.0/24", &["10.99.0.2", "10.99.0.3"]);
    let changes = world.run(Scope::All);
    assert_eq!(kinds(&changes), ["hop", "hop", "group", "route"]);
    assert_eq!(world.run(Scope::All), []);
    world.reconciler.unwant(&Key::Route(key("10.244.1.0/24")));
    world.reconciler.unwant(&Key::Group(GROUP));
    world.unwant_hop("10.99.0.2");
    world.unwant_hop("10.99.0.3");
    let changes = world.run(Scope::All);
    let removals = ["no route", "no nexthop", "no nexthop", "no nexthop"];
    assert_eq!(kinds(&changes), removals);
    assert_eq!(
        world.reconciler.drift(),
        0,
        "none was refused: the group went first"
    );
    assert!(world.kernel.nexthops.is_empty());
}

#[test]
fn a_restart_adopts_groups_and_changes_nothing_whatever_their_names() {
    let mut world = World::new();
    world.want_over("10.244.1.0/24", &["10.99.0.2", "10.99.0.3"]);
    world.run(Scope::All);
    let mut world = World::on(world.kernel);
    let names = ["10.99.0.3", "10.99.0.2"].map(|gateway| {
        let name = HopName(ip(gateway));
        world.reconciler.want(Entry::Hop(name, hop(gateway)));
        name
    });
    let group = GroupName(99);
    world.reconciler.want(Entry::Group(group, names.to_vec()));
    let route = Entry::Route(key("10.244.1.0/24"), To::Over(group));
    world.reconciler.want(route);
    assert_eq!(world.run(Scope::All), []);
}

#[test]
fn a_hop_stays_until_its_group_has_moved() {
    let mut world = World::new();
    world.want_over("10.244.1.0/24", &["10.99.0.2", "10.99.0.3"]);
    world.run(Scope::All);
    world.want_over("10.244.1.0/24", &["10.99.0.3", "10.99.0.4"]);
    world.unwant_hop("10.99.0.2");
    assert_eq!(kinds(&world.run(Scope::All)), ["hop", "group"]);
    assert_eq!(kinds(&world.run(Scope::All)), ["no nexthop"]);
    let gateways = world.gateways("10.244.1.0/24");
    assert_eq!(gateways, [ip("10.99.0.3"), ip("10.99.0.4")]);
}

#[test]
fn a_group_goes_on_without_a_hop_that_the_kernel_refuses() {
    let mut world = World::new();
    world.kernel.refuse_next = 1;
    world.want_over("10.244.1.0/24", &["10.99.0.2", "10.99.0.3"]);
    world.run(Scope::All);
    assert_eq!(kinds(&world.run(Scope::All))[..2], ["hop", "group"]);
    world.run(Scope::All);
    world.run(Scope::All);
    assert_eq!(world.gateways("10.244.1.0/24").len(), 2);
    assert_eq!(world.reconciler.drift(), 0);
}

#[test]
fn a_member_that_vanishes_comes_back_into_its_group() {
    let mut world = World::new();
    world.want_over("10.244.1.0/24", &["10.99.0.2", "10.99.0.3"]);
    world.run(Scope::All);
    let ids: Vec<NexthopId> = world.kernel.nexthops.keys().copied().collect();
    let is_hop = |id: &&NexthopId| matches!(world.kernel.nexthops[id].0, Nexthop::Hop(_));
    let lost = *ids.iter().find(is_hop).unwrap();
    world
        .kernel
        .apply(&[Change::RemoveNexthop { id: lost }])
        .unwrap();
    world.reconciler.observe(Notification::NexthopGone(lost));
    world.dump();
    assert_eq!(world.gateways("10.244.1.0/24").len(), 1);
    assert_eq!(kinds(&world.run(Scope::All)), ["hop", "group"]);
    assert_eq!(world.gateways("10.244.1.0/24").len(), 2);
}

#[test]
fn without_objects_a_hop_of_a_group_that_moves_takes_its_routes_along() {
    let mut world = World::new();
    world.reconciler.resync(crate::speaker::Dump::default());
    world.want_over("10.244.1.0/24", &["10.99.0.2", "10.99.0.3"]);
    world.want_route("10.244.2.0/24", "10.99.0.4");
    world.run(Scope::All);
    let moved = Entry::Hop(HopName(ip("10.99.0.2")), hop("10.99.0.4"));
    world.reconciler.want(moved);
    assert_eq!(kinds(&world.run(Scope::All)), ["route"]);
    let gateways = world.gateways("10.244.1.0/24");
    assert_eq!(gateways, [ip("10.99.0.3"), ip("10.99.0.4")]);
}

/// Holds what leads through these, and counts how often it is asked.
struct Through(Vec<IpAddr>, RefCell<usize>);

impl Held for Through {
    fn keeps(&self, _: Family, gateways: &[IpAddr]) -> bool {
        *self.1.borrow_mut() += 1;
        gateways.iter().any(|gateway| self.0.contains(gateway))
    }
}

/// A kernel in which an earlier run left routes through two hops.
fn restarted() -> World {
    let mut world = World::new();
    for number in 0..100 {
        world.want_route(&format!("10.1.{number}.0/24"), "10.99.0.2");
        world.want_route(&format!("10.2.{number}.0/24"), "10.99.0.3");
    }
    world.run(Scope::All);
    World::on(world.kernel)
}

#[test]
fn held_routes_stay_until_they_are_let_go_and_with_them_what_they_lead_through() {
    let mut world = restarted();
    let held = Through(vec![ip("10.99.0.2")], RefCell::default());
    assert_eq!(kinds(&world.run(Scope::Held(&held))), ["no route"; 100]);
    assert_eq!(world.run(Scope::Held(&held)), []);
    assert_eq!(
        (world.prefixes().len(), world.kernel.nexthops.len()),
        (100, 2)
    );
    let held = Through(vec![], RefCell::default());
    assert_eq!(world.run(Scope::Held(&held)).len(), 100);
    assert_eq!(kinds(&world.run(Scope::All)), ["no nexthop"; 2]);
}

#[test]
fn what_is_taken_back_goes_while_others_are_held() {
    let mut world = restarted();
    let held = Through(vec![ip("10.99.0.2"), ip("10.99.0.3")], RefCell::default());
    for prefix in ["10.1.7.0/24", "10.9.9.0/24"] {
        world.want_route(prefix, "10.99.0.2");
        world.run(Scope::Held(&held));
        world.reconciler.take_back(&Key::Route(key(prefix)));
        assert_eq!(kinds(&world.run(Scope::Held(&held))), ["no route"]);
    }
    assert_eq!(world.prefixes().len(), 199);
}

#[test]
fn what_is_taken_back_on_its_way_to_the_kernel_goes_though_others_are_held() {
    let mut world = restarted();
    let held = Through(vec![ip("10.99.0.2")], RefCell::default());
    world.want_route("10.9.9.0/24", "10.99.0.2");
    let changes = world
        .reconciler
        .pending(Instant::now(), Scope::Held(&held), 10);
    world.reconciler.take_back(&Key::Route(key("10.9.9.0/24")));
    world.kernel.apply(&changes).unwrap();
    world.reconciler.settle(&changes, &[], Instant::now());
    world.run(Scope::Held(&held));
    assert!(!world.prefixes().contains("10.9.9.0/24"));
}

#[test]
fn what_others_planned_for_and_do_not_any_more_is_held() {
    let mut world = restarted();
    let held = Through(vec![ip("10.99.0.2"), ip("10.99.0.3")], RefCell::default());
    world.want_route("10.1.7.0/24", "10.99.0.2");
    world.run(Scope::Held(&held));
    world.reconciler.unwant(&Key::Route(key("10.1.7.0/24")));
    assert_eq!(world.run(Scope::Held(&held)), []);
}

#[test]
fn who_holds_routes_is_asked_once_for_each_way_and_not_for_each_route() {
    let mut world = restarted();
    let held = Through(vec![ip("10.99.0.2"), ip("10.99.0.3")], RefCell::default());
    assert_eq!(world.run(Scope::Held(&held)), []);
    assert!(*held.1.borrow() <= 4, "{held:?} times", held = held.1);
}

#[test]
fn a_held_route_that_is_wanted_again_is_right_as_it_is() {
    let mut world = restarted();
    let held = Through(vec![ip("10.99.0.2")], RefCell::default());
    world.want_route("10.1.7.0/24", "10.99.0.2");
    world.run(Scope::Held(&held));
    assert_eq!(kinds(&world.run(Scope::All)).len(), 99 + 1);
    assert_eq!(world.prefixes(), BTreeSet::from(["10.1.7.0/24".into()]));
}

#[test]
fn a_route_of_another_metric_stays_until_the_wanted_one_is_there() {
    let mut world = World::new();
    world.want_route("10.244.1.0/24", "10.99.0.2");
    world.run(Scope::All);
    let mut world = World::on(world.kernel);
    let name = HopName(ip("10.99.0.2"));
    let other = RouteKey::with_metric(key("10.244.1.0/24").prefix, 50);
    world.reconciler.want(Entry::Hop(name, hop("10.99.0.2")));
    world.reconciler.want(Entry::Route(other, To::Via(name)));
    world.kernel.refuse_next = 1;
    assert_eq!(kinds(&world.run(Scope::All)), ["route"]);
    assert_eq!(world.run(Scope::All), [], "the wanted one was refused");
    world.reconciler.retry_now = true;
    assert_eq!(kinds(&world.run(Scope::All)), ["route"]);
    assert_eq!(kinds(&world.run(Scope::All)), ["no route"]);
    assert_eq!(world.kernel.routes.len(), 1);
}
