//! Calls that are killed in the middle.

use super::*;
use netns_tests::{Call, twill_cni};
use serde_json::json;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::thread;
use std::time::Instant;

const KILLS: usize = 60;

fn call<'a>(node: &PluginNode, command: &'a str, container: &'a str, pod: &Namespace) -> Call<'a> {
    Call {
        plugin: twill_cni(),
        command,
        container,
        netns: pod.path(),
        args: "",
        config: node.config("1.1.0", &Value::Null),
    }
}

/// A moment within the time that a whole call takes.
fn by_chance(whole: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) % 1000;
    whole * u32::try_from(random).unwrap() / 1000
}

fn killed(node: &PluginNode, call: &Call<'_>, whole: Duration) -> bool {
    let mut child = call.start(&node.namespace);
    thread::sleep(by_chance(whole));
    let _ = child.kill();
    !child.wait().unwrap().success()
}

/// How long a call takes here and at this moment.
fn length_of(node: &PluginNode, call: &Call<'_>) -> Duration {
    let start = Instant::now();
    assert!(call.run(&node.namespace).success);
    start.elapsed()
}

#[test]
fn adds_that_are_killed_leave_nothing_after_gc() {
    let node = dual();
    let first = pod("first");
    let mut whole = length_of(&node, &call(&node, "ADD", "first", &first));
    let (mut kills, mut pods) = (0, Vec::new());
    while kills < KILLS {
        let (container, pod) = (format!("c{}", pods.len()), pod("pod"));
        if killed(&node, &call(&node, "ADD", &container, &pod), whole) {
            kills += 1;
            whole = whole * 11 / 10;
        } else {
            // The machine has become faster than it was: with others' tests over, say.
            whole = whole * 8 / 10;
        }
        pods.push(pod);
        assert!(
            pods.len() < 20 * KILLS,
            "only {kills} calls were killed in time"
        );
    }
    let none = json!({ "cni.dev/valid-attachments": [] });
    let said = node.call("GC", "", Path::new(""), &none);
    assert!(said.success, "{said:?}");
    nothing_is_left(&node);
    for pod in &pods {
        let links = ip(pod, &["-br", "link", "show", "type", "veth"]).unwrap();
        assert_eq!(links, "");
    }
}

#[test]
fn an_add_or_del_that_is_killed_is_finished_by_the_next() {
    let node = dual();
    let first = pod("first");
    let whole = length_of(&node, &call(&node, "ADD", "first", &first));
    for number in 0..KILLS / 3 {
        let (container, pod) = (format!("c{number}"), pod("pod"));
        if killed(&node, &call(&node, "ADD", &container, &pod), whole) {
            let said = call(&node, "ADD", &container, &pod).run(&node.namespace);
            // A call that was killed after its last deed has made the interface.
            assert!([0, 100].contains(&said.code()), "{said:?}");
        }
        killed(&node, &call(&node, "DEL", &container, &pod), whole);
        assert!(
            call(&node, "DEL", &container, &pod)
                .run(&node.namespace)
                .success
        );
    }
    assert!(
        call(&node, "DEL", "first", &first)
            .run(&node.namespace)
            .success
    );
    nothing_is_left(&node);
}
