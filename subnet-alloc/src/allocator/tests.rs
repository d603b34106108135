use proptest::prelude::*;

use super::*;
use crate::lease::{LeaseId, Revision};

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

fn step(config: &NetworkConfig, identity: &Identity, leases: &[Lease]) -> Step {
    decide(config, identity, leases, &mut numbers(1))
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
fn a_changed_address_finds_the_lease_by_name() {
    let named = |number| Identity {
        node: Some("worker".to_owned()),
        ..node(number)
    };
    let leases = [lease_of(&named(1), block("10.244.7.0-24"))];
    assert_eq!(
        step(&config(V4), &named(9), &leases),
        Step::Keep(leases[0].clone())
    );
}

#[test]
fn the_address_counts_more_than_the_name() {
    let named = |number| Identity {
        node: Some("worker".to_owned()),
        ..node(number)
    };
    let leases = [
        lease_of(&named(1), block("10.244.7.0-24")),
        lease_of(&node(9), block("10.244.8.0-24")),
    ];
    assert_eq!(
        step(&config(V4), &named(9), &leases),
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
    let decision = decide(&config(V4), &node(1), &leases, &mut numbers(1)).expect("a decision");
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
    let leases = [lease_of(&node(2), block("10.244.0.0-16"))];
    let refused = decide(&config, &node(1), &leases, &mut numbers(1)).expect_err("exhausted");
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
        let Step::Claim(block) = decide(&config, &node(1), &leases, &mut random)
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
            match decide(&config, &node(1), &leases, &mut numbers(seed))
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
            let decision = decide(&config, &me, &leases, &mut random).expect("not exhausted yet");
            let Step::Claim(block) = decision.step else { panic!("nobody knows this node") };
            prop_assert_eq!(config.fits(&block), Ok(()));
            prop_assert!(leases.iter().all(|lease| !lease.block.overlaps(&block)));
            leases.push(lease_of(&me, block));
        }
        let refused = decide(&config, &node(255), &leases, &mut random);
        let exhausted = matches!(refused, Err(AllocError::PoolExhausted { .. }));
        prop_assert!(exhausted);
    }

    #[test]
    fn a_decision_never_overlaps_a_lease(
        config in any_config(),
        held in prop::collection::vec(any_block(), 0..40),
        seed: u64,
    ) {
        let leases: Vec<_> = held.into_iter().map(|block| lease_of(&node(2), block)).collect();
        if let Ok(decision) = decide(&config, &node(1), &leases, &mut numbers(seed)) {
            let Step::Claim(block) = decision.step else { panic!("nobody knows this node") };
            prop_assert_eq!(config.fits(&block), Ok(()));
            prop_assert!(leases.iter().all(|lease| !lease.block.overlaps(&block)));
        }
    }
}
