//! The bars: 0 lost of at least 2,000 pings, 5 ms apart.

use super::scene::{HOST_GW, Scene, Setup, TTL, put_config, with_both_backends};
use lab::kernel_view::{Family, fdb, neighbours};
use lab::{Signal, eventually};
use netns_tests::{READY, block_routes, subnet_key};
use std::thread::sleep;
use std::time::{Duration, Instant};

const ALL: [usize; 3] = [0, 1, 2];
/// A key in nobody's block, for a node that is not there.
const STRANGER: &str = "10.244.60.0-24";

#[test]
fn an_etcd_that_is_down_for_20_s_loses_nothing() {
    with_both_backends(|backend| {
        let mut scene = Setup::of(backend).begin("down for 20 s");
        let cut = Instant::now();
        scene.network.etcd.members[0].kill();
        scene.is_noticed_by(&ALL, cut);
        sleep(Duration::from_secs(20).saturating_sub(cut.elapsed()));
        scene.is_noticed_by(&ALL, cut);
        let back = scene.restart(0);
        scene.is_right_again(back);
        scene.end();
    });
}

#[test]
fn a_member_of_three_that_is_killed_loses_nothing_be_it_the_leader() {
    with_both_backends(|backend| {
        let setup = Setup {
            members: 3,
            ..Setup::of(backend)
        };
        let mut scene = setup.begin("a member killed");
        // All daemons use the first one first.
        let leader = scene.network.etcd.leader().unwrap();
        for member in [0, leader] {
            let cut = Instant::now();
            scene.network.etcd.members[member].kill();
            scene.network.etcd.leader().unwrap();
            scene.is_right_again(cut);
            scene.restart(member);
        }
        let leader = scene.network.etcd.leader().unwrap();
        scene.network.etcd.members[leader].kill();
        let cut = Instant::now();
        scene.network.etcd.leader().unwrap();
        scene.is_right_again(cut);
        scene.end();
    });
}

#[test]
fn an_etcd_frozen_for_three_times_the_ttl_loses_nothing() {
    with_both_backends(|backend| {
        let scene = Setup::of(backend).begin("frozen for three TTLs");
        let cut = Instant::now();
        scene.network.etcd.members[0].freeze().unwrap();
        scene.is_noticed_by(&ALL, cut);
        sleep((TTL * 3).saturating_sub(cut.elapsed()));
        let back = Instant::now();
        scene.network.etcd.members[0].thaw().unwrap();
        // Every lease ends at this moment. Whoever looks too early sees them all there still.
        eventually("the leases are acquired again", READY, || {
            let is_new = |node| scene.log(node).contains("acquiring it again");
            ALL.into_iter().any(is_new)
        })
        .unwrap();
        scene.is_right_again(back);
        scene.end();
    });
}

#[test]
fn an_etcd_that_comes_back_empty_loses_nothing() {
    with_both_backends(|backend| {
        let mut scene = Setup::of(backend).begin("emptied");
        let cut = Instant::now();
        scene.network.etcd.members[0].kill();
        scene.is_noticed_by(&ALL, cut);
        scene.network.etcd.members[0].begin_anew().unwrap();
        put_config(&scene.network, backend);
        scene.is_right_again(Instant::now());
        scene.end();
    });
}

#[test]
fn a_compaction_while_a_node_is_cut_off_loses_nothing_and_hides_no_change() {
    with_both_backends(|backend| {
        let scene = Setup::of(backend).begin("compacted");
        let (key, member) = (subnet_key(STRANGER), &scene.network.etcd.members[0]);
        let node = scene.node(0);
        let put = |host: u8| {
            let value = stranger(backend, host);
            scene.network.etcd.put(&key, &value).unwrap();
        };
        put(98);
        eventually("the stranger's entries are there", READY, || {
            leads_to(&scene, backend, 98)
        })
        .unwrap();
        let cut = Instant::now();
        let here: Vec<_> = node.addresses().iter().collect();
        member.cut_off(&here).unwrap();
        scene.is_noticed_by(&[0], cut);
        put(99);
        compact(&scene);
        // The own lease has ended meanwhile, or ends about now.
        let back = Instant::now();
        member.let_in().unwrap();
        eventually("the change is in the kernel", READY, || {
            leads_to(&scene, backend, 99)
        })
        .unwrap();
        scene.say(&format!(
            "the change is there after {:.1} s",
            back.elapsed().as_secs_f64()
        ));
        assert!(!leads_to(&scene, backend, 98));
        scene.network.etcd.ctl(&["del", &key]).unwrap();
        scene.forget_the_stranger();
        scene.is_right_again(back);
        scene.end();
    });
}

#[test]
fn settings_read_again_without_a_change_lose_nothing_and_change_nothing() {
    with_both_backends(|backend| {
        let mut scene = Setup::of(backend).begin("reloaded");
        let changes: Vec<f64> = ALL.map(|node| scene.changes(node)).into();
        for round in 1..=5 {
            for node in ALL {
                let daemon = &mut scene.network.daemons[node];
                daemon.process().signal(Signal::SIGHUP).unwrap();
                let said = scene.node(node).twill_says(&scene.command, &["reload"]);
                let said = said.unwrap();
                assert!(said.contains("no setting has changed"), "{said}");
            }
            scene.flow(round * 300);
        }
        assert_eq!(changes, ALL.map(|node| scene.changes(node)));
        scene.end();
    });
}

/// A node's lease that is not there, with an address and a MAC that end in `host`.
fn stranger(backend: &str, host: u8) -> String {
    let data = format!(r#","BackendData":{{"VNI":1,"VtepMAC":"{}"}}"#, mac(host));
    let data = if backend == HOST_GW { "" } else { &data };
    format!(r#"{{"PublicIP":"10.99.0.{host}","PublicIPv6":null,"BackendType":"{backend}"{data}}}"#)
}

fn mac(host: u8) -> String {
    format!("fe:00:00:00:00:{host:02x}")
}

/// Whether the kernel of the first node sends packets for the stranger's block there.
fn leads_to(scene: &Scene, backend: &str, host: u8) -> bool {
    let namespace = scene.node(0).namespace();
    let address = format!("10.99.0.{host}");
    if backend == HOST_GW {
        let routes = block_routes(scene.node(0)).unwrap();
        return routes
            .iter()
            .any(|route| route.gateway.as_ref() == Some(&address));
    }
    let neighbours = neighbours(namespace, Family::V4, "flannel.1").unwrap();
    let fdb = fdb(namespace, "flannel.1").unwrap();
    let is_neighbour = neighbours
        .iter()
        .any(|entry| entry.lladdr == Some(mac(host)));
    let is_fdb = |entry: &lab::kernel_view::FdbEntry| {
        entry.mac == mac(host) && entry.dst.as_ref() == Some(&address)
    };
    is_neighbour && fdb.iter().any(is_fdb)
}

/// Compacts all history away.
pub(crate) fn compact(scene: &Scene) {
    let etcd = &scene.network.etcd;
    let status = etcd.ctl(&["endpoint", "status", "-w", "fields"]).unwrap();
    let revision = status
        .lines()
        .find_map(|line| line.strip_prefix("\"Revision\" : "));
    etcd.ctl(&["compact", revision.unwrap()]).unwrap();
}

impl Scene {
    pub(crate) fn log(&self, node: usize) -> String {
        let file = self.node(node).directory().join("twill.log");
        std::fs::read_to_string(file).unwrap()
    }

    pub(crate) fn restart(&mut self, member: usize) -> Instant {
        self.network.etcd.members[member].restart().unwrap();
        Instant::now()
    }

    fn changes(&self, node: usize) -> f64 {
        self.metric(node, "twill_kernel_changes_total")
    }

    /// Its entries would stay for the grace: a release is believed at once.
    fn forget_the_stranger(&self) {
        let key = subnet_key(STRANGER);
        let value = r#"{"PublicIP":"10.99.0.99","PublicIPv6":null,"Released":true}"#;
        self.network.etcd.put(&key, value).unwrap();
        self.network.etcd.ctl(&["del", &key]).unwrap();
        eventually("the stranger's route is gone everywhere", READY, || {
            let mut nodes = self.network.cluster.nodes.iter();
            nodes.all(|node| block_routes(node).unwrap().len() == 2)
        })
        .unwrap();
    }
}
