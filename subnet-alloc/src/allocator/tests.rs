use proptest::prelude::*;

use super::*;
use crate::history::Use;
use crate::lease::{Hold, LeaseId, Revision};

fn config(text: &str) -> NetworkConfig {
    NetworkConfig::parse(text.as_bytes()).expect(text)
}

fn block(key: &str) -> Block {
    Block::from_key(key).expect(key)
}

fn node(number: u8) -> Identity {
    Identity {
        underlay_v4: Some(Ipv4Addr::new(192, 168, 0, number)),
        ..Identity::default()
    }
}

fn lease_of(identity: &Identity, block: Block) -> Lease {
    let attrs = LeaseAttrs {
        underlay_v4: identity.underlay_v4,
        underlay_v6: identity.underlay_v6,
        node: identity.node.clone(),
        ..LeaseAttrs::default()
    };
    let hold = Hold::Leased(LeaseId(1));
    Lease {
        block,
        attrs,
        hold,
        revision: Revision(1),
    }
}

/// A fixed sequence of numbers that looks random enough (Knuth's MMIX constants).
fn numbers(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed.rotate_left(29)
    }
}

fn blocks_of(leases: &[Lease]) -> Vec<Block> {
    leases.iter().map(|lease| lease.block).collect()
}

/// Decides where no block has ever been used and every holder is alive.
fn decide_afresh(
    config: &NetworkConfig,
    identity: &Identity,
    leases: &[Lease],
    random: &mut dyn FnMut() -> u64,
) -> Result<Decision, AllocError> {
    let lives = leases.iter().map(|l| (l.block, Life::Endless)).collect();
    let known = Knowledge {
        held: &blocks_of(leases),
        akin: leases,
        history: Some(&History::default()),
        lives: &lives,
        losses: 0,
    };
    decide(config, identity, &known, random)
}

fn step(config: &NetworkConfig, identity: &Identity, leases: &[Lease]) -> Step {
    decide_afresh(config, identity, leases, &mut numbers(1))
        .expect("a decision")
        .step
}

const V4: &str = r#"{"Network":"10.244.0.0/16"}"#;
const DUAL: &str = r#"{"Network":"10.244.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:244::/48"}"#;

#[test]
fn a_lease_with_my_underlay_address_is_kept() {
    let leases = [
        lease_of(&node(1), block("10.244.7.0-24")),
        lease_of(&node(2), block("10.244.8.0-24")),
    ];
    assert_eq!(
        step(&config(V4), &node(2), &leases),
        Step::Keep(leases[1].clone())
    );
}

#[test]
fn a_key_that_holds_the_whole_pool_keeps_nobody_from_a_block() {
    for key in ["10.0.0.0-8", "0.0.0.0-1", "10.244.0.0-16"] {
        let leases = [lease_of(&node(2), block(key))];
        let taken = step(&config(V4), &node(1), &leases);
        assert!(matches!(taken, Step::Claim(_)), "{key}: {taken:?}");
    }
    // What lies in the pool counts, however large it is.
    let half = [lease_of(&node(2), block("10.244.0.0-17"))];
    let Step::Claim(taken) = step(&config(V4), &node(1), &half) else {
        panic!("no claim");
    };
    assert!(!taken.overlaps(&half[0].block));
}

fn named(name: &str, number: u8) -> Identity {
    Identity {
        node: Some(name.to_owned()),
        ..node(number)
    }
}

#[test]
fn a_changed_address_finds_the_lease_by_name_and_remembered_block() {
    let leases = [lease_of(&named("worker", 1), block("10.244.7.0-24"))];
    let me = Identity {
        previous: Some(leases[0].block),
        ..named("worker", 9)
    };
    assert_eq!(
        step(&config(V4), &me, &leases),
        Step::Keep(leases[0].clone())
    );
}

#[test]
fn a_changed_name_finds_the_lease_by_address_and_remembered_block() {
    let leases = [lease_of(
        &named("worker", 1),
        block("10.244.7.0-24&fd00:244:0:7::-64"),
    )];
    let me = Identity {
        previous: Some(block("10.244.7.0-24")),
        ..named("renamed", 1)
    };
    assert_eq!(
        step(&config(DUAL), &me, &leases),
        Step::Keep(leases[0].clone())
    );
}

fn refusal(identity: &Identity, leases: &[Lease]) -> Rival {
    match decide_afresh(&config(V4), identity, leases, &mut numbers(1)) {
        Err(AllocError::Rival(rival)) => *rival,
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_machines_with_one_address_are_refused_and_named() {
    let leases = [lease_of(&named("a", 15), block("10.244.7.0-24"))];
    let rival = refusal(&named("b", 15), &leases);
    assert_eq!(
        (rival.shared, rival.block),
        (Shared::Address, leases[0].block)
    );
    let text = rival.to_string();
    for part in [
        "one underlay address",
        "\"b\", 192.168.0.15",
        "\"a\", 192.168.0.15",
        "10.244.7.0/24",
        "--iface or --public-ip",
        "twill cleanup --release",
        "subnets/10.244.7.0-24",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn two_machines_with_one_name_are_refused_and_named() {
    let leases = [lease_of(&named("localhost", 1), block("10.244.7.0-24"))];
    let rival = refusal(&named("localhost", 2), &leases);
    assert_eq!(rival.shared, Shared::Name);
    assert!(rival.to_string().contains("--node-name"), "{rival}");
}

#[test]
fn a_wish_proves_nothing() {
    let leases = [lease_of(&named("localhost", 1), block("10.244.7.0-24"))];
    let me = Identity {
        wish: Some(leases[0].block),
        ..named("localhost", 2)
    };
    refusal(&me, &leases);
    assert_eq!(step(&config(V4), &me, &[]), Step::Claim(leases[0].block));
}

#[test]
fn who_has_a_lease_already_is_not_disturbed_by_a_newcomer_like_it() {
    let leases = [
        lease_of(&named("b", 15), block("10.244.6.0-24")),
        lease_of(&named("a", 15), block("10.244.7.0-24")),
    ];
    assert_eq!(
        step(&config(V4), &named("a", 15), &leases),
        Step::Keep(leases[1].clone())
    );
    let shared = shared_with(&named("a", 15), &leases[0].attrs);
    assert_eq!(shared, Some(Shared::Address));
    assert_eq!(shared_with(&named("a", 15), &leases[1].attrs), None);
}

#[test]
fn a_lease_that_nobody_tends_or_that_was_given_up_is_taken_over() {
    let mut leases = [lease_of(&named("a", 15), block("10.244.7.0-24"))];
    let me = named("b", 15);
    let with = |leases: &[Lease], left| {
        let granted = Duration::from_secs(86400);
        let life = Life::Ends { granted, left };
        let lives = [(leases[0].block, life)].into();
        let known = Knowledge {
            held: &blocks_of(leases),
            akin: leases,
            history: None,
            lives: &lives,
            losses: 0,
        };
        decide(&config(V4), &me, &known, &mut numbers(1)).map(|decision| decision.step)
    };
    let (fresh, old) = (Duration::from_secs(80000), Duration::from_secs(40000));
    let refused = with(&leases, fresh).expect_err("alive").to_string();
    assert!(refused.contains("taken over in 518 min"), "{refused}");
    assert_eq!(with(&leases, old), Ok(Step::Keep(leases[0].clone())));
    leases[0].attrs.released = true;
    assert_eq!(with(&leases, fresh), Ok(Step::Keep(leases[0].clone())));
}

#[test]
fn whether_a_holder_is_alive_is_asked_before_it_is_judged() {
    let leases = [lease_of(&named("a", 15), block("10.244.7.0-24"))];
    let known = Knowledge {
        held: &blocks_of(&leases),
        akin: &leases,
        history: None,
        lives: &BTreeMap::new(),
        losses: 0,
    };
    let ask = |me: &Identity| {
        decide(&config(V4), me, &known, &mut numbers(1))
            .expect("a question")
            .step
    };
    assert_eq!(
        ask(&named("b", 15)),
        Step::Ask(Question::Life(leases[0].clone()))
    );
    assert_eq!(ask(&named("b", 16)), Step::Ask(Question::History));
}

#[test]
fn a_lease_of_flannel_has_no_name_and_is_known_by_its_address_alone() {
    let leases = [lease_of(&node(15), block("10.244.7.0-24"))];
    assert_eq!(
        step(&config(V4), &named("b", 15), &leases),
        Step::Keep(leases[0].clone())
    );
}

#[test]
fn the_address_counts_more_than_the_name() {
    let leases = [
        lease_of(&named("worker", 1), block("10.244.7.0-24")),
        lease_of(&node(9), block("10.244.8.0-24")),
    ];
    assert_eq!(
        step(&config(V4), &named("worker", 9), &leases),
        Step::Keep(leases[1].clone())
    );
}

#[test]
fn the_previous_block_is_taken_again_unless_somebody_holds_it() {
    let previous = Some(block("10.244.7.0-24"));
    let me = Identity {
        previous,
        ..node(1)
    };
    assert_eq!(
        step(&config(V4), &me, &[]),
        Step::Claim(block("10.244.7.0-24"))
    );
    let leases = [lease_of(&node(2), block("10.244.7.0-24"))];
    assert!(
        matches!(step(&config(V4), &me, &leases), Step::Claim(other) if Some(other) != previous)
    );
}

#[test]
fn a_previous_block_that_no_longer_fits_is_left() {
    let me = Identity {
        previous: Some(block("10.9.7.0-24")),
        ..node(1)
    };
    let Step::Claim(claimed) = step(&config(V4), &me, &[]) else {
        panic!("no claim")
    };
    assert_eq!(config(V4).fits(&claimed), Ok(()));
}

#[test]
fn a_reservation_for_me_is_mine_and_comes_first() {
    let mut leases = [
        lease_of(&node(1), block("10.244.7.0-24")),
        lease_of(&node(1), block("10.244.8.0-24")),
    ];
    leases[1].hold = Hold::Reserved;
    assert_eq!(
        step(&config(V4), &node(1), &leases),
        Step::Keep(leases[1].clone())
    );
}

#[test]
fn ipv6_enabled_later_keeps_the_ipv4_block() {
    let leases = [lease_of(&node(1), block("10.244.60.0-24"))];
    let to = block("10.244.60.0-24&fd00:244:0:3c::-64");
    let from = leases[0].clone();
    assert_eq!(
        step(&config(DUAL), &node(1), &leases),
        Step::Extend { from, to }
    );
}

#[test]
fn ipv6_disabled_later_keeps_the_ipv4_block() {
    let leases = [lease_of(
        &node(1),
        block("10.244.60.0-24&fd00:244:0:3c::-64"),
    )];
    let (from, to) = (leases[0].clone(), block("10.244.60.0-24"));
    assert_eq!(
        step(&config(V4), &node(1), &leases),
        Step::Extend { from, to }
    );
}

#[test]
fn an_ipv6_part_that_is_taken_is_replaced_by_another() {
    let leases = [
        lease_of(&node(1), block("10.244.60.0-24")),
        lease_of(&node(2), block("10.244.61.0-24&fd00:244:0:3c::-64")),
    ];
    let Step::Extend { to, .. } = step(&config(DUAL), &node(1), &leases) else {
        panic!("no extension")
    };
    assert_eq!(to.v4(), leases[0].block.v4());
    assert!(!to.overlaps(&leases[1].block));
}

#[test]
fn leases_of_mine_that_do_not_fit_are_reported() {
    let leases = [lease_of(&node(1), block("10.9.1.0-24"))];
    let decision =
        decide_afresh(&config(V4), &node(1), &leases, &mut numbers(1)).expect("a decision");
    assert!(matches!(decision.step, Step::Claim(_)));
    assert_eq!(decision.unfit, leases);
}

#[test]
fn nodes_with_ipv6_alone_are_told_apart() {
    let config = config(r#"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:244::/48"}"#);
    let node = |last| Identity {
        underlay_v6: Some(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, last)),
        ..Identity::default()
    };
    let leases = [lease_of(&node(1), block("0.0.0.0-0&fd00:244:0:e::-64"))];
    assert_eq!(
        step(&config, &node(1), &leases),
        Step::Keep(leases[0].clone())
    );
    assert!(
        matches!(step(&config, &node(2), &leases), Step::Claim(other) if !other.overlaps(&leases[0].block))
    );
}

#[test]
fn a_lease_of_another_length_blocks_what_it_overlaps() {
    let config = config(r#"{"Network":"10.244.0.0/22","SubnetLen":24}"#);
    let leases = [
        lease_of(&node(2), block("10.244.2.128-25")),
        lease_of(&node(3), block("10.244.0.0-23")),
    ];
    assert_eq!(
        step(&config, &node(1), &leases),
        Step::Claim(block("10.244.3.0-24"))
    );
}

#[test]
fn an_exhausted_pool_is_named() {
    let config = config(r#"{"Network":"10.244.0.0/22","SubnetLen":24}"#);
    let leases = ["10.244.0.0-23", "10.244.2.0-23"].map(|key| lease_of(&node(2), block(key)));
    let refused =
        decide_afresh(&config, &node(1), &leases, &mut numbers(1)).expect_err("exhausted");
    let text = refused.to_string();
    assert!(
        text.contains("no free IPv4 block of length 24 in 10.244.0.0/22: all 3"),
        "{text}"
    );
}

#[test]
fn huge_pools_are_not_walked() {
    let config = config(
        r#"{"Network":"10.0.0.0/8","SubnetLen":30,"EnableIPv6":true,"IPv6Network":"fd00::/16","IPv6SubnetLen":126}"#,
    );
    let mut random = numbers(7);
    let mut leases = Vec::new();
    for _ in 0..300 {
        let Step::Claim(block) = decide_afresh(&config, &node(1), &leases, &mut random)
            .expect("free")
            .step
        else {
            panic!("nobody has a lease with this address")
        };
        assert!(
            leases
                .iter()
                .all(|lease: &Lease| !lease.block.overlaps(&block))
        );
        leases.push(lease_of(&node(2), block));
    }
}

#[test]
fn every_free_block_can_be_chosen() {
    let config = config(r#"{"Network":"10.244.0.0/24","SubnetLen":28}"#);
    let leases = [lease_of(&node(2), block("10.244.0.32-28"))];
    let chosen: std::collections::BTreeSet<_> = (0..500)
        .map(|seed| {
            match decide_afresh(&config, &node(1), &leases, &mut numbers(seed))
                .expect("free")
                .step
            {
                Step::Claim(block) => block,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    assert_eq!(chosen.len(), 14);
}

fn used(key: &str, node: &str, revision: u64) -> Use {
    Use {
        block: block(key),
        node: Some(node.to_owned()),
        revision: Revision(revision),
    }
}

fn claimed(config: &NetworkConfig, me: &Identity, known: &Knowledge<'_>, seed: u64) -> Block {
    match decide(config, me, known, &mut numbers(seed))
        .expect("free")
        .step
    {
        Step::Claim(block) => block,
        other => panic!("{other:?}"),
    }
}

/// Fourteen blocks, .16 to .224, of which all but the last were used, the highest number first.
fn all_used_but_one() -> (NetworkConfig, History) {
    let config = config(r#"{"Network":"10.244.0.0/24","SubnetLen":28}"#);
    let uses = (1..14).map(|at| used(&format!("10.244.0.{}-28", at * 16), "x", 100 - at));
    (config, History::new(uses.collect()))
}

#[test]
fn a_freed_block_is_not_given_out_while_there_are_unused_ones() {
    let (config, history) = all_used_but_one();
    let known = Knowledge {
        held: &[],
        akin: &[],
        history: Some(&history),
        lives: &BTreeMap::new(),
        losses: 0,
    };
    for seed in 0..50 {
        let last_two = ["10.244.0.224-28", "10.244.0.240-28"].map(block);
        assert!(last_two.contains(&claimed(&config, &node(1), &known, seed)));
    }
}

#[test]
fn then_one_of_the_longest_free_is_given_out_and_the_choice_widens_with_each_lost_race() {
    let (config, history) = all_used_but_one();
    let held = ["10.244.0.224-28", "10.244.0.240-28", "10.244.0.208-28"].map(block);
    let leases = held.map(|block| lease_of(&node(2), block));
    let chosen = |losses| -> std::collections::BTreeSet<u8> {
        let known = Knowledge {
            held: &blocks_of(&leases),
            akin: &leases,
            history: Some(&history),
            lives: &BTreeMap::new(),
            losses,
        };
        let block = |seed| claimed(&config, &node(1), &known, seed).v4();
        let number = |seed| block(seed).map_or(0, |part| part.ip().octets()[3] / 16);
        (0..300).map(number).collect()
    };
    assert_eq!(chosen(0), (5..=12).collect());
    assert_eq!(chosen(1), (1..=12).collect());
}

/// Every node has seen the same and all claim at the same moment; who loses learns one winner, and tries again with
/// all the others that lost.
#[test]
fn fifty_nodes_that_see_the_same_freed_blocks_get_out_of_each_others_way() {
    let config =
        config(r#"{"Network":"10.244.0.0/16","SubnetMin":"10.244.1.0","SubnetMax":"10.244.60.0"}"#);
    let uses = (1..=60).map(|at| used(&format!("10.244.{at}.0-24"), "x", at));
    let history = History::new(uses.collect());
    let mut held: Vec<Lease> = Vec::new();
    let mut nodes: Vec<(Vec<Lease>, u32)> = vec![(Vec::new(), 0); 50];
    let mut random = numbers(1);
    let mut losses = Vec::new();
    while !nodes.is_empty() {
        let mut losers = Vec::new();
        for (mut seen, lost) in nodes {
            let known = Knowledge {
                held: &blocks_of(&seen),
                akin: &seen,
                history: Some(&history),
                lives: &BTreeMap::new(),
                losses: lost,
            };
            let block = claimed(&config, &node(1), &known, random());
            if let Some(winner) = held.iter().find(|lease| lease.block == block) {
                seen.push(winner.clone());
                losers.push((seen, lost + 1));
            } else {
                held.push(lease_of(&node(2), block));
                losses.push(lost);
            }
        }
        nodes = losers;
    }
    assert_eq!(losses.len(), 50);
    let (most, all): (_, u32) = (losses.iter().max(), losses.iter().sum());
    assert!(most <= Some(&20), "{all} lost races in all: {losses:?}");
}

#[test]
fn a_node_that_lost_everything_but_its_name_gets_its_old_block() {
    let (config, mut uses) = (config(DUAL), Vec::new());
    uses.push(used("10.244.7.0-24", "me", 5));
    uses.push(used("0.0.0.0-0&fd00:244:0:9::-64", "me", 6));
    uses.push(used("10.244.8.0-24", "other", 7));
    uses.push(used("10.9.9.0-24", "me", 8));
    let history = History::new(uses);
    let with = |leases: &[Lease]| {
        let known = Knowledge {
            held: &blocks_of(leases),
            akin: leases,
            history: Some(&history),
            lives: &BTreeMap::new(),
            losses: 0,
        };
        claimed(&config, &named("me", 1), &known, 1)
    };
    assert_eq!(with(&[]), block("10.244.7.0-24&fd00:244:0:9::-64"));
    let taken = [lease_of(&node(2), block("10.244.7.0-24"))];
    let other = with(&taken);
    assert_eq!(other.v6(), block("0.0.0.0-0&fd00:244:0:9::-64").v6());
    assert_ne!(other.v4(), block("10.244.7.0-24").v4());
}

#[test]
fn records_outside_of_the_pool_mean_nothing() {
    let config = config(r#"{"Network":"10.244.0.0/22","SubnetLen":24}"#);
    let outside = [
        "10.9.1.0-24",
        "10.244.1.0-25",
        "10.244.0.0-22",
        "0.0.0.0-0&fd00::-64",
    ];
    let history = History::new(outside.map(|key| used(key, "x", 1)).into());
    let known = Knowledge {
        held: &[],
        akin: &[],
        history: Some(&history),
        lives: &BTreeMap::new(),
        losses: 0,
    };
    let chosen: std::collections::BTreeSet<_> = (0..100)
        .map(|seed| claimed(&config, &node(1), &known, seed))
        .collect();
    assert_eq!(chosen.len(), 3);
}

fn any_config() -> impl Strategy<Value = NetworkConfig> {
    let v4 = (16_u8..26, 2_u8..6).prop_map(|(net, more)| {
        format!(r#""Network":"10.244.0.0/{net}","SubnetLen":{}"#, net + more)
    });
    let v6 = (40_u8..64, 2_u8..6).prop_map(|(net, more)| {
        format!(
            r#""EnableIPv6":true,"IPv6Network":"fd00::/{net}","IPv6SubnetLen":{}"#,
            net + more
        )
    });
    prop_oneof![
        v4.clone().prop_map(|v4| format!("{{{v4}}}")),
        v6.clone()
            .prop_map(|v6| format!(r#"{{"EnableIPv4":false,{v6}}}"#)),
        (v4, v6).prop_map(|(v4, v6)| format!("{{{v4},{v6}}}")),
    ]
    .prop_map(|text| config(&text))
}

/// A block anywhere near the pools, of any length: what other configs and people leave behind.
fn any_block() -> impl Strategy<Value = Block> {
    let v4 = (any::<u16>(), 12_u8..31).prop_map(|(low, len)| {
        let address = Ipv4Addr::from(0x0af4_0000 | u32::from(low));
        let cut = ipnetwork::Ipv4Network::new_checked(address, len).expect("a length below 32");
        ipnetwork::Ipv4Network::new_checked(cut.network(), len)
    });
    v4.prop_map(|v4| Block::new(v4, None).expect("no host bits"))
}

proptest! {
    #[test]
    fn nodes_get_distinct_blocks_until_exactly_all_are_gone(config in any_config(), seed: u64) {
        let v4 = config.v4.map_or(u128::MAX, |pool| pool.blocks());
        let v6 = config.v6.map_or(u128::MAX, |pool| pool.blocks());
        let mut random = numbers(seed);
        let mut leases: Vec<Lease> = Vec::new();
        for number in 0..v4.min(v6) {
            let me = node(u8::try_from(number).expect("at most 63 blocks"));
            let decision = decide_afresh(&config, &me, &leases, &mut random).expect("not exhausted yet");
            let Step::Claim(block) = decision.step else { panic!("nobody knows this node") };
            prop_assert_eq!(config.fits(&block), Ok(()));
            prop_assert!(leases.iter().all(|lease| !lease.block.overlaps(&block)));
            leases.push(lease_of(&me, block));
        }
        let refused = decide_afresh(&config, &node(255), &leases, &mut random);
        let exhausted = matches!(refused, Err(AllocError::PoolExhausted { .. }));
        prop_assert!(exhausted);
    }

    #[test]
    fn a_decision_never_overlaps_a_lease(
        config in any_config(),
        held in prop::collection::vec(any_block(), 0..40),
        seed: u64,
    ) {
        let pool = config.v4.map_or("10.244.0.0/16".parse(), |pool| Ok(pool.network)).expect("a network");
        let in_pool = |block: &Block| block.v4().is_some_and(|part| part.prefix() > pool.prefix());
        let held = held.into_iter().filter(in_pool);
        let leases: Vec<_> = held.map(|block| lease_of(&node(2), block)).collect();
        if let Ok(decision) = decide_afresh(&config, &node(1), &leases, &mut numbers(seed)) {
            let Step::Claim(block) = decision.step else { panic!("nobody knows this node") };
            prop_assert_eq!(config.fits(&block), Ok(()));
            prop_assert!(leases.iter().all(|lease| !lease.block.overlaps(&block)));
        }
    }
}
