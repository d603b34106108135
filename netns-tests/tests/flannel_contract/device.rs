//! The VTEP device is flannel's.

use crate::{VXLAN, daemon, network};
use lab::Stack;
use lab::kernel_view::{Link, addresses, link};
use netns_tests::PREFIX;
use serde_json::json;

fn vtep(network: &netns_tests::PodNetwork, device: &str) -> Link {
    link(network.node().namespace(), device)
        .unwrap()
        .unwrap_or_else(|| panic!("there is no {device}"))
}

#[test]
fn the_ipv4_vtep() {
    let network = network(1, Stack::V4, VXLAN);
    let node = network.node();
    let _daemon = daemon(&network, node);
    let device = vtep(&network, "flannel.1");
    let info = device.linkinfo.unwrap();
    assert_eq!((device.mtu, info.info_kind.as_str()), (1450, "vxlan"));
    assert!(
        device.flags.iter().any(|flag| flag == "UP"),
        "{:?}",
        device.flags
    );
    for (setting, want) in [
        ("id", json!(1)),
        ("link", json!("eth0")),
        ("local", json!("10.99.0.1")),
        ("port", json!(8472)),
        ("learning", json!(false)),
        ("ageing", json!(300)),
    ] {
        assert_eq!(info.info_data[setting], want, "{setting}");
    }
    let base = node
        .subnet_env()
        .unwrap()
        .subnet
        .unwrap()
        .network()
        .address
        .to_string();
    let own = addresses(node.namespace(), "flannel.1").unwrap();
    let own: Vec<_> = own
        .into_iter()
        .filter(|own| own.family == "inet")
        .map(|own| (own.local, own.prefixlen))
        .collect();
    assert_eq!(own, [(base, 32)]);
    assert_eq!(
        node.namespace()
            .sysctl("net/ipv6/conf/flannel.1/accept_ra")
            .unwrap(),
        "0"
    );
}

#[test]
fn the_ipv6_vtep() {
    let network = network(1, Stack::Dual, VXLAN);
    let node = network.node();
    let _daemon = daemon(&network, node);
    let device = vtep(&network, "flannel-v6.1");
    let info = device.linkinfo.unwrap();
    assert_eq!(device.mtu, 1430);
    assert_eq!(
        (&info.info_data["id"], &info.info_data["local6"]),
        (&json!(1), &json!("fd99::1")),
        "{info:?}"
    );
    assert_eq!(
        (&info.info_data["port"], &info.info_data["learning"]),
        (&json!(8472), &json!(false))
    );
    let base = node
        .subnet_env()
        .unwrap()
        .ipv6_subnet
        .unwrap()
        .network()
        .address
        .to_string();
    let own = addresses(node.namespace(), "flannel-v6.1").unwrap();
    let global = own.into_iter().filter(|own| own.scope == "global");
    assert_eq!(
        global
            .map(|own| (own.local, own.prefixlen))
            .collect::<Vec<_>>(),
        [(base, 128)]
    );
    assert_eq!(
        node.namespace()
            .sysctl("net/ipv6/conf/flannel-v6.1/accept_ra")
            .unwrap(),
        "0"
    );
}

#[test]
fn the_options_of_the_config_reach_the_device() {
    let network = network(1, Stack::V4, VXLAN);
    let config = r#"{"Network":"10.244.0.0/16","Backend":{"Type":"VXLAN","vni":7,"Port":4789,"MTU":1400,"Learning":true,"GBP":true}}"#;
    network
        .etcd
        .put(&format!("{PREFIX}/config"), config)
        .unwrap();
    let _daemon = daemon(&network, network.node());
    let device = vtep(&network, "flannel.7");
    let info = device.linkinfo.unwrap();
    assert_eq!(device.mtu, 1350);
    for (setting, want) in [
        ("id", json!(7)),
        ("port", json!(4789)),
        ("learning", json!(true)),
        ("gbp", json!(true)),
    ] {
        assert_eq!(
            info.info_data[setting], want,
            "{setting}: {}",
            info.info_data
        );
    }
}
