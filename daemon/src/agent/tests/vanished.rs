//! Leases that vanish, and routes that nobody has a lease for.

use super::*;

/// A world whose vanished leases stay for a minute.
fn patient() -> World {
    let mut world = World::new(vxlan());
    world
        .agent
        .handle(Input::Grace(Grace(Duration::from_secs(60))), world.now);
    world
}

#[test]
fn a_vanished_lease_keeps_its_entries_for_a_while_and_no_longer() {
    let mut world = patient();
    world.tell(vec![LeaseEvent::Reset(vec![])]);
    world.tell((2..9).map(put).collect());
    world.tell(vec![gone(2)]);
    assert_eq!(world.routes().len(), 7);
    assert!(
        matches!(
            world.notices[..],
            [Notice::Vanished {
                count: 1,
                known: 7,
                ..
            }]
        ),
        "{:?}",
        world.notices
    );
    let since = world.now;
    while world.routes().len() == 7 {
        world.wait();
    }
    assert_eq!((world.now - since).as_secs(), 60);
}

#[test]
fn a_lease_that_comes_back_in_time_was_never_gone() {
    let mut world = patient();
    world.tell(vec![LeaseEvent::Reset(vec![])]);
    world.tell((2..9).map(put).collect());
    let before = world.kernel.journal.len();
    world.tell(vec![gone(2), put(2)]);
    assert_eq!(world.notices, []);
    world.now += Duration::from_secs(100);
    world.agent.handle_timeout(world.now);
    world.drain();
    assert_eq!(
        (world.routes().len(), world.kernel.journal.len()),
        (7, before)
    );
}

#[test]
fn a_lease_that_was_given_up_on_purpose_goes_at_once() {
    let mut world = patient();
    world.tell(vec![LeaseEvent::Reset(vec![])]);
    world.tell((2..9).map(put).collect());
    let mut given_up = lease(2, 2, 2, 50);
    given_up.attrs.released = true;
    world.tell(vec![LeaseEvent::Put(given_up)]);
    assert_eq!(world.routes().len(), 7);
    world.tell(vec![gone(2)]);
    assert_eq!(world.routes().len(), 6);
}

#[test]
fn an_empty_listing_takes_nothing_away_for_ten_times_as_long() {
    let mut world = patient();
    world.tell(vec![LeaseEvent::Reset(vec![])]);
    world.tell((2..9).map(put).collect());
    world.tell(vec![LeaseEvent::Reset(vec![])]);
    let since = world.now;
    while world.routes().len() == 7 {
        world.wait();
    }
    assert_eq!((world.now - since).as_secs(), 600);
    assert_eq!(world.routes().len(), 0);
}

#[test]
fn a_block_that_another_node_takes_does_not_wait() {
    let mut world = patient();
    world.tell(vec![LeaseEvent::Reset(vec![])]);
    world.tell((2..9).map(put).collect());
    let taken = LeaseEvent::Put(lease(2, 77, 77, 99));
    world.tell(vec![gone(2)]);
    world.tell(vec![taken]);
    let via = world.kernel.fdb.values().map(ToString::to_string);
    assert!(via.clone().any(|ip| ip == "10.99.0.77") && !via.clone().any(|ip| ip == "10.99.0.2"));
}

#[test]
fn a_first_listing_that_lacks_most_of_the_kernels_routes_is_doubted() {
    let mut before = World::new(vxlan());
    before.tell(vec![LeaseEvent::Reset(vec![])]);
    before.tell((2..9).map(put).collect());
    let grace = Grace(Duration::from_secs(60));
    let mut world = World {
        agent: Agent::new(local(vxlan()), OWNERSHIP, grace),
        kernel: before.kernel,
        now: before.now,
        notices: Vec::new(),
    };
    world.tell(vec![LeaseEvent::Reset(vec![lease(2, 2, 2, 2)])]);
    assert_eq!(world.routes().len(), 7);
    let since = world.now;
    while world.routes().len() == 7 {
        world.wait();
    }
    assert_eq!(
        ((world.now - since).as_secs(), world.routes().len()),
        (600, 1)
    );
}

#[test]
fn a_first_listing_that_lacks_a_few_is_believed_at_once() {
    let mut before = World::new(vxlan());
    before.tell(vec![LeaseEvent::Reset(vec![])]);
    before.tell((2..9).map(put).collect());
    let grace = Grace(Duration::from_secs(60));
    let mut world = World {
        agent: Agent::new(local(vxlan()), OWNERSHIP, grace),
        kernel: before.kernel,
        now: before.now,
        notices: Vec::new(),
    };
    let leases = (3..9).map(|n| lease(n, n, n, u64::from(n))).collect();
    world.tell(vec![LeaseEvent::Reset(leases)]);
    assert_eq!(world.routes().len(), 6);
}
