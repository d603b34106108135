//! Devices and what hangs on them, routes and nexthops: put, seen, put back.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use kernel::{
    Address, Change, Entry, Hop, HopName, IfIndex, Kernel, Mac, NetlinkOptions, Nexthop,
    Notification, Reconciler, RouteKey, Sysctl, To, VxlanDevice,
};

use crate::world::{OPTIONS, World, address, in_namespace, ip, run};

fn world_with_peers(options: NetlinkOptions) -> World {
    let mut world = World::new(options);
    world.want_device();
    world.settle();
    world.dump();
    for number in 2..=9 {
        world.want_peer(number);
    }
    let own: ipnetwork::IpNetwork = "10.244.1.0/32".parse().unwrap();
    let link = world.index("flannel.1");
    world.reconciler.want(Entry::Address(link, own));
    world
        .reconciler
        .want(Entry::Sysctl(Sysctl::AcceptRa("flannel.1".into()), 0));
    let own_block = RouteKey::of_last_resort("10.244.1.0/24".parse().unwrap());
    world
        .reconciler
        .want(Entry::Route(own_block, To::Unreachable));
    world.settle();
    world
}

#[test]
fn a_device_neighbours_fdb_entries_and_routes_are_there_as_ip_sees_them() {
    in_namespace(async || {
        let world = world_with_peers(OPTIONS);
        let link = ip("-d link show flannel.1");
        for part in [
            "vxlan id 1 local 10.99.0.1 dev eth0",
            "dstport 8472 nolearning",
            "mtu 1450",
            "alias twill",
        ] {
            assert!(link.contains(part), "{part} not in {link}");
        }
        assert!(ip("addr show flannel.1").contains("inet 10.244.1.0/32"));
        assert_eq!(
            run("cat", "/proc/sys/net/ipv6/conf/flannel.1/accept_ra").trim(),
            "0"
        );
        assert!(
            ip("neigh show dev flannel.1")
                .contains("10.244.2.0 lladdr 02:00:00:00:01:02 PERMANENT")
        );
        let fdb = run("bridge", "fdb show dev flannel.1");
        assert!(
            fdb.contains("02:00:00:00:01:02 dst 10.99.0.2 self permanent"),
            "{fdb}"
        );
        let route = ip("route show 10.244.2.0/24");
        assert!(
            route.contains("via 10.244.2.0 dev flannel.1 proto 84 onlink"),
            "{route}"
        );
        assert!(
            ip("route show 10.244.1.0/24")
                .starts_with("unreachable 10.244.1.0/24 proto 84 metric 4294967295")
        );
        assert_eq!(world.reconciler.drift(), 0);
    });
}

#[test]
fn a_second_start_finds_everything_in_place() {
    in_namespace(async || {
        drop(world_with_peers(OPTIONS));
        let mut world = world_with_peers_unsettled();
        assert_eq!(world.settle(), 0);
    });
}

/// Wants the same as `world_with_peers`, on what that left in the kernel.
fn world_with_peers_unsettled() -> World {
    let mut world = World::new(OPTIONS);
    world.want_device();
    world.dump();
    for number in 2..=9 {
        world.want_peer(number);
    }
    let link = world.index("flannel.1");
    world
        .reconciler
        .want(Entry::Address(link, "10.244.1.0/32".parse().unwrap()));
    world
        .reconciler
        .want(Entry::Sysctl(Sysctl::AcceptRa("flannel.1".into()), 0));
    let own_block = RouteKey::of_last_resort("10.244.1.0/24".parse().unwrap());
    world
        .reconciler
        .want(Entry::Route(own_block, To::Unreachable));
    world.dump();
    world
}

#[test]
fn what_others_delete_is_noticed_and_put_back() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        ip("route del 10.244.2.0/24");
        ip("neigh del 10.244.3.0 dev flannel.1");
        run("bridge", "fdb del 02:00:00:00:01:04 dev flannel.1");
        ip("addr del 10.244.1.0/32 dev flannel.1");
        world.observe_until(|r| r.drift() >= 4).await;
        world.settle();
        assert!(!ip("route show 10.244.2.0/24").is_empty());
        assert!(ip("neigh show 10.244.3.0 dev flannel.1").contains("PERMANENT"));
        assert!(run("bridge", "fdb show dev flannel.1").contains("02:00:00:00:01:04"));
        assert!(ip("addr show flannel.1").contains("inet 10.244.1.0/32"));
    });
}

#[test]
fn a_route_that_another_program_replaces_is_taken_back() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        ip("route replace 10.244.2.0/24 via 10.99.0.77");
        world.observe_until(|r| r.drift() == 1).await;
        world.settle();
        assert!(ip("route show 10.244.2.0/24").contains("proto 84"));
    });
}

#[test]
fn a_nexthop_that_is_deleted_comes_back_with_its_routes() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        ip("nexthop flush proto 84");
        world.observe_until(Reconciler::needs_dump).await;
        world.dump();
        assert_eq!(world.settle(), 16, "eight nexthops, eight routes");
        assert!(ip("route show 10.244.2.0/24").contains("proto 84"));
    });
}

#[test]
fn a_link_that_went_down_and_up_gets_its_entries_back() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        ip("link set flannel.1 down");
        world
            .observe_until(|r| r.needs_dump() && r.drift() > 0)
            .await;
        world.settle();
        world.dump();
        world.settle();
        assert!(ip("link show flannel.1").contains("UP"));
        assert!(ip("route show 10.244.2.0/24").contains("proto 84"));
        assert!(ip("neigh show 10.244.2.0 dev flannel.1").contains("PERMANENT"));
    });
}

#[test]
fn another_mac_mtu_or_local_address_is_put_right_without_making_the_device_again() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        let index = world.index("flannel.1");
        ip("link set flannel.1 address 02:00:00:00:00:99 mtu 1300");
        // The kernel forgets all neighbours of a link whose own MAC changes.
        world.observe_until(|r| r.drift() >= 9).await;
        world.settle();
        world.dump();
        world.settle();
        assert_eq!(world.index("flannel.1"), index);
        assert_eq!(world.reconciler.drift(), 0);
        assert!(ip("link show flannel.1").contains("mtu 1450"));
    });
}

#[test]
fn another_local_address_and_learning_are_wanted_without_making_the_device_again() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        let index = world.index("flannel.1");
        let moved = VxlanDevice {
            local: Some(address("10.99.0.77")),
            learning: true,
            mtu: 1400,
            ..world.want_device()
        };
        world
            .reconciler
            .want(Entry::Device("flannel.1".into(), moved));
        world.settle();
        world.dump();
        world.settle();
        assert_eq!(world.index("flannel.1"), index);
        assert_eq!(world.reconciler.drift(), 0);
        let link = ip("-d link show flannel.1");
        assert!(
            link.contains("local 10.99.0.77") && !link.contains("nolearning"),
            "{link}"
        );
        assert!(link.contains("mtu 1400"), "{link}");
    });
}

#[test]
fn another_port_makes_the_device_again() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        let index = world.index("flannel.1");
        let port = VxlanDevice {
            port: 4789,
            ..world.want_device()
        };
        world
            .reconciler
            .want(Entry::Device("flannel.1".into(), port));
        world.settle();
        world.dump();
        assert_ne!(world.index("flannel.1"), index);
        assert!(ip("-d link show flannel.1").contains("dstport 4789"));
    });
}

#[test]
fn what_leads_elsewhere_than_its_address_says_is_noticed_and_put_right() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        run(
            "bridge",
            "fdb replace 02:00:00:00:01:04 dev flannel.1 self permanent dst 10.99.0.4 port 9999",
        );
        let id = ip("nexthop show proto 84");
        let id = id.split_whitespace().nth(1).unwrap();
        ip(&format!(
            "nexthop replace id {id} via 10.99.0.77 dev eth0 proto static"
        ));
        world.observe_until(|r| r.drift() >= 2).await;
        world.settle();
        let fdb = run("bridge", "fdb show dev flannel.1");
        assert!(
            !fdb.contains("9999") && fdb.contains("02:00:00:00:01:04 dst 10.99.0.4 self"),
            "{fdb}"
        );
        let nexthop = ip(&format!("nexthop show id {id}"));
        assert!(
            nexthop.contains("dev flannel.1") && nexthop.contains("proto 84"),
            "{nexthop}"
        );
    });
}

#[test]
fn an_fdb_entry_of_somebody_else_with_a_port_of_its_own_is_removed_from_our_device() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        run(
            "bridge",
            "fdb add 02:00:00:00:01:77 dev flannel.1 self permanent dst 10.99.0.4 port 9999",
        );
        world.observe_until(|r| r.drift() == 1).await;
        world.settle();
        let fdb = run("bridge", "fdb show dev flannel.1");
        assert!(!fdb.contains("02:00:00:00:01:77"), "{fdb}");
    });
}

#[test]
fn a_route_for_another_type_of_service_is_not_taken_for_ours() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        ip("route replace 10.244.2.0/24 tos 0x10 via 10.99.0.77 proto 84");
        ip("route replace 10.244.2.0/24 tos 0x10 via 10.99.0.78 proto 84");
        ip("addr del 10.244.1.0/32 dev flannel.1");
        world.observe_until(|r| r.drift() >= 1).await;
        world.settle();
        world.dump();
        assert_eq!(world.settle(), 0);
        assert!(ip("route show 10.244.2.0/24").contains("tos 0x10"));
    });
}

#[test]
fn sysctls_that_somebody_writes_are_told() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        for (sysctl, value) in [
            (Sysctl::ForwardV4, 1),
            (Sysctl::ForwardV6, 1),
            (Sysctl::AcceptRa("flannel.1".into()), 0),
        ] {
            world.reconciler.want(Entry::Sysctl(sysctl, value));
        }
        world.settle();
        world.dump();
        assert_eq!(world.settle(), 0);
        for (file, wrong, right) in [
            ("net/ipv4/ip_forward", "0", "1"),
            ("net/ipv6/conf/all/forwarding", "0", "1"),
            ("net/ipv6/conf/flannel.1/accept_ra", "2", "0"),
        ] {
            let file = format!("/proc/sys/{file}");
            std::fs::write(&file, wrong).unwrap();
            world.observe_until(|r| r.drift() > 0).await;
            world.settle();
            assert_eq!(run("cat", &file).trim(), right);
        }
    });
}

#[test]
fn our_own_changes_and_foreign_routes_come_with_no_notification() {
    in_namespace(async || {
        let mut world = World::new(OPTIONS);
        let link = world.index("eth0");
        let gateway = address("10.99.0.2");
        world.reconciler.want(Entry::Hop(
            HopName(gateway),
            Hop {
                gateway,
                link,
                onlink: false,
            },
        ));
        let ours = RouteKey::with_default_metric("10.244.2.0/24".parse().unwrap());
        world
            .reconciler
            .want(Entry::Route(ours, To::Via(HopName(gateway))));
        world.settle();
        ip("route add 192.168.1.0/24 via 10.99.0.3 proto bird");
        ip("route del 192.168.1.0/24");
        ip("addr add 10.99.0.5/24 dev eth0");
        let last = Notification::Address(Address {
            link,
            network: "10.99.0.5/24".parse().unwrap(),
        });
        let mut seen = Vec::new();
        while !seen.contains(&last) {
            seen.extend(world.kernel.notifications().await.unwrap());
        }
        // Addresses of IPv6 become usable when they like.
        seen.retain(|told| !matches!(told, Notification::Address(_)));
        assert_eq!(seen, []);
    });
}

#[test]
fn a_refused_message_in_a_batch_fails_alone_and_with_the_kernels_words() {
    in_namespace(async || {
        let mut world = World::new(OPTIONS);
        let link = world.index("eth0");
        let neighbour = |n| Change::PutNeighbour {
            link,
            ip: IpAddr::from([10, 99, 0, n]),
            mac: Mac([2, 0, 0, 0, 0, n]),
        };
        let ip_without_link = Change::PutNeighbour {
            link: IfIndex(4242),
            ip: address("10.99.0.9"),
            mac: Mac([2; 6]),
        };
        let id = kernel::NexthopId(1);
        let far = Change::PutNexthop {
            id,
            nexthop: Nexthop::Hop(Hop {
                gateway: address("203.0.113.1"),
                link,
                onlink: false,
            }),
            replace: false,
        };
        let refusals = world
            .kernel
            .apply(&[neighbour(5), ip_without_link, far, neighbour(6)])
            .unwrap();
        let indexes: Vec<usize> = refusals.iter().map(|r| r.index).collect();
        assert_eq!(indexes, [1, 2]);
        assert!(
            refusals[1]
                .to_string()
                .contains("Nexthop has invalid gateway"),
            "{}",
            refusals[1]
        );
        assert!(ip("neigh show dev eth0").contains("10.99.0.6"));
    });
}

#[test]
fn without_nexthop_objects_the_same_routes_are_there() {
    in_namespace(async || {
        let mut world = world_with_peers(NetlinkOptions {
            nexthop_objects: false,
            ..OPTIONS
        });
        assert!(ip("nexthop show").is_empty());
        assert!(
            ip("route show 10.244.2.0/24").contains("via 10.244.2.0 dev flannel.1 proto 84 onlink")
        );
        world.dump();
        assert_eq!(world.settle(), 0);
    });
}

#[test]
fn a_flood_that_overruns_the_socket_ends_in_a_dump() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        let batch: String = (0..40_000)
            .map(|i| {
                format!(
                    "neigh replace 10.{}.{}.{} lladdr 02:00:00:00:00:01 dev eth0 nud permanent\n",
                    100 + i / 65536,
                    i / 256 % 256,
                    i % 256
                )
            })
            .collect();
        let file = std::env::temp_dir().join(format!("twill-flood-{}", std::process::id()));
        std::fs::write(&file, batch).unwrap();
        ip(&format!("-batch {}", file.display()));
        std::fs::remove_file(&file).unwrap();
        ip("route del 10.244.2.0/24");
        world.observe_until(Reconciler::needs_dump).await;
        world.dump();
        assert_eq!(world.settle(), 1);
    });
}

#[test]
fn tables_that_never_rest_are_read_as_well_as_can_be_and_looked_at_again() {
    in_namespace(async || {
        let mut world = world_with_peers(OPTIONS);
        let churn = "for i in 1 2 3 4 5; do ip nexthop add id 7 via 10.99.0.7 dev eth0; \
                     ip nexthop del id 7; done";
        let nexthops: String = (1000..6000)
            .map(|id| format!("nexthop add id {id} via 10.99.0.7 dev eth0\n"))
            .collect();
        let file = std::env::temp_dir().join(format!("twill-churn-{}", std::process::id()));
        std::fs::write(&file, nexthops).unwrap();
        ip(&format!("-batch {}", file.display()));
        std::fs::remove_file(&file).unwrap();
        let mut program = Command::new("sh")
            .args(["-c", &format!("while :; do {churn}; done")])
            .spawn()
            .unwrap();
        let told = async {
            loop {
                world.dump();
                let notifications = world.kernel.notifications().await.unwrap();
                if notifications.contains(&Notification::Overrun) {
                    return;
                }
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(20), told).await;
        program.kill().unwrap();
        program.wait().unwrap();
        told.expect("a doubtful dump is told");
        world.dump();
        assert_eq!(world.settle(), 0);
    });
}
