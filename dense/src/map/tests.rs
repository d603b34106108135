use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{DenseMap, Leaf};

fn leaves(map: &DenseMap<u32, u32>) -> usize {
    map.leaves.len()
}

/// Room for entries that is not used, of all the room that there is.
fn unused(map: &DenseMap<u32, u32>) -> f64 {
    let room: usize = map.leaves.iter().map(|leaf| leaf.keys.capacity()).sum();
    1.0 - map.len() as f64 / room as f64
}

#[test]
fn what_grows_in_order_fills_its_leaves() {
    let map: DenseMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
    let full = |leaf: &&Leaf<u32, u32>| leaf.len() >= 64;
    assert_eq!(map.leaves.iter().filter(full).count(), leaves(&map));
    assert!(leaves(&map) < 600, "{}", leaves(&map));
    assert!(unused(&map) < 0.05, "{}", unused(&map));
}

#[test]
fn what_grows_at_random_places_leaves_less_than_a_fifth_unused() {
    let scattered = |n: u32| n.wrapping_mul(0x9E37_79B1);
    let map: DenseMap<u32, u32> = (0..100_000).map(|n| (scattered(n), n)).collect();
    assert!(unused(&map) < 0.2, "{}", unused(&map));
}

#[test]
fn what_goes_gives_its_memory_back() {
    let mut map: DenseMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
    for n in (0..100_000).filter(|n| n % 100 != 0) {
        map.remove(&n);
    }
    assert_eq!(map.len(), 1000);
    assert!(leaves(&map) < 50, "{}", leaves(&map));
    assert!(unused(&map) < 0.6, "{}", unused(&map));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, u8),
    Remove(u16),
    Retain(u8),
    Run(u16),
    Look(u16),
    Clear(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..2000_u16;
    let step = prop_oneof![
        8 => (key.clone(), any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
        8 => key.clone().prop_map(Step::Remove),
        1 => any::<u8>().prop_map(Step::Retain),
        2 => key.clone().prop_map(Step::Run),
        3 => key.clone().prop_map(Step::Look),
        2 => key.prop_map(Step::Clear),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_holds_what_a_map_of_the_standard_library_holds(steps in steps()) {
        let (mut map, mut model) = (DenseMap::default(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Insert(key, value) => {
                    prop_assert_eq!(map.insert(key, value), model.insert(key, value));
                }
                Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                Step::Retain(part) => {
                    let keeps = |key: &u16, value: &mut u8| {
                        *value = value.wrapping_add(1);
                        (key >> 3) as u8 % 7 != part % 7
                    };
                    map.retain(keeps);
                    model.retain(keeps);
                }
                Step::Run(from) => {
                    for key in from..from + 300 {
                        prop_assert_eq!(map.insert(key, 1), model.insert(key, 1));
                    }
                }
                Step::Look(from) => {
                    for key in (from..from + 200).chain((from / 2..from).rev()) {
                        prop_assert_eq!(map.get(&key), model.get(&key));
                    }
                }
                Step::Clear(from) => {
                    for key in (from..from + 300).step_by(2) {
                        prop_assert_eq!(map.remove(&key), model.remove(&key));
                    }
                }
            }
            prop_assert_eq!(map.len(), model.len());
            prop_assert!(map.iter().eq(model.iter()));
            prop_assert!(map.range(500..1500).eq(model.range(500..1500)));
            let behind = (std::ops::Bound::Excluded(700), std::ops::Bound::Unbounded);
            prop_assert!(map.range(behind).eq(model.range(behind)));
            prop_assert_eq!(map.get(&999), model.get(&999));
        }
        prop_assert!(map.into_entries().eq(model));
    }
}
