//! What every store does, said once and checked with each: memory, a directory, and a real etcd.
#![allow(clippy::unwrap_used, missing_docs)]

mod real_etcd;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use real_etcd::RealEtcd;
use subnet_alloc::*;
use tokio::time::timeout;

/// A store, and the hands of an operator on it.
trait Place {
    type Store: LeaseStore;
    async fn new() -> Self;
    /// As another process would.
    fn connect(&self) -> Self::Store;
    async fn put(&self, key: &str, value: &str);
}

struct InMemory(MemoryStore);
struct InDirectory(tempfile::TempDir);
struct InEtcd(RealEtcd);

impl Place for InMemory {
    type Store = MemoryStore;
    async fn new() -> Self {
        InMemory(MemoryStore::new())
    }
    fn connect(&self) -> MemoryStore {
        self.0.connect()
    }
    async fn put(&self, key: &str, value: &str) {
        match key.strip_prefix("subnets/") {
            Some(key) => self.0.put_raw(key, value),
            None => self.0.put_config(value),
        }
    }
}

impl Place for InDirectory {
    type Store = FileStore;
    async fn new() -> Self {
        InDirectory(tempfile::tempdir().unwrap())
    }
    fn connect(&self) -> FileStore {
        FileStore::open(self.0.path()).unwrap()
    }
    async fn put(&self, key: &str, value: &str) {
        self.connect();
        std::fs::write(self.0.path().join(key), value).unwrap();
    }
}

impl Place for InEtcd {
    type Store = EtcdStore;
    async fn new() -> Self {
        InEtcd(RealEtcd::start().await)
    }
    fn connect(&self) -> EtcdStore {
        self.0.store()
    }
    async fn put(&self, key: &str, value: &str) {
        self.0.put(key, value).await;
    }
}

macro_rules! every_store {
    ($($sentence:ident)*) => {
        every_store!(@ memory InMemory $($sentence)*);
        every_store!(@ directory InDirectory $($sentence)*);
        every_store!(@ etcd InEtcd $($sentence)*);
    };
    (@ $name:ident $place:ident $($sentence:ident)*) => {
        mod $name {
            $(
                #[tokio::test]
                async fn $sentence() {
                    let place = <super::$place as super::Place>::new().await;
                    super::$sentence(&place).await;
                }
            )*
        }
    };
}

every_store! {
    an_empty_store_lists_nothing
    the_config_is_read_and_its_changes_are_told
    a_claim_takes_a_block_that_nobody_else_then_gets
    blocks_that_overlap_in_one_family_are_not_both_claimed
    a_watch_tells_what_came_after_its_revision_in_order
    a_publication_over_somebody_elses_change_is_lost
    a_reservation_stays_one_when_its_node_uses_it
    a_lease_that_nobody_renews_goes_and_is_told
    a_renewed_lease_lives_on
    a_block_is_replaced_in_one_step
    keys_and_values_that_are_no_leases_touch_nobody_else
    a_restart_writes_nothing
    an_old_lease_of_another_length_is_published_with_ours
    nodes_that_start_at_once_get_distinct_blocks
    dual_stack_nodes_that_start_at_once_get_distinct_blocks
    nodes_that_gain_ipv6_at_once_keep_their_ipv4_blocks
    a_follower_resets_then_tells_changes
    a_release_is_told_before_the_block_goes_and_an_expiry_is_not
    a_used_block_is_written_down_with_its_node_from_claim_to_release
    the_records_of_a_pool_are_never_more_than_its_blocks
    a_freed_block_is_given_out_last_and_the_longest_free_first
    a_node_that_forgot_everything_but_its_name_gets_its_block_again
    nodes_that_claim_at_once_from_freed_blocks_are_all_served
    the_time_that_a_lease_has_left_is_told
    two_machines_with_one_address_are_refused_while_the_first_is_alive
}

const DAY: Duration = Duration::from_secs(86400);

fn block(key: &str) -> Block {
    Block::from_key(key).unwrap()
}

fn attrs(node: u8) -> LeaseAttrs {
    LeaseAttrs {
        underlay_v4: Some([192, 168, 0, node].into()),
        backend: Some("vxlan".to_owned()),
        ..LeaseAttrs::default()
    }
}

fn identity(node: u8) -> Identity {
    let underlay_v4 = attrs(node).underlay_v4;
    Identity {
        underlay_v4,
        ..Identity::default()
    }
}

fn numbers(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed.rotate_left(29)
    }
}

async fn won(store: &impl LeaseStore, key: &str, node: u8) -> Lease {
    match store.claim(&block(key), &attrs(node), DAY).await.unwrap() {
        Claim::Won(lease) => lease,
        Claim::Taken(by) => panic!("{key} is taken by {by:?}"),
    }
}

async fn next(watch: &mut impl Watch) -> Vec<WatchEvent> {
    timeout(Duration::from_secs(10), watch.next())
        .await
        .expect("events in time")
        .unwrap()
}

async fn next_is(watch: &mut impl Watch, count: usize) -> Vec<WatchEvent> {
    let mut events = Vec::new();
    while events.len() < count {
        events.extend(next(watch).await);
    }
    events
}

async fn an_empty_store_lists_nothing(place: &impl Place) {
    let store = place.connect();
    let listing = store.list().await.unwrap();
    assert_eq!(
        (listing.config, listing.leases, listing.bad),
        (None, vec![], vec![])
    );
    assert_eq!(store.config().await, Ok(None));
}

async fn the_config_is_read_and_its_changes_are_told(place: &impl Place) {
    let store = place.connect();
    place.put("config", "one").await;
    let listing = store.list().await.unwrap();
    assert_eq!(listing.config.as_deref(), Some(&b"one"[..]));
    let mut watch = store.watch(listing.revision).await.unwrap();
    place.put("config", "two").await;
    // A file that is written by hand may be seen before it is finished.
    while next(&mut watch).await.last() != Some(&WatchEvent::Config(Some(b"two".to_vec()))) {}
    assert_eq!(store.config().await.unwrap().as_deref(), Some(&b"two"[..]));
}

async fn a_claim_takes_a_block_that_nobody_else_then_gets(place: &impl Place) {
    let (one, other) = (place.connect(), place.connect());
    let lease = won(&one, "10.1.1.0-24", 1).await;
    assert_eq!(lease.attrs, attrs(1));
    let taken = other.claim(&lease.block, &attrs(2), DAY).await.unwrap();
    assert_eq!(taken, Claim::Taken(lease.clone()));
    assert_eq!(
        other.list().await.unwrap().leases,
        std::slice::from_ref(&lease)
    );
    assert_eq!(one.release(&lease).await, Ok(true));
    assert_eq!(one.release(&lease).await, Ok(false));
    won(&other, "10.1.1.0-24", 2).await;
}

async fn blocks_that_overlap_in_one_family_are_not_both_claimed(place: &impl Place) {
    let store = place.connect();
    let first = won(&store, "10.1.1.0-24&fd00:1::-64", 1).await;
    for key in [
        "10.1.1.0-24",
        "10.1.1.0-24&fd00:2::-64",
        "10.1.2.0-24&fd00:1::-64",
    ] {
        let claim = store.claim(&block(key), &attrs(2), DAY).await.unwrap();
        assert!(
            matches!(claim, Claim::Taken(by) if by.block == first.block),
            "{key}"
        );
    }
    assert_eq!(store.list().await.unwrap().leases, [first]);
    won(&store, "10.1.2.0-24&fd00:2::-64", 2).await;
}

async fn a_watch_tells_what_came_after_its_revision_in_order(place: &impl Place) {
    let store = place.connect();
    won(&store, "10.1.1.0-24", 1).await;
    let after = store.list().await.unwrap().revision;
    let lease = won(&store, "10.1.2.0-24", 2).await;
    let mut watch = place.connect().watch(after).await.unwrap();
    assert_eq!(
        next_is(&mut watch, 1).await,
        [WatchEvent::Put(lease.clone())]
    );
    let Publish::Done(changed) = store.publish(&lease, &attrs(3), DAY).await.unwrap() else {
        panic!("nobody else changed it")
    };
    assert_eq!(changed.hold, lease.hold);
    assert_eq!(
        next_is(&mut watch, 1).await,
        [WatchEvent::Put(changed.clone())]
    );
    store.release(&changed).await.unwrap();
    let events = next_is(&mut watch, 2).await;
    assert!(
        matches!(events[..], [_, WatchEvent::Gone(gone, at)] if gone == lease.block && at > changed.revision)
    );
}

async fn a_publication_over_somebody_elses_change_is_lost(place: &impl Place) {
    let store = place.connect();
    let lease = won(&store, "10.1.1.0-24", 1).await;
    let Publish::Done(changed) = store.publish(&lease, &attrs(2), DAY).await.unwrap() else {
        panic!("nobody else changed it")
    };
    let lost = store.publish(&lease, &attrs(3), DAY).await.unwrap();
    assert_eq!(
        lost,
        Publish::Lost {
            held: Some(changed.clone())
        }
    );
    store.release(&changed).await.unwrap();
    let lost = store.publish(&changed, &attrs(3), DAY).await.unwrap();
    assert_eq!(lost, Publish::Lost { held: None });
    assert_eq!(store.list().await.unwrap().leases, []);
}

async fn a_reservation_stays_one_when_its_node_uses_it(place: &impl Place) {
    let store = place.connect();
    place
        .put("subnets/10.1.5.0-24", r#"{"PublicIP":"192.168.0.1"}"#)
        .await;
    let config = NetworkConfig::parse(br#"{"Network":"10.1.0.0/16"}"#).unwrap();
    let claimant = Claimant {
        config: &config,
        identity: identity(1),
        attrs: attrs(1),
        ttl: DAY,
    };
    let listing = store.list().await.unwrap();
    let acquired = acquire(
        &store,
        &claimant,
        claimant.holders(&listing),
        &mut numbers(1),
    )
    .await
    .unwrap();
    assert_eq!(
        (acquired.lease.block, acquired.how),
        (block("10.1.5.0-24"), How::Published)
    );
    let listed = store.list().await.unwrap().leases;
    assert_eq!(listed, std::slice::from_ref(&acquired.lease));
    assert_eq!(
        (listed[0].hold, &listed[0].attrs),
        (Hold::Reserved, &attrs(1))
    );
    let renewal = store.renew(&acquired.lease, DAY).await;
    assert_eq!(renewal, Ok(Renewal::Alive { ttl: Duration::MAX }));
    let taken = store
        .claim(&block("10.1.5.0-24"), &attrs(2), DAY)
        .await
        .unwrap();
    assert_eq!(taken, Claim::Taken(acquired.lease));
}

async fn a_lease_that_nobody_renews_goes_and_is_told(place: &impl Place) {
    let store = place.connect();
    let ttl = Duration::from_secs(2);
    let Claim::Won(lease) = store
        .claim(&block("10.1.1.0-24"), &attrs(1), ttl)
        .await
        .unwrap()
    else {
        panic!("it is free")
    };
    let mut watch = place.connect().watch(lease.revision).await.unwrap();
    assert!(
        matches!(next_is(&mut watch, 1).await[..], [WatchEvent::Gone(gone, _)] if gone == lease.block)
    );
    assert_eq!(store.renew(&lease, ttl).await, Ok(Renewal::Gone));
    assert_eq!(store.list().await.unwrap().leases, []);
}

async fn a_renewed_lease_lives_on(place: &impl Place) {
    let store = place.connect();
    let ttl = Duration::from_secs(3);
    let Claim::Won(lease) = store
        .claim(&block("10.1.1.0-24"), &attrs(1), ttl)
        .await
        .unwrap()
    else {
        panic!("it is free")
    };
    let end = std::time::Instant::now() + ttl + Duration::from_secs(2);
    while std::time::Instant::now() < end {
        assert_eq!(store.renew(&lease, ttl).await, Ok(Renewal::Alive { ttl }));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(store.list().await.unwrap().leases, [lease]);
}

async fn a_block_is_replaced_in_one_step(place: &impl Place) {
    let store = place.connect();
    let old = won(&store, "10.1.1.0-24", 1).await;
    let other = won(&store, "10.1.2.0-24&fd00:2::-64", 2).await;
    let replaced = store
        .replace(&old, &block("10.1.2.0-24&fd00:3::-64"), &attrs(1), DAY)
        .await;
    assert!(matches!(replaced, Ok(Replace::Taken(by)) if by.block == other.block));
    let to = block("10.1.1.0-24&fd00:1::-64");
    let Replace::Done(new) = store.replace(&old, &to, &attrs(1), DAY).await.unwrap() else {
        panic!("the new block is free")
    };
    assert_eq!((new.block, new.hold), (to, old.hold));
    assert_eq!(store.list().await.unwrap().leases, [new.clone(), other]);
    let again = store
        .replace(&old, &block("10.1.9.0-24"), &attrs(1), DAY)
        .await;
    assert_eq!(again, Ok(Replace::Lost));
    let back = store
        .replace(&new, &old.block, &attrs(1), DAY)
        .await
        .unwrap();
    assert!(matches!(back, Replace::Done(lease) if lease.block == old.block));
}

async fn keys_and_values_that_are_no_leases_touch_nobody_else(place: &impl Place) {
    let store = place.connect();
    let deep = format!(r#"{{"BackendData":{}"#, "[".repeat(10_000));
    place.put("subnets/10.1.1.0-24", "not JSON").await;
    place.put("subnets/10.1.2.0-24", &deep).await;
    place.put("subnets/10.1.3.0-24hi", "{}").await;
    let good = won(&store, "10.1.4.0-24", 1).await;
    let listing = store.list().await.unwrap();
    assert_eq!(listing.leases, [good]);
    let blocks: Vec<_> = listing
        .bad
        .iter()
        .map(|bad| bad.block.map(|block| block.key()))
        .collect();
    assert_eq!(
        blocks,
        [
            Some("10.1.1.0-24".to_owned()),
            Some("10.1.2.0-24".to_owned()),
            None
        ]
    );
    let taken = store
        .claim(&block("10.1.1.0-24"), &attrs(2), DAY)
        .await
        .unwrap();
    assert!(matches!(taken, Claim::Taken(by) if by.attrs == LeaseAttrs::default()));
    let mut watch = store.watch(listing.revision).await.unwrap();
    place.put("subnets/10.1.1.0-24", "[]").await;
    while !matches!(&next(&mut watch).await[..], [.., WatchEvent::Bad(bad)] if bad.why.contains("sequence"))
    {
    }
}

async fn a_restart_writes_nothing(place: &impl Place) {
    let config = NetworkConfig::parse(br#"{"Network":"10.1.0.0/16"}"#).unwrap();
    let claimant = Claimant {
        config: &config,
        identity: identity(1),
        attrs: attrs(1),
        ttl: DAY,
    };
    let store = place.connect();
    let listing = store.list().await.unwrap();
    let first = acquire(
        &store,
        &claimant,
        claimant.holders(&listing),
        &mut numbers(1),
    )
    .await
    .unwrap();
    assert_eq!(first.how, How::Claimed);
    let listing = store.list().await.unwrap();
    let revision = listing.revision;
    let again = acquire(
        &place.connect(),
        &claimant,
        claimant.holders(&listing),
        &mut numbers(2),
    )
    .await
    .unwrap();
    assert_eq!((again.how, again.lease), (How::Kept, first.lease));
    assert_eq!(store.list().await.unwrap().revision, revision);
}

async fn an_old_lease_of_another_length_is_published_with_ours(place: &impl Place) {
    let store = place.connect();
    let short = Duration::from_secs(60);
    let Claim::Won(old) = store
        .claim(&block("10.1.1.0-24"), &attrs(1), short)
        .await
        .unwrap()
    else {
        panic!("it is free")
    };
    let config = NetworkConfig::parse(br#"{"Network":"10.1.0.0/16"}"#).unwrap();
    let claimant = Claimant {
        config: &config,
        identity: identity(1),
        attrs: attrs(1),
        ttl: DAY,
    };
    let listing = store.list().await.unwrap();
    let acquired = acquire(
        &store,
        &claimant,
        claimant.holders(&listing),
        &mut numbers(1),
    )
    .await
    .unwrap();
    assert_eq!(
        (acquired.how, acquired.lease.block),
        (How::Published, old.block)
    );
    assert_ne!(acquired.lease.hold, old.hold);
    assert_eq!(
        store.renew(&acquired.lease, DAY).await,
        Ok(Renewal::Alive { ttl: DAY })
    );
}

/// All nodes list, then all acquire, so that all decide on the same empty store.
async fn start_at_once<P: Place>(place: &P, config: &NetworkConfig, nodes: u8) -> Vec<Acquired> {
    let mut starts = Vec::new();
    for node in 1..=nodes {
        let store = place.connect();
        let listing = store.list().await.unwrap();
        let config = config.clone();
        starts.push(tokio::spawn(async move {
            let claimant = Claimant {
                config: &config,
                identity: identity(node),
                attrs: attrs(node),
                ttl: DAY,
            };
            let holders = claimant.holders(&listing);
            acquire(&store, &claimant, holders, &mut numbers(node.into())).await
        }));
    }
    let mut all = Vec::new();
    for start in starts {
        all.push(start.await.unwrap().unwrap());
    }
    all
}

async fn assert_distinct(place: &impl Place, all: &[Acquired]) {
    for (at, one) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            assert!(
                !one.lease.block.overlaps(&other.lease.block),
                "{} {}",
                one.lease.block,
                other.lease.block
            );
        }
    }
    let listed: BTreeSet<_> = place
        .connect()
        .list()
        .await
        .unwrap()
        .leases
        .iter()
        .map(|l| l.block)
        .collect();
    assert_eq!(listed, all.iter().map(|one| one.lease.block).collect());
}

async fn nodes_that_start_at_once_get_distinct_blocks(place: &impl Place) {
    let config = r#"{"Network":"10.1.0.0/16","SubnetMin":"10.1.1.0","SubnetMax":"10.1.30.0"}"#;
    let config = NetworkConfig::parse(config.as_bytes()).unwrap();
    let all = start_at_once(place, &config, 30).await;
    assert_distinct(place, &all).await;
    let store = place.connect();
    let listing = store.list().await.unwrap();
    let late = Claimant {
        config: &config,
        identity: identity(99),
        attrs: attrs(99),
        ttl: DAY,
    };
    let refused = acquire(&store, &late, late.holders(&listing), &mut numbers(1)).await;
    assert!(
        matches!(
            refused,
            Err(AcquireError::Alloc(AllocError::PoolExhausted { .. }))
        ),
        "{refused:?}"
    );
}

const DUAL: &str = r#"{"Network":"10.1.0.0/16","SubnetMin":"10.1.1.0","SubnetMax":"10.1.30.0",
    "EnableIPv6":true,"IPv6Network":"fd00:1::/48","IPv6SubnetMin":"fd00:1:0:1::","IPv6SubnetMax":"fd00:1:0:1e::"}"#;

async fn dual_stack_nodes_that_start_at_once_get_distinct_blocks(place: &impl Place) {
    let config = NetworkConfig::parse(DUAL.as_bytes()).unwrap();
    let all = start_at_once(place, &config, 30).await;
    assert_distinct(place, &all).await;
}

async fn nodes_that_gain_ipv6_at_once_keep_their_ipv4_blocks(place: &impl Place) {
    let config = r#"{"Network":"10.1.0.0/16","SubnetMin":"10.1.1.0","SubnetMax":"10.1.30.0"}"#;
    let before = start_at_once(place, &NetworkConfig::parse(config.as_bytes()).unwrap(), 20).await;
    let after = start_at_once(place, &NetworkConfig::parse(DUAL.as_bytes()).unwrap(), 20).await;
    assert_distinct(place, &after).await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.how, How::Extended);
        assert_eq!(after.lease.block.v4(), before.lease.block.v4());
    }
}

async fn a_follower_resets_then_tells_changes(place: &impl Place) {
    let store = place.connect();
    place.put("config", "{}").await;
    let first = won(&store, "10.1.1.0-24", 1).await;
    let (sender, mut events) = tokio::sync::mpsc::channel(16);
    let follower = Follower::new(Arc::new(place.connect()), sender, numbers(1));
    let task = tokio::spawn(follower.run(None));
    let mut told = Vec::new();
    while !matches!(told.last(), Some(StoreEvent::Up { .. })) {
        told.push(
            timeout(Duration::from_secs(10), events.recv())
                .await
                .unwrap()
                .unwrap(),
        );
    }
    assert!(
        told.contains(&StoreEvent::Config(Some(b"{}".to_vec()))),
        "{told:?}"
    );
    assert!(
        told.contains(&StoreEvent::Leases(vec![LeaseEvent::Reset(vec![first])])),
        "{told:?}"
    );
    let second = won(&store, "10.1.2.0-24", 2).await;
    let told = timeout(Duration::from_secs(10), events.recv())
        .await
        .unwrap();
    assert_eq!(
        told,
        Some(StoreEvent::Leases(vec![LeaseEvent::Put(second)]))
    );
    drop(events);
    timeout(Duration::from_secs(10), task)
        .await
        .expect("it ends with its receiver")
        .unwrap();
}

async fn a_release_is_told_before_the_block_goes_and_an_expiry_is_not(place: &impl Place) {
    let store = place.connect();
    let lease = won(&store, "10.1.1.0-24", 1).await;
    let mut watch = place.connect().watch(lease.revision).await.unwrap();
    assert_eq!(store.release(&lease).await, Ok(true));
    let ttl = Duration::from_secs(2);
    let short = store.claim(&block("10.1.2.0-24"), &attrs(2), ttl).await;
    let Ok(Claim::Won(short)) = short else {
        panic!("it is free")
    };
    let told = next_is(&mut watch, 4).await;
    let [
        WatchEvent::Put(released),
        WatchEvent::Gone(first, _),
        WatchEvent::Put(put),
        WatchEvent::Gone(second, _),
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert!(released.attrs.released && !put.attrs.released);
    assert_eq!((released.block, released.hold), (lease.block, lease.hold));
    assert_eq!((*first, *second), (lease.block, short.block));
    assert_eq!(store.list().await.unwrap().leases, []);
}

async fn used(store: &impl LeaseStore) -> Vec<Use> {
    let mut uses = store.history().await.unwrap().uses().to_vec();
    uses.sort_by_key(|used| used.block);
    uses
}

async fn a_used_block_is_written_down_with_its_node_from_claim_to_release(place: &impl Place) {
    let store = place.connect();
    assert_eq!(used(&store).await, []);
    let named = LeaseAttrs {
        node: Some("node-a".to_owned()),
        ..attrs(1)
    };
    let both = block("10.1.1.0-24&fd00:1::-64");
    let Claim::Won(lease) = store.claim(&both, &named, DAY).await.unwrap() else {
        panic!("it is free")
    };
    let mut watch = place.connect().watch(lease.revision).await.unwrap();
    let claimed = used(&place.connect()).await;
    let parts = ["0.0.0.0-0&fd00:1::-64", "10.1.1.0-24"].map(block);
    let blocks: Vec<_> = claimed.iter().map(|used| used.block).collect();
    assert_eq!(blocks, parts);
    let by: Vec<_> = claimed.iter().map(|used| used.node.as_deref()).collect();
    assert_eq!(by, [Some("node-a"); 2]);
    store.touch(&lease).await.unwrap();
    let touched = used(&store).await;
    store.release(&lease).await.unwrap();
    let released = used(&store).await;
    for (before, after) in [(&claimed, &touched), (&touched, &released)] {
        assert!(
            before
                .iter()
                .zip(after)
                .all(|(b, a)| b.revision < a.revision)
        );
    }
    // A record is no lease, and no watch tells of it.
    let told = next_is(&mut watch, 2).await;
    assert!(
        matches!(told[..], [WatchEvent::Put(_), WatchEvent::Gone(..)]),
        "{told:?}"
    );
}

async fn the_records_of_a_pool_are_never_more_than_its_blocks(place: &impl Place) {
    let config = r#"{"Network":"10.1.0.0/24","SubnetLen":28,
        "EnableIPv6":true,"IPv6Network":"fd00:1::/60","IPv6SubnetLen":64}"#;
    let config = NetworkConfig::parse(config.as_bytes()).unwrap();
    let store = place.connect();
    for node in 0..60 {
        let acquired = acquired(&store, &config, (identity(node), attrs(node))).await;
        assert!(store.release(&acquired.lease).await.unwrap());
    }
    assert_eq!(used(&store).await.len(), 15 + 15);
}

async fn acquired(
    store: &impl LeaseStore,
    config: &NetworkConfig,
    (identity, attrs): (Identity, LeaseAttrs),
) -> Acquired {
    let claimant = Claimant {
        config,
        identity,
        attrs,
        ttl: DAY,
    };
    let listing = store.list().await.unwrap();
    acquire(
        store,
        &claimant,
        claimant.holders(&listing),
        &mut numbers(7),
    )
    .await
    .unwrap()
}

async fn a_freed_block_is_given_out_last_and_the_longest_free_first(place: &impl Place) {
    let config = br#"{"Network":"10.1.0.0/16","SubnetMin":"10.1.1.0","SubnetMax":"10.1.20.0"}"#;
    let config = NetworkConfig::parse(config).unwrap();
    let store = place.connect();
    let mut freed = Vec::new();
    for node in 0..20 {
        let lease = acquired(&store, &config, (identity(node), attrs(node)))
            .await
            .lease;
        assert!(
            !freed.contains(&lease.block),
            "{} was free last",
            lease.block
        );
        store.release(&lease).await.unwrap();
        freed.push(lease.block);
    }
    let next = acquired(&store, &config, (identity(99), attrs(99)))
        .await
        .lease;
    let place = freed.iter().position(|block| *block == next.block);
    assert!(place.is_some_and(|place| place < 8), "{place:?}");
}

async fn a_node_that_forgot_everything_but_its_name_gets_its_block_again(place: &impl Place) {
    let config = NetworkConfig::parse(br#"{"Network":"10.1.0.0/16"}"#).unwrap();
    let store = place.connect();
    let named = |node| {
        let name = Some("worker".to_owned());
        let (mut identity, mut attrs) = (identity(node), attrs(node));
        (identity.node, attrs.node) = (name.clone(), name);
        (identity, attrs)
    };
    let before = acquired(&store, &config, named(1)).await.lease;
    store.release(&before).await.unwrap();
    let after = acquired(&place.connect(), &config, named(2)).await;
    assert_eq!((after.lease.block, after.how), (before.block, How::Claimed));
}

async fn nodes_that_claim_at_once_from_freed_blocks_are_all_served(place: &impl Place) {
    let config = r#"{"Network":"10.1.0.0/16","SubnetMin":"10.1.1.0","SubnetMax":"10.1.50.0"}"#;
    let config = NetworkConfig::parse(config.as_bytes()).unwrap();
    let store = place.connect();
    for lease in start_at_once(place, &config, 50).await {
        assert!(store.release(&lease.lease).await.unwrap());
    }
    let all = start_at_once(place, &config, 50).await;
    assert_distinct(place, &all).await;
}

async fn the_time_that_a_lease_has_left_is_told(place: &impl Place) {
    let store = place.connect();
    let lease = won(&store, "10.1.1.0-24", 1).await;
    let life = place.connect().life(&lease).await.unwrap();
    assert!(
        matches!(life, Life::Ends { granted: DAY, left } if left <= DAY && left > DAY / 2),
        "{life:?}"
    );
    store.release(&lease).await.unwrap();
    // A directory may learn of it late; nobody else does.
    place.put("subnets/10.1.5.0-24", "{}").await;
    let reserved = store.list().await.unwrap().leases.remove(0);
    assert_eq!(store.life(&reserved).await, Ok(Life::Endless));
}

async fn two_machines_with_one_address_are_refused_while_the_first_is_alive(place: &impl Place) {
    let config = NetworkConfig::parse(br#"{"Network":"10.1.0.0/16"}"#).unwrap();
    let store = place.connect();
    let named = |name: &str| {
        let name = Some(name.to_owned());
        let (mut identity, mut attrs) = (identity(15), attrs(15));
        (identity.node, attrs.node) = (name.clone(), name);
        (identity, attrs)
    };
    let first = acquired(&store, &config, named("first")).await.lease;
    let (identity, attrs) = named("second");
    let mut claimant = Claimant {
        config: &config,
        identity,
        attrs,
        ttl: DAY,
    };
    let listing = store.list().await.unwrap();
    let refused = acquire(
        &store,
        &claimant,
        claimant.holders(&listing),
        &mut numbers(1),
    )
    .await;
    let Err(AcquireError::Alloc(AllocError::Rival(rival))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((rival.block, rival.shared), (first.block, Shared::Address));
    assert!(rival.holder.contains("first"), "{rival}");
    assert_eq!(
        store.list().await.unwrap().leases,
        std::slice::from_ref(&first)
    );
    let listing = store.list().await.unwrap();
    claimant.identity.previous = Some(first.block);
    let own = own_lease(&store, &claimant, claimant.holders(&listing)).await;
    assert_eq!(own, Ok(Some(first)));
}
