//! The other ways in which an etcd goes away.

use super::bars::compact;
use super::certificates;
use super::scene::{HOST_GW, Scene, Setup, TTL, VXLAN};
use lab::{EtcdOptions, Store, eventually};
use netns_tests::{PREFIX, PodNetwork, READY, subnet_key};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

const ALL: [usize; 3] = [0, 1, 2];

#[test]
fn an_etcd_that_dies_in_silence_loses_nothing() {
    let scene = Setup::of(VXLAN).begin("silent");
    let cut = Instant::now();
    scene.network.etcd.members[0].cut_off(&[]).unwrap();
    scene.is_noticed_by(&ALL, cut);
    let back = Instant::now();
    scene.network.etcd.members[0].let_in().unwrap();
    scene.is_right_again(back);
    scene.end();
}

#[test]
fn an_etcd_without_quorum_loses_nothing() {
    let setup = Setup {
        members: 3,
        ..Setup::of(HOST_GW)
    };
    let mut scene = setup.begin("without quorum");
    let cut = Instant::now();
    scene.network.etcd.members[1].kill();
    scene.network.etcd.members[2].kill();
    scene.is_noticed_by(&ALL, cut);
    scene.network.etcd.members[1].start().unwrap();
    scene.network.etcd.leader().unwrap();
    scene.is_right_again(Instant::now());
    scene.end();
}

#[test]
fn a_slow_etcd_loses_nothing_and_no_lease() {
    let scene = Setup::of(VXLAN).begin("slow");
    let member = &scene.network.etcd.members[0];
    let pulses = Instant::now();
    while pulses.elapsed() < TTL * 2 {
        member.freeze().unwrap();
        sleep(Duration::from_millis(400));
        member.thaw().unwrap();
        sleep(Duration::from_millis(50));
    }
    scene.is_right_again(Instant::now());
    for node in ALL {
        let log = scene.log(node);
        assert!(!log.contains("is gone from the store"), "{log}");
    }
    scene.end();
}

#[test]
fn an_etcd_that_has_moved_is_found_by_a_reload() {
    let file = |network: &PodNetwork| network.cluster.directory().join("twill.toml");
    let write = |network: &PodNetwork, members: &[usize]| -> PathBuf {
        let all = network.etcd.endpoints();
        let endpoints: Vec<&String> = members.iter().map(|&member| &all[member]).collect();
        let text = format!("etcd-endpoints = {endpoints:?}\n");
        std::fs::write(file(network), text).unwrap();
        file(network)
    };
    let setup = Setup {
        members: 3,
        store: Some(&|network| Store::Named(write(network, &[0]))),
        ..Setup::of(HOST_GW)
    };
    let mut scene = setup.begin("moved");
    let cut = Instant::now();
    scene.network.etcd.members[0].kill();
    scene.is_noticed_by(&ALL, cut);
    write(&scene.network, &[1, 2]);
    scene.network.etcd.leader().unwrap();
    let back = Instant::now();
    for node in ALL {
        let said = scene
            .node(node)
            .twill_says(&scene.command, &["reload"])
            .unwrap();
        assert!(said.contains("how the store is reached"), "{said}");
    }
    scene.is_right_again(back);
    scene.end();
}

#[test]
fn renewed_certificates_are_taken_up() {
    let directory = tempfile::tempdir().unwrap();
    certificates::make(directory.path(), "10.99.0.201");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (ca, cert, key) = (path("ca.pem"), path("client.pem"), path("client.key"));
    let args = [
        "--etcd-cafile",
        &ca,
        "--etcd-certfile",
        &cert,
        "--etcd-keyfile",
        &key,
    ];
    let setup = Setup {
        etcd: EtcdOptions {
            certificates: Some(directory.path().to_owned()),
            ..EtcdOptions::default()
        },
        args: &args,
        ..Setup::of(VXLAN)
    };
    let mut scene = setup.begin("certificates renewed");
    let cut = Instant::now();
    scene.network.etcd.members[0].kill();
    scene.is_noticed_by(&ALL, cut);
    // Another authority: neither side accepts what the other had before.
    certificates::make(directory.path(), "10.99.0.201");
    let back = scene.restart(0);
    scene.is_right_again(back);
    scene.end();
}

#[test]
fn an_etcd_without_room_renews_and_what_it_cannot_write_is_said() {
    let setup = Setup {
        etcd: EtcdOptions {
            args: vec!["--quota-backend-bytes=2097152".into()],
            ..EtcdOptions::default()
        },
        ..Setup::of(HOST_GW)
    };
    let scene = setup.begin("without room");
    fill(&scene);
    let full = Instant::now();
    scene.flow(1_000);
    sleep((TTL * 2).saturating_sub(full.elapsed()));
    scene.is_right_again(Instant::now());
    eventually("the log says what is not written down", READY, || {
        scene.log(0).contains("no space") || scene.log(0).contains("is not written down")
    })
    .unwrap();
    // A lease that is lost on top of it cannot be acquired: that node must get no new pods.
    let block = scene.node(2).subnet_env().unwrap().subnet.unwrap();
    let key = subnet_key(&block.network().to_string().replace('/', "-"));
    scene.network.etcd.ctl(&["del", &key]).unwrap();
    eventually("the node without a lease is not ready", READY, || {
        let answer = scene.network.daemons[2].get("/readyz").unwrap();
        let said = String::from_utf8(answer.body).unwrap();
        answer.status == 503 && said.contains("being acquired again")
    })
    .unwrap();
    make_room(&scene);
    scene.is_right_again(Instant::now());
    scene.end();
}

fn fill(scene: &Scene) {
    let value = "x".repeat(100_000);
    for number in 0..100 {
        let key = format!("{PREFIX}/filling/{number}");
        if let Err(error) = scene.network.etcd.put(&key, &value) {
            assert!(error.to_string().contains("space exceeded"), "{error}");
            return;
        }
    }
    panic!("the quota holds nothing back");
}

fn make_room(scene: &Scene) {
    let etcd = &scene.network.etcd;
    let filling = format!("{PREFIX}/filling/");
    etcd.ctl(&["del", "--prefix", &filling]).unwrap();
    compact(scene);
    etcd.ctl(&["defrag"]).unwrap();
    etcd.ctl(&["alarm", "disarm"]).unwrap();
}
