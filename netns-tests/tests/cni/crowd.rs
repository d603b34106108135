//! Many pods at once.

use super::*;
use netns_tests::{Call, twill_cni};
use std::collections::BTreeSet;

const PODS: usize = 100;

fn all_at_once(node: &PluginNode, command: &str, pods: &[Namespace]) -> Vec<Value> {
    let calls = pods
        .iter()
        .enumerate()
        .map(|(number, pod)| (format!("c{number}"), pod.path()));
    let children: Vec<_> = calls
        .map(|(container, netns)| {
            let call = Call {
                plugin: twill_cni(),
                command,
                container: &container,
                netns,
                args: "",
                config: node.config("1.1.0", &Value::Null),
            };
            call.start(&node.namespace)
        })
        .collect();
    let outputs = children
        .into_iter()
        .map(|child| child.wait_with_output().unwrap());
    outputs
        .map(|output| {
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{text}");
            serde_json::from_str(&text).unwrap_or(Value::Null)
        })
        .collect()
}

#[test]
fn a_hundred_pods_at_once_get_a_hundred_addresses_and_all_go_at_once() {
    let node = dual();
    let pods: Vec<Namespace> = (0..PODS)
        .map(|number| pod(&format!("pod{number}")))
        .collect();
    let results = all_at_once(&node, "ADD", &pods);
    let own: BTreeSet<IpAddr> = results.iter().flat_map(addresses).collect();
    assert_eq!(own.len(), 2 * PODS);
    assert_eq!((node.held().len(), ours(&node).len()), (PODS, 3 * PODS));
    lab::probe::ping(&pods[0], addresses(&results[PODS - 1])[0], PATIENCE).unwrap();
    all_at_once(&node, "DEL", &pods);
    nothing_is_left(&node);
}
