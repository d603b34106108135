//! The test peers among themselves.

use crate::{SOON, with_each};
use lab::{Cidr, Stack, eventually};
use netns_tests::peers::{Brand, Fabric, Machine, Neighbour, PeerSetup, Speaker};
use netns_tests::raw_bgp::{Announced, RawPeer, RawSetup};
use std::collections::BTreeSet;
use std::net::IpAddr;

const RAW_AS: u32 = 4_200_000_001;
const DAEMON_AS: u32 = 65_002;

fn v4(machine: &Machine) -> IpAddr {
    machine.addresses.v4.unwrap().into()
}

fn v6(machine: &Machine) -> IpAddr {
    machine.addresses.v6.unwrap().into()
}

fn prefix(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn prefixes(texts: &[&str]) -> BTreeSet<Cidr> {
    texts.iter().map(|text| prefix(text)).collect()
}

/// The raw peer is machine 1, the daemon machine 2, which waits for the connection.
fn raw_and(brand: Brand) -> (Fabric, RawPeer, Speaker) {
    let fabric = Fabric::new().unwrap();
    let (raw, other) = (fabric.machine(1).unwrap(), fabric.machine(2).unwrap());
    let mut neighbour = Neighbour::new(v4(&raw), RAW_AS);
    (neighbour.families, neighbour.passive) = (Stack::Dual, true);
    let setup = PeerSetup::new(DAEMON_AS, other.addresses).neighbour(neighbour);
    let setup = setup.routes(&["10.2.0.0/16", "fd02::/48"]);
    let mut speaker = brand.start(&other.namespace, setup).unwrap();
    let mut session = RawSetup::new(v4(&raw), v4(&other), RAW_AS);
    session.families = Stack::Dual;
    let peer = RawPeer::open(&raw.namespace, &session, SOON).unwrap();
    speaker.wait_up(v4(&raw), SOON).unwrap();
    (fabric, peer, speaker)
}

#[test]
fn the_raw_peer_and_each_daemon_exchange_routes_of_both_families() {
    with_each(Brand::ALL, |brand| {
        let (_fabric, raw, mut speaker) = raw_and(brand);
        let (own, peer): (IpAddr, IpAddr) = (
            "10.99.0.1".parse().unwrap(),
            speaker.setup().addresses.v4.unwrap().into(),
        );
        assert_eq!(raw.peer_as(), DAEMON_AS);
        raw.hears("its routes", SOON, |heard| {
            heard.has("10.2.0.0/16") && heard.has("fd02::/48")
        })
        .unwrap();
        let route = raw.heard().routes[&prefix("10.2.0.0/16")].clone();
        assert_eq!((route.next_hop, route.as_path), (peer, vec![DAEMON_AS]));
        let route = raw.heard().routes[&prefix("fd02::/48")].clone();
        assert_eq!(route.next_hop, "fd99::2".parse::<IpAddr>().unwrap());

        let (hop, hop6) = (
            Announced::new(own, [RAW_AS, 7]),
            Announced::new("fd99::1".parse().unwrap(), [RAW_AS]),
        );
        raw.announce(&["10.1.0.0/16", "10.3.0.0/24"], &hop).unwrap();
        raw.announce(&["fd01::/48"], &hop6).unwrap();
        let all = prefixes(&["10.1.0.0/16", "10.3.0.0/24", "fd01::/48"]);
        let has = |want: &BTreeSet<Cidr>| speaker.routes_from(own).is_ok_and(|have| have == *want);
        eventually("it has ours", SOON, || has(&all)).unwrap();
        raw.withdraw(&["10.3.0.0/24"]).unwrap();
        eventually("one is withdrawn", SOON, || {
            has(&prefixes(&["10.1.0.0/16", "fd01::/48"]))
        })
        .unwrap();
        assert!(speaker.updates_from(own).unwrap() >= 2);

        speaker.announce(prefix("10.4.0.0/16")).unwrap();
        raw.hears("one more", SOON, |heard| heard.has("10.4.0.0/16"))
            .unwrap();
        speaker.withdraw(prefix("10.4.0.0/16")).unwrap();
        raw.hears("its withdrawal", SOON, |heard| !heard.has("10.4.0.0/16"))
            .unwrap();
        assert_eq!(raw.heard().nonsense, Vec::<String>::new());
    });
}

#[test]
fn each_daemon_that_can_asks_for_a_refresh() {
    with_each(
        Brand::ALL
            .into_iter()
            .filter(|brand| brand.asks_for_a_refresh()),
        |brand| {
            let (_fabric, raw, speaker) = raw_and(brand);
            speaker.refresh("10.99.0.1".parse().unwrap()).unwrap();
            raw.hears("a refresh for each family", SOON, |heard| {
                heard.refreshes >= 2
            })
            .unwrap();
        },
    );
}

#[test]
fn each_daemon_that_is_stopped_ends_its_session() {
    with_each(Brand::ALL, |brand| {
        let (_fabric, raw, mut speaker) = raw_and(brand);
        speaker.stop().unwrap();
        raw.hears("it is over", SOON, |heard| heard.closed).unwrap();
        // Some close without a word; who says why says Cease.
        let ended = raw.heard().notification.clone();
        assert!(ended.is_none_or(|ended| ended.code == 6));
    });
}

/// Both families each over a session of its own.
#[test]
fn the_five_daemons_peer_with_each_other() {
    let fabric = Fabric::new().unwrap();
    let machines: Vec<Machine> = (1..=5)
        .map(|number| fabric.machine(number).unwrap())
        .collect();
    let asn = |seat: usize| 65_001 + u32::try_from(seat).unwrap();
    let mut speakers = Vec::new();
    for (seat, brand) in Brand::ALL.into_iter().enumerate() {
        let mut setup = PeerSetup::new(asn(seat), machines[seat].addresses);
        setup = setup.routes(&[
            &format!("10.{}.0.0/16", seat + 1),
            &format!("fd0{}::/48", seat + 1),
        ]);
        for (other, machine) in machines
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != seat)
        {
            for address in [v4(machine), v6(machine)] {
                setup = setup.neighbour(Neighbour::new(address, asn(other)));
            }
        }
        speakers.push(brand.start(&machines[seat].namespace, setup).unwrap());
    }
    for (seat, speaker) in speakers.iter_mut().enumerate() {
        for (other, machine) in machines
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != seat)
        {
            speaker.wait_up(v4(machine), SOON).unwrap();
            speaker.wait_up(v6(machine), SOON).unwrap();
            let own = prefix(&format!("10.{}.0.0/16", other + 1));
            let own6 = prefix(&format!("fd0{}::/48", other + 1));
            let what = format!(
                "{} has the routes of {}",
                speaker.brand(),
                Brand::ALL[other]
            );
            eventually(&what, SOON, || {
                let have = |address, prefix| {
                    speaker
                        .routes_from(address)
                        .is_ok_and(|routes| routes.contains(&prefix))
                };
                have(v4(machine), own) && have(v6(machine), own6)
            })
            .unwrap();
        }
    }
}
