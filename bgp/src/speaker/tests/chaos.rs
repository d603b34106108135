//! Whatever happens, each peer ends up knowing exactly what the other means to tell it, and each kernel what its RIB chose.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::net::*;
use crate::policy::{Actions, AnyCommunity, Clause, Import, Match, Policy, PrefixList, PrefixRule};
use crate::prefix::Prefix;
use crate::rib::{Fate, Reach};
use crate::speaker::{Input, PeerConfig};
use crate::wire::Community;

const NODES: u8 = 4;
const ASNS: [u32; 4] = [65001, 65002, 65002, 65003];

#[derive(Debug, Clone)]
enum Step {
    Originate(u8, BTreeSet<u8>),
    Cut(u8, u8),
    Kill(u8),
    Revive(u8),
    Policy {
        at: u8,
        of: u8,
        export: u8,
        import: u8,
    },
    Hop {
        at: u8,
        of: u8,
        reach: u8,
    },
    Refresh(u8, u8),
    Drain(u8, bool),
    Stick(u8),
    Loosen,
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 1..=NODES;
    prop_oneof![
        5 => (node(), prop::collection::btree_set(0..6_u8, 0..5)).prop_map(|(n, nets)| Step::Originate(n, nets)),
        1 => (node(), node()).prop_map(|(a, b)| Step::Cut(a, b)),
        1 => node().prop_map(Step::Kill),
        2 => node().prop_map(Step::Revive),
        3 => (node(), node(), 0..4_u8, 0..4_u8).prop_map(|(at, of, export, import)| Step::Policy { at, of, export, import }),
        2 => (node(), node(), 0..3_u8).prop_map(|(at, of, reach)| Step::Hop { at, of, reach }),
        1 => (node(), node()).prop_map(|(a, b)| Step::Refresh(a, b)),
        1 => (node(), any::<bool>()).prop_map(|(n, drain)| Step::Drain(n, drain)),
        1 => node().prop_map(Step::Stick),
        2 => Just(Step::Loosen),
        2 => (1..200_u16).prop_map(Step::Pass),
    ]
}

fn policy(n: u8) -> Policy {
    let some: PrefixList = [PrefixRule::or_longer(prefix("10.0.0.0/15"))]
        .into_iter()
        .collect();
    let matches = Match {
        prefixes: Some(some.clone()),
        ..Match::default()
    };
    let red = AnyCommunity::Standard(Community(1));
    let changed = Actions {
        local_pref: Some(50),
        prepend: 1,
        add: vec![red],
        ..Actions::default()
    };
    match n {
        0 => Policy::everything(),
        1 => Policy::prefixes(some),
        2 => Policy {
            clauses: vec![
                Clause {
                    matches,
                    actions: Some(changed),
                },
                Clause {
                    matches: Match::default(),
                    actions: Some(Actions::default()),
                },
            ],
        },
        _ => Policy::originated(),
    }
}

fn peer(n: u8, export: u8, import: u8) -> PeerConfig {
    PeerConfig {
        export: Some(policy(export)),
        import: Import::Policy(policy(import)),
        ..open_peer(n, ASNS[usize::from(n) - 1])
    }
}

fn all_nodes() -> Net {
    let all: Vec<(u8, u32)> = (1..=NODES).map(|n| (n, ASNS[usize::from(n) - 1])).collect();
    let config = |(n, asn): (u8, u32)| {
        let others: Vec<_> = all.iter().copied().filter(|(m, _)| *m != n).collect();
        (n, config(n, asn, &others))
    };
    Net::new(all.iter().copied().map(config).collect())
}

fn net(n: u8) -> String {
    format!("10.{n}.0.0/16")
}

fn apply(network: &mut Net, step: &Step) {
    match step {
        Step::Originate(n, nets) => {
            let nets: Vec<String> = nets.iter().map(|n| net(*n)).collect();
            network.originate(*n, &nets.iter().map(String::as_str).collect::<Vec<_>>());
        }
        Step::Cut(a, b) => network.cut(*a, *b),
        Step::Kill(n) => network.kill(*n),
        Step::Revive(n) if !network.nodes[n].alive => {
            // What an earlier run left in the kernel is the daemon's to clean up; here only what this one says counts.
            network.node(*n).kernel.clear();
            network.revive(*n);
        }
        Step::Policy {
            at,
            of,
            export,
            import,
        } if at != of => {
            network
                .node(*at)
                .config
                .peers
                .insert(name(*of), peer(*of, *export, *import));
            network.input(
                *at,
                Input::SetPeer(name(*of), Box::new(peer(*of, *export, *import))),
            );
        }
        Step::Hop { at, of, reach } => {
            let reach = if *reach == 2 {
                Reach::Unreachable
            } else {
                Reach::Metric(u32::from(*reach))
            };
            network.input(*at, Input::NextHops(vec![(address(*of).into(), reach)]));
        }
        Step::Refresh(a, b) => network.input(*a, Input::Refresh(name(*b))),
        Step::Drain(n, drain) => network.input(*n, Input::Drain(*drain)),
        Step::Stick(n) => network.stuck.push(*n),
        Step::Loosen => loosen(network),
        Step::Pass(time) => network.pass(seconds(u64::from(*time))),
        Step::Revive(_) | Step::Policy { .. } => (),
    }
}

/// Who was stuck has lost octets, so its connections are of no more use.
fn loosen(network: &mut Net) {
    for n in std::mem::take(&mut network.stuck) {
        (1..=NODES)
            .filter(|m| *m != n)
            .for_each(|m| network.cut(n, m));
    }
}

/// What `at` believes that `from` told it.
fn heard(network: &Net, at: u8, from: u8, prefix: Prefix) -> Option<crate::wire::Attributes> {
    let explained = network.nodes[&at].speaker.explain(prefix)?;
    let id = network.id(at, from);
    let path = explained.paths.into_iter().find(|path| path.from == id)?;
    Some(path.received.unwrap_or(path.attributes))
}

fn check(network: &Net) {
    for (at, node) in &network.nodes {
        let speaker = &node.speaker;
        for n in 0..6 {
            let prefix: Prefix = prefix(&net(n));
            for from in (1..=NODES).filter(|from| from != at) {
                let told = network.nodes[&from]
                    .speaker
                    .told(network.id(from, *at), prefix)
                    .ok();
                // LOCAL_PREF stays within an AS.
                assert_eq!(
                    heard(network, *at, from, prefix),
                    told,
                    "{prefix} from {from} at {at}"
                );
            }
            let explained = speaker.explain(prefix);
            let used = explained
                .iter()
                .flat_map(|e| &e.paths)
                .filter(|p| matches!(p.fate, Fate::Best(_) | Fate::Multipath));
            let used: Vec<_> = used.collect();
            let ours = used
                .first()
                .is_none_or(|best| best.from == crate::rib::PeerId::SELF);
            let hops: BTreeSet<String> = used
                .iter()
                .filter(|p| !ours && p.from != crate::rib::PeerId::SELF)
                .map(|p| p.attributes.next_hop.to_string())
                .collect();
            let kernel: BTreeSet<String> = network.hops(*at, &net(n)).into_iter().collect();
            assert_eq!(kernel, hops, "{prefix} at {at}");
        }
        let stale = speaker
            .peers(network.now)
            .any(|peer| peer.stale_for != [None; 2]);
        assert!(!stale, "at {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_turmoil_everybody_knows_what_everybody_means_to_tell(steps in vec(step(), 1..40)) {
        let mut network = all_nodes();
        network.settle();
        for step in &steps {
            apply(&mut network, step);
            network.settle();
        }
        loosen(&mut network);
        for n in 1..=NODES {
            apply(&mut network, &Step::Revive(n));
        }
        network.pass(seconds(700));
        check(&network);
    }
}
