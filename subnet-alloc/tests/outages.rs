//! Every way in which an etcd goes away: each is noticed, and each ends in a complete listing.
//!
//! The members and the follower are in network namespaces of their own (root), so that packets can be lost in silence.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lab::{Etcd, Namespace, Shape, Stack, Underlay};
use subnet_alloc::*;
use tempfile::TempDir;

const PREFIX: &str = "/coreos.com/network";
const CLIENT: u8 = 10;
/// Within this an outage is noticed, whatever it is.
const NOTICED: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(30);

/// An etcd cluster, and a machine beside it.
struct Field {
    etcd: Etcd,
    client: Namespace,
    _underlay: Underlay,
    _directory: TempDir,
}

impl Field {
    fn new(members: u8) -> Field {
        let directory = tempfile::tempdir().unwrap();
        let underlay = Underlay::new(Shape::OneSwitch, Stack::V4).unwrap();
        let hosts = 201..201 + members;
        let options = lab::EtcdOptions::default();
        let etcd = Etcd::on_underlay(&underlay, hosts, directory.path(), &options).unwrap();
        let client = Namespace::new("client").unwrap();
        underlay.attach(&client, 1, CLIENT).unwrap();
        Field {
            etcd,
            client,
            _underlay: underlay,
            _directory: directory,
        }
    }

    /// A follower on that machine that uses the members in this order; it is up when this returns.
    fn follow(&self, members: &[usize]) -> Follow {
        let all = self.etcd.endpoints();
        let options = EtcdOptions {
            endpoints: members.iter().map(|at| all[*at].clone()).collect(),
            prefix: PREFIX.to_owned(),
            ..EtcdOptions::default()
        };
        let (told, events) = mpsc::channel();
        let client = self.client.clone();
        // Ends with the receiver of what it tells.
        std::thread::spawn(move || client.run(|| follow(&options, &told)).unwrap());
        let follow = Follow { events };
        follow.until_up();
        follow
    }

    fn put(&self, key: &str) {
        let value = r#"{"PublicIP":"192.168.0.1","PublicIPv6":null}"#;
        let key = format!("{PREFIX}/subnets/{key}");
        self.etcd.put(&key, value).unwrap();
    }

    fn nft(&self, member: usize, rules: &str) {
        let namespace = self.etcd.members[member].namespace();
        let mut command = namespace.command("nft");
        lab::output(namespace, command.arg(rules)).unwrap();
    }
}

struct Follow {
    events: mpsc::Receiver<StoreEvent>,
}

fn follow(options: &EtcdOptions, told: &mpsc::Sender<StoreEvent>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let store = EtcdStore::open(options).unwrap();
        let (sender, mut events) = tokio::sync::mpsc::channel(64);
        let follower = Follower::new(Arc::new(store), sender, numbers());
        tokio::spawn(follower.run(None));
        while let Some(event) = events.recv().await {
            if told.send(event).is_err() {
                return;
            }
        }
    });
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

impl Follow {
    fn until<T>(&self, patience: Duration, wanted: impl Fn(StoreEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).expect("an event in time");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    /// The outage that is told in time, with a view that is not said to be younger than the cut.
    fn until_down(&self, cut: Instant) -> Outage {
        let outage = self.until(NOTICED, |event| match event {
            StoreEvent::Down(outage) => Some(outage),
            _ => None,
        });
        let heard = outage.heard.expect("it was up");
        assert!(heard < cut + Duration::from_secs(1), "{:?}", heard - cut);
        outage
    }

    fn until_up(&self) {
        let up = |event| matches!(event, StoreEvent::Up { .. }).then_some(());
        self.until(PATIENCE, up);
    }

    fn until_put(&self, key: &str) {
        let block = Block::from_key(key).unwrap();
        self.until(PATIENCE, |event| match event {
            StoreEvent::Leases(leases) => {
                let is_it = |lease: &Lease| lease.block == block;
                let has = |event: &LeaseEvent| match event {
                    LeaseEvent::Put(lease) => is_it(lease),
                    LeaseEvent::Reset(leases) => leases.iter().any(is_it),
                    LeaseEvent::Gone(_) => false,
                };
                leases.iter().any(has).then_some(())
            }
            _ => None,
        });
    }
}

#[test]
fn a_stopped_etcd_is_noticed_and_followed_again() {
    let mut field = Field::new(1);
    let follow = field.follow(&[0]);
    let cut = Instant::now();
    field.etcd.members[0].kill();
    follow.until_down(cut);
    field.etcd.members[0].start().unwrap();
    follow.until_up();
    field.put("10.1.1.0-24");
    follow.until_put("10.1.1.0-24");
}

#[test]
fn a_frozen_etcd_is_noticed_and_followed_again() {
    let field = Field::new(1);
    let follow = field.follow(&[0]);
    let cut = Instant::now();
    field.etcd.members[0].freeze().unwrap();
    follow.until_down(cut);
    field.etcd.members[0].thaw().unwrap();
    follow.until_up();
    field.put("10.1.1.0-24");
    follow.until_put("10.1.1.0-24");
}

#[test]
fn an_etcd_behind_lost_packets_is_noticed_and_followed_again() {
    let field = Field::new(1);
    let follow = field.follow(&[0]);
    let cut = Instant::now();
    field.nft(0, "add table inet cut; add chain inet cut in { type filter hook input priority 0; policy drop; }");
    follow.until_down(cut);
    field.nft(0, "delete table inet cut");
    follow.until_up();
    field.put("10.1.1.0-24");
    follow.until_put("10.1.1.0-24");
}

#[test]
fn an_etcd_without_quorum_is_noticed_and_followed_again() {
    let mut field = Field::new(3);
    let follow = field.follow(&[0, 1, 2]);
    let cut = Instant::now();
    field.etcd.members[1].kill();
    field.etcd.members[2].kill();
    follow.until_down(cut);
    field.etcd.members[1].start().unwrap();
    field.etcd.members[2].start().unwrap();
    follow.until_up();
    field.put("10.1.1.0-24");
    follow.until_put("10.1.1.0-24");
}

#[test]
fn a_member_that_lost_the_others_is_left_for_one_that_has_not() {
    let field = Field::new(3);
    let follow = field.follow(&[0, 1, 2]);
    let cut = Instant::now();
    // Clients still reach it; it waits in silence for a leader.
    for chain in ["input", "output"] {
        field.nft(0, &format!("add table inet {chain}; add chain inet {chain} c {{ type filter hook {chain} priority 0; }}; add rule inet {chain} c tcp dport 2380 drop; add rule inet {chain} c tcp sport 2380 drop"));
    }
    follow.until_down(cut);
    follow.until_up();
    field.nft(0, "delete table inet input; delete table inet output");
    field.put("10.1.1.0-24");
    follow.until_put("10.1.1.0-24");
}

#[test]
fn a_cluster_whose_leader_dies_is_followed_at_another_member() {
    let mut field = Field::new(3);
    let leader = field.leader();
    let others: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    let follow = field.follow(&[leader, others[0], others[1]]);
    // This one is connected to a member that lives on, and need not notice.
    let aside = field.follow(&others);
    let cut = Instant::now();
    field.etcd.members[leader].kill();
    follow.until_down(cut);
    follow.until_up();
    field.put("10.1.1.0-24");
    follow.until_put("10.1.1.0-24");
    aside.until_put("10.1.1.0-24");
}

impl Field {
    /// The number of the member that leads.
    fn leader(&self) -> usize {
        let client = self.client.clone();
        let endpoints = self.etcd.endpoints();
        let leads = |url: &String| {
            let mut command = client.command("etcdctl");
            command.env("ETCDCTL_API", "3").args([
                "--endpoints",
                url,
                "endpoint",
                "status",
                "-w",
                "fields",
            ]);
            let text = lab::output(&client, &mut command).unwrap();
            let field = |name: &str| {
                let line = text.lines().find(|line| line.starts_with(name)).unwrap();
                line.rsplit(' ').next().unwrap().to_owned()
            };
            field("\"Leader\"") == field("\"MemberID\"")
        };
        endpoints.iter().position(leads).expect("somebody leads")
    }
}
