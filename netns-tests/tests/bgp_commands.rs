//! What an operator sees of BGP, and what he has done: two nodes of a mesh, and a peer of the settings that is dead.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::{DaemonCommand, Node, Plan, Shape, Stack, eventually, ip};
use netns_tests::{PodNetwork, READY, block_routes, config};
use serde_json::Value;
use std::process::Output;
use tempfile::TempDir;

const SETTINGS: &str = r#"
[bgp]
password = "quiet as a mouse"
announce = ["10.96.0.0/12"]

[[bgp.peer]]
name = "tor-a"
address = "10.99.0.9"
as = 65001
ttl-security = 1
password = "not for you"
import = [{ prefixes = ["0.0.0.0/0"], local-pref = 90 }]
export = "own"
max-prefixes = 100

[[bgp.peer]]
name = "tor-b"
address = "10.99.0.10"
as = 65002
shutdown = "new cable"
"#;

/// Two nodes with a mesh session between them. Its parts end in this order.
struct Scene {
    network: PodNetwork,
    command: DaemonCommand,
    _settings: TempDir,
}

impl Scene {
    fn new() -> Scene {
        let plan = Plan {
            nodes: 2,
            shape: Shape::OneSwitch,
            stack: Stack::V4,
        };
        let config = config(Stack::V4, r#"{"Type":"bgp"}"#);
        let mut network = PodNetwork::new(plan, 1, &config).unwrap();
        let settings = tempfile::tempdir().unwrap();
        let file = settings.path().join("twill.toml");
        std::fs::write(&file, SETTINGS).unwrap();
        let command = network
            .command()
            .args(&["--config", &file.display().to_string()]);
        for node in &network.cluster.nodes {
            network.daemons.push(node.start(&command).unwrap());
        }
        for daemon in &mut network.daemons {
            daemon.wait_ready(READY).unwrap();
        }
        let scene = Scene {
            network,
            command,
            _settings: settings,
        };
        for node in [scene.node(0), scene.node(1)] {
            eventually("the other node's block", READY, || {
                block_routes(node).is_ok_and(|routes| !routes.is_empty())
            })
            .unwrap();
        }
        scene
    }

    fn node(&self, at: usize) -> &Node {
        &self.network.cluster.nodes[at]
    }

    fn run(&self, at: usize, words: &[&str]) -> Output {
        let node = self.node(at);
        node.twill(&self.command, words).output().unwrap()
    }

    fn says(&self, at: usize, words: &[&str]) -> String {
        self.node(at).twill_says(&self.command, words).unwrap()
    }

    fn shown(&self, at: usize, words: &[&str]) -> Value {
        let text = self.says(at, &[&["show"], words, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The block of a node.
    fn block(&self, at: usize) -> String {
        let env = self.node(at).subnet_env().unwrap();
        env.subnet.unwrap().network().to_string()
    }

    /// What a command that fails says.
    fn complaint(&self, at: usize, words: &[&str], code: i32) -> String {
        let output = self.run(at, words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        said
    }
}

fn has(text: &str, all: &[&str]) {
    for part in all {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn show_peer_says_how_a_session_is_and_never_a_key() {
    let scene = Scene::new();
    let node = scene.says(0, &["show", "peer", "node2"]);
    has(
        &node,
        &[
            "node2: a node of the mesh",
            "10.99.0.2, AS 64512 (internal",
            "established for",
            "10.99.0.1:",
            "90 s agreed",
            "graceful restart (RFC 4724)",
            "TCP MD5 password",
            "the blocks of its lease",
            "10.96.0.0/12",
            "IPv4: 2 received, 0 refused, 1 used, 2 told",
        ],
    );
    let json = scene.shown(0, &["peer", "node2"]);
    assert_eq!(
        (&json["state"], &json["routes"][0]["told"]),
        (&"established".into(), &2.into()),
        "{json}"
    );
    let dead = || scene.says(0, &["show", "peer", "tor-a"]);
    eventually("why there is no session", READY, || {
        let dead = dead();
        dead.contains("last error") && dead.contains("ago: ")
    })
    .unwrap();
    has(
        &dead(),
        &[
            "a peer of the settings",
            "external: we are AS 64512",
            "idle for",
            "no session so far",
            "this node",
            "connect",
            "GTSM",
            "0.0.0.0/0: taken, local-pref 90",
            "what this node announces",
            "100, a warning above 80",
        ],
    );
    let shut = scene.says(0, &["show", "peer", "tor-b"]);
    has(&shut, &["held", "shut it down", "new cable", "RFC 8212"]);
    for text in [node, dead(), shut, json.to_string()] {
        assert!(
            !text.contains("mouse") && !text.contains("not for you"),
            "{text}"
        );
    }
}

#[test]
fn show_rib_explains_a_prefix_and_both_sides_of_a_peer() {
    let scene = Scene::new();
    let (own, other) = (scene.block(0), scene.block(1));
    let address = other.replace(".0/24", ".7");
    let table = scene.says(0, &["show", "rib"]);
    let row = |prefix: &str| {
        let row = table.lines().find(|line| line.starts_with(prefix));
        row.unwrap_or_else(|| panic!("no {prefix} in\n{table}"))
            .to_owned()
    };
    has(&row(&other), &["10.99.0.2", "node2", "installed"]);
    has(&row(&own), &["this node", "own"]);
    assert!(row("10.96.0.0/12").contains("own"));

    let one = scene.says(0, &["show", "rib", &address]);
    has(
        &one,
        &[
            &format!("{other}, the longest known one that {address}/32 is a part of"),
            "installed, via 10.99.0.2 on eth0",
            "node2 (10.99.0.2, AS 64512)",
            "best: only path",
            "local-pref 100",
        ],
    );
    let shared = scene.shown(0, &["rib", "10.96.0.0/12"]);
    let fates: Vec<&Value> = shared["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| &path["fate"])
        .collect();
    assert_eq!(fates, ["best", "lost"], "{shared}");
    assert_eq!(shared["paths"][0]["why"], "originated here", "{shared}");

    let told = scene.shown(0, &["rib", "--in", "node2"]);
    let prefixes: Vec<&Value> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["prefix"])
        .collect();
    assert_eq!(prefixes, ["10.96.0.0/12", &other], "{told}");
    has(
        &scene.says(0, &["show", "rib", "--out", "node2"]),
        &[&own, "10.99.0.1", "told"],
    );
    has(
        &scene.says(0, &["show", "rib", &other, "--out", "node2"]),
        &["node2 is not told: the path that is used comes from this peer"],
    );
    has(
        &scene.says(0, &["show", "rib", &own, "--out", "tor-a"]),
        &["tor-a is not told: there is no session"],
    );

    let unknown = scene.run(0, &["show", "rib", "192.0.2.1"]);
    assert_eq!(unknown.status.code(), Some(1));
    let stranger = scene.complaint(0, &["show", "rib", "--in", "nobody"], 2);
    has(&stranger, &["\"nobody\"", "node2, tor-a, tor-b"]);
    scene.complaint(0, &["show", "peer", "nobody"], 2);
    scene.complaint(0, &["show", "rib", "10.0.0.0/33"], 2);
}

#[test]
fn what_the_kernel_refuses_is_said_of_the_prefix() {
    let mut scene = Scene::new();
    let other = scene.block(1);
    scene.network.daemons[0].terminate().unwrap();
    let namespace = scene.node(0).namespace();
    ip(namespace, &["route", "del", &other]).unwrap();
    ip(
        namespace,
        &["route", "add", "blackhole", &other, "proto", "static"],
    )
    .unwrap();
    scene.network.daemons[0] = scene.node(0).start(&scene.command).unwrap();
    let said = || {
        let output = scene.run(0, &["show", "rib", &other]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    eventually("the kernel's word", READY, || {
        let said = said();
        said.contains("refused by the kernel: ") && said.contains("best: only path")
    })
    .unwrap();
}

#[test]
fn refresh_tells_again_and_reset_begins_a_new_session_with_a_word() {
    let scene = Scene::new();
    has(
        &scene.says(0, &["bgp", "refresh", "node2"]),
        &["asked node2", "telling node2", "IPv4"],
    );
    let none = scene.complaint(0, &["bgp", "refresh", "tor-a"], 2);
    has(&none, &["no session with tor-a"]);
    let said = scene.says(0, &["bgp", "reset", "node2", "--reason", "new cable"]);
    has(&said, &["session with node2 is ended", "\"new cable\""]);
    eventually("a second session", READY, || {
        let peer = scene.shown(1, &["peer", "node1"]);
        peer["sessions"] == 2 && peer["state"] == "established"
    })
    .unwrap();
    has(
        &scene.says(1, &["show", "peer", "node1"]),
        &["the peer ended it: 6/4 administrative reset: \"new cable\""],
    );
    assert!(!block_routes(scene.node(1)).unwrap().is_empty());
    let shut = scene.complaint(0, &["bgp", "reset", "tor-b"], 2);
    has(&shut, &["shut down by the settings"]);
    scene.complaint(0, &["bgp", "reset", "nobody"], 2);
}

#[test]
fn who_drains_says_so_and_is_the_last_choice_until_it_is_over() {
    let scene = Scene::new();
    let own = scene.block(0);
    let seen = |drained: bool| {
        eventually("what the other node hears", READY, || {
            let path = &scene.shown(1, &["rib", &own])["paths"][0];
            let marked = path["communities"]
                .to_string()
                .contains("graceful-shutdown");
            let last = path["local_pref"] == 0;
            (marked, last) == (drained, drained)
        })
        .unwrap();
    };
    seen(false);
    has(&scene.says(0, &["bgp", "drain"]), &["drains", "--off"]);
    seen(true);
    has(
        &scene.says(0, &["show", "status"]),
        &["3, 1 of them with a session", "drains"],
    );
    has(&scene.says(0, &["show", "peers"]), &["This node drains"]);
    assert!(
        !block_routes(scene.node(1)).unwrap().is_empty(),
        "the only path is used"
    );
    scene.says(0, &["bgp", "drain", "--off"]);
    seen(false);
    assert!(!scene.says(0, &["show", "status"]).contains("drains"));
}

#[test]
fn without_a_daemon_or_the_backend_there_is_nothing_to_do_and_it_is_said() {
    let plan = Plan {
        nodes: 1,
        shape: Shape::OneSwitch,
        stack: Stack::V4,
    };
    let config = config(Stack::V4, r#"{"Type":"host-gw"}"#);
    let mut network = PodNetwork::running(plan, 1, &config).unwrap();
    let all: [&[&str]; 5] = [
        &["show", "rib"],
        &["show", "rib", "10.0.0.0/8"],
        &["show", "peer", "a"],
        &["bgp", "reset", "a"],
        &["bgp", "drain"],
    ];
    let complaint = |network: &PodNetwork, words: &[&str]| {
        let mut command = network.node().twill(&network.command(), words);
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for words in all {
        let (code, said) = complaint(&network, words);
        assert_eq!(code, Some(2), "{words:?}: {said}");
        has(&said, &["backend of this node is host-gw"]);
    }
    network.daemons[0].terminate().unwrap();
    for words in all {
        let (code, said) = complaint(&network, words);
        assert_eq!(code, Some(1), "{words:?}: {said}");
        has(&said, &["no daemon runs"]);
    }
}
