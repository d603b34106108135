//! A Node object, as far as it says something about a lease: its block from `spec.podCIDRs`, what its daemon says from flannel's
//! annotations.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::annotations::{
    Annotations, BACKEND, DATA, DATA_V6, MANAGED, OVERWRITE, OVERWRITE_V6, UNDERLAY, UNDERLAY_V6,
    is_of_a_network,
};
use crate::block::{BadBlock, Block};
use crate::json::{LONGEST, shown};
use crate::lease::{Hold, Lease, LeaseAttrs, Revision};
use crate::store::BadEntry;

/// What Nodes are read with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The annotations of this pod network.
    pub names: Annotations,
    /// Whether the network has IPv4.
    pub v4: bool,
    /// Whether it has IPv6.
    pub v6: bool,
}

/// What is read of a Node. All else of the object, which is most of it, is skipped while it is read.
#[derive(Debug, Clone, Deserialize)]
pub struct NodeObject {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    name: String,
    #[serde(rename = "resourceVersion")]
    resource_version: String,
    #[serde(default, deserialize_with = "those_of_networks")]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Spec {
    #[serde(default, rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(default, rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
}

impl Reading {
    fn families(&self) -> &'static str {
        match (self.v4, self.v6) {
            (true, false) => "IPv4",
            (false, true) => "IPv6",
            _ => "IPv4 or IPv6",
        }
    }
}

/// Why a node has no block yet, or none that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoBlock {
    /// Nobody has given it one.
    #[error(
        "Node {node} has no spec.podCIDRs of {families} yet: kube-controller-manager gives them with --allocate-node-cidrs=true and --cluster-cidr"
    )]
    Waiting {
        /// The node's name.
        node: String,
        /// What it shall have: the network's families.
        families: &'static str,
    },
    /// One of them is none.
    #[error("Node {node}: spec.podCIDRs has {cidr:?}, which is no prefix of pods: {why}")]
    Bad {
        /// The node's name.
        node: String,
        /// What stands there.
        cidr: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Addresses that an operator has other nodes told instead of those of the underlay: for nodes behind NAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overwrites {
    /// `public-ip-overwrite`.
    pub v4: Option<Ipv4Addr>,
    /// `public-ipv6-overwrite`.
    pub v6: Option<Ipv6Addr>,
}

/// A lease as the annotations say it, in the spelling of the value in etcd.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Said<'a> {
    #[serde(rename = "PublicIP")]
    public_ip: Option<&'a str>,
    #[serde(rename = "PublicIPv6")]
    public_ipv6: Option<&'a str>,
    backend_type: Option<&'a str>,
    backend_data: Option<&'a RawValue>,
    backend_v6_data: Option<&'a RawValue>,
    node_name: &'a str,
}

impl NodeObject {
    /// Reads the JSON of a Node.
    pub fn read(text: &[u8]) -> Result<NodeObject, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// When it was last written.
    pub fn revision(&self) -> Revision {
        revision(&self.metadata.resource_version)
    }

    /// What its daemon has published, as a lease on the families that it has an address of. `None` while no daemon of
    /// this pod network has.
    pub fn lease(&self, reading: &Reading) -> Result<Option<Lease>, BadEntry> {
        if self.said(&reading.names, MANAGED) != Some("true") {
            return Ok(None);
        }
        let attrs = self.attrs(&reading.names).map_err(|why| self.bad(&why))?;
        let whole = self
            .block(reading)
            .map_err(|why| self.bad(&why.to_string()))?;
        let v4 = whole.v4().filter(|_| attrs.underlay_v4.is_some());
        let v6 = whole.v6().filter(|_| attrs.underlay_v6.is_some());
        let no_address = "it has published no underlay address of a family of its podCIDRs";
        let block = Block::new(v4, v6).map_err(|_| self.bad(no_address))?;
        Ok(Some(self.holding(block, attrs)))
    }

    /// The lease of this node itself: the block that it was given, and what its daemon has published so far, if that can
    /// be read.
    pub(super) fn own_lease(&self, block: Block, reading: &Reading) -> Lease {
        let published = self.lease(reading).ok().flatten();
        let said = published.map(|lease| lease.attrs).unwrap_or_default();
        let node = Some(self.name().to_owned());
        self.holding(block, LeaseAttrs { node, ..said })
    }

    fn holding(&self, block: Block, attrs: LeaseAttrs) -> Lease {
        Lease {
            block,
            attrs,
            hold: Hold::Given,
            revision: self.revision(),
        }
    }

    /// The block that it was given: the first prefix of each family that the network has.
    pub fn block(&self, reading: &Reading) -> Result<Block, NoBlock> {
        let several = self.spec.pod_cidrs.iter().flatten();
        let mut all: Vec<&String> = several.collect();
        if all.is_empty() {
            all.extend(&self.spec.pod_cidr);
        }
        let (mut v4, mut v6) = (None, None);
        for text in all {
            match text.parse() {
                Ok(IpNetwork::V4(net)) => v4 = v4.or(reading.v4.then_some(net)),
                Ok(IpNetwork::V6(net)) => v6 = v6.or(reading.v6.then_some(net)),
                Err(why) => return Err(self.no_block(text, why.to_string())),
            }
        }
        Block::new(v4, v6).map_err(|why| match why {
            BadBlock::Empty => NoBlock::Waiting {
                node: self.shown_name(),
                families: reading.families(),
            },
            BadBlock::HostBits { ref prefix, .. }
            | BadBlock::Length { ref prefix, .. }
            | BadBlock::Mapped { ref prefix } => self.no_block(prefix, why.to_string()),
        })
    }

    /// What an operator wants other nodes to be told; what is no address is an error that names it.
    pub fn overwrites(&self, names: &Annotations) -> Result<Overwrites, BadEntry> {
        Ok(Overwrites {
            v4: self.address(names, OVERWRITE)?,
            v6: self.address(names, OVERWRITE_V6)?,
        })
    }

    fn address<T: std::str::FromStr>(
        &self,
        names: &Annotations,
        which: &str,
    ) -> Result<Option<T>, BadEntry> {
        let text = self.said(names, which).filter(|text| !text.is_empty());
        let Some(text) = text else {
            return Ok(None);
        };
        let why = || format!("annotation {} is {text}, no address", names.name(which));
        let parsed = text.parse().map_err(|_| self.bad(&why()));
        parsed.map(Some)
    }

    fn attrs(&self, names: &Annotations) -> Result<LeaseAttrs, String> {
        let raw = |which| {
            let text = self.said(names, which);
            let parsed = text.map(serde_json::from_str::<&RawValue>).transpose();
            parsed.map_err(|why| format!("annotation {} is no JSON: {why}", names.name(which)))
        };
        let said = Said {
            public_ip: self.said(names, UNDERLAY),
            public_ipv6: self.said(names, UNDERLAY_V6),
            backend_type: self.said(names, BACKEND),
            backend_data: raw(DATA)?,
            backend_v6_data: raw(DATA_V6)?,
            node_name: self.name(),
        };
        let text = serde_json::to_vec(&said).map_err(|why| why.to_string())?;
        LeaseAttrs::from_json(&text).map_err(|why| why.to_string())
    }

    fn said(&self, names: &Annotations, which: &str) -> Option<&str> {
        let all = &self.metadata.annotations;
        all.get(&names.name(which)).map(String::as_str)
    }

    fn bad(&self, why: &str) -> BadEntry {
        BadEntry {
            key: self.shown_name(),
            block: None,
            revision: self.revision(),
            why: shown(why, LONGEST),
        }
    }

    fn no_block(&self, cidr: &str, why: String) -> NoBlock {
        NoBlock::Bad {
            node: self.shown_name(),
            cidr: shown(cidr, 50),
            why,
        }
    }

    fn shown_name(&self) -> String {
        shown(self.name(), 253)
    }
}

/// A resource version. Kubernetes calls it opaque; that of every API server is etcd's revision.
pub(super) fn revision(text: &str) -> Revision {
    Revision(text.parse().unwrap_or(0))
}

/// Reads the annotations that some pod network could have; others are longer than all the rest of what is read.
fn those_of_networks<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    struct All;

    impl<'de> Visitor<'de> for All {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("annotations")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
            let mut kept = BTreeMap::new();
            while let Some(name) = all.next_key::<String>()? {
                if is_of_a_network(&name) {
                    kept.insert(name, all.next_value()?);
                } else {
                    all.next_value::<IgnoredAny>()?;
                }
            }
            Ok(kept)
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }
    }

    from.deserialize_any(All)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const PREFIX: &str = "flannel.alpha.coreos.com/";

    /// A Node as an API server sends it, with these annotations of flannel's.
    fn object(annotations: &[(&str, &str)], cidrs: &[&str]) -> Value {
        let mut all = json!({ "node.alpha.kubernetes.io/ttl": "0" });
        for (name, value) in annotations {
            all[format!("{PREFIX}{name}")] = (*value).into();
        }
        json!({
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {
                "name": "worker-1", "uid": "b0", "resourceVersion": "4711", "labels": { "a": "b" },
                "annotations": all, "managedFields": [{ "manager": "kubelet" }],
            },
            "spec": { "podCIDR": cidrs.first(), "podCIDRs": cidrs, "taints": [] },
            "status": { "images": [{ "names": ["x"], "sizeBytes": 1 }] },
        })
    }

    fn node(annotations: &[(&str, &str)], cidrs: &[&str]) -> NodeObject {
        let text = object(annotations, cidrs).to_string();
        NodeObject::read(text.as_bytes()).expect("it is a Node")
    }

    const VXLAN: [(&str, &str); 6] = [
        (MANAGED, "true"),
        (BACKEND, "vxlan"),
        (DATA, r#"{"VNI":1,"VtepMAC":"fe:d9:bd:bd:f9:6d"}"#),
        (DATA_V6, r#"{"VNI":1,"VtepMAC":"8e:0b:ad:ce:b3:2c"}"#),
        (UNDERLAY, "10.99.0.2"),
        (UNDERLAY_V6, "fd99::2"),
    ];
    const DUAL: [&str; 2] = ["10.244.7.0/24", "fd00:244:7::/64"];

    /// A dual-stack network with annotations of this prefix.
    fn reading(prefix: &str) -> Reading {
        Reading {
            names: Annotations::new(prefix).expect("it is a prefix"),
            v4: true,
            v6: true,
        }
    }

    fn flannels() -> Reading {
        reading("flannel.alpha.coreos.com")
    }

    fn lease(annotations: &[(&str, &str)], cidrs: &[&str]) -> Lease {
        let lease = node(annotations, cidrs).lease(&flannels());
        lease.expect("it is good").expect("it is there")
    }

    #[test]
    fn a_node_on_which_flannel_runs_has_a_lease() {
        let lease = lease(&VXLAN, &DUAL);
        assert_eq!(lease.block.key(), "10.244.7.0-24&fd00:244:7::-64");
        assert_eq!((lease.hold, lease.revision), (Hold::Given, Revision(4711)));
        let text = String::from_utf8(lease.attrs.to_json()).expect("JSON is UTF-8");
        assert_eq!(
            text,
            r#"{"PublicIP":"10.99.0.2","PublicIPv6":"fd99::2","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"fe:d9:bd:bd:f9:6d"},"BackendV6Data":{"VNI":1,"VtepMAC":"8e:0b:ad:ce:b3:2c"},"NodeName":"worker-1"}"#
        );
    }

    #[test]
    fn direct_routes_have_null_as_data() {
        let all = [
            (MANAGED, "true"),
            (BACKEND, "host-gw"),
            (DATA, "null"),
            (UNDERLAY, "10.99.0.2"),
        ];
        let attrs = lease(&all, &DUAL[..1]).attrs;
        assert_eq!(attrs.backend.as_deref(), Some("host-gw"));
        assert!(attrs.data.is_none());
    }

    #[test]
    fn a_family_without_an_address_is_no_part_of_the_lease() {
        let v4 = lease(&VXLAN[..5], &DUAL).block;
        assert_eq!(v4.key(), "10.244.7.0-24");
        let (mut v6_alone, cidrs) = (VXLAN.to_vec(), &DUAL[1..]);
        v6_alone.retain(|(name, _)| *name != UNDERLAY);
        assert_eq!(
            lease(&v6_alone, cidrs).block.key(),
            "0.0.0.0-0&fd00:244:7::-64"
        );
        let none = node(&VXLAN, &DUAL[1..]).lease(&flannels());
        assert_eq!(
            none.expect("it is good").expect("it is there").block.v4(),
            None
        );
    }

    #[test]
    fn a_node_of_which_no_daemon_has_said_anything_has_no_lease() {
        for annotations in [&[][..], &VXLAN[1..], &[(MANAGED, "false")]] {
            assert_eq!(node(annotations, &DUAL).lease(&flannels()), Ok(None));
        }
        assert_eq!(
            node(&VXLAN, &DUAL).lease(&reading("example.org/blue")),
            Ok(None)
        );
    }

    #[test]
    fn the_block_is_the_first_prefix_of_each_family_and_a_node_without_one_waits() {
        let cidrs = ["fd00:244:7::/64", "10.244.7.0/24", "10.245.0.0/24"];
        let block = node(&[], &cidrs).block(&flannels()).expect("it has one");
        assert_eq!(block.key(), "10.244.7.0-24&fd00:244:7::-64");
        let mut old = object(&[], &DUAL[..1]);
        old["spec"]["podCIDRs"] = Value::Null;
        let old = NodeObject::read(old.to_string().as_bytes()).expect("it is a Node");
        assert_eq!(
            old.block(&flannels()).expect("it has one").key(),
            "10.244.7.0-24"
        );
        let why = node(&[], &[]).block(&flannels()).expect_err("it has none");
        assert!(
            why.to_string()
                .contains("Node worker-1 has no spec.podCIDRs of IPv4 or IPv6 yet"),
            "{why}"
        );
        let why = node(&[], &["10.244.7.1/24"])
            .block(&flannels())
            .expect_err("host bits");
        assert!(why.to_string().contains("host bits"), "{why}");
    }

    #[test]
    fn what_somebody_else_wrote_is_refused_with_a_reason() {
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        let large = format!("{:?}", "x".repeat(70_000));
        for (name, value, reason) in [
            (UNDERLAY, "10.99.0.300", "PublicIP is 10.99.0.300"),
            (UNDERLAY, "", "no underlay address"),
            (DATA, r#"{},"NodeName":"other""#, "backend-data is no JSON"),
            (DATA, "", "backend-data is no JSON"),
            (DATA, &deep, "nested deeper than 32"),
            (DATA, &large, "more than the 65536"),
        ] {
            let mut all = VXLAN[..5].to_vec();
            all.retain(|(which, _)| *which != name);
            all.push((name, value));
            let bad = node(&all, &DUAL).lease(&flannels());
            let bad = bad.expect_err(reason);
            assert!(bad.why.contains(reason), "{}", bad.why);
            assert_eq!(bad.key, "worker-1");
        }
        let bad = node(&VXLAN, &["10.244.7.0"]).lease(&flannels());
        assert!(bad.is_err(), "no length: {bad:?}");
        assert!(NodeObject::read(b"{}").is_err());
        assert!(NodeObject::read(b"\xff").is_err());
    }

    #[test]
    fn an_overwritten_address_is_read_and_what_is_none_is_named() {
        let names = Annotations::default();
        let read = |value| node(&[(OVERWRITE, value)], &DUAL).overwrites(&names);
        let v4 = "192.0.2.7".parse().ok();
        assert_eq!(read("192.0.2.7"), Ok(Overwrites { v4, v6: None }));
        assert_eq!(read(""), Ok(Overwrites::default()));
        let why = read("nat").expect_err("it is no address").why;
        assert!(why.contains("public-ip-overwrite is nat"), "{why}");
    }
}
