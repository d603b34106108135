//! What a daemon takes from its Node, and says on it.

use crate::scene::{Scene, VXLAN, flannels};
use lab::probe::{all_pairs, ping_between, source_is_kept};
use lab::{Stack, eventually};
use netns_tests::NodeObject;
use netns_tests::READY;
use serde_json::json;
use std::time::Duration;

fn every_pod_reaches_every_pod(stack: Stack, backend: &str) {
    let scene = Scene::running(3, stack, backend);
    for (from, to) in all_pairs(&scene.pods) {
        ping_between(from, to).unwrap();
        source_is_kept(from, to).unwrap();
    }
    for node in ["node1", "node2", "node3"] {
        eventually("the Node says that pods may come", READY, || {
            scene.condition(node, "NetworkUnavailable").as_deref() == Some("False")
        })
        .unwrap();
    }
    let env = scene.node(1).subnet_env().unwrap();
    assert_eq!(env.subnet.is_some(), stack.has_v4());
}

#[test]
fn every_pod_reaches_every_pod_over_vxlan() {
    every_pod_reaches_every_pod(Stack::V4, VXLAN);
}

#[test]
fn every_pod_reaches_every_pod_over_vxlan_with_both_families() {
    every_pod_reaches_every_pod(Stack::Dual, VXLAN);
}

#[test]
fn every_pod_reaches_every_pod_by_direct_routes_over_ipv6() {
    every_pod_reaches_every_pod(Stack::V6, r#"{"Type":"host-gw"}"#);
}

#[test]
fn every_pod_reaches_every_pod_by_bgp() {
    every_pod_reaches_every_pod(Stack::V4, r#"{"Type":"bgp"}"#);
}

#[test]
fn a_daemon_says_what_flannels_would_and_understands_flannels() {
    let scene = Scene::running(2, Stack::V4, VXLAN);
    let said = |name| scene.annotation("node1", name);
    assert_eq!(said("kube-subnet-manager").as_deref(), Some("true"));
    assert_eq!(said("backend-type").as_deref(), Some("vxlan"));
    assert_eq!(said("public-ip").as_deref(), Some("10.99.0.1"));
    assert_eq!(said("public-ipv6"), None);
    let data = said("backend-data").unwrap();
    assert!(data.starts_with(r#"{"VNI":1,"VtepMAC":""#), "{data}");
    scene.server.create_nodes(&[flannels(60)]).unwrap();
    for place in 0..2 {
        eventually("flannel's block is reached", READY, || {
            scene.has_route(place, "10.244.60.0/24")
        })
        .unwrap();
    }
}

#[test]
fn a_node_without_a_block_waits_and_says_why() {
    let mut scene = Scene::new(1, Stack::V4, VXLAN, &[]);
    scene
        .server
        .create_nodes(&[scene.without_block(1)])
        .unwrap();
    let daemon = scene.node(0).start(&scene.command()).unwrap();
    scene.daemons.push(daemon);
    scene.wait_for_log(0, "Node node1 has no spec.podCIDRs of IPv4 yet", READY);
    assert_eq!(
        scene.condition("node1", "NetworkUnavailable"),
        None,
        "no pods may come yet"
    );
    assert_eq!(scene.daemons[0].get("/healthz").unwrap().status, 200);
    assert_eq!(scene.daemons[0].get("/readyz").unwrap().status, 503);
    let block = json!({ "spec": { "podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"] } });
    scene
        .server
        .patch_nodes(&[("node1".to_owned(), block)])
        .unwrap();
    scene.daemons[0].wait_ready(READY).unwrap();
    let said = scene.log(0).matches("has no spec.podCIDRs").count();
    assert_eq!(said, 1, "it is said once:\n{}", scene.log(0));
}

#[test]
fn a_block_that_does_not_fit_the_network_config_is_named_until_it_does() {
    let unfit = [
        (Stack::V4, r#"{"Network":"10.9.0.0/16"}"#),
        (
            Stack::Dual,
            r#"{"Network":"10.9.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:244::/48"}"#,
        ),
    ];
    for (stack, network) in unfit {
        let mut scene = Scene::new(1, stack, VXLAN, &[]);
        scene.register(1);
        let file = scene.cluster.directory().join("net-conf.json");
        let right = std::fs::read(&file).unwrap();
        std::fs::write(&file, network).unwrap();
        let daemon = scene.node(0).start(&scene.command()).unwrap();
        scene.daemons.push(daemon);
        let text = "the cluster gave Node node1 the block 10.244.1.0/24";
        scene.wait_for_log(0, text, READY);
        std::fs::write(&file, right).unwrap();
        scene.daemons[0].wait_ready(READY).unwrap();
        assert_eq!(scene.log(0).matches(text).count(), 1, "{}", scene.log(0));
    }
}

#[test]
fn a_daemon_whose_node_is_not_there_waits_and_says_why() {
    let mut scene = Scene::new(1, Stack::V4, VXLAN, &[]);
    let daemon = scene.node(0).start(&scene.command()).unwrap();
    scene.daemons.push(daemon);
    scene.wait_for_log(0, r#"nodes "node1" not found"#, READY);
    scene.register(1);
    scene.daemons[0].wait_ready(READY).unwrap();
}

#[test]
fn a_node_that_is_made_again_is_served_again() {
    let mut scene = Scene::running(2, Stack::V4, VXLAN);
    let stream = scene.ping();
    scene.server.delete_nodes(&["node1".to_owned()]).unwrap();
    scene.wait_for_log(0, "is gone from the store", READY);
    scene.register(1);
    eventually("the Node has its annotations again", READY, || {
        scene.annotation("node1", "public-ip").is_some()
    })
    .unwrap();
    eventually("both know each other", READY, || {
        scene.has_route(0, "10.244.2.0/24") && scene.has_route(1, "10.244.1.0/24")
    })
    .unwrap();
    let loss = stream.finish();
    assert_eq!(loss.lost, 0, "{loss}\n{}", scene.log(1));
}

#[test]
fn what_somebody_takes_from_the_own_node_is_said_again() {
    let scene = Scene::running(2, Stack::V4, VXLAN);
    let key = |name: &str| format!("{}/{name}", crate::scene::PREFIX);
    let nothing = json!({ "metadata": { "annotations": {
        key("kube-subnet-manager"): null, key("public-ip"): null,
    } } });
    scene
        .server
        .patch_nodes(&[("node1".to_owned(), nothing)])
        .unwrap();
    eventually("it is said again", READY, || {
        scene.annotation("node1", "public-ip").as_deref() == Some("10.99.0.1")
            && scene.annotation("node1", "kube-subnet-manager").is_some()
    })
    .unwrap();
}

#[test]
fn a_released_node_says_nothing_any_more() {
    let mut scene = Scene::running_with(2, Stack::V4, VXLAN, &["--vanished-grace=0s"]);
    scene.daemons[0].terminate().unwrap();
    let command = scene.command();
    scene
        .node(0)
        .twill_says(&command, &["cleanup", "--release"])
        .unwrap();
    assert_eq!(scene.annotation("node1", "public-ip"), None);
    eventually("the other node sends nothing there", READY, || {
        !scene.has_route(1, "10.244.1.0/24")
    })
    .unwrap();
}

#[test]
fn an_address_that_an_operator_sets_is_what_others_are_told() {
    let mut scene = Scene::new(1, Stack::V4, VXLAN, &[]);
    let mut node = NodeObject {
        pod_cidrs: crate::scene::cidrs(Stack::V4, 1),
        ..scene.without_block(1)
    };
    let overwrite = format!("{}/public-ip-overwrite", crate::scene::PREFIX);
    node.annotations.insert(overwrite, "203.0.113.7".into());
    scene.server.create_nodes(&[node]).unwrap();
    let daemon = scene.node(0).start(&scene.command()).unwrap();
    scene.daemons.push(daemon);
    scene.daemons[0].wait_ready(READY).unwrap();
    assert_eq!(
        scene.annotation("node1", "public-ip").as_deref(),
        Some("203.0.113.7")
    );
    scene.daemons[0].terminate().unwrap();
    scene.daemons[0] = scene.node(0).start(&scene.command()).unwrap();
    scene.daemons[0]
        .wait_ready(Duration::from_secs(30))
        .unwrap();
}

#[test]
fn networks_with_prefixes_of_their_own_do_not_see_each_other() {
    let mut scene = Scene::running(2, Stack::V4, VXLAN);
    scene.daemons[1].terminate().unwrap();
    let command = scene.command();
    scene
        .node(1)
        .twill_says(&command, &["cleanup", "--release"])
        .unwrap();
    let other = scene
        .command()
        .args(&["--kube-annotation-prefix=example.org/blue"]);
    scene.daemons[1] = scene.node(1).start(&other).unwrap();
    scene.daemons[1].wait_ready(READY).unwrap();
    let node = scene.server.get(&["node", "node2"]).unwrap();
    let said = &node["metadata"]["annotations"]["example.org/blue-public-ip"];
    assert_eq!(said, "10.99.0.2");
    assert!(!scene.has_route(1, "10.244.1.0/24"));
}
