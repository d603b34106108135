//! The daemon that puts plugin and network config where a container runtime looks for them.

use super::*;
use lab::probe::ping;
use lab::{Daemon, DaemonCommand, Node, Plan, Shape, Stack, eventually};
use netns_tests::{Call, PREFIX, PodNetwork, READY, config};
use std::fs;
use std::path::PathBuf;

const VXLAN: &str = r#"{"Type":"vxlan"}"#;

/// One node and an etcd without a network config.
struct Stage {
    network: PodNetwork,
    command: DaemonCommand,
}

impl Stage {
    fn new() -> Stage {
        let plan = Plan {
            nodes: 1,
            shape: Shape::OneSwitch,
            stack: Stack::V4,
        };
        let network = PodNetwork::new(plan, 1, "{}").unwrap();
        network
            .etcd
            .ctl(&["del", &format!("{PREFIX}/config")])
            .unwrap();
        let directory = network.node().directory().to_owned();
        let of = |name: &str| directory.join(name).display().to_string();
        let (bin, conf) = (of("bin"), of("net.d"));
        let command = network
            .command()
            .args(&["--cni-bin-dir", &bin, "--cni-conf-dir", &conf]);
        Stage { network, command }
    }

    fn node(&self) -> &Node {
        self.network.node()
    }

    fn start(&self) -> Daemon {
        self.node().start(&self.command).unwrap()
    }

    fn put_config(&self) {
        let text = config(Stack::V4, VXLAN);
        self.network
            .etcd
            .put(&format!("{PREFIX}/config"), &text)
            .unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.node().directory().join(name)
    }

    fn conflist(&self) -> PathBuf {
        self.path("net.d/10-twill.conflist")
    }

    /// Calls the installed plugin as a runtime does: by the type in the network config, with the config's own keys.
    fn call(&self, command: &str, pod: &Namespace) -> netns_tests::Said {
        let list: Value = serde_json::from_slice(&fs::read(self.conflist()).unwrap()).unwrap();
        let mut config = list["plugins"][0].clone();
        config["name"] = list["name"].clone();
        // STATUS is of 1.1.0.
        config["cniVersion"] = "1.1.0".into();
        let call = Call {
            plugin: self.path("bin").join(config["type"].as_str().unwrap()),
            command,
            container: "a",
            netns: pod.path(),
            args: "",
            config,
        };
        call.run(self.node().namespace())
    }
}

#[test]
fn the_daemon_installs_the_plugin_and_its_config_comes_when_pods_can() {
    let stage = Stage::new();
    let mut daemon = stage.start();
    eventually("the daemon waits for a network config", READY, || {
        daemon.process().log_text().contains("no network config")
    })
    .unwrap();
    assert!(!stage.conflist().exists(), "no pod could be added");
    stage.put_config();
    eventually("the config is there", READY, || stage.conflist().exists()).unwrap();
    let a = pod("a");
    assert_eq!(stage.call("STATUS", &a).code(), 0);
    let added = stage.call("ADD", &a);
    assert!(added.success, "{}", added.json);
    let gateway: IpAddr = stage.node().addresses().first().unwrap();
    ping(&a, gateway, PATIENCE).unwrap();
}

#[test]
fn a_restart_writes_no_plugin_again_and_a_reload_brings_back_a_config_that_is_gone() {
    let stage = Stage::new();
    stage.put_config();
    let mut daemon = stage.start();
    daemon.wait_ready(READY).unwrap();
    let modified = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let before = (
        modified(stage.path("bin/twill-cni")),
        modified(stage.conflist()),
    );
    daemon.terminate().unwrap();
    let mut daemon = stage.start();
    daemon.wait_ready(READY).unwrap();
    let after = (
        modified(stage.path("bin/twill-cni")),
        modified(stage.conflist()),
    );
    assert_eq!(before, after);
    fs::remove_file(stage.conflist()).unwrap();
    stage
        .node()
        .twill_says(&stage.command, &["reload"])
        .unwrap();
    eventually("the config is back", READY, || stage.conflist().exists()).unwrap();
}

#[test]
fn a_place_that_cannot_be_written_is_named_once_and_costs_only_the_plugin() {
    let stage = Stage::new();
    stage.put_config();
    fs::write(stage.path("bin"), "a file, no directory").unwrap();
    let mut daemon = stage.start();
    daemon.wait_ready(READY).unwrap();
    let log = daemon.process().log_text();
    let told = log.lines().filter(|line| line.contains("twill-cni"));
    assert_eq!(told.count(), 1, "{log}");
    assert!(log.contains("WARN") && !log.contains("ERROR"), "{log}");
    assert!(!stage.conflist().exists());
    assert!(stage.node().subnet_env().is_ok());
}

#[test]
fn cleanup_takes_the_config_away_and_leaves_the_plugin_for_pods_to_delete() {
    let stage = Stage::new();
    stage.put_config();
    let mut daemon = stage.start();
    daemon.wait_ready(READY).unwrap();
    daemon.terminate().unwrap();
    let said = stage
        .node()
        .twill_says(&stage.command, &["cleanup"])
        .unwrap();
    assert!(said.contains("10-twill.conflist"), "{said}");
    assert!(!stage.conflist().exists());
    assert!(stage.path("bin/twill-cni").exists());
}
