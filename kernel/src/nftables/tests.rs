//! The rules against a model of flannel's, packet class by packet class.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::fingerprint::Fingerprint;
use super::firewall::{Family, Firewall, Masquerade, TableName, TunnelGuard};
use super::rule::{End, Match, Verdict};
use super::ruleset::Ruleset;
use super::state::{TableDrift, TableState};

fn networks(texts: &[&str]) -> Vec<IpNetwork> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn firewall() -> Firewall {
    Firewall {
        masquerade: Some(Masquerade {
            pools: networks(&["10.244.0.0/16", "fd44::/48"]),
            blocks: networks(&["10.244.1.0/24", "fd44:0:0:1::/64"]),
            direct: networks(&["198.51.100.0/24", "2001:db8:51::/48"]),
            random_fully: true,
        }),
        tunnel: Some(TunnelGuard {
            port: 8472,
            vni: 1,
            vteps: ["192.0.2.9".parse().unwrap(), "fd99::9".parse().unwrap()].into(),
        }),
    }
}

struct Packet {
    source: IpAddr,
    destination: IpAddr,
    mark: u32,
}

/// What the chain does with a packet: the verdict of the first rule that matches.
fn verdict(ruleset: &Ruleset, packet: &Packet) -> Verdict {
    let at = |end: End| match end {
        End::Source => packet.source,
        End::Destination => packet.destination,
    };
    let matches = |condition: &Match| match *condition {
        Match::Marked(bits) => packet.mark & bits == bits,
        Match::Is(family) => Family::of(packet.source) == family,
        Match::Within(end, within, network) => network.contains(at(end)) == within,
        Match::UdpTo(_) | Match::OtherVni(_) | Match::SourceNotIn(..) => {
            panic!("not in this chain")
        }
    };
    ruleset.chains[0]
        .rules
        .iter()
        .find(|rule| rule.matches.iter().all(matches))
        .map_or(Verdict::Accept, |rule| rule.verdict)
}

/// Flannel's chain FLANNEL-POSTRTG, rule by rule: does it masquerade?
fn flannel_masquerades(packet: &Packet, pool: IpNetwork, block: IpNetwork) -> bool {
    let (from_pool, to_pool) = (
        pool.contains(packet.source),
        pool.contains(packet.destination),
    );
    let (from_block, to_block) = (
        block.contains(packet.source),
        block.contains(packet.destination),
    );
    let returned = [
        packet.mark & 0x4000 != 0,
        from_block && to_pool,
        from_pool && to_block,
        !from_pool && to_block,
    ];
    let masqueraded = [
        from_pool && !packet.destination.is_multicast(),
        !from_pool && to_pool,
    ];
    !returned.contains(&true) && masqueraded.contains(&true)
}

/// A pod here, a pod of another block, outside, multicast.
const PLACES: [[&str; 4]; 2] = [
    ["10.244.1.5", "10.244.9.5", "192.0.2.5", "224.0.0.251"],
    ["fd44:0:0:1::5", "fd44:0:0:9::5", "2001:db8::5", "ff02::fb"],
];

#[test]
fn every_class_of_packet_is_translated_as_by_flannels_iptables_but_for_pod_to_pod_in_transit() {
    let wanted = firewall();
    let (ruleset, masquerade) = (wanted.ruleset(), wanted.masquerade.unwrap());
    for (places, at) in PLACES.iter().zip(0..) {
        for source in &places[..3] {
            for (destination, mark) in places
                .iter()
                .flat_map(|d| [(d, 0), (d, 0x4000), (d, 0x14001)])
            {
                let packet = Packet {
                    source: source.parse().unwrap(),
                    destination: destination.parse().unwrap(),
                    mark,
                };
                let ours = matches!(verdict(&ruleset, &packet), Verdict::Masquerade { .. });
                let flannels =
                    flannel_masquerades(&packet, masquerade.pools[at], masquerade.blocks[at]);
                let in_transit = *source == places[1] && *destination == places[1];
                assert_eq!(
                    ours,
                    flannels && !in_transit,
                    "{source} > {destination} {mark:x}"
                );
            }
        }
    }
}

#[test]
fn pods_reach_further_destinations_with_their_own_addresses() {
    let ruleset = firewall().ruleset();
    for (source, destination) in [
        ("10.244.9.5", "198.51.100.7"),
        ("fd44:0:0:1::5", "2001:db8:51::7"),
    ] {
        let packet = Packet {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            mark: 0,
        };
        assert_eq!(verdict(&ruleset, &packet), Verdict::Return);
    }
}

fn fingerprint(change: impl FnOnce(&mut Firewall)) -> Fingerprint {
    let mut firewall = firewall();
    change(&mut firewall);
    Fingerprint::of(&firewall, &TableName::default())
}

#[test]
fn a_fingerprint_tells_every_change_but_that_of_known_vteps() {
    let base = fingerprint(|_| ());
    assert_eq!(
        base,
        fingerprint(|f| f.tunnel.as_mut().unwrap().vteps.clear())
    );
    let others = [
        fingerprint(|f| f.tunnel = None),
        fingerprint(|f| f.tunnel.as_mut().unwrap().vni = 2),
        fingerprint(|f| f.tunnel.as_mut().unwrap().port = 4789),
        fingerprint(|f| f.masquerade = None),
        fingerprint(|f| f.masquerade.as_mut().unwrap().random_fully = false),
        fingerprint(|f| f.masquerade.as_mut().unwrap().direct.clear()),
        fingerprint(|f| f.masquerade.as_mut().unwrap().blocks = networks(&["10.244.2.0/24"])),
        Fingerprint::of(&firewall(), &"twill-85".parse().unwrap()),
    ];
    for (at, other) in others.into_iter().enumerate() {
        assert_ne!(base, other, "{at}");
    }
    assert_eq!(Fingerprint::from_comment(&base.comment()), Some(base));
}

#[test]
fn drift_is_none_or_of_vteps_or_of_rules() {
    let (wanted, table) = (firewall(), TableName::default());
    let as_wanted = TableState {
        fingerprint: Some(Fingerprint::of(&wanted, &table)),
        rules: wanted.ruleset().labels(),
        vteps: wanted.tunnel.as_ref().unwrap().vteps.clone(),
    };
    assert_eq!(as_wanted.drift(&wanted, &table), TableDrift::None);

    let mut other_vteps = as_wanted.clone();
    other_vteps.vteps = ["192.0.2.9".parse().unwrap(), "192.0.2.8".parse().unwrap()].into();
    let (add, remove) = (
        vec!["fd99::9".parse().unwrap()],
        vec!["192.0.2.8".parse().unwrap()],
    );
    assert_eq!(
        other_vteps.drift(&wanted, &table),
        TableDrift::Vteps { add, remove }
    );

    let mut rule_gone = as_wanted.clone();
    rule_gone.rules.remove(3);
    assert_eq!(rule_gone.drift(&wanted, &table), TableDrift::Rules);

    let mut not_ours = as_wanted;
    not_ours.fingerprint = None;
    assert_eq!(not_ours.drift(&wanted, &table), TableDrift::Rules);
}
