//! The harness itself: an API server to test against.

use lab::{Shape, Stack, Underlay};
use netns_tests::kubernetes::{ApiServer, NodeObject};
use std::net::Ipv4Addr;

#[test]
fn an_api_server_keeps_its_nodes_while_it_is_down() {
    let underlay = Underlay::new(Shape::OneSwitch, Stack::Dual).unwrap();
    let mut server = ApiServer::start(&underlay, 250, &[]).unwrap();
    let nodes: Vec<NodeObject> = (0..2000).map(node).collect();
    server.create_nodes(&nodes).unwrap();
    server.stop();
    assert!(server.kubectl(&["get", "nodes"]).is_err());
    server.resume().unwrap();
    let kept = server.get(&["nodes"]).unwrap();
    assert_eq!(kept["items"].as_array().unwrap().len(), nodes.len());
    let last = server.get(&["node", "made-1999"]).unwrap();
    assert_eq!(last["spec"]["podCIDRs"][0], "10.7.207.0/24");
    assert_eq!(last["status"]["addresses"][0]["address"], "10.99.7.207");
}

#[test]
fn a_service_account_may_do_what_its_role_says_and_no_more() {
    let underlay = Underlay::new(Shape::OneSwitch, Stack::V4).unwrap();
    let server = ApiServer::start(&underlay, 250, &[]).unwrap();
    let manifest = r#"
apiVersion: v1
kind: ServiceAccount
metadata: { name: reader, namespace: kube-system }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: reader }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:node-proxier }
subjects: [{ kind: ServiceAccount, name: reader, namespace: kube-system }]
"#;
    server
        .kubectl_with(&["apply", "--server-side", "-f", "-"], manifest)
        .unwrap();
    let config = server.service_account("kube-system", "reader").unwrap();
    let config = config.to_str().unwrap();
    let may = |what: &[&str]| {
        let words = [&["--kubeconfig", config, "auth", "can-i"], what].concat();
        server.kubectl(&words).is_ok()
    };
    assert!(may(&["list", "nodes"]));
    assert!(!may(&["delete", "nodes"]));
}

fn node(number: u32) -> NodeObject {
    let [_, _, high, low] = number.to_be_bytes();
    NodeObject {
        name: format!("made-{number}"),
        pod_cidrs: vec![format!("10.{high}.{low}.0/24")],
        addresses: vec![Ipv4Addr::new(10, 99, high, low).into()],
        ..NodeObject::default()
    }
}
