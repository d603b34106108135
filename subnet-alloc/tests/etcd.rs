//! What only a real etcd does: dying, freezing, compacting, asking for certificates and passwords.
#![allow(clippy::unwrap_used, missing_docs)]

mod real_etcd;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::{PermissionType, PutOptions};
use real_etcd::{PREFIX, RealEtcd, free_port};
use subnet_alloc::*;
use tokio::sync::mpsc;
use tokio::time::timeout;

const DAY: Duration = Duration::from_secs(86400);

fn block(key: &str) -> Block {
    Block::from_key(key).unwrap()
}

fn attrs() -> LeaseAttrs {
    LeaseAttrs::from_json(br#"{"PublicIP":"192.168.0.1","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}"#).unwrap()
}

async fn won(store: &EtcdStore, key: &str) -> Lease {
    match store.claim(&block(key), &attrs(), DAY).await.unwrap() {
        Claim::Won(lease) => lease,
        Claim::Taken(by) => panic!("{key} is taken by {by:?}"),
    }
}

/// A follower in a task of its own.
fn follow(store: EtcdStore, after: Option<Revision>) -> mpsc::Receiver<StoreEvent> {
    let (sender, events) = mpsc::channel(64);
    let random = numbers();
    tokio::spawn(Follower::new(Arc::new(store), sender, random).run(after));
    events
}

/// A fixed sequence of numbers that looks random enough (Knuth's MMIX constants).
fn numbers() -> impl FnMut() -> u64 {
    let mut seed = 7_u64;
    move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed.rotate_left(29)
    }
}

/// Everything told until the store is up again.
async fn until_up(events: &mut mpsc::Receiver<StoreEvent>) -> Vec<StoreEvent> {
    let mut told = Vec::new();
    while !matches!(told.last(), Some(StoreEvent::Up { .. })) {
        let event = timeout(Duration::from_secs(30), events.recv()).await;
        told.push(event.expect("events in time").unwrap());
    }
    told
}

fn resets(told: &[StoreEvent]) -> Vec<&[Lease]> {
    let leases = told.iter().filter_map(|event| match event {
        StoreEvent::Leases(leases) => Some(leases),
        _ => None,
    });
    let resets = leases.flatten().filter_map(|event| match event {
        LeaseEvent::Reset(leases) => Some(leases.as_slice()),
        _ => None,
    });
    resets.collect()
}

#[tokio::test]
async fn dead_endpoints_cost_nothing_once_they_are_known() {
    let etcd = RealEtcd::start().await;
    let dead = || format!("http://127.0.0.1:{}", free_port());
    let endpoints = vec![dead(), dead(), etcd.url()];
    let store = EtcdStore::open(&EtcdOptions {
        endpoints,
        ..etcd.options()
    })
    .unwrap();
    for number in 1..100 {
        let lease = won(&store, &format!("10.1.{number}.0-24")).await;
        store.watch(lease.revision).await.unwrap();
    }
    assert_eq!(store.list().await.unwrap().leases.len(), 99);
}

#[tokio::test]
async fn when_nobody_answers_the_error_names_the_endpoint() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let options = EtcdOptions {
        endpoints: vec![url.clone()],
        prefix: PREFIX.to_owned(),
        ..EtcdOptions::default()
    };
    let store = EtcdStore::open(&options).unwrap();
    let error = store.list().await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Unreachable { endpoint, .. } if *endpoint == url),
        "{error}"
    );
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(
        store
            .watch(Revision(1))
            .await
            .err()
            .is_some_and(|error| error.is_transient())
    );
}

#[tokio::test]
async fn a_killed_etcd_is_followed_again_after_its_restart() {
    let mut etcd = RealEtcd::start().await;
    let store = etcd.store();
    let lease = won(&store, "10.1.1.0-24").await;
    let mut events = follow(etcd.store(), Some(lease.revision));
    assert_eq!(until_up(&mut events).await.len(), 1);
    etcd.kill();
    let down = timeout(Duration::from_secs(5), events.recv())
        .await
        .unwrap();
    assert!(
        matches!(
            down,
            Some(StoreEvent::Down(Outage {
                why: StoreError::Unreachable { .. },
                ..
            }))
        ),
        "{down:?}"
    );
    etcd.restart();
    let told = until_up(&mut events).await;
    assert_eq!(resets(&told), [&[lease][..]]);
    assert!(
        !told
            .iter()
            .any(|event| matches!(event, StoreEvent::Down(_))),
        "once per outage: {told:?}"
    );
    let other = won(&store, "10.1.2.0-24").await;
    let told = timeout(Duration::from_secs(5), events.recv())
        .await
        .unwrap();
    assert_eq!(told, Some(StoreEvent::Leases(vec![LeaseEvent::Put(other)])));
}

#[tokio::test]
async fn an_emptied_etcd_is_listed_again_and_no_revision_of_its_past_is_waited_for() {
    let mut etcd = RealEtcd::start().await;
    let store = etcd.store();
    for number in 1..20 {
        won(&store, &format!("10.1.{number}.0-24")).await;
    }
    let last = won(&store, "10.1.99.0-24").await;
    let mut events = follow(etcd.store(), Some(last.revision));
    until_up(&mut events).await;
    etcd.kill();
    etcd.wipe();
    etcd.restart();
    assert_eq!(resets(&until_up(&mut events).await), [&[][..]]);

    // Who was not connected has only the revision to tell it by.
    let mut late = follow(etcd.store(), Some(last.revision));
    let told = until_up(&mut late).await;
    let is_back = |event: &StoreEvent| matches!(event, StoreEvent::Down(Outage { why: StoreError::WentBack { known, .. }, .. }) if *known == last.revision);
    assert!(told.iter().any(is_back), "{told:?}");
    assert_eq!(resets(&told), [&[][..]]);
    assert_eq!(store.renew(&last, DAY).await, Ok(Renewal::Gone));
    let again = won(&store, "10.1.1.0-24").await;
    for events in [&mut events, &mut late] {
        let told = timeout(Duration::from_secs(5), events.recv())
            .await
            .unwrap();
        assert_eq!(
            told,
            Some(StoreEvent::Leases(vec![LeaseEvent::Put(again.clone())]))
        );
    }
}

#[tokio::test]
async fn a_lease_of_an_emptied_etcd_does_not_pass_for_one_of_the_same_revision() {
    let mut etcd = RealEtcd::start().await;
    let store = etcd.store();
    let before = won(&store, "10.1.1.0-24").await;
    etcd.kill();
    etcd.wipe();
    etcd.restart();
    etcd.wait().await;
    let after = won(&store, "10.1.1.0-24").await;
    assert_eq!(before.revision, after.revision);
    let lost = store.publish(&before, &attrs(), DAY).await.unwrap();
    assert!(matches!(lost, Publish::Lost { held: Some(held) } if held == after));
    assert_eq!(store.release(&before).await, Ok(false));
}

#[tokio::test]
async fn a_frozen_etcd_is_noticed_in_15_seconds_and_left_for_another() {
    let (frozen, other) = (RealEtcd::start().await, RealEtcd::start().await);
    let endpoints = vec![frozen.url(), other.url()];
    let store = EtcdStore::open(&EtcdOptions {
        endpoints,
        ..frozen.options()
    })
    .unwrap();
    let mut events = follow(store, None);
    until_up(&mut events).await;
    frozen.signal("STOP");
    let began = Instant::now();
    let down = timeout(Duration::from_secs(15), events.recv()).await;
    frozen.signal("CONT");
    let down = down.expect("noticed in time");
    assert!(
        matches!(&down, Some(StoreEvent::Down(Outage { why: StoreError::Unreachable { endpoint, .. }, .. })) if *endpoint == frozen.url()),
        "{down:?}"
    );
    let told = until_up(&mut events).await;
    assert_eq!(resets(&told).len(), 1);
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn an_idle_watch_is_not_told_off_for_its_pings() {
    let etcd = RealEtcd::start().await;
    let lease = won(&etcd.store(), "10.1.1.0-24").await;
    let mut watch = etcd.store().watch(lease.revision).await.unwrap();
    // gRPC tolerates two pings that come too early; the fourth would be answered by GOAWAY.
    let idle = timeout(Duration::from_secs(26), watch.next()).await;
    assert!(idle.is_err(), "{idle:?}");
}

#[tokio::test]
async fn a_compaction_while_nobody_watched_ends_in_a_reset() {
    let etcd = RealEtcd::start().await;
    let store = etcd.store();
    let gone = won(&store, "10.1.1.0-24").await;
    store.release(&gone).await.unwrap();
    let stays = won(&store, "10.1.2.0-24").await;
    let revision = i64::try_from(stays.revision.0).unwrap();
    etcd.client().await.compact(revision, None).await.unwrap();
    let mut events = follow(etcd.store(), Some(gone.revision));
    let mut told = until_up(&mut events).await;
    if resets(&told).is_empty() {
        told.extend(until_up(&mut events).await);
    }
    let is_compacted = |event: &StoreEvent| matches!(event, StoreEvent::Down(Outage { why: StoreError::Compacted { at, .. }, .. }) if *at == stays.revision);
    assert!(told.iter().any(is_compacted), "{told:?}");
    assert_eq!(resets(&told), [&[stays.clone()][..]]);
}

#[tokio::test]
async fn a_burst_is_told_whole_and_in_order() {
    let etcd = RealEtcd::start().await;
    let store = etcd.store();
    let after = store.list().await.unwrap().revision;
    let mut watch = store.watch(after).await.unwrap();
    let mut client = etcd.client().await;
    for number in 0..2000_u16 {
        let [high, low] = number.to_be_bytes();
        let key = format!("{PREFIX}/subnets/10.{high}.{low}.0-24");
        client.put(key, attrs().to_json(), None).await.unwrap();
    }
    let mut events = Vec::new();
    while events.len() < 2000 {
        events.extend(
            timeout(Duration::from_secs(10), watch.next())
                .await
                .unwrap()
                .unwrap(),
        );
    }
    let mut leases = store.list().await.unwrap().leases;
    leases.sort_by_key(|lease| lease.revision);
    assert_eq!((leases.len(), events.len()), (2000, 2000));
    for (event, lease) in events.iter().zip(&leases) {
        assert_eq!(*event, WatchEvent::Put(lease.clone()));
    }
}

#[tokio::test]
async fn a_long_listing_comes_in_parts_of_one_revision_which_are_all_of_it() {
    let etcd = RealEtcd::start().await;
    let store = etcd.store();
    etcd.put("config", r#"{"Network":"10.0.0.0/8"}"#).await;
    let mut client = etcd.client().await;
    for number in 0..1_500_u16 {
        let [high, low] = number.to_be_bytes();
        let key = format!("{PREFIX}/subnets/10.{high}.{low}.0-24");
        client.put(key, attrs().to_json(), None).await.unwrap();
    }
    let mut parts = Parts::of(&store);
    let first = parts.next().await.unwrap().unwrap();
    // What is written meanwhile is not in the listing.
    won(&store, "10.9.9.0-24").await;
    assert!(first.config.is_some());
    let mut leases = first.leases;
    assert!(
        leases.len() < 750,
        "the first part is to be small, and has {} leases of 1,500",
        leases.len()
    );
    while let Some(part) = parts.next().await.unwrap() {
        assert_eq!(part.revision, first.revision);
        leases.extend(part.leases);
    }
    assert_eq!(parts.next().await, Ok(None));
    let all = store.list().await.unwrap().leases;
    assert_eq!((leases.len(), all.len()), (1_500, 1_501));
    let before = all
        .into_iter()
        .filter(|lease| lease.revision <= first.revision);
    assert_eq!(leases, before.collect::<Vec<_>>());
}

#[tokio::test]
async fn values_of_many_megabytes_do_not_hide_the_leases() {
    let etcd = RealEtcd::start().await;
    let good = won(&etcd.store(), "10.1.99.0-24").await;
    for number in 0..14 {
        etcd.put(
            &format!("subnets/10.1.{number}.0-24"),
            vec![b'x'; 1_400_000],
        )
        .await;
    }
    let listing = etcd.store().list().await.unwrap();
    assert_eq!((listing.leases, listing.bad.len()), (vec![good], 14));
}

#[tokio::test]
async fn a_full_etcd_still_renews_and_releases() {
    let args = ["--quota-backend-bytes", "600000"]
        .map(str::to_owned)
        .to_vec();
    let etcd = RealEtcd::start_with(args);
    etcd.wait().await;
    let store = etcd.store();
    let lease = won(&store, "10.1.1.0-24").await;
    let mut client = etcd.client().await;
    while client
        .put("filler", vec![b'x'; 200_000], None)
        .await
        .is_ok()
    {}
    let refused = store.claim(&block("10.1.2.0-24"), &attrs(), DAY).await;
    assert!(
        matches!(refused, Err(StoreError::NoSpace { .. })),
        "{refused:?}"
    );
    assert_eq!(
        store.renew(&lease, DAY).await,
        Ok(Renewal::Alive { ttl: DAY })
    );
    let untouched = store.touch(&lease).await;
    assert!(
        matches!(untouched, Err(StoreError::NoSpace { .. })),
        "{untouched:?}"
    );
    assert_eq!(store.release(&lease).await, Ok(true));
    assert_eq!(store.list().await.unwrap().leases, []);
}

#[tokio::test]
async fn records_of_many_megabytes_do_not_hide_the_others() {
    let etcd = RealEtcd::start().await;
    let store = etcd.store();
    won(&store, "10.1.99.0-24").await;
    for number in 0..14 {
        let key = format!("used/10.1.{number}.0-24");
        etcd.put(&key, vec![b'x'; 1_400_000]).await;
    }
    etcd.put("used/no block", "{}").await;
    assert_eq!(store.history().await.unwrap().uses().len(), 15);
    let listing = store.list().await.unwrap();
    assert_eq!((listing.leases.len(), listing.bad.len()), (1, 0));
}

#[tokio::test]
async fn what_we_write_satisfies_flannels_parser() {
    let etcd = RealEtcd::start().await;
    let store = etcd.store();
    // SubnetKey's expression in flannel's pkg/subnet.
    let pattern =
        regex_lite::Regex::new(r"(\d+\.\d+.\d+.\d+)-(\d+)(?:&([a-f\d:]+)-(\d+))?$").unwrap();
    for key in [
        "10.1.1.0-24",
        "10.1.2.0-24&fd00:1:0:2::-64",
        "0.0.0.0-0&fd00:1:0:3::-64",
    ] {
        let lease = won(&store, key).await;
        let key = format!("{PREFIX}/subnets/{key}");
        let mut found = etcd.client().await.get(key.clone(), None).await.unwrap();
        let kv = found
            .take_kvs()
            .pop()
            .expect("the key is where flannel looks");
        let parts = pattern
            .captures(kv.key_str().unwrap())
            .expect("flannel's expression");
        assert!(parts[2].parse::<u8>().is_ok_and(|length| length <= 31));
        assert_eq!(Hold::Leased(LeaseId(kv.lease())), lease.hold);
        assert_eq!(
            kv.value_str().unwrap(),
            r#"{"PublicIP":"192.168.0.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}"#
        );
    }
}

#[tokio::test]
async fn blocks_of_other_lengths_are_in_the_way_of_a_claim_that_does_not_know_them() {
    let etcd = RealEtcd::start().await;
    let store = etcd.store();
    won(&store, "10.1.4.0-24").await;
    won(&store, "10.1.5.128-25").await;
    for (wanted, holder) in [
        ("10.1.4.0-25", "10.1.4.0-24"),
        ("10.1.4.128-25", "10.1.4.0-24"),
        ("10.1.4.128-25&fd00:1::-64", "10.1.4.0-24"),
        ("10.1.5.0-24", "10.1.5.128-25"),
        ("10.1.0.0-16", "10.1.4.0-24"),
    ] {
        match store.claim(&block(wanted), &attrs(), DAY).await.unwrap() {
            Claim::Taken(by) => assert_eq!(by.block, block(holder), "{wanted}"),
            Claim::Won(_) => panic!("{wanted} was claimed over {holder}"),
        }
    }
    won(&store, "10.1.5.0-25").await;
}

#[tokio::test]
async fn an_etcd_lease_without_its_key_is_gone() {
    let etcd = RealEtcd::start().await;
    let (store, mut client) = (etcd.store(), etcd.client().await);
    let lease = won(&store, "10.1.1.0-24").await;
    let alive = Renewal::Alive { ttl: DAY };
    assert_eq!(store.renew(&lease, DAY).await.unwrap(), alive);
    let key = format!("{PREFIX}/subnets/10.1.1.0-24");
    client.delete(key, None).await.unwrap();
    assert_eq!(store.renew(&lease, DAY).await.unwrap(), Renewal::Gone);
}

#[tokio::test]
async fn a_flannel_that_renews_by_a_new_grant_is_a_put_of_the_same_lease() {
    let etcd = RealEtcd::start().await;
    let store = etcd.store();
    let ours = won(&store, "10.1.1.0-24").await;
    let mut watch = store.watch(ours.revision).await.unwrap();
    let mut client = etcd.client().await;
    let granted = client.lease_grant(86400, None).await.unwrap().id();
    let key = format!("{PREFIX}/subnets/10.1.1.0-24");
    let with_lease = PutOptions::new().with_lease(granted);
    client
        .put(key, attrs().to_json(), Some(with_lease))
        .await
        .unwrap();
    let events = timeout(Duration::from_secs(5), watch.next())
        .await
        .unwrap()
        .unwrap();
    let [WatchEvent::Put(lease)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (&lease.attrs, lease.hold),
        (&ours.attrs, Hold::Leased(LeaseId(granted)))
    );
    let lost = store.publish(&ours, &attrs(), DAY).await.unwrap();
    assert_eq!(
        lost,
        Publish::Lost {
            held: Some(lease.clone())
        }
    );
}

/// A certificate authority, a server's and a client's certificate, as files.
struct Certificates(tempfile::TempDir);

impl Certificates {
    fn new() -> Certificates {
        let certificates = Certificates(tempfile::tempdir().unwrap());
        let dir = certificates.0.path();
        openssl(
            dir,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign",
        );
        for (name, usage) in [
            ("server", "serverAuth,clientAuth"),
            ("client", "clientAuth"),
        ] {
            let extensions =
                format!("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage={usage}\n");
            std::fs::write(dir.join(format!("{name}.ext")), extensions).unwrap();
            openssl(
                dir,
                &format!(
                    "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
                ),
            );
            openssl(
                dir,
                &format!(
                    "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile {name}.ext"
                ),
            );
        }
        certificates
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn args(&self, more: &[&str]) -> Vec<String> {
        let path = |name| self.path(name).display().to_string();
        let mut args = vec![
            "--cert-file".to_owned(),
            path("server.pem"),
            "--key-file".to_owned(),
            path("server.key"),
        ];
        args.extend(more.iter().map(|&arg| arg.to_owned()));
        args
    }
}

fn openssl(dir: &Path, args: &str) {
    let output = Command::new("openssl")
        .args(args.split(' '))
        .current_dir(dir)
        .output();
    let output = output.expect("these tests need the program openssl");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Calls until etcd is up; the last answer otherwise.
async fn list_in_time(options: &EtcdOptions) -> Result<Listing, StoreError> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let listed = EtcdStore::open(options)?.list().await;
        let is_starting =
            matches!(&listed, Err(error) if error.to_string().contains("Connection refused"));
        if !is_starting || Instant::now() > deadline {
            return listed;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn tls_works_with_a_ca_alone() {
    let certificates = Certificates::new();
    let etcd = RealEtcd::start_with(certificates.args(&[]));
    let options = EtcdOptions {
        ca: Some(certificates.path("ca.pem")),
        ..etcd.options()
    };
    list_in_time(&options).await.unwrap();
    let store = EtcdStore::open(&options).unwrap();
    let lease = won(&store, "10.1.1.0-24").await;
    store.watch(lease.revision).await.unwrap();
    let strangers = Certificates::new();
    let options = EtcdOptions {
        ca: Some(strangers.path("ca.pem")),
        ..etcd.options()
    };
    let error = list_in_time(&options).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn tls_works_with_a_client_certificate_and_not_without() {
    let certificates = Certificates::new();
    let ca = certificates.path("ca.pem").display().to_string();
    let etcd =
        RealEtcd::start_with(certificates.args(&["--client-cert-auth", "--trusted-ca-file", &ca]));
    let without = EtcdOptions {
        ca: Some(certificates.path("ca.pem")),
        ..etcd.options()
    };
    let with = EtcdOptions {
        cert: Some(certificates.path("client.pem")),
        key: Some(certificates.path("client.key")),
        ..without.clone()
    };
    list_in_time(&with).await.unwrap();
    won(&EtcdStore::open(&with).unwrap(), "10.1.1.0-24").await;
    let error = list_in_time(&without).await.unwrap_err().to_string();
    assert!(error.contains("ertificate"), "{error}");
    let mixed_up = EtcdOptions {
        key: Some(certificates.path("client.pem")),
        ..with
    };
    let error = list_in_time(&mixed_up).await.unwrap_err().to_string();
    assert!(
        error.contains("client.pem: no PEM block of a PRIVATE KEY"),
        "{error}"
    );
}

/// An etcd that wants the client's certificate, and the options for it.
fn with_client_certificates(certificates: &Certificates) -> (RealEtcd, EtcdOptions) {
    let ca = certificates.path("ca.pem").display().to_string();
    let args = certificates.args(&["--client-cert-auth", "--trusted-ca-file", &ca]);
    let etcd = RealEtcd::start_with(args);
    let options = EtcdOptions {
        ca: Some(certificates.path("ca.pem")),
        cert: Some(certificates.path("client.pem")),
        key: Some(certificates.path("client.key")),
        ..etcd.options()
    };
    (etcd, options)
}

/// Tries until it works or the deadline has come.
async fn in_time<T, F: Future<Output = Result<T, StoreError>>>(call: impl Fn() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn renewed_certificates_are_used_without_a_restart() {
    let (certificates, renewed) = (Certificates::new(), Certificates::new());
    let (mut etcd, options) = with_client_certificates(&certificates);
    list_in_time(&options).await.unwrap();
    let store = EtcdStore::open(&options).unwrap();
    let lease = won(&store, "10.1.1.0-24").await;
    let mut events = follow(store.clone(), Some(lease.revision));
    until_up(&mut events).await;

    // Another authority: neither side accepts what the other had before.
    etcd.kill();
    for file in [
        "ca.pem",
        "server.pem",
        "server.key",
        "client.pem",
        "client.key",
    ] {
        std::fs::copy(renewed.path(file), certificates.path(file)).unwrap();
    }
    etcd.restart();
    assert_eq!(
        resets(&until_up(&mut events).await),
        [std::slice::from_ref(&lease)]
    );
    assert_eq!(
        in_time(|| store.renew(&lease, DAY)).await,
        Renewal::Alive { ttl: DAY }
    );
}

#[tokio::test]
async fn bad_new_certificates_are_named_and_the_old_ones_stay_in_use() {
    let (certificates, strangers) = (Certificates::new(), Certificates::new());
    let (mut etcd, options) = with_client_certificates(&certificates);
    list_in_time(&options).await.unwrap();
    let store = EtcdStore::open(&options).unwrap();
    let lease = won(&store, "10.1.1.0-24").await;
    for (file, bad) in [
        ("client.pem", b"not a certificate".to_vec()),
        // A key of another certificate.
        (
            "client.key",
            std::fs::read(strangers.path("client.key")).unwrap(),
        ),
    ] {
        let good = std::fs::read(certificates.path(file)).unwrap();
        std::fs::write(certificates.path(file), bad).unwrap();
        etcd.kill();
        let error = store.list().await.unwrap_err().to_string();
        let named = certificates.path(file).display().to_string();
        assert!(
            error.contains("refused") && error.contains(&named),
            "{error}"
        );
        etcd.restart();
        let listing = in_time(|| store.list()).await;
        assert_eq!(listing.leases, std::slice::from_ref(&lease));
        std::fs::write(certificates.path(file), good).unwrap();
    }
}

#[tokio::test]
async fn a_changed_password_is_read_from_its_file() {
    let etcd = RealEtcd::start().await;
    let mut root = etcd.client().await;
    root.user_add("root", "old", None).await.unwrap();
    root.user_grant_role("root", "root").await.unwrap();
    root.auth_enable().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "old\n").unwrap();
    let options = EtcdOptions {
        username: Some("root".to_owned()),
        password_file: Some(file.path().to_owned()),
        ..etcd.options()
    };
    let store = EtcdStore::open(&options).unwrap();
    won(&store, "10.1.1.0-24").await;
    let login = etcd_client::ConnectOptions::new().with_user("root", "old");
    let root = etcd_client::Client::connect([etcd.url()], Some(login)).await;
    root.unwrap()
        .user_change_password("root", "new")
        .await
        .unwrap();
    std::fs::write(file.path(), "new\n").unwrap();
    // The token of the old password is no longer valid.
    assert_eq!(store.list().await.unwrap().leases.len(), 1);
}

#[tokio::test]
async fn user_and_password_open_the_prefix_and_nothing_else() {
    let etcd = RealEtcd::start().await;
    let mut root = etcd.client().await;
    let all_below =
        etcd_client::Permission::new(PermissionType::Readwrite, format!("{PREFIX}/")).with_prefix();
    root.user_add("root", "r", None).await.unwrap();
    root.user_grant_role("root", "root").await.unwrap();
    root.role_add("twill").await.unwrap();
    root.role_grant_permission("twill", all_below)
        .await
        .unwrap();
    root.user_add("twill", "secret", None).await.unwrap();
    root.user_grant_role("twill", "twill").await.unwrap();
    root.auth_enable().await.unwrap();

    let login = |password: &str| EtcdOptions {
        username: Some("twill".to_owned()),
        password: Some(password.to_owned()),
        ..etcd.options()
    };
    let store = EtcdStore::open(&login("secret")).unwrap();
    let lease = won(&store, "10.1.1.0-24").await;
    store.watch(lease.revision).await.unwrap();
    assert_eq!(
        store.renew(&lease, DAY).await,
        Ok(Renewal::Alive { ttl: DAY })
    );
    assert!(!store.describe().contains("secret"));

    let elsewhere = EtcdOptions {
        prefix: "/elsewhere".to_owned(),
        ..login("secret")
    };
    for options in [login("wrong"), elsewhere, etcd.options()] {
        let refused = EtcdStore::open(&options).unwrap().list().await;
        assert!(
            matches!(refused, Err(StoreError::Refused { .. })),
            "{options:?}: {refused:?}"
        );
    }
}
