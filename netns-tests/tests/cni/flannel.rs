//! flannel's own plugin, with Debian's `bridge` and `host-local` behind it: for people who stay with them.

use super::*;
use lab::probe::{ping, tcp_source};
use lab::{Node, Plan, Shape, Stack, SubnetEnv};
use netns_tests::{Call, PodNetwork, READY, config};
use serde_json::json;
use std::path::PathBuf;

/// Where `scripts/install-deps cni-go` puts it.
const FLANNEL: &str = "/opt/cni/bin/flannel";

fn call<'a>(node: &Node, command: &'a str, container: &'a str, pod: &Namespace) -> Call<'a> {
    let of = |name: &str| node.directory().join(name);
    let delegate = json!({ "hairpinMode": true, "isDefaultGateway": true });
    Call {
        plugin: PathBuf::from(FLANNEL),
        command,
        container,
        netns: pod.path(),
        args: "",
        config: json!({
            "cniVersion": "0.3.1",
            "name": "cbr0",
            "type": "flannel",
            "subnetFile": node.subnet_file(),
            "dataDir": of("flannel"),
            "ipam": { "type": "host-local", "dataDir": of("networks") },
            "delegate": delegate,
        }),
    }
}

/// Adds a pod, and returns its address.
fn added(node: &Node, container: &str, pod: &Namespace) -> IpAddr {
    let said = call(node, "ADD", container, pod).run(node.namespace());
    assert!(said.success, "{said:?}");
    addresses(&said.json)[0]
}

fn mtu_is(mtu: usize, pod: &Namespace) {
    let shown = ip(pod, &["link", "show", "eth0"]).unwrap();
    assert!(shown.contains(&format!("mtu {mtu} ")), "{shown}");
}

#[test]
#[ignore = "needs flannel's plugin (scripts/install-deps cni-go, which needs Go)"]
fn flannels_plugin_works_with_our_subnet_file_unchanged() {
    let plan = Plan {
        nodes: 2,
        shape: Shape::OneSwitch,
        stack: Stack::V4,
    };
    let backend = r#"{"Type":"vxlan"}"#;
    let mut network = PodNetwork::new(plan, 1, &config(Stack::V4, backend)).unwrap();
    let command = network.command().args(&["--ip-masq"]);
    for node in &network.cluster.nodes {
        let mut daemon = node.start(&command).unwrap();
        daemon.wait_ready(READY).unwrap();
        network.daemons.push(daemon);
    }
    let [here, there] = [&network.cluster.nodes[0], &network.cluster.nodes[1]];
    let [a, b, c] = ["a", "b", "c"].map(pod);
    let to_a = added(here, "a", &a);
    let to_b = added(there, "b", &b);
    let env: SubnetEnv = here.subnet_env().unwrap();
    mtu_is(env.mtu, &a);
    ping(&a, to_b, READY).unwrap();
    assert_eq!(tcp_source(&b, &a, to_a).unwrap(), to_b);
    ping(&a, there.addresses().first().unwrap(), PATIENCE).unwrap();

    network.daemons[0].kill().unwrap();
    let to_c = added(here, "c", &c);
    assert_ne!(to_c, to_a);
    assert_eq!(tcp_source(&c, &b, to_b).unwrap(), to_c);
    for (node, container, pod) in [(here, "a", &a), (there, "b", &b), (here, "c", &c)] {
        let said = call(node, "DEL", container, pod).run(node.namespace());
        assert!(said.success, "{said:?}");
        let bridged = ip(node.namespace(), &["link", "show", "master", "cni0"]).unwrap();
        assert!(container == "a" || bridged.is_empty(), "{bridged}");
    }
}
