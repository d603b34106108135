use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ident::{Asn, Peering, RouterId};
use crate::wire::{AsPath, Attributes, NextHop, Origin};

fn rib(max_paths: usize) -> Rib {
    let mut around = Surroundings::new(Asn(65001), RouterId::from_bits(1), max_paths);
    for n in 1..=8_u16 {
        let (peering, asn) = if n <= 5 {
            (Peering::External, 65010 + u32::from(n) / 2)
        } else {
            (Peering::Internal, 65001)
        };
        let id = RouterId::from_bits(100 - u32::from(n) / 2);
        let address = Ipv4Addr::new(10, 99, 0, n as u8).into();
        around.set_source(PeerId(n), Source::new(Some(peering), Asn(asn), id, address));
    }
    Rib::new(around)
}

fn prefix(text: &str) -> Prefix4 {
    match text.parse() {
        Ok(Prefix::V4(prefix)) => prefix,
        other => panic!("{other:?}"),
    }
}

fn attributes(from: u16, path: &[u32]) -> Attributes {
    let hop = NextHop::V4(Ipv4Addr::new(10, 99, 0, from as u8));
    let asns: Vec<Asn> = path.iter().map(|a| Asn(*a)).collect();
    Attributes {
        as_path: AsPath::of(&asns),
        ..Attributes::originated(hop)
    }
}

fn path(rib: &mut Rib, from: u16, attributes: Attributes) -> Path {
    let known = rib.intern(Known::as_sent(attributes));
    let round = rib
        .around()
        .source(PeerId(from))
        .unwrap()
        .round(Family::Ipv4);
    Path {
        known,
        from: PeerId(from),
        refusal: None,
        round,
    }
}

fn tell(rib: &mut Rib, net: &str, from: u16, attributes: Attributes) -> Option<Change<Prefix4>> {
    let path = path(rib, from, attributes);
    rib.put(prefix(net), path)
}

fn used(rib: &Rib, net: &str) -> Vec<u16> {
    rib.chosen(prefix(net))
        .paths()
        .iter()
        .map(|p| p.from.0)
        .collect()
}

fn fates(rib: &Rib, net: &str) -> Vec<(u16, Fate)> {
    let explained = rib.explain(net.parse().unwrap()).unwrap();
    explained.paths.iter().map(|p| (p.from.0, p.fate)).collect()
}

const NET: &str = "10.244.1.0/24";
const ONE: Count = Count {
    received: 1,
    accepted: 1,
    fresh: 1,
};

#[test]
fn the_first_path_is_used_and_a_better_one_takes_over() {
    let mut rib = rib(1);
    let change = tell(&mut rib, NET, 1, attributes(1, &[65010, 1])).unwrap();
    assert!(change.old.best().is_none());
    assert!(tell(&mut rib, NET, 2, attributes(2, &[65011, 1, 2])).is_none());
    let change = tell(&mut rib, NET, 3, attributes(3, &[65011])).unwrap();
    assert_eq!(
        (
            change.old.best().unwrap().from,
            change.new.best().unwrap().from
        ),
        (PeerId(1), PeerId(3))
    );
    assert_eq!(used(&rib, NET), [3]);
}

#[test]
fn the_same_again_changes_nothing() {
    let mut rib = rib(1);
    tell(&mut rib, NET, 1, attributes(1, &[65010]));
    assert!(tell(&mut rib, NET, 1, attributes(1, &[65010])).is_none());
    assert!(tell(&mut rib, NET, 1, attributes(1, &[65010, 2])).is_some());
    assert_eq!(rib.count(PeerId(1), Family::Ipv4), ONE);
}

#[test]
fn each_rule_explains_its_loser() {
    let base = || attributes(1, &[65010, 7]);
    let cases: [(Attributes, u16, Rule); 6] = [
        (
            Attributes {
                local_pref: Some(200),
                ..base()
            },
            2,
            Rule::LocalPref,
        ),
        (
            Attributes {
                as_path: AsPath::of(&[Asn(65010)]),
                ..base()
            },
            2,
            Rule::AsPath,
        ),
        (base(), 2, Rule::Origin),
        (base(), 6, Rule::External),
        (base(), 2, Rule::RouterId),
        (base(), 3, Rule::PeerAddress),
    ];
    for (mut better, other, rule) in cases {
        let mut rib = rib(1);
        // 2 and 3 have the same identifier, 1 a higher one.
        let winner = if rule == Rule::PeerAddress { 2 } else { 1 };
        let mut worse = Attributes {
            next_hop: NextHop::V4([10, 99, 0, other as u8].into()),
            ..base()
        };
        if rule == Rule::Origin {
            worse.origin = Origin::Incomplete;
        }
        if rule == Rule::RouterId {
            better = Attributes {
                originator_id: Some(RouterId::from_bits(5)),
                ..better
            };
        }
        tell(&mut rib, NET, winner, better);
        tell(&mut rib, NET, other, worse);
        assert_eq!(
            fates(&rib, NET),
            [(winner, Fate::Best(rule)), (other, Fate::Lost(rule))],
            "{rule}"
        );
    }
}

#[test]
fn med_counts_only_among_paths_of_the_same_neighbour() {
    let mut rib = rib(1);
    let with_med = |from, neighbour, med| Attributes {
        med: Some(med),
        ..attributes(from, &[neighbour])
    };
    // By identifiers alone 4 would win (98, 4 and 5), but 5 is better by MED; 3 (99) is of another neighbour.
    tell(&mut rib, NET, 3, with_med(3, 65011, 5));
    tell(&mut rib, NET, 4, with_med(4, 65012, 20));
    tell(&mut rib, NET, 5, with_med(5, 65012, 10));
    assert_eq!(
        fates(&rib, NET),
        [
            (5, Fate::Best(Rule::RouterId)),
            (3, Fate::Lost(Rule::RouterId)),
            (4, Fate::Lost(Rule::Med))
        ]
    );
}

#[test]
fn our_own_route_wins_over_everything_of_the_same_preference() {
    let mut rib = rib(1);
    tell(&mut rib, NET, 1, attributes(1, &[65010]));
    tell(&mut rib, NET, 0, attributes(0, &[]));
    assert_eq!(fates(&rib, NET)[0], (0, Fate::Best(Rule::Originated)));
}

#[test]
fn equally_good_paths_are_used_together_up_to_the_limit() {
    let mut rib = rib(2);
    for from in [1, 2, 3] {
        tell(
            &mut rib,
            NET,
            from,
            attributes(from, &[65010 + u32::from(from), 7]),
        );
    }
    assert_eq!(used(&rib, NET), [2, 3]);
    assert_eq!(fates(&rib, NET)[2], (1, Fate::Lost(Rule::RouterId)));
    assert_eq!(
        rib.take(prefix(NET), PeerId(2)).unwrap().new.paths().len(),
        2
    );
}

#[test]
fn the_longest_prefix_that_covers_another_is_found_among_those_that_are_such() {
    let mut rib = rib(1);
    tell(&mut rib, "10.0.0.0/8", 1, attributes(1, &[65010]));
    tell(&mut rib, "10.1.0.0/16", 2, attributes(2, &[65010]));
    let covering = |text: &str, from: u16| {
        let asked: Prefix = text.parse().unwrap();
        let is_such = |paths: &[Path]| paths.iter().any(|path| path.from.0 == from || from == 0);
        let found = rib.covering(asked, is_such);
        found.map(|prefix| prefix.to_string()).unwrap_or_default()
    };
    assert_eq!(covering("10.1.2.3/32", 0), "10.1.0.0/16");
    assert_eq!(covering("10.1.0.0/16", 0), "10.1.0.0/16");
    assert_eq!(covering("10.1.2.3/32", 1), "10.0.0.0/8");
    assert_eq!(covering("10.0.0.0/7", 0), "");
    assert_eq!(covering("::1/128", 0), "");
}

#[test]
fn a_refused_path_is_kept_explained_and_never_used() {
    let mut rib = rib(1);
    let mut refused = path(&mut rib, 1, attributes(1, &[65010]));
    refused.refusal = Some(Refusal::NotInLease);
    assert!(rib.put(prefix(NET), refused).is_none());
    assert_eq!(fates(&rib, NET), [(1, Fate::Refused(Refusal::NotInLease))]);
    assert_eq!(
        rib.count(PeerId(1), Family::Ipv4),
        Count { accepted: 0, ..ONE }
    );
    let changes = rib.rejudge::<Prefix4>(PeerId(1), |_, _, known| (known.clone(), None));
    assert_eq!((changes.len(), used(&rib, NET)), (1, vec![1]));
    assert_eq!(rib.count(PeerId(1), Family::Ipv4), ONE);
}

#[test]
fn a_path_without_a_reachable_next_hop_waits_until_there_is_one() {
    let mut rib = rib(1);
    tell(&mut rib, NET, 1, attributes(1, &[65010]));
    tell(&mut rib, NET, 2, attributes(2, &[65011, 9]));
    let hop: IpAddr = Ipv4Addr::new(10, 99, 0, 1).into();
    let (changes, _) = rib.set_next_hops(&[(hop, Reach::Unreachable)]);
    assert_eq!((changes.len(), used(&rib, NET)), (1, vec![2]));
    assert_eq!(fates(&rib, NET)[1], (1, Fate::Unreachable));
    let (changes, _) = rib.set_next_hops(&[(hop, Reach::Metric(5))]);
    assert_eq!((changes.len(), used(&rib, NET)), (1, vec![1]));
    assert_eq!(rib.set_next_hops(&[(hop, Reach::Metric(5))]).0.len(), 0);
    rib.take(prefix(NET), PeerId(2));
    let (changes, _) = rib.set_next_hops(&[(hop, Reach::Unreachable)]);
    assert_eq!((changes.len(), used(&rib, NET)), (1, vec![]));
}

#[test]
fn the_nearer_next_hop_wins_among_internal_paths() {
    let mut rib = rib(4);
    rib.set_next_hops(&[(Ipv4Addr::new(10, 99, 0, 6).into(), Reach::Metric(20))]);
    tell(&mut rib, NET, 6, attributes(6, &[]));
    tell(&mut rib, NET, 7, attributes(7, &[]));
    assert_eq!(
        fates(&rib, NET),
        [(7, Fate::Best(Rule::Metric)), (6, Fate::Lost(Rule::Metric))]
    );
}

#[test]
fn only_what_was_not_told_again_is_swept() {
    let mut rib = rib(1);
    for net in ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"] {
        tell(&mut rib, net, 1, attributes(1, &[65010]));
    }
    tell(&mut rib, "10.3.0.0/16", 2, attributes(2, &[65011, 9]));
    rib.begin_round(PeerId(1), Family::Ipv4);
    assert!(rib.explain("10.1.0.0/16".parse().unwrap()).unwrap().paths[0].stale);
    assert!(tell(&mut rib, "10.2.0.0/16", 1, attributes(1, &[65010])).is_none());
    let changes = rib.sweep::<Prefix4>(PeerId(1), true);
    assert_eq!(changes.len(), 2);
    assert_eq!(used(&rib, "10.1.0.0/16"), []);
    assert_eq!(used(&rib, "10.2.0.0/16"), [1]);
    assert_eq!(used(&rib, "10.3.0.0/16"), [2]);
    assert_eq!(rib.count(PeerId(1), Family::Ipv4).received, 1);
    assert_eq!(rib.sweep::<Prefix4>(PeerId(1), false).len(), 1);
    assert_eq!(rib.prefixes(Family::Ipv4), 1);
}

/// What a random peer says next.
#[derive(Debug, Clone)]
enum Step {
    Tell {
        net: u8,
        from: u16,
        said: (u32, Vec<u32>, u8, u32),
        refused: bool,
    },
    Take {
        net: u8,
        from: u16,
    },
    Hop {
        from: u16,
        reach: u32,
    },
    Sweep {
        from: u16,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let said = (0..2_u32, vec(65010..65013_u32, 0..3), 0..2_u8, 0..3_u32);
    prop_oneof![
        6 => (0..4_u8, 0..9_u16, said, prop::bool::weighted(0.1))
            .prop_map(|(net, from, said, refused)| Step::Tell { net, from, said, refused }),
        2 => (0..4_u8, 0..9_u16).prop_map(|(net, from)| Step::Take { net, from }),
        1 => (1..9_u16, 0..3_u32).prop_map(|(from, reach)| Step::Hop { from, reach }),
        1 => (1..9_u16).prop_map(|from| Step::Sweep { from }),
    ]
}

/// The model: every path in a plain map, the winner found by comparing all with all, as RFC 4271 section 9.1.2.2 is written.
#[derive(Default)]
struct Model {
    paths: BTreeMap<(u8, u16), (Attributes, bool)>,
    reach: BTreeMap<u16, u32>,
}

impl Model {
    fn winner(&self, net: u8, rib: &Rib) -> Option<u16> {
        let source = |from: u16| *rib.around().source(PeerId(from)).unwrap();
        let metric = |from: u16| self.reach.get(&from).copied().unwrap_or(0);
        let mut left: Vec<(u16, &Attributes)> = self
            .paths
            .iter()
            .filter(|((n, from), (_, refused))| {
                *n == net && !refused && (*from == 0 || metric(*from) != 2)
            })
            .map(|((_, from), (said, _))| (*from, said))
            .collect();
        type Worse<'a> = &'a dyn Fn(&(u16, &Attributes), &(u16, &Attributes)) -> bool;
        let external = |from: u16| source(from).peering == Some(Peering::External);
        let worse: [Worse; 9] = [
            &|a, b| a.1.local_pref < b.1.local_pref,
            &|a, b| a.0 != 0 && b.0 == 0,
            &|a, b| a.1.as_path.hops() > b.1.as_path.hops(),
            &|a, b| a.1.origin > b.1.origin,
            &|a, b| a.1.as_path.first() == b.1.as_path.first() && a.1.med > b.1.med,
            &|a, b| !external(a.0) && external(b.0),
            &|a, b| metric(a.0) > metric(b.0),
            &|a, b| source(a.0).router_id > source(b.0).router_id,
            &|a, b| source(a.0).address > source(b.0).address,
        ];
        for worse in worse {
            let all = left.clone();
            left.retain(|a| !all.iter().any(|b| worse(a, b)));
        }
        assert!(left.len() <= 1);
        left.first().map(|(from, _)| *from)
    }
}

fn reach(reach: u32) -> Reach {
    if reach == 2 {
        Reach::Unreachable
    } else {
        Reach::Metric(reach)
    }
}

fn net(n: u8) -> Prefix4 {
    Prefix4::new([10, n, 0, 0].into(), 16).unwrap()
}

fn apply(step: &Step, rib: &mut Rib, model: &mut Model, seen: &mut BTreeMap<Prefix4, u16>) {
    let changes = match step {
        Step::Tell {
            net: n,
            from,
            said: (pref, asns, origin, med),
            refused,
        } => {
            let said = Attributes {
                local_pref: Some(100 + pref),
                origin: if *origin == 0 {
                    Origin::Igp
                } else {
                    Origin::Incomplete
                },
                med: Some(*med),
                ..attributes(*from, asns)
            };
            model.paths.insert((*n, *from), (said.clone(), *refused));
            let mut path = path(rib, *from, said);
            path.refusal = refused.then_some(Refusal::Policy);
            rib.put(net(*n), path).into_iter().collect()
        }
        Step::Take { net: n, from } => {
            model.paths.remove(&(*n, *from));
            rib.take(net(*n), PeerId(*from)).into_iter().collect()
        }
        Step::Hop {
            from,
            reach: metric,
        } => {
            model.reach.insert(*from, *metric);
            rib.set_next_hops(&[(Ipv4Addr::new(10, 99, 0, *from as u8).into(), reach(*metric))])
                .0
        }
        Step::Sweep { from } => {
            model.paths.retain(|(_, f), _| f != from);
            rib.sweep(PeerId(*from), false)
        }
    };
    for change in changes {
        assert_eq!(
            change.old.best().map(|p| p.from.0),
            seen.get(&change.prefix).copied()
        );
        match change.new.best() {
            Some(best) => drop(seen.insert(change.prefix, best.from.0)),
            None => drop(seen.remove(&change.prefix)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_rib_chooses_as_the_naive_model_does_and_tells_every_change(
        steps in vec(step(), 1..60),
        max_paths in 1..4_usize,
    ) {
        let (mut rib, mut model, mut seen) = (rib(max_paths), Model::default(), BTreeMap::new());
        for step in &steps {
            apply(step, &mut rib, &mut model, &mut seen);
            for n in 0..4 {
                let best = rib.chosen(net(n)).best().map(|p| p.from.0);
                prop_assert_eq!(best, model.winner(n, &rib));
                prop_assert_eq!(best, seen.get(&net(n)).copied());
                let explained = rib.explain(net(n).into());
                let explained_best = explained.iter().flat_map(|e| &e.paths).find(|p| matches!(p.fate, Fate::Best(_)));
                prop_assert_eq!(explained_best.map(|p| p.from.0), best);
            }
            for from in 0..9 {
                let told = model.paths.keys().filter(|(_, f)| *f == from).count();
                prop_assert_eq!(rib.count(PeerId(from), Family::Ipv4).received, told);
            }
        }
    }
}
