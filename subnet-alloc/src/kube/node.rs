//! A Node as a lease: its block from `spec.podCIDRs`, what it says about itself from flannel's annotations.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::block::Block;
use crate::json::shown;
use crate::lease::{Hold, Lease, LeaseAttrs, Revision};
use crate::store::BadEntry;

/// What is read of a Node; all else is passed over while it is read.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Node {
    pub(super) metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Spec {
    #[serde(rename = "podCIDR", default)]
    pod_cidr: String,
    #[serde(rename = "podCIDRs", default)]
    pod_cidrs: Vec<String>,
}

/// What Nodes are read with: whose annotations, and which families the network has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// The domain of the annotations, without the slash.
    pub(super) prefix: String,
    pub(super) v4: bool,
    pub(super) v6: bool,
}

/// The annotations behind the prefix, as flannel names them.
mod name {
    pub(super) const MANAGED: &str = "kube-subnet-manager";
    pub(super) const TYPE: &str = "backend-type";
    pub(super) const DATA: &str = "backend-data";
    pub(super) const DATA_V6: &str = "backend-v6-data";
    pub(super) const UNDERLAY_V4: &str = "public-ip";
    pub(super) const UNDERLAY_V6: &str = "public-ipv6";
    /// Set by hand where other nodes reach this one at another address (NAT).
    pub(super) const INSTEAD_V4: &str = "public-ip-overwrite";
    pub(super) const INSTEAD_V6: &str = "public-ipv6-overwrite";
}

impl Node {
    /// The revision of its last write.
    pub(super) fn revision(&self) -> Revision {
        revision(&self.metadata.resource_version)
    }

    /// The pod CIDRs of the families that the network has. `None`: it has none of them.
    pub(super) fn block(&self, reading: &Reading) -> Result<Option<Block>, String> {
        let (mut v4, mut v6) = (None, None);
        for text in self.pod_cidrs() {
            let part: IpNetwork = text
                .parse()
                .map_err(|why| format!("podCIDR {} is no prefix: {why}", shown(text, 80)))?;
            match part {
                IpNetwork::V4(part) if reading.v4 => _ = v4.get_or_insert(part),
                IpNetwork::V6(part) if reading.v6 => _ = v6.get_or_insert(part),
                IpNetwork::V4(_) | IpNetwork::V6(_) => {}
            }
        }
        if v4.is_none() && v6.is_none() {
            return Ok(None);
        }
        block_of(v4, v6).map(Some)
    }

    fn pod_cidrs(&self) -> impl Iterator<Item = &str> {
        let several = self.spec.pod_cidrs.iter();
        let one = Some(&self.spec.pod_cidr).filter(|_| self.spec.pod_cidrs.is_empty());
        several
            .chain(one)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// The Node's lease. `None` while it has no block, or no daemon has said that it serves it.
    pub(super) fn lease(&self, reading: &Reading) -> Result<Option<Lease>, BadEntry> {
        let block = self.block(reading).map_err(|why| self.bad(None, why))?;
        let is_managed = self.annotation(reading, name::MANAGED) == Some("true");
        let Some(block) = block.filter(|_| is_managed) else {
            return Ok(None);
        };
        let attrs = self
            .attrs(reading)
            .map_err(|why| self.bad(Some(block), why))?;
        Ok(Some(self.holding(block, attrs)))
    }

    /// The lease of this node itself: the block that it was given, whether or not it has said anything.
    pub(super) fn own_lease(&self, block: Block, reading: &Reading) -> Lease {
        let said = self.attrs(reading).unwrap_or_default();
        let node = Some(self.metadata.name.clone());
        self.holding(block, LeaseAttrs { node, ..said })
    }

    fn holding(&self, block: Block, attrs: LeaseAttrs) -> Lease {
        Lease {
            block,
            attrs,
            hold: Hold::Reserved,
            revision: self.revision(),
        }
    }

    fn attrs(&self, reading: &Reading) -> Result<LeaseAttrs, String> {
        let text = |name| self.annotation(reading, name);
        let address = |instead, usual| -> Result<Option<IpAddr>, String> {
            let said = text(instead).map(|text| (instead, text));
            let Some((name, said)) = said.or_else(|| Some((usual, text(usual)?))) else {
                return Ok(None);
            };
            let parsed = said.parse().map_err(|_| {
                let said = shown(said, 80);
                format!(
                    "annotation {}/{name} is {said}, which is no address",
                    reading.prefix
                )
            });
            parsed.map(|ip: IpAddr| Some(ip).filter(|ip| !ip.is_unspecified()))
        };
        let data = |name| {
            let raw = text(name).filter(|text| *text != "null");
            let raw = raw.map(|text| RawValue::from_string(text.to_owned()));
            raw.transpose()
                .map_err(|why| format!("annotation {}/{name} is no JSON: {why}", reading.prefix))
        };
        let v4 = address(name::INSTEAD_V4, name::UNDERLAY_V4)?;
        let v6 = address(name::INSTEAD_V6, name::UNDERLAY_V6)?;
        Ok(LeaseAttrs {
            underlay_v4: v4.and_then(ipv4),
            underlay_v6: v6.and_then(ipv6),
            backend: text(name::TYPE).map(str::to_owned),
            data: data(name::DATA)?,
            data_v6: data(name::DATA_V6)?,
            node: Some(self.metadata.name.clone()),
            released: false,
        })
    }

    fn annotation(&self, reading: &Reading, name: &str) -> Option<&str> {
        let key = key(reading, name);
        let text = self.metadata.annotations.get(&key)?;
        Some(text.as_str()).filter(|text| !text.is_empty())
    }

    fn bad(&self, block: Option<Block>, why: String) -> BadEntry {
        BadEntry {
            key: shown(&self.metadata.name, 80),
            block,
            revision: self.revision(),
            why,
        }
    }
}

/// A resource version; those that are no number count as the first.
pub(super) fn revision(text: &str) -> Revision {
    Revision(text.parse().unwrap_or(0))
}

/// What is written to a Node so that others, flannel's daemons among them, read these attributes.
pub(super) fn saying(attrs: &LeaseAttrs, reading: &Reading) -> Value {
    let raw = |data: &Option<Box<RawValue>>| data.as_ref().map(|data| data.get().to_owned());
    let data = raw(&attrs.data).unwrap_or_else(|| "null".to_owned());
    annotating(
        reading,
        [
            (name::MANAGED, Some("true".to_owned())),
            (name::TYPE, attrs.backend.clone()),
            (name::DATA, Some(data)),
            (name::DATA_V6, raw(&attrs.data_v6)),
            (
                name::UNDERLAY_V4,
                attrs.underlay_v4.map(|ip| ip.to_string()),
            ),
            (
                name::UNDERLAY_V6,
                attrs.underlay_v6.map(|ip| ip.to_string()),
            ),
        ],
    )
}

/// What is written to a Node that no daemon serves any more.
pub(super) fn silence(reading: &Reading) -> Value {
    let all = [
        name::MANAGED,
        name::TYPE,
        name::DATA,
        name::DATA_V6,
        name::UNDERLAY_V4,
        name::UNDERLAY_V6,
    ];
    annotating(reading, all.map(|name| (name, None)))
}

/// A merge patch; what is null goes.
fn annotating<const N: usize>(reading: &Reading, all: [(&str, Option<String>); N]) -> Value {
    let all: BTreeMap<_, _> = all
        .into_iter()
        .map(|(name, text)| (key(reading, name), text))
        .collect();
    json!({ "metadata": { "annotations": all } })
}

fn key(reading: &Reading, name: &str) -> String {
    format!("{}/{name}", reading.prefix)
}

fn block_of(v4: Option<Ipv4Network>, v6: Option<Ipv6Network>) -> Result<Block, String> {
    let v4 = v4.map(|part| Ipv4Network::new(part.network(), part.prefix()).unwrap_or(part));
    let v6 = v6.map(|part| Ipv6Network::new(part.network(), part.prefix()).unwrap_or(part));
    Block::new(v4, v6).map_err(|why| why.to_string())
}

fn ipv4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

fn ipv6(ip: IpAddr) -> Option<Ipv6Addr> {
    match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => Some(ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: fn() -> Reading = || Reading {
        prefix: "flannel.alpha.coreos.com".to_owned(),
        v4: true,
        v6: true,
    };

    /// What flannel leaves on a node of a dual-stack cluster.
    fn flannels() -> Value {
        json!({
            "metadata": {
                "name": "node-1",
                "resourceVersion": "4711",
                "annotations": {
                    "flannel.alpha.coreos.com/backend-data": r#"{"VNI":1,"VtepMAC":"fe:d9:bd:bd:f9:6d"}"#,
                    "flannel.alpha.coreos.com/backend-v6-data": r#"{"VNI":1,"VtepMAC":"8e:0b:ad:ce:b3:2c"}"#,
                    "flannel.alpha.coreos.com/backend-type": "vxlan",
                    "flannel.alpha.coreos.com/kube-subnet-manager": "true",
                    "flannel.alpha.coreos.com/public-ip": "10.99.0.2",
                    "flannel.alpha.coreos.com/public-ipv6": "fd99::2",
                    "node.alpha.kubernetes.io/ttl": "0",
                },
            },
            "spec": { "podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:244:0:1::/64"], "taints": [] },
            "status": { "images": [{ "names": ["a"], "sizeBytes": 7 }] },
        })
    }

    fn node(value: &Value) -> Node {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn a_node_that_flannel_serves_is_a_lease() {
        let lease = node(&flannels()).lease(&READING()).unwrap().unwrap();
        assert_eq!(lease.block.key(), "10.244.1.0-24&fd00:244:0:1::-64");
        let expected = br#"{"PublicIP":"10.99.0.2","PublicIPv6":"fd99::2","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"fe:d9:bd:bd:f9:6d"},"BackendV6Data":{"VNI":1,"VtepMAC":"8e:0b:ad:ce:b3:2c"},"NodeName":"node-1"}"#;
        assert_eq!(lease.attrs, LeaseAttrs::from_json(expected).unwrap());
        assert_eq!(
            (lease.hold, lease.revision),
            (Hold::Reserved, Revision(4711))
        );
    }

    #[test]
    fn what_is_written_reads_back_and_is_what_flannel_writes() {
        let lease = node(&flannels()).lease(&READING()).unwrap().unwrap();
        let patch = saying(&lease.attrs, &READING());
        let written = &patch["metadata"]["annotations"];
        let flannels = &flannels()["metadata"]["annotations"];
        for (key, text) in written.as_object().unwrap() {
            assert_eq!(flannels[key], *text);
        }
    }

    #[test]
    fn a_block_has_the_families_of_the_network() {
        let reading = Reading {
            v6: false,
            ..READING()
        };
        let block = node(&flannels()).block(&reading).unwrap().unwrap();
        assert_eq!(block.key(), "10.244.1.0-24");
    }

    #[test]
    fn without_a_pod_cidr_or_a_daemon_there_is_no_lease() {
        let mut bare = flannels();
        bare["spec"] = json!({});
        assert_eq!(node(&bare).lease(&READING()), Ok(None));
        let mut unserved = flannels();
        unserved["metadata"]["annotations"] = json!({});
        assert_eq!(node(&unserved).lease(&READING()), Ok(None));
        let block = node(&unserved).block(&READING()).unwrap().unwrap();
        let own = node(&unserved).own_lease(block, &READING());
        assert_eq!(own.attrs.node.as_deref(), Some("node-1"));
    }

    #[test]
    fn an_address_set_by_hand_goes_before_the_nodes_own() {
        let mut moved = flannels();
        moved["metadata"]["annotations"]["flannel.alpha.coreos.com/public-ip-overwrite"] =
            json!("203.0.113.7");
        let lease = node(&moved).lease(&READING()).unwrap().unwrap();
        assert_eq!(lease.attrs.underlay_v4, "203.0.113.7".parse().ok());
    }

    #[test]
    fn what_cannot_be_read_is_named_with_the_node_and_its_block() {
        let cases = [
            ("public-ip", "10.99.0.300", "is no address"),
            ("backend-data", "{", "is no JSON"),
        ];
        for (name, text, why) in cases {
            let mut broken = flannels();
            broken["metadata"]["annotations"][format!("flannel.alpha.coreos.com/{name}")] =
                json!(text);
            let bad = node(&broken).lease(&READING()).unwrap_err();
            assert_eq!((bad.key.as_str(), bad.block.is_some()), ("node-1", true));
            assert!(
                bad.why.contains(why) && bad.why.contains(name),
                "{}",
                bad.why
            );
        }
        let mut broken = flannels();
        broken["spec"]["podCIDRs"] = json!(["10.244.1.0/33"]);
        let bad = node(&broken).lease(&READING()).unwrap_err();
        assert!(bad.why.contains("10.244.1.0/33"), "{}", bad.why);
    }
}
