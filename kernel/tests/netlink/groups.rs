//! Routes over several hops, as objects of the kernel and inside of each route.

use std::net::IpAddr;

use kernel::{Entry, GroupName, Held, Hop, HopName, Key, NetlinkOptions, RouteKey, Scope, To};
use kernel::{Family, Kernel};

use crate::world::{OPTIONS, World, address, in_namespace, ip};

const GROUP: GroupName = GroupName(1);
const WITHOUT_OBJECTS: NetlinkOptions = NetlinkOptions {
    nexthop_objects: false,
    ..OPTIONS
};

/// A second link, `eth1`, with 10.98.0.1/24.
fn add_second_link() {
    ip("link add eth1 type veth peer name peer1");
    ip("link set eth1 up");
    ip("link set peer1 up");
    ip("addr add 10.98.0.1/24 dev eth1");
}

/// The link that leads to a gateway, in the namespace of these tests.
fn link_to(gateway: &str) -> &'static str {
    if gateway.starts_with("10.98.") {
        "eth1"
    } else {
        "eth0"
    }
}

impl World {
    fn want_hops(&mut self, gateways: &[&str]) -> Vec<HopName> {
        let want = |gateway: &&str| {
            let hop = Hop {
                gateway: address(gateway),
                link: self.index(link_to(gateway)),
                onlink: false,
            };
            self.reconciler.want(Entry::Hop(HopName(hop.gateway), hop));
            HopName(hop.gateway)
        };
        gateways.iter().map(want).collect()
    }

    fn want_over(&mut self, prefix: &str, gateways: &[&str]) {
        let hops = self.want_hops(gateways);
        self.reconciler.want(Entry::Group(GROUP, hops));
        let key = RouteKey::with_default_metric(prefix.parse().unwrap());
        self.reconciler.want(Entry::Route(key, To::Over(GROUP)));
    }
}

/// Where a route leads, as `ip` says it.
fn hops(prefix: &str) -> Vec<String> {
    let shown = ip(&format!("route show {prefix}"));
    let mut words = shown.split_whitespace();
    let mut hops = Vec::new();
    while let Some(word) = words.next() {
        if word == "via" {
            let family_or_hop = words.next().unwrap();
            let is_family = family_or_hop == "inet6";
            let hop = if is_family {
                words.next().unwrap()
            } else {
                family_or_hop
            };
            hops.push(hop.to_owned());
        }
    }
    hops.sort_unstable();
    hops
}

#[test]
fn a_route_over_several_hops_is_there_and_a_restart_changes_nothing() {
    for options in [OPTIONS, WITHOUT_OBJECTS] {
        in_namespace(async move || {
            add_second_link();
            let gateways = ["10.99.0.2", "10.98.0.2", "fd99::2"];
            let mut world = World::new(options);
            world.want_over("10.244.2.0/24", &gateways);
            world.settle();
            assert_eq!(hops("10.244.2.0/24"), ["10.98.0.2", "10.99.0.2", "fd99::2"]);
            assert_eq!(ip("nexthop show").is_empty(), !options.nexthop_objects);
            let mut again = World::new(options);
            again.want_over("10.244.2.0/24", &gateways);
            assert_eq!(again.settle(), 0);
        });
    }
}

#[test]
fn a_group_that_gets_other_hops_takes_its_routes_along() {
    for options in [OPTIONS, WITHOUT_OBJECTS] {
        in_namespace(async move || {
            add_second_link();
            let mut world = World::new(options);
            world.want_over("10.244.2.0/24", &["10.99.0.2", "10.98.0.2"]);
            world.settle();
            world.want_over("10.244.2.0/24", &["10.99.0.2", "10.99.0.3"]);
            let unwanted = HopName(address("10.98.0.2"));
            world.reconciler.unwant(&Key::Hop(unwanted));
            world.settle();
            assert_eq!(hops("10.244.2.0/24"), ["10.99.0.2", "10.99.0.3"]);
            assert!(!ip("nexthop show").contains("10.98.0.2"));
            world.dump();
            assert_eq!(world.settle(), 0);
        });
    }
}

#[test]
fn ipv6_routes_over_several_hops_go_as_a_whole() {
    for options in [OPTIONS, WITHOUT_OBJECTS] {
        in_namespace(async move || {
            let mut world = World::new(options);
            world.want_over("fd00:244::/64", &["fd99::2", "fd99::3"]);
            world.settle();
            let shown = ip("-6 route show proto 84");
            assert!(
                shown.contains("fd99::2") && shown.contains("fd99::3"),
                "{shown}"
            );
            world.dump();
            assert_eq!(world.settle(), 0);
            let key = RouteKey::with_default_metric("fd00:244::/64".parse().unwrap());
            world.reconciler.unwant(&Key::Route(key));
            world.reconciler.unwant(&Key::Group(GROUP));
            for hop in ["fd99::2", "fd99::3"] {
                world.reconciler.unwant(&Key::Hop(HopName(address(hop))));
            }
            world.settle();
            assert_eq!(ip("-6 route show proto 84"), "");
            assert_eq!(ip("nexthop show"), "");
        });
    }
}

#[test]
fn an_ipv4_route_may_have_an_ipv6_gateway() {
    for options in [OPTIONS, WITHOUT_OBJECTS] {
        in_namespace(async move || {
            let mut world = World::new(options);
            let name = world.want_hops(&["fd99::2"])[0];
            let key = RouteKey::with_metric("10.244.2.0/24".parse().unwrap(), 50);
            world.reconciler.want(Entry::Route(key, To::Via(name)));
            world.settle();
            let shown = ip("route show 10.244.2.0/24");
            assert!(
                shown.contains("via inet6 fd99::2") && shown.contains("metric 50"),
                "{shown}"
            );
            world.dump();
            assert_eq!(world.settle(), 0);
            world.reconciler.unwant(&Key::Route(key));
            world.settle();
            assert_eq!(ip("route show 10.244.2.0/24"), "");
        });
    }
}

#[test]
fn a_member_that_somebody_deletes_comes_back_into_its_group() {
    in_namespace(async || {
        add_second_link();
        let mut world = World::new(OPTIONS);
        world.want_over("10.244.2.0/24", &["10.99.0.2", "10.98.0.2"]);
        world.settle();
        let shown = ip("nexthop show dev eth1 proto 84");
        let id = shown.split_whitespace().nth(1).unwrap();
        ip(&format!("nexthop del id {id}"));
        assert_eq!(
            hops("10.244.2.0/24"),
            ["10.99.0.2"],
            "the kernel goes on with one"
        );
        world
            .observe_until(|r| r.drift() == 2 && r.needs_dump())
            .await;
        world.dump();
        assert_eq!(world.settle(), 2, "the hop and the group");
        assert_eq!(hops("10.244.2.0/24"), ["10.98.0.2", "10.99.0.2"]);
    });
}

#[test]
fn a_group_that_somebody_deletes_or_changes_is_put_right_with_its_routes() {
    in_namespace(async || {
        add_second_link();
        let mut world = World::new(OPTIONS);
        world.want_over("10.244.2.0/24", &["10.99.0.2", "10.98.0.2"]);
        world.settle();
        let shown = ip("nexthop show groups");
        let group = shown.split_whitespace().nth(1).unwrap();
        let members = shown.split_whitespace().nth(3).unwrap();
        let weighted = members.replacen('/', ",5/", 1);
        ip(&format!(
            "nexthop replace id {group} group {weighted} proto 84"
        ));
        world.observe_until(|r| r.drift() == 1).await;
        assert_eq!(world.settle(), 1);
        assert!(!ip("nexthop show groups").contains(",5"));
        ip(&format!("nexthop del id {group}"));
        world.observe_until(|r| r.needs_dump()).await;
        world.dump();
        assert_eq!(world.settle(), 2, "the group and the route");
        assert_eq!(hops("10.244.2.0/24"), ["10.98.0.2", "10.99.0.2"]);
    });
}

#[test]
fn a_group_goes_on_without_the_members_of_a_link_that_is_down_until_it_is_up() {
    in_namespace(async || {
        add_second_link();
        let mut world = World::new(OPTIONS);
        ip("link set eth1 down");
        world.dump();
        world.want_over("10.244.2.0/24", &["10.99.0.2", "10.98.0.2"]);
        world.settle_what_goes();
        world.settle_what_goes();
        assert_eq!(hops("10.244.2.0/24"), ["10.99.0.2"]);
        ip("link set eth1 up");
        let is_up = |r: &kernel::Reconciler| r.link_named("eth1").is_some_and(|link| link.carrier);
        world.observe_until(is_up).await;
        world.settle();
        assert_eq!(hops("10.244.2.0/24"), ["10.98.0.2", "10.99.0.2"]);
        assert_eq!(world.reconciler.drift(), 0);
    });
}

#[test]
fn a_link_that_takes_members_with_it_and_comes_back_is_put_right() {
    in_namespace(async || {
        add_second_link();
        let mut world = World::new(OPTIONS);
        world.want_over("10.244.2.0/24", &["10.99.0.2", "10.98.0.2"]);
        world.settle();
        ip("link set eth1 down");
        assert_eq!(hops("10.244.2.0/24"), ["10.99.0.2"]);
        world.observe_until(|r| r.needs_dump()).await;
        world.dump();
        world.settle_what_goes();
        ip("link set eth1 up");
        let is_up = |r: &kernel::Reconciler| r.link_named("eth1").is_some_and(|link| link.carrier);
        world.observe_until(is_up).await;
        world.dump();
        world.settle();
        assert_eq!(hops("10.244.2.0/24"), ["10.98.0.2", "10.99.0.2"]);
        assert_eq!(world.reconciler.drift(), 0);
    });
}

/// Routes through this gateway are held.
struct Through(IpAddr);

impl Held for Through {
    fn keeps(&self, _: Family, gateways: &[IpAddr]) -> bool {
        gateways.contains(&self.0)
    }
}

#[test]
fn stale_routes_that_are_held_stay_with_their_hops_and_the_others_go() {
    for options in [OPTIONS, WITHOUT_OBJECTS] {
        in_namespace(async move || {
            add_second_link();
            let mut before = World::new(options);
            before.want_over("10.244.2.0/24", &["10.99.0.2", "10.98.0.2"]);
            let via = before.want_hops(&["10.99.0.9"])[0];
            let key = RouteKey::with_default_metric("10.244.9.0/24".parse().unwrap());
            before.reconciler.want(Entry::Route(key, To::Via(via)));
            before.settle();
            let mut world = World::new(options);
            let held = Through(address("10.98.0.2"));
            assert_eq!(world.settle_in(Scope::Held(&held)), 1);
            assert_eq!(ip("route show 10.244.9.0/24"), "");
            assert_eq!(hops("10.244.2.0/24"), ["10.98.0.2", "10.99.0.2"]);
            world.settle();
            assert_eq!(ip("route show proto 84"), "");
            assert_eq!(ip("nexthop show proto 84"), "");
        });
    }
}

#[test]
fn another_metric_puts_the_new_routes_before_the_old_ones_go() {
    in_namespace(async || {
        let mut world = World::new(OPTIONS);
        for (prefix, metric) in [
            ("10.244.2.0/24", 0),
            ("fd00:244::/64", 0),
            ("10.244.2.0/24", 50),
            ("fd00:244::/64", 50),
        ] {
            let gateway = if prefix.contains(':') {
                "fd99::2"
            } else {
                "10.99.0.2"
            };
            let hop = world.want_hops(&[gateway])[0];
            let key = RouteKey::with_metric(prefix.parse().unwrap(), metric);
            world.reconciler.want(Entry::Route(key, To::Via(hop)));
            if metric == 50 {
                let old = RouteKey::with_metric(key.prefix, 0);
                world.reconciler.unwant(&Key::Route(old));
            }
            world.settle();
        }
        assert!(ip("route show proto 84").contains("metric 50"));
        assert_eq!(ip("route show proto 84").lines().count(), 1);
        assert_eq!(ip("-6 route show proto 84").lines().count(), 1);
        let mut again = World::new(OPTIONS);
        let refusals = again.kernel.apply(&[]).unwrap();
        assert_eq!(
            (refusals.len(), again.settle()),
            (0, 4),
            "two routes and two hops"
        );
    });
}
