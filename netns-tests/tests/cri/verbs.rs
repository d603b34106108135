//! STATUS, CHECK and GC beside a real containerd. That of Debian 12 never asks for them, so they are asked with what libcni
//! has kept of its ADDs.

use super::*;

/// The plugin as the daemon installed it, with a network config of 1.1.0.
fn call(stage: &Stage, command: &str, pod: Option<&Sandbox>, more: &Value) -> Said {
    let list = fs::read(stage.node().directory().join("net.d/10-twill.conflist")).unwrap();
    let list: Value = serde_json::from_slice(&list).unwrap();
    let mut config = list["plugins"][0].clone();
    config["name"] = list["name"].clone();
    config["cniVersion"] = "1.1.0".into();
    let keys = more.as_object().into_iter().flatten();
    keys.for_each(|(key, value)| config[key] = value.clone());
    let call = Call {
        plugin: stage.node().directory().join("bin/twill-cni"),
        command,
        container: pod.map_or("", |pod| &pod.id),
        netns: pod.map_or_else(PathBuf::new, |pod| stage.runtime().netns_of(pod)),
        args: "",
        config,
    };
    call.run(stage.node().namespace())
}

/// libcni's own record of a pod's ADD, through the whole chain.
fn result(stage: &Stage, pod: &Sandbox) -> Value {
    stage.runtime().known_of("cbr0", &pod.id)["result"].clone()
}

#[test]
fn the_runtime_is_ready_when_the_daemon_is_and_no_sooner() {
    let mut stage = Stage::new(1, Stack::V4);
    stage.start_daemons();
    eventually("the daemon waits for a network config", READY, || {
        let log = stage.daemons[0].process().log_text();
        log.contains("no network config")
    })
    .unwrap();
    let (ready, said) = stage.runtime().network_ready().unwrap();
    assert!(!ready && said.contains("cni"), "{ready}: {said}");
    assert!(stage.runtime().run_pod("early", &[], &[]).is_err());
    stage.put_config(Stack::V4);
    wait_for_network(stage.runtime());
    assert_eq!(call(&stage, "STATUS", None, &Value::Null).code(), 0);
    stage.runtime().run_pod("late", &[], &[]).unwrap();
}

#[test]
fn check_finds_a_pod_as_containerd_made_it_and_says_what_is_missing() {
    let stage = Stage::ready(1, Stack::Dual);
    let pod = stage.runtime().run_pod("web", &[], &[]).unwrap();
    let made = json!({ "prevResult": result(&stage, &pod) });
    let said = call(&stage, "CHECK", Some(&pod), &made);
    assert!(said.success, "{said:?}");
    let route = format!("{}/32", pod.addresses[0]);
    ip(stage.node().namespace(), &["route", "del", &route]).unwrap();
    let said = call(&stage, "CHECK", Some(&pod), &made);
    assert_eq!(said.code(), 104, "{said:?}");
}

#[test]
fn gc_takes_what_a_lost_pod_left_and_nothing_of_a_living_one() {
    let stage = Stage::ready(1, Stack::V4);
    let [lost, alive] =
        ["lost", "alive"].map(|name| stage.runtime().run_pod(name, &[], &[]).unwrap());
    let valid =
        json!({ "cni.dev/valid-attachments": [{ "containerID": alive.id, "ifname": "eth0" }] });
    let said = call(&stage, "GC", None, &valid);
    assert!(said.success, "{said:?}");
    let left = traces(stage.node());
    let of = |pod: &Sandbox| {
        left.iter()
            .any(|line| line.contains(&pod.addresses[0].to_string()))
    };
    assert!(of(&alive) && !of(&lost), "{left:?}");
    let to = stage.node().addresses().first().unwrap().to_string();
    let ping = ["ping", "-q", "-c", "1", "-W", "5", &to];
    stage.runtime().exec(&alive, &ping).unwrap();
    // What containerd then asks for is gone already.
    stage.runtime().stop_pod(&lost).unwrap();
    stage.runtime().stop_pod(&alive).unwrap();
    assert_eq!(traces(stage.node()), [""; 0]);
}

#[test]
fn pods_come_and_go_while_the_daemon_is_dead() {
    let mut stage = Stage::ready(1, Stack::V4);
    let before = stage.runtime().run_pod("before", &[], &[]).unwrap();
    stage.daemons[0].kill().unwrap();
    let during = stage.runtime().run_pod("during", &[], &[]).unwrap();
    assert_ne!(before.addresses, during.addresses);
    let to = before.addresses[0].to_string();
    let ping = ["ping", "-q", "-c", "1", "-W", "5", &to];
    stage.runtime().exec(&during, &ping).unwrap();
    stage.runtime().stop_pod(&before).unwrap();
    stage.runtime().stop_pod(&during).unwrap();
    assert_eq!(traces(stage.node()), [""; 0]);
}
