//! The first listing: what is done before it is complete, and what waits.

use super::*;

#[test]
fn the_first_listing_makes_the_device_and_everything_on_it() {
    let mut world = World::new(vxlan());
    world.tell(reset(vec![lease(2, 2, 2, 1), lease(3, 3, 3, 2)]));
    world.wait();
    assert_eq!(world.routes(), ["10.244.2.0/24", "10.244.3.0/24"]);
    assert_eq!(
        world.fdb(),
        [(2, "10.99.0.2".into()), (3, "10.99.0.3".into())]
    );
    assert!(world.agent.is_ready());
    assert_eq!(world.agent.reconciler().drift(), 0);
}

#[test]
fn it_is_not_ready_before_a_complete_listing() {
    let world = World::new(vxlan());
    assert!(!world.agent.is_ready());
}

#[test]
fn a_new_node_reaches_others_before_the_listing_is_complete_and_its_block_is_known() {
    for backend in [vxlan(), Backend::HostGw] {
        let kernel = FakeKernel::with_underlay("10.99.0.1/24");
        let mut world = World::without_block(kernel, backend);
        world.list(vec![as_of(backend, lease(3, 3, 3, 2))]);
        assert_eq!(world.routes(), ["10.244.3.0/24"]);
        world.list(vec![as_of(backend, lease(2, 2, 2, 1))]);
        assert_eq!(world.routes(), ["10.244.2.0/24", "10.244.3.0/24"]);
        assert_eq!(world.kernel.routes.len(), 2, "nothing for an own block");
        assert!(!world.agent.is_ready());
        world.end_listing(as_of(backend, lease(1, 1, 1, 9)));
        assert_eq!(world.kernel.routes.len(), 3);
        assert!(world.agent.is_ready());
        assert_eq!(world.agent.reconciler().drift(), 0);
    }
}

#[test]
fn a_node_with_routes_changes_none_before_the_listing_is_complete() {
    let leases = vec![lease(2, 2, 2, 1), lease(3, 3, 3, 2)];
    let mut world = World::new(vxlan());
    world.tell(reset(leases.clone()));
    world.wait();
    world.kernel.journal.clear();
    let mut world = World::without_block(world.kernel, vxlan());
    // Its MAC is that of an older lease, which is in another part.
    world.list(vec![named("b", lease(4, 44, 2, 8))]);
    world.list(leases);
    assert_eq!(world.kernel.journal, []);
    world.end_listing(lease(1, 1, 1, 9));
    assert_eq!(world.kernel.journal, []);
    assert!(world.agent.is_ready());
    assert_eq!(passed_over(&world), 1);
}

#[test]
fn the_older_of_two_rivals_is_used_whichever_part_it_is_in() {
    let (first, clone) = (
        named("a", lease(3, 3, 2, 1)),
        named("b", lease(2, 22, 2, 8)),
    );
    let across = [0, 64, 128].map(|at| Lease {
        block: Block::from_key(&format!("10.244.3.{at}-26")).unwrap(),
        ..lease(9, 9, at + 9, 1)
    });
    let mut world = World::without_block(FakeKernel::with_underlay("10.99.0.1/24"), vxlan());
    world.list(vec![clone]);
    world.list(across.into());
    assert_eq!(world.routes().len(), 4);
    world.list(vec![first]);
    world.end_listing(lease(1, 1, 1, 9));
    assert_eq!(world.routes(), ["10.244.3.0/24"]);
    assert_eq!(world.fdb(), [(2, "10.99.0.3".into())]);
    assert_eq!(
        (passed_over(&world), world.agent.reconciler().drift()),
        (4, 0)
    );
}

#[test]
fn leases_that_name_this_node_or_lie_across_its_block_are_judged_when_that_is_known() {
    let across = Lease {
        block: Block::from_key("10.244.1.128-25").unwrap(),
        ..lease(9, 9, 9, 1)
    };
    let (own, left_behind) = (lease(1, 1, 1, 2), lease(7, 1, 1, 1));
    let mut world = World::without_block(FakeKernel::with_underlay("10.99.0.1/24"), vxlan());
    world.list(vec![left_behind, across, own.clone(), lease(2, 2, 2, 1)]);
    world.end_listing(own.clone());
    assert_eq!(world.routes(), ["10.244.2.0/24"]);
    assert_eq!(world.agent.own(), Some(&own));
    let why: Vec<&Skipped> = world.agent.skipped.values().collect();
    let itself = Skipped::OwnAddress([10, 99, 0, 1].into());
    assert_eq!(why, [&Skipped::Overlap, &itself]);
}

#[test]
fn a_device_that_is_to_be_another_one_while_it_is_made_is_adjusted_not_made_again() {
    let mut world = World {
        kernel: FakeKernel::with_underlay("10.99.0.1/24"),
        agent: Agent::new(local(vxlan()), OWNERSHIP, Grace::NONE),
        now: Instant::now(),
        notices: Vec::new(),
    };
    let making = loop {
        match world
            .agent
            .poll_output(world.now)
            .expect("a device is wanted")
        {
            Output::Apply(changes) => break changes,
            other => world.carry_out(other),
        }
    };
    let moved = Local {
        macs: [Mac([4; 6]); 2],
        ..world.agent.local().clone()
    };
    world.agent.handle(Input::Local(Box::new(moved)), world.now);
    assert_eq!(
        world.agent.poll_output(world.now),
        None,
        "not before it is there"
    );
    world.carry_out(Output::Apply(making));
    world.drain();
    assert_eq!(world.agent.counts().refusals, 0);
    assert_eq!(world.agent.reconciler().drift(), 0);
}

#[test]
fn a_new_node_that_learns_of_its_old_mac_has_everything_on_a_device_with_that() {
    let mut world = World::without_block(FakeKernel::with_underlay("10.99.0.1/24"), vxlan());
    let its_mac_too = lease(3, 3, 4, 2);
    world.list(vec![lease(2, 2, 2, 1), its_mac_too]);
    let mac = Mac([2, 0, 0, 0, 0, 4]);
    let moved = Local {
        macs: [mac; 2],
        ..world.agent.local().clone()
    };
    world.agent.handle(Input::Local(Box::new(moved)), world.now);
    world.end_listing(lease(1, 1, 4, 9));
    let macs = world
        .kernel
        .links
        .values()
        .filter_map(|link| Some(link.vxlan.as_ref()?.mac));
    assert_eq!(macs.collect::<Vec<_>>(), [mac]);
    assert_eq!(passed_over(&world), 1);
    assert_eq!(world.routes(), ["10.244.2.0/24"]);
    assert_eq!(world.agent.reconciler().drift(), 0);
}

#[test]
fn nothing_stale_is_deleted_before_a_complete_listing() {
    let mut world = World::new(Backend::HostGw);
    let stale = Hop {
        gateway: [10, 99, 0, 9].into(),
        link: IfIndex(2),
        onlink: false,
    };
    let key = RouteKey::with_default_metric("10.244.9.0/24".parse().unwrap());
    world.kernel.routes.insert(
        key,
        Route {
            target: RouteTarget::Gateway(stale),
            protocol: 84,
        },
    );
    let mut world = World::on(world.kernel, Backend::HostGw);
    assert_eq!(world.routes(), ["10.244.9.0/24"]);
    world.tell(reset(vec![]));
    assert!(world.routes().is_empty());
}
