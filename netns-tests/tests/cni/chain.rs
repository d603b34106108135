//! Debian's `portmap` and `bandwidth` behind us, and libcni before us.

use super::*;
use lab::probe::tcp_source;
use netns_tests::{Call, DEBIAN_PLUGINS};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

/// Calls a plugin of Debian's for a pod.
fn debian(
    node: &PluginNode,
    (name, command): (&str, &str),
    pod: &Namespace,
    config: &Value,
) -> Value {
    let mut config = config.clone();
    config["cniVersion"] = "1.0.0".into();
    config["name"] = "cbr0".into();
    config["type"] = name.into();
    let call = Call {
        plugin: Path::new(DEBIAN_PLUGINS).join(name),
        command,
        container: "a",
        netns: pod.path(),
        args: "",
        config,
    };
    let said = call.run(&node.namespace);
    assert!(said.success, "{name} {command}: {said:?}");
    said.json
}

fn added(node: &PluginNode, pod: &Namespace) -> Value {
    let call = Call {
        plugin: netns_tests::twill_cni(),
        command: "ADD",
        container: "a",
        netns: pod.path(),
        args: "",
        config: node.config("1.0.0", &Value::Null),
    };
    call.run(&node.namespace).json
}

/// Whether a connection to this port of the node comes out at this listener of the pod.
fn answers(from: &Namespace, listener: &TcpListener, to: &str) -> bool {
    let to = to.parse().unwrap();
    let client = from
        .run(|| TcpStream::connect_timeout(&to, PATIENCE))
        .unwrap();
    let Ok(mut client) = client else {
        return false;
    };
    let (mut accepted, _) = listener.accept().unwrap();
    client.write_all(b"?").unwrap();
    let mut byte = [0];
    accepted.read_exact(&mut byte).unwrap();
    byte == *b"?"
}

#[test]
fn portmap_behind_us_opens_a_port_of_the_node_also_for_the_pod_itself() {
    let (node, a, b) = (dual(), pod("a"), pod("b"));
    let result = added(&node, &a);
    node.add("b", &b);
    let ports =
        json!({ "portMappings": [{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }] });
    let config = json!({ "snat": true, "prevResult": result, "runtimeConfig": ports });
    let after = debian(&node, ("portmap", "ADD"), &a, &config);
    assert_eq!(after["ips"], result["ips"]);
    // One listener for both: a second could not be bound while a process that another test starts has the first still.
    let listener = a.run(|| TcpListener::bind("0.0.0.0:80")).unwrap().unwrap();
    assert!(answers(&b, &listener, "10.99.0.1:8080"), "another pod");
    assert!(answers(&a, &listener, "10.99.0.1:8080"), "the pod itself");
    // Debian's portmap looks for its IPv4 rules in IPv6's table, too: its own CHECK fails behind every plugin.
    let check = json!({ "prevResult": after });
    assert!(node.call("CHECK", "a", &a.path(), &check).success);
    debian(&node, ("portmap", "DEL"), &a, &config);
    assert!(node.call("DEL", "a", &a.path(), &check).success);
}

#[test]
fn bandwidth_behind_us_finds_the_link_and_shapes_it() {
    let (node, a) = (PluginNode::new(V4, None).unwrap(), pod("a"));
    let result = added(&node, &a);
    let limits = json!({ "bandwidth": { "ingressRate": 8_000_000, "ingressBurst": 800_000, "egressRate": 8_000_000, "egressBurst": 800_000 } });
    let config = json!({ "prevResult": result, "runtimeConfig": limits });
    let after = debian(&node, ("bandwidth", "ADD"), &a, &config);
    let link = result["interfaces"][0]["name"].as_str().unwrap();
    let shown = ip(&node.namespace, &["-d", "link", "show", link]).unwrap();
    assert!(shown.contains("qdisc tbf"), "{shown}");
    let check = json!({ "prevResult": after });
    assert!(node.call("CHECK", "a", &a.path(), &check).success);
    let own = addresses(&result)[0];
    assert!(tcp_source(&node.namespace, &a, own).is_ok());
    debian(&node, ("bandwidth", "DEL"), &a, &config);
    assert!(node.call("DEL", "a", &a.path(), &check).success);
    nothing_is_left(&node);
}

#[test]
#[ignore = "needs cnitool (scripts/install-deps cni-go, which needs Go)"]
fn libcni_adds_checks_and_deletes() {
    let (node, a) = (dual(), pod("a"));
    let configs = tempfile::tempdir().unwrap();
    let list = json!({ "cniVersion": "1.1.0", "name": "cbr0", "plugins": [node.config("1.1.0", &Value::Null)] });
    std::fs::write(configs.path().join("10-twill.conflist"), list.to_string()).unwrap();
    let tool = |words: &[&str]| {
        let mut command: Command = node.namespace.command("cnitool");
        let plugins = netns_tests::twill_cni();
        command
            .args(words)
            .arg(a.path())
            .env("NETCONFPATH", configs.path())
            .env("CNI_PATH", plugins.parent().unwrap());
        let output = command.output().expect("cnitool is installed");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{words:?}: {text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    };
    let result: Value = serde_json::from_str(&tool(&["add", "cbr0"])).unwrap();
    lab::probe::ping(&node.namespace, addresses(&result)[0], PATIENCE).unwrap();
    tool(&["check", "cbr0"]);
    tool(&["status", "cbr0"]);
    tool(&["del", "cbr0"]);
    nothing_is_left(&node);
}
