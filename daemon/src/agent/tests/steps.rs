//! More leases than are planned for at once.

use super::*;

/// More leases than are planned for at once, by direct routes over ten nodes.
const MANY: u16 = 700;

fn many() -> Vec<Lease> {
    let lease = |n: u16| {
        let mut lease = lease(0, 2 + (n % 10) as u8, 0, n.into());
        lease.block = Block::from_key(&many_block(n)).unwrap();
        lease.attrs.backend = Some("host-gw".into());
        lease
    };
    (0..MANY).map(lease).collect()
}

fn many_block(n: u16) -> String {
    format!("10.{}.{}.0-24", 100 + n / 200, n % 200)
}

fn many_world(kernel: FakeKernel) -> World {
    let mut local = local(Backend::HostGw);
    local.pools = ["10.0.0.0/8".parse().ok(), None];
    World {
        kernel,
        agent: Agent::new(local, OWNERSHIP, Grace::NONE),
        now: Instant::now(),
        notices: Vec::new(),
    }
}

/// Tells the leases, and does what is asked for up to the first changes.
fn first_changes(world: &mut World, leases: Vec<Lease>) -> Vec<Change> {
    world.agent.handle(Input::Leases(reset(leases)), world.now);
    loop {
        match world.agent.poll_output(world.now).unwrap() {
            Output::Apply(changes) => return changes,
            other => world.carry_out(other),
        }
    }
}

/// Those, and all that is asked for after them.
fn carry_out(world: &mut World, changes: Vec<Change>) {
    world.carry_out(Output::Apply(changes));
    world.drain();
    assert_eq!(world.agent.counts.refusals, 0);
}

fn is_put(change: &Change) -> bool {
    matches!(
        change,
        Change::PutNexthop { .. } | Change::PutRoute { .. } | Change::PutSysctl { .. }
    )
}

#[test]
fn a_first_listing_that_lacks_most_of_the_kernels_routes_is_doubted_however_many_new_ones_it_has() {
    let mut world = many_world(FakeKernel::with_underlay("10.99.0.1/24"));
    let changes = first_changes(&mut world, many().split_off(usize::from(MANY) - 100));
    carry_out(&mut world, changes);
    let mut world = many_world(world.kernel);
    world.agent.grace = Grace(Duration::from_secs(60));
    let mut others = many();
    others.truncate(usize::from(MANY) - 100);
    let changes = first_changes(&mut world, others);
    carry_out(&mut world, changes);
    assert_eq!(world.routes().len(), usize::from(MANY));
    let doubt = |notice: &Notice| matches!(notice, Notice::MostAreStale { stale: 100, .. });
    assert!(world.notices.iter().any(doubt), "{:?}", world.notices);
}

#[test]
fn flannels_routes_are_taken_over_however_many_there_are() {
    let mut world = many_world(FakeKernel::with_underlay("10.99.0.1/24"));
    for lease in many() {
        let key = RouteKey::with_default_metric(lease.block.v4().unwrap().into());
        let hop = Hop {
            gateway: lease.attrs.underlay_v4.unwrap().into(),
            link: IfIndex(2),
            onlink: false,
        };
        let (target, protocol) = (RouteTarget::Gateway(hop), 3);
        let route = Route { target, protocol };
        world.kernel.routes.insert(key, route);
    }
    let changes = first_changes(&mut world, many());
    carry_out(&mut world, changes);
    assert!(world.kernel.routes.values().all(|r| r.protocol == 84));
}

#[test]
fn the_kernel_has_work_before_all_leases_are_planned_for_and_then_has_them_all() {
    let mut world = many_world(FakeKernel::with_underlay("10.99.0.1/24"));
    let changes = first_changes(&mut world, many());
    assert!(changes.len() < usize::from(MANY), "{}", changes.len());
    carry_out(&mut world, changes);
    assert_eq!(world.routes().len(), usize::from(MANY));
    assert!(world.agent.is_ready());
}

#[test]
fn nothing_is_taken_away_before_all_leases_are_planned_for() {
    let mut world = many_world(FakeKernel::with_underlay("10.99.0.1/24"));
    let changes = first_changes(&mut world, many());
    carry_out(&mut world, changes);
    // A restart: one route is missing and one is stale, both of the first leases.
    let mut leases = many();
    let stale = leases.remove(0);
    let missing = leases[0].block;
    let route = |block: Block| RouteKey::with_default_metric(block.v4().unwrap().into());
    world.kernel.routes.remove(&route(missing));
    let mut world = many_world(world.kernel);
    let changes = first_changes(&mut world, leases);
    assert!(changes.iter().all(is_put), "{changes:?}");
    assert!(world.kernel.routes.contains_key(&route(stale.block)));
    carry_out(&mut world, changes);
    assert!(world.kernel.routes.contains_key(&route(missing)));
    assert!(!world.kernel.routes.contains_key(&route(stale.block)));
    assert_eq!(world.routes().len(), usize::from(MANY) - 1);
}

#[test]
fn a_lease_that_goes_while_others_are_planned_for_leaves_them_the_hop_that_they_share() {
    let mut world = many_world(FakeKernel::with_underlay("10.99.0.1/24"));
    let (mut leases, last) = (many(), usize::from(MANY) - 1);
    for at in [0, last] {
        leases[at].attrs.underlay_v4 = Some([10, 99, 0, 50].into());
    }
    let goes = leases[last].block;
    let changes = first_changes(&mut world, leases);
    world
        .agent
        .handle(Input::Leases(vec![LeaseEvent::Gone(goes)]), world.now);
    carry_out(&mut world, changes);
    assert_eq!(world.routes().len(), last);
    assert_eq!(world.kernel.nexthops.len(), 11);
    assert_eq!(world.agent.reconciler().drift(), 0);
}
