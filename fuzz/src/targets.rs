//! The targets: what must hold of whatever was read, besides that reading ends.

use subnet_alloc::{Annotations, Block, LeaseAttrs, NetworkConfig, NodeObject, Overwrites, Reading, shown};
use vxlan::Vtep;

use crate::speaker::{bgp_notification, bgp_open, bgp_session, bgp_stream, bgp_update};
use crate::topic::Topic;

/// All targets by name. One for another protocol is a function below and a line here.
pub const TARGETS: [(&str, fn(&[u8])); 15] = [
    ("network_config", network_config),
    ("lease_key", lease_key),
    ("lease_value", lease_value),
    ("kube_node", kube_node),
    ("vtep_data", vtep_data),
    ("netlink", netlink),
    ("nftables", nftables),
    ("subnet_env", subnet_env),
    ("control_question", control_question),
    ("bgp_config", bgp_config),
    ("bgp_open", bgp_open),
    ("bgp_notification", bgp_notification),
    ("bgp_update", bgp_update),
    ("bgp_stream", bgp_stream),
    ("bgp_session", bgp_session),
];

/// The network config of the store. Its pools give out blocks that fit them.
pub fn network_config(data: &[u8]) {
    let config = match NetworkConfig::parse(data) {
        Ok(config) => config,
        Err(refused) => return is_short(&refused.to_string()),
    };
    for key in ["VNI", "Port", "MTU"] {
        let _ = config.backend.number(key);
    }
    for key in ["GBP", "Learning", "DirectRouting"] {
        let _ = config.backend.flag(key);
    }
    let (v4, v6) = (config.v4, config.v6);
    assert!(v4.is_none_or(|pool| pool.blocks() > 0) && v6.is_none_or(|pool| pool.blocks() > 0));
    for (v4, v6) in [
        (v4.map(|pool| pool.min), v6.map(|pool| pool.min)),
        (v4.map(|pool| pool.max), v6.map(|pool| pool.max)),
    ] {
        let block = Block::new(v4, v6).expect("the ends of a pool are blocks");
        assert_eq!(config.fits(&block), Ok(()));
    }
}

/// A key of the store. A block has one key.
pub fn lease_key(data: &[u8]) {
    let key = String::from_utf8_lossy(data);
    match Block::from_key(&key) {
        Ok(block) => {
            assert_eq!(block.key(), key);
            assert!(block.overlaps(&block) && !block.to_string().is_empty());
        }
        Err(refused) => is_short(&refused.to_string()),
    }
}

/// A value of the store. What was read means the same when it is written and read again.
pub fn lease_value(data: &[u8]) {
    match LeaseAttrs::from_json(data) {
        Ok(attrs) => {
            let written = attrs.to_json();
            let again = LeaseAttrs::from_json(&written).expect("we read what we write");
            assert_eq!(again, attrs);
        }
        Err(refused) => is_short(&refused.to_string()),
    }
}

/// A Node of Kubernetes. What its annotations say is what would be published to have it said.
pub fn kube_node(data: &[u8]) {
    let names = Annotations::default();
    let reading = Reading {
        names: names.clone(),
        v4: true,
        v6: true,
    };
    let Ok(node) = NodeObject::read(data) else {
        return;
    };
    if let Err(refused) = node.block(&reading) {
        is_short(&refused.to_string());
    }
    if let Err(refused) = node.overwrites(&names) {
        is_short(&refused.why);
    }
    match node.lease(&reading) {
        Ok(Some(lease)) => {
            let block = node.block(&reading).expect("a lease is on the node's block");
            assert!(block.overlaps(&lease.block));
            let patch = names.publish(&lease.attrs, Overwrites::default());
            assert_eq!(
                patch["metadata"]["annotations"]
                    .as_object()
                    .map_or(0, |all| all.len()),
                6
            );
        }
        Ok(None) => {}
        Err(refused) => is_short(&refused.why),
    }
}

/// `BackendData` of a lease. No VTEP has a group's MAC.
pub fn vtep_data(data: &[u8]) {
    match Vtep::from_json(&String::from_utf8_lossy(data)) {
        Ok(vtep) => {
            assert!(vtep.mac.is_unicast());
            assert_eq!(Vtep::from_json(&vtep.to_json()).ok(), Some(vtep));
        }
        Err(refused) => is_short(&shown(&refused.to_string(), 160)),
    }
}

/// A datagram of rtnetlink.
pub fn netlink(data: &[u8]) {
    kernel::fuzz_netlink(data);
}

/// A datagram of nf_tables.
pub fn nftables(data: &[u8]) {
    kernel::fuzz_nftables(data);
}

/// The subnet.env of an earlier run, or of flannel.
pub fn subnet_env(data: &[u8]) {
    let block = crate::subnet_env::block_in(&String::from_utf8_lossy(data));
    if let Some(block) = block {
        assert_eq!(Block::from_key(&block.key()), Ok(block));
    }
}

/// What a client of the control socket says. What was read means the same when it is written and read again.
pub fn control_question(data: &[u8]) {
    match Topic::asked(data) {
        Ok(topic) => {
            let line = topic.line();
            assert!(!line.contains('\n'), "{line:?}");
            assert_eq!(Topic::asked(line.as_bytes()), Ok(topic));
        }
        Err(refused) => is_short(&refused),
    }
}

/// A configuration with a `[bgp]` table. What is refused is named on one line.
pub fn bgp_config(data: &[u8]) {
    let table = String::from_utf8_lossy(data).parse::<toml::Table>();
    if let Some(Err(refused)) = table.ok().as_ref().and_then(crate::config::read) {
        is_short(&refused);
    }
}

/// A reason ends up in a log: on one line, of a length that somebody reads.
pub(crate) fn is_short(reason: &str) {
    assert!(reason.chars().count() < 2000, "{reason}");
    assert!(!reason.chars().any(char::is_control), "{reason:?}");
}
