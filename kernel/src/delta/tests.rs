use super::*;
use proptest::prelude::*;

fn refusal() -> Refusal {
    Refusal {
        index: 0,
        errno: 22,
        reason: None,
    }
}

fn pending(delta: &Delta<u8, u8>) -> Vec<(u8, State<u8>)> {
    let puts = delta.wishes().map(|wish| *wish.key);
    let mut all: Vec<_> = puts
        .map(|k| (k, delta.entry(&k).unwrap().clone()))
        .collect();
    for (have, keys) in delta.removals(|_| false) {
        all.extend(keys.map(|key| (*key, State::Stale { have: *have })));
    }
    all
}

#[test]
fn what_is_wanted_and_there_is_not_pending() {
    let mut delta = Delta::default();
    delta.observe(1, 7);
    delta.want(1, 7);
    assert_eq!(pending(&delta), []);
    assert_eq!(delta.entry(&1), Some(&State::InSync(7)));
}

#[test]
fn what_somebody_took_away_is_missing_and_known_as_lost() {
    let mut delta = Delta::default();
    delta.want(1, 7);
    delta.done(&1, Some(7));
    delta.observe_gone(&1);
    assert_eq!(
        pending(&delta),
        [(
            1,
            State::Missing {
                want: 7,
                lost: true
            }
        )]
    );
}

#[test]
fn a_dump_that_lacks_an_entry_makes_it_missing_and_one_that_has_more_makes_it_stale() {
    let mut delta = Delta::default();
    delta.want(1, 7);
    delta.done(&1, Some(7));
    delta.resync([(2, 8)]);
    assert_eq!(
        pending(&delta),
        [
            (
                1,
                State::Missing {
                    want: 7,
                    lost: true
                }
            ),
            (2, State::Stale { have: 8 }),
        ]
    );
}

#[test]
fn a_refused_change_waits_and_holds_up_no_other() {
    let now = Instant::now();
    let mut delta = Delta::default();
    delta.want(1, 7);
    delta.want(2, 7);
    delta.refuse(&1, refusal(), now);
    assert_eq!(
        pending(&delta),
        [(
            2,
            State::Missing {
                want: 7,
                lost: false
            }
        )]
    );
    assert_eq!(delta.drift(), 2);
    let due = delta.next_due().unwrap();
    delta.release(Due::By(due), due);
    assert_eq!(pending(&delta).len(), 2);
    assert_eq!(delta.refuse(&1, refusal(), due), 2);
    assert!(delta.next_due().unwrap() - due > due - now);
}

#[test]
fn a_new_wish_for_a_refused_key_is_tried_at_once() {
    let mut delta = Delta::default();
    delta.want(1, 7);
    delta.refuse(&1, refusal(), Instant::now());
    delta.want(1, 8);
    assert_eq!(
        pending(&delta),
        [(
            1,
            State::Missing {
                want: 8,
                lost: false
            }
        )]
    );
}

#[test]
fn an_entry_that_flickers_while_it_is_refused_does_not_cut_the_wait_short() {
    let now = Instant::now();
    let mut delta = Delta::default();
    delta.want(1, 7);
    delta.refuse(&1, refusal(), now);
    delta.observe(1, 7);
    delta.observe_gone(&1);
    assert_eq!(pending(&delta), []);
    assert_eq!((delta.drift(), delta.next_due().is_some()), (1, true));
    delta.release(Due::By(delta.next_due().unwrap()), now);
    assert_eq!(pending(&delta).len(), 1);
    assert_eq!(delta.refuse(&1, refusal(), now), 2);
}

#[test]
fn an_entry_that_came_right_by_itself_is_not_refused_any_more() {
    let mut delta = Delta::default();
    delta.want(1, 7);
    delta.refuse(&1, refusal(), Instant::now());
    delta.observe(1, 7);
    assert_eq!((delta.drift(), delta.refusal(&1).is_none()), (0, true));
    delta.release(Due::Always, Instant::now());
    assert_eq!(delta.next_due(), None);
}

#[test]
fn a_refused_change_that_is_released_early_waits_for_a_short_time_again() {
    let now = Instant::now();
    let mut delta = Delta::default();
    delta.want(1, 7);
    for _ in 0..12 {
        delta.refuse(&1, refusal(), now);
    }
    delta.release(Due::Always, now);
    assert_eq!(delta.refuse(&1, refusal(), now), 13);
    assert_eq!(delta.next_due(), Some(now + FIRST_RETRY));
}

/// Takes entry 1 away as often as it is put right.
fn fight(delta: &mut Delta<u8, u8>, times: u32, now: Instant) -> Option<Contest<u8>> {
    let contests = (0..times).filter_map(|_| {
        delta.observe(1, 9);
        delta.release(Due::By(now), now);
        let contest = delta.sent(&1, now);
        delta.done(&1, Some(7));
        contest
    });
    contests.last()
}

#[test]
fn an_entry_that_somebody_changes_again_and_again_is_named_once_and_then_waits() {
    let now = Instant::now();
    let mut delta = Delta::default();
    delta.want(1, 7);
    delta.done(&1, Some(7));
    assert_eq!(fight(&mut delta, fights::AT_ONCE, now), None);
    let contest = Contest {
        times: fights::AT_ONCE + 1,
        instead: Some(9),
    };
    assert_eq!(fight(&mut delta, 1, now), Some(contest));
    delta.observe(1, 9);
    delta.release(Due::By(now), now);
    assert_eq!((pending(&delta), delta.drift()), (vec![], 1));
    let due = delta.next_due().unwrap();
    assert!(due > now);
    delta.release(Due::By(due), due);
    assert_eq!(pending(&delta).len(), 1);
    assert_eq!(delta.sent(&1, due), None);
    delta.done(&1, Some(7));
    assert_eq!((delta.drift(), delta.next_due()), (0, None));
}

#[test]
fn a_fight_delays_no_other_entry_and_no_new_wish() {
    let now = Instant::now();
    let mut delta = Delta::default();
    delta.want(1, 7);
    delta.want(2, 7);
    delta.done(&1, Some(7));
    delta.done(&2, Some(7));
    fight(&mut delta, 10, now);
    delta.observe(1, 9);
    delta.observe_gone(&2);
    assert_eq!(pending(&delta).len(), 1, "the other one");
    delta.want(1, 8);
    assert_eq!(pending(&delta).len(), 2, "the new wish");
}

#[test]
fn what_is_changed_by_wish_is_no_fight() {
    let now = Instant::now();
    let mut delta = Delta::default();
    for value in 0..50 {
        delta.want(1, value);
        assert_eq!(delta.sent(&1, now), None);
        delta.done(&1, Some(value));
        delta.unwant(&1);
        assert_eq!(delta.sent(&1, now), None);
        delta.done(&1, None);
    }
    delta.want(1, 7);
    assert_eq!(delta.sent(&1, now), None);
    delta.done(&1, Some(7));
    delta.observe_gone(&1);
    assert_eq!(pending(&delta).len(), 1);
}

#[test]
fn an_entry_that_somebody_removes_while_it_waits_in_a_fight_does_not_wait_forever() {
    let now = Instant::now();
    let mut delta = Delta::default();
    delta.want(1, 7);
    delta.done(&1, Some(7));
    fight(&mut delta, 10, now);
    delta.observe(1, 9);
    delta.observe(1, 7);
    assert_eq!((delta.drift(), delta.next_due()), (0, None));
    delta.observe(1, 9);
    delta.forgive();
    assert_eq!((pending(&delta).len(), delta.drift()), (1, 1));
}

proptest! {
    /// Whatever the order of wishes and sightings, carrying out all that is
    /// pending makes the kernel hold exactly what is wanted.
    #[test]
    fn doing_what_is_pending_ends_in_sync(steps in prop::collection::vec((0u8..5, 0u8..6, 0u8..3), 0..60)) {
        let mut delta: Delta<u8, u8> = Delta::default();
        let (mut want, mut have) = (BTreeMap::new(), BTreeMap::new());
        for (what, key, value) in steps {
            match what {
                0 => { want.insert(key, value); delta.want(key, value); }
                1 => { want.remove(&key); delta.unwant(&key); }
                2 => { have.insert(key, value); delta.observe(key, value); }
                3 => { have.remove(&key); delta.observe_gone(&key); }
                _ => { have.retain(|k, _| k % 2 == value % 2); delta.resync(have.clone()); }
            }
        }
        for (key, state) in pending(&delta) {
            match state.want() {
                Some(value) => { have.insert(key, *value); }
                None => { have.remove(&key); }
            }
            delta.done(&key, state.want().copied());
        }
        prop_assert_eq!(delta.drift(), 0);
        prop_assert_eq!(have, want);
    }
}
