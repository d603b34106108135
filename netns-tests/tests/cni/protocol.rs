//! The specification, word by word: versions, results, errors, STATUS, GC.

use super::*;
use netns_tests::{Call, twill_cni};
use serde_json::json;
use std::path::Path;

const VERSIONS: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];

#[test]
fn version_tells_all_versions_in_the_one_that_it_was_asked_in() {
    let node = dual();
    for asked in ["0.3.1", "1.1.0", "9.9.9"] {
        let call = Call {
            plugin: twill_cni(),
            command: "VERSION",
            container: "",
            netns: "".into(),
            args: "",
            config: json!({ "cniVersion": asked }),
        };
        let said = call.run(&node.namespace);
        assert!(said.success);
        assert_eq!(
            said.json,
            json!({ "cniVersion": asked, "supportedVersions": VERSIONS })
        );
    }
}

#[test]
fn the_result_has_the_format_of_its_version() {
    for version in VERSIONS {
        let (node, a) = (dual(), pod("a"));
        let call = Call {
            plugin: twill_cni(),
            command: "ADD",
            container: "a",
            netns: a.path(),
            args: "",
            config: node.config(
                version,
                &json!({ "dns": { "nameservers": ["10.96.0.10"] } }),
            ),
        };
        let result = call.run(&node.namespace).json;
        assert_eq!(result["cniVersion"], version);
        let (host, inside) = (&result["interfaces"][0], &result["interfaces"][1]);
        assert!(
            host["sandbox"].is_null() && host["mac"].is_string(),
            "{result}"
        );
        assert_eq!(inside["name"], "eth0");
        assert_eq!(inside["sandbox"], json!(a.path()));
        assert_eq!(inside["mtu"].is_u64(), version == "1.1.0");
        assert_eq!(result["ips"][0]["address"], "10.244.72.2/32");
        assert_eq!(result["ips"][0]["gateway"], "169.254.1.1");
        assert_eq!(result["ips"][1]["interface"], 1);
        let families = [&result["ips"][0]["version"], &result["ips"][1]["version"]];
        let old = version.starts_with('0');
        assert_eq!(
            families.map(Value::as_str),
            if old {
                [Some("4"), Some("6")]
            } else {
                [None, None]
            }
        );
        assert_eq!(
            result["routes"][0],
            json!({ "dst": "0.0.0.0/0", "gw": "169.254.1.1" })
        );
        assert_eq!(result["dns"]["nameservers"][0], "10.96.0.10");
    }
}

#[test]
fn the_result_of_a_plugin_before_is_kept_and_added_to() {
    let (node, a) = (dual(), pod("a"));
    let before = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{ "name": "other0", "sandbox": "/x" }],
        "ips": [{ "address": "192.0.2.7/24", "interface": 0 }],
    });
    let result = node
        .call("ADD", "a", &a.path(), &json!({ "prevResult": before }))
        .json;
    assert_eq!(result["interfaces"][0], before["interfaces"][0]);
    assert_eq!(result["ips"][0], before["ips"][0]);
    assert_eq!(result["ips"][1]["interface"], 2);
}

#[test]
fn a_namespace_that_is_none_is_refused_and_nothing_is_kept() {
    let node = dual();
    let own = node.namespace.path();
    for (path, code) in [
        ("/proc/self/ns/mnt", 4),
        ("/dev/null", 4),
        ("/no/such/namespace", 3),
        (own.to_str().unwrap(), 4),
    ] {
        let said = node.call("ADD", "a", Path::new(path), &Value::Null);
        assert_eq!(said.code(), code, "{path}: {said:?}");
        assert_eq!(said.json["cniVersion"], "1.1.0");
        assert!(said.json["msg"].is_string() && said.json["details"].is_string());
    }
    nothing_is_left(&node);
}

#[test]
fn status_tells_whether_pods_can_be_added_and_whether_there_are_pods() {
    let (node, a) = (dual(), pod("a"));
    let status = || node.call("STATUS", "", Path::new(""), &Value::Null);
    assert_eq!(status().code(), 0, "{:?}", status());
    node.add("a", &a);
    std::fs::remove_file(node.subnet_file()).unwrap();
    assert_eq!(status().code(), 51);
    assert!(
        status().json["details"]
            .as_str()
            .unwrap()
            .contains("subnet.env")
    );
    let add = node.call("ADD", "b", &pod("b").path(), &Value::Null);
    assert_eq!(add.code(), 11, "{add:?}");
    assert!(node.call("DEL", "a", &a.path(), &Value::Null).success);
    assert_eq!(status().code(), 50);
}

#[test]
fn gc_removes_what_is_not_listed_and_nothing_of_other_networks() {
    let node = dual();
    let pods: Vec<Namespace> = ["a", "b", "c"].map(pod).into();
    node.add("a", &pods[0]);
    node.add("b", &pods[1]);
    let other = json!({ "name": "other" });
    assert!(node.call("ADD", "c", &pods[2].path(), &other).success);
    let unsaid = node.call("GC", "", Path::new(""), &Value::Null);
    assert_eq!((unsaid.code(), node.held().len()), (7, 3));
    let valid = json!({ "cni.dev/valid-attachments": [{ "containerID": "b", "ifname": "eth0" }] });
    for _ in 0..2 {
        let said = node.call("GC", "", Path::new(""), &valid);
        assert!(said.success, "{said:?}");
        assert_eq!((node.held().len(), ours(&node).len()), (2, 6));
    }
    let none = json!({ "cni.dev/valid-attachments": [] });
    assert!(node.call("GC", "", Path::new(""), &none).success);
    assert!(node.held()[0].starts_with("held:other:c:"));
}
