//! That routes of others have changed.

use std::time::Duration;

use kernel::{Entry, Hop, HopName, Notification, Reader, RouteKey, To};

use crate::world::{OPTIONS, World, address, in_namespace, ip};

/// Everything that is told until nothing has been for a second.
async fn told(reader: &mut Reader) -> Vec<Notification> {
    let mut told = Vec::new();
    let quiet = Duration::from_secs(1);
    while let Ok(more) = tokio::time::timeout(quiet, reader.notifications()).await {
        told.extend(more.unwrap());
    }
    told
}

fn foreign(told: &[Notification]) -> usize {
    let foreign = |told: &&Notification| **told == Notification::ForeignRoutes;
    told.iter().filter(foreign).count()
}

#[test]
fn a_route_of_others_is_told_and_ours_is_not() {
    in_namespace(async || {
        let mut world = World::new(OPTIONS);
        let (hop, link) = (HopName(address("10.99.0.3")), world.index("eth0"));
        let (gateway, onlink) = (hop.0, false);
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
        let changes = world
            .reconciler
            .pending(std::time::Instant::now(), kernel::Scope::All, 10);
        let (mut reader, mut worker) = world.kernel.split().unwrap();
        reader.watch_foreign_routes().unwrap();
        told(&mut reader).await;
        worker.submit(changes);
        assert!(worker.next().await.unwrap().refusals.is_empty());
        assert_eq!(foreign(&told(&mut reader).await), 0);
        for change in [
            "route add 198.51.100.0/24 via 10.99.0.2",
            "route del 198.51.100.0/24",
            "-6 route add 2001:db8::/32 via fd99::2",
            "addr add 10.98.0.1/24 dev eth0",
        ] {
            ip(change);
            assert!(foreign(&told(&mut reader).await) >= 1, "{change}");
        }
    });
}

#[test]
fn a_flood_of_foreign_routes_is_told_a_few_times_and_overruns_nothing() {
    in_namespace(async || {
        let world = World::new(OPTIONS);
        let (mut reader, _worker) = world.kernel.split().unwrap();
        reader.watch_foreign_routes().unwrap();
        told(&mut reader).await;
        let routes: String = (0..100_000)
            .map(|n| {
                format!(
                    "route add 20.{}.{}.{}/32 via 10.99.0.2 proto bird\n",
                    n / 65536,
                    n / 256 % 256,
                    n % 256
                )
            })
            .collect();
        let file = std::env::temp_dir().join(format!("twill-foreign-{}", std::process::id()));
        std::fs::write(&file, routes).unwrap();
        ip(&format!("-batch {}", file.display()));
        std::fs::remove_file(&file).unwrap();
        let told = told(&mut reader).await;
        assert!(!told.contains(&Notification::Overrun), "{told:?}");
        let foreign = foreign(&told);
        assert!(
            (1..=3).contains(&foreign),
            "{foreign} times, all of it before it was read"
        );
    });
}

#[test]
fn who_does_not_ask_is_told_nothing() {
    in_namespace(async || {
        let world = World::new(OPTIONS);
        let (mut reader, _worker) = world.kernel.split().unwrap();
        ip("route add 198.51.100.0/24 via 10.99.0.2");
        ip("addr add 10.98.0.1/24 dev eth0");
        assert_eq!(foreign(&told(&mut reader).await), 0);
    });
}
