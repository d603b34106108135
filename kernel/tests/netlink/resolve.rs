//! Which way the kernel would go to an address.

use kernel::{Entry, Hop, HopName, Kernel, Resolved, RouteKey, To};

use crate::world::{OPTIONS, World, address, in_namespace, ip};

fn way(world: &mut World, to: &str) -> Option<Resolved> {
    world.kernel.resolve(&[address(to)]).unwrap()[0].1
}

fn gateway(world: &mut World, to: &str) -> Option<String> {
    way(world, to).map(|way| way.hop.gateway.to_string())
}

#[test]
fn what_is_on_link_is_its_own_gateway_and_what_is_behind_a_router_has_that() {
    in_namespace(async || {
        let mut world = World::new(OPTIONS);
        ip("route add 192.0.2.0/24 via 10.99.0.2 metric 7");
        ip("-6 route add 2001:db8::/32 via fd99::2");
        let eth0 = world.index("eth0");
        let hop = |gateway| Hop {
            gateway: address(gateway),
            link: eth0,
            onlink: false,
        };
        for (to, gateway, metric) in [
            ("10.99.0.9", "10.99.0.9", 0),
            ("fd99::9", "fd99::9", 256),
            ("192.0.2.1", "10.99.0.2", 7),
            ("2001:db8::1", "fd99::2", 1024),
        ] {
            let hop = hop(gateway);
            assert_eq!(way(&mut world, to), Some(Resolved { hop, metric }), "{to}");
        }
    });
}

#[test]
fn own_unreachable_and_unknown_addresses_have_no_way() {
    in_namespace(async || {
        let mut world = World::new(OPTIONS);
        ip("route add unreachable 192.0.2.0/24");
        ip("route add blackhole 198.51.100.0/24");
        ip("-6 route add unreachable 2001:db8::/32");
        for to in [
            "10.99.0.1",
            "10.99.0.255",
            "127.0.0.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.5",
            "0.0.0.0",
            "fd99::1",
            "::1",
            "::",
            "2001:db8::1",
            "2001:db9::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert_eq!(way(&mut world, to), None, "{to}");
        }
    });
}

#[test]
fn no_way_leads_through_a_route_of_ours() {
    in_namespace(async || {
        let mut world = World::new(OPTIONS);
        ip("route add default via 10.99.0.2");
        assert_eq!(gateway(&mut world, "192.0.2.1").unwrap(), "10.99.0.2");
        let (hop, link) = (HopName(address("10.99.0.3")), world.index("eth0"));
        let gateway = hop.0;
        let onlink = false;
        world.reconciler.want(Entry::Hop(
            hop,
            Hop {
                gateway,
                link,
                onlink,
            },
        ));
        let ours = RouteKey::with_default_metric("192.0.2.0/24".parse().unwrap());
        world.reconciler.want(Entry::Route(ours, To::Via(hop)));
        world.settle();
        assert_eq!(way(&mut world, "192.0.2.1"), None);
    });
}

#[test]
fn ways_over_nexthop_objects_several_hops_and_links_that_are_down_are_understood() {
    in_namespace(async || {
        let mut world = World::new(OPTIONS);
        ip("nexthop add id 1 via 10.99.0.2 dev eth0");
        ip("nexthop add id 2 via 10.99.0.3 dev eth0");
        ip("nexthop add id 3 group 1/2");
        ip("route add 192.0.2.0/25 nhid 1");
        ip("route add 192.0.2.128/25 nhid 3");
        ip("route add 198.51.100.0/24 nexthop via 10.99.0.4 nexthop via 10.99.0.5");
        ip("route add 203.0.113.0/24 via inet6 fd99::2");
        ip("-6 route add 2001:db8::/32 nexthop via fd99::4 nexthop via fd99::5");
        for (to, first) in [
            ("192.0.2.1", "10.99.0.2"),
            ("192.0.2.129", "10.99.0.2"),
            ("198.51.100.1", "10.99.0.4"),
            ("203.0.113.1", "fd99::2"),
            ("2001:db8::1", "fd99::4"),
        ] {
            assert_eq!(gateway(&mut world, to).unwrap(), first, "{to}");
        }
        ip("link set eth0 down");
        assert_eq!(way(&mut world, "198.51.100.1"), None);
    });
}

/// Whatever way is found can be gone: the kernel takes the hop.
#[test]
fn every_way_can_be_installed_as_a_hop() {
    in_namespace(async || {
        let mut world = World::new(OPTIONS);
        ip("route add 192.0.2.0/25 dev eth0");
        ip("route add 192.0.2.128/25 dev eth0 scope global");
        ip("nexthop add id 1 dev eth0");
        ip("route add 198.51.100.0/24 nhid 1");
        ip("route add 203.0.113.0/24 via 192.168.7.7 dev eth0 onlink");
        ip("-6 route add 2001:db8::/32 dev eth0");
        let ways = [
            "192.0.2.1",
            "192.0.2.129",
            "198.51.100.1",
            "203.0.113.1",
            "2001:db8::1",
        ]
        .map(address);
        for (to, way) in world.kernel.resolve(&ways).unwrap() {
            let hop = way.unwrap_or_else(|| panic!("no way to {to}")).hop;
            world.reconciler.want(Entry::Hop(HopName(to), hop));
        }
        assert_eq!(world.settle(), ways.len());
    });
}

#[test]
fn a_thousand_addresses_are_asked_for_at_once_and_answered_in_their_order() {
    in_namespace(async || {
        let mut world = World::new(OPTIONS);
        ip("route add 10.0.0.0/9 via 10.99.0.2");
        let addresses: Vec<_> = (0..1000_u32)
            .map(|n| std::net::Ipv4Addr::from(0x0a7f_ff00 + n).into())
            .collect();
        let ways = world.kernel.resolve(&addresses).unwrap();
        let asked: Vec<_> = ways.iter().map(|(address, _)| *address).collect();
        assert_eq!(asked, addresses);
        assert_eq!(ways.iter().filter(|(_, way)| way.is_some()).count(), 256);
    });
}
