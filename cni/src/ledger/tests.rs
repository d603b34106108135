//! The allocator against what has to be true of it, and against calls that are killed between any two steps.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const REST: u64 = 30;

fn blocks() -> Vec<Block> {
    ["10.1.0.1/28", "fd00::1/124"]
        .map(|gateway| Block::of_gateway(gateway.parse().unwrap()))
        .into()
}

fn attachment(number: u8) -> Attachment {
    Attachment {
        network: "cbr0".into(),
        container: format!("c{number}"),
        ifname: "eth0".into(),
    }
}

/// A directory, as far as the ledger sees it.
#[derive(Default)]
struct Directory(BTreeSet<String>);

impl Directory {
    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        self.0.iter().for_each(|name| ledger.learn(name));
        ledger
    }

    /// Carries out at most `steps` of them: a call that is killed.
    fn carry_out(&mut self, all: &[Step], steps: usize) {
        for step in all.iter().take(steps) {
            match step {
                Step::Create(name) => self.0.insert(name.clone()),
                Step::Remove(name) => self.0.remove(name),
            };
        }
    }

    fn add(
        &mut self,
        number: u8,
        wanted: &[IpAddr],
        (now, steps): (u64, usize),
    ) -> Result<Vec<IpAddr>, Unmet> {
        let ledger = self.ledger();
        if let Some(held) = ledger.held_by(&attachment(number)) {
            return Ok(held.addresses.clone());
        }
        let need = Allotment {
            blocks: &blocks(),
            wanted,
            taken: &BTreeSet::new(),
            rest: REST,
            now,
        };
        let addresses = ledger.allot(&need)?;
        let held = Held {
            attachment: attachment(number),
            addresses: addresses.clone(),
        };
        let mut all = vec![Step::Create(held.name())];
        all.extend(ledger.after_claim(&held, REST, now));
        self.carry_out(&all, steps);
        Ok(addresses)
    }

    fn del(&mut self, number: u8, (now, steps): (u64, usize)) {
        if let Some(held) = self.ledger().held_by(&attachment(number)) {
            self.carry_out(&Ledger::release(held, now), steps);
        }
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const ALL: usize = usize::MAX;

#[test]
fn addresses_come_in_order_and_both_families_go_together() {
    let mut directory = Directory::default();
    assert_eq!(
        directory.add(1, &[], (0, ALL)).unwrap(),
        [ip("10.1.0.2"), ip("fd00::2")]
    );
    assert_eq!(
        directory.add(2, &[], (0, ALL)).unwrap(),
        [ip("10.1.0.3"), ip("fd00::3")]
    );
}

#[test]
fn a_released_address_comes_back_last_and_only_after_its_rest() {
    let mut directory = Directory::default();
    for number in 1..=13 {
        directory.add(number, &[], (0, ALL)).unwrap();
    }
    let block = blocks()[0].network();
    assert_eq!(
        directory.add(14, &[], (1, ALL)),
        Err(Unmet::Exhausted(block))
    );
    directory.del(5, (10, ALL));
    directory.del(2, (11, ALL));
    assert_eq!(
        directory.add(14, &[], (12, ALL)),
        Err(Unmet::Resting(block, 28))
    );
    assert_eq!(
        directory.add(14, &[], (40, ALL)).unwrap()[0],
        ip("10.1.0.6")
    );
}

#[test]
fn a_wanted_address_is_given_even_while_it_rests_and_the_other_family_is_picked() {
    let mut directory = Directory::default();
    directory.add(1, &[], (0, ALL)).unwrap();
    directory.del(1, (1, ALL));
    let got = directory.add(2, &[ip("10.1.0.2")], (2, ALL)).unwrap();
    assert_eq!(got, [ip("10.1.0.2"), ip("fd00::3")]);
}

#[test]
fn a_wanted_address_that_somebody_has_or_nobody_may_have_is_refused_with_the_reason() {
    let mut directory = Directory::default();
    directory.add(1, &[], (0, ALL)).unwrap();
    for (wanted, why) in [
        ("10.1.0.2", "container c1"),
        ("10.1.0.1", "this node gives"),
        ("10.9.0.2", "this node gives"),
    ] {
        match directory.add(2, &[ip(wanted)], (0, ALL)) {
            Err(Unmet::Unavailable(_, said)) => assert!(said.contains(why), "{said}"),
            other => panic!("{wanted}: {other:?}"),
        }
    }
}

#[test]
fn another_block_serves_new_pods_and_old_addresses_stay_held() {
    let mut directory = Directory::default();
    directory.add(1, &[], (0, ALL)).unwrap();
    let other = [Block::of_gateway("10.2.0.1/24".parse().unwrap())];
    let need = Allotment {
        blocks: &other,
        wanted: &[],
        taken: &BTreeSet::new(),
        rest: REST,
        now: 0,
    };
    assert_eq!(directory.ledger().allot(&need).unwrap(), [ip("10.2.0.2")]);
    assert!(directory.ledger().holder_of(ip("10.1.0.2")).is_some());
}

#[test]
fn what_others_have_is_not_given() {
    let taken = [ip("10.1.0.2"), ip("10.1.0.3")].into();
    let need = Allotment {
        blocks: &blocks()[..1],
        wanted: &[],
        taken: &taken,
        rest: REST,
        now: 0,
    };
    assert_eq!(Ledger::default().allot(&need).unwrap(), [ip("10.1.0.4")]);
}

#[test]
fn notes_of_releases_do_not_grow_without_end() {
    let block = [Block::of_gateway("fd00::1/64".parse().unwrap())];
    let mut directory = Directory::default();
    for now in 0..2_000 {
        let ledger = directory.ledger();
        let need = Allotment {
            blocks: &block,
            wanted: &[],
            taken: &BTreeSet::new(),
            rest: REST,
            now,
        };
        let held = Held {
            attachment: attachment(1),
            addresses: ledger.allot(&need).unwrap(),
        };
        directory.carry_out(&[Step::Create(held.name())], 1);
        directory.carry_out(&ledger.after_claim(&held, REST, now), ALL);
        directory.carry_out(&Ledger::release(&held, now), ALL);
    }
    assert!(directory.0.len() < 200, "{}", directory.0.len());
}

#[derive(Clone, Debug)]
enum Call {
    Add(u8, usize),
    Del(u8, usize),
    Pass(u64),
}

fn call() -> impl Strategy<Value = Call> {
    let steps = || prop_oneof![3 => Just(ALL), 2 => 0..6_usize];
    prop_oneof![
        (0..20_u8, steps()).prop_map(|(number, steps)| Call::Add(number, steps)),
        (0..20_u8, steps()).prop_map(|(number, steps)| Call::Del(number, steps)),
        (0..20_u64).prop_map(Call::Pass),
    ]
}

proptest! {
    #[test]
    fn no_address_is_given_twice_or_early_and_none_leaks_whoever_is_killed(
        calls in prop::collection::vec(call(), 0..60),
    ) {
        let (mut directory, mut now) = (Directory::default(), 0);
        let mut released: BTreeMap<IpAddr, u64> = BTreeMap::new();
        for call in calls {
            match call {
                Call::Pass(seconds) => now += seconds,
                Call::Add(number, steps) => {
                    let new = directory.ledger().held_by(&attachment(number)).is_none();
                    for address in directory.add(number, &[], (now, steps)).unwrap_or_default() {
                        let early = released.get(&address).is_some_and(|at| at + REST > now);
                        prop_assert!(!new || !early, "{address} rests");
                    }
                }
                Call::Del(number, steps) => {
                    let held = directory.ledger().held_by(&attachment(number)).cloned();
                    directory.del(number, (now, steps));
                    let held = held.filter(|held| !directory.0.contains(&held.name()));
                    released.extend(held.into_iter().flat_map(|held| held.addresses).map(|a| (a, now)));
                }
            }
            let mut seen = BTreeSet::new();
            for address in directory.ledger().held.iter().flat_map(|held| &held.addresses) {
                prop_assert!(seen.insert(*address), "{address} is held twice");
            }
        }
        // The runtime ends every attachment at last, and all addresses come back.
        for number in 0..20 {
            directory.del(number, (now, ALL));
        }
        prop_assert!(directory.ledger().held.is_empty());
        for number in 0..13 {
            prop_assert!(directory.add(number, &[], (now + REST, ALL)).is_ok());
        }
    }
}
