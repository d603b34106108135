//! A lease: a node's timed claim on a block, and what the node says about itself in it.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::block::Block;
use crate::json::{self, BadJson, bad_value};

/// A node's claim on a block, as one store key holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The block.
    pub block: Block,
    /// What its node says about itself.
    pub attrs: LeaseAttrs,
    /// Whether it ends.
    pub hold: Hold,
    /// The revision of the store at which this key was last written.
    pub revision: Revision,
}

/// Whether a claim ends when nobody renews it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// A key without a store lease: an operator put it there, and it stays.
    Reserved,
    /// A key that goes with its store lease.
    Leased(LeaseId),
    /// Given by the cluster for as long as the Node is there.
    Given,
}

/// The store's number for what has to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

/// A point in the store's history; a later write has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// What a node publishes with its block. The JSON is flannel's `LeaseAttrs`, byte for byte, and at its end `NodeName`
/// and `Released` of ours when there is something to say (flannel ignores them).
#[derive(Debug, Clone, Default)]
pub struct LeaseAttrs {
    /// `PublicIP`: where other nodes send encapsulated packets over IPv4. `0.0.0.0` in the JSON means none.
    pub underlay_v4: Option<Ipv4Addr>,
    /// `PublicIPv6`: the same over IPv6.
    pub underlay_v6: Option<Ipv6Addr>,
    /// `BackendType`: `vxlan`, `host-gw`, ...
    pub backend: Option<String>,
    /// `BackendData`: opaque here; for VXLAN the VNI and the MAC of the IPv4 VTEP.
    pub data: Option<Box<RawValue>>,
    /// `BackendV6Data`: the same for IPv6.
    pub data_v6: Option<Box<RawValue>>,
    /// `NodeName`: survives a changed address. Must be unique among the nodes.
    pub node: Option<String>,
    /// `Released`: its node gives the block up on purpose, and the key goes next.
    pub released: bool,
}

/// A stored value that is no lease; its key is ignored as a peer, but its block is never allocated over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value is not a lease: {0}")]
pub struct BadLease(#[from] BadJson);

/// The largest value that is read. flannel's own have about 200 bytes.
const LARGEST: usize = 64 * 1024;

const MEMBERS: [&str; 7] = [
    "PublicIP",
    "PublicIPv6",
    "BackendType",
    "BackendData",
    "BackendV6Data",
    "NodeName",
    "Released",
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<'a> {
    #[serde(rename = "PublicIP")]
    public_ip: Ipv4Addr,
    #[serde(rename = "PublicIPv6")]
    public_ipv6: Option<Ipv6Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend_data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend_v6_data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_name: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    released: bool,
}

impl LeaseAttrs {
    /// The JSON text, in flannel's order of fields.
    pub fn to_json(&self) -> Vec<u8> {
        let written = Written {
            public_ip: self.underlay_v4.unwrap_or(Ipv4Addr::UNSPECIFIED),
            public_ipv6: self.underlay_v6,
            backend_type: self.backend.as_deref(),
            backend_data: self.data.as_deref(),
            backend_v6_data: self.data_v6.as_deref(),
            node_name: self.node.as_deref(),
            released: self.released,
        };
        serde_json::to_vec(&written).expect("strings, addresses and raw JSON always serialize")
    }

    /// The same, given up on purpose.
    pub(crate) fn release(self) -> LeaseAttrs {
        let released = true;
        LeaseAttrs { released, ..self }
    }

    /// Whether a node may be called so: at most 253 bytes (RFC 1123, section 2.1), without spaces and without anything
    /// that cannot be seen or turns the text around.
    pub fn is_node_name(text: &str) -> bool {
        let is_seen = |c: char| !c.is_control() && !c.is_whitespace() && !is_invisible(c);
        text.len() <= 253 && text.chars().all(is_seen)
    }

    /// Reads a stored value: keys in any case, unknown ones ignored, at most 64 KiB and 32 levels deep.
    pub fn from_json(text: &[u8]) -> Result<LeaseAttrs, BadLease> {
        let [v4, v6, backend, data, data_v6, node, released] =
            json::members(text, LARGEST, &MEMBERS)?;
        let backend = json::text("BackendType", backend)?;
        Ok(LeaseAttrs {
            underlay_v4: underlay_v4(v4)?,
            underlay_v6: underlay_v6(v6)?,
            backend: backend.filter(|text| !text.is_empty()).map(Cow::into_owned),
            data: data.map(ToOwned::to_owned),
            data_v6: data_v6.map(ToOwned::to_owned),
            node: node_name(node)?,
            released: json::take("Released", released)?.unwrap_or(false),
        })
    }
}

/// Equal when they mean the same: JSON that differs in spacing or order of keys is equal.
impl PartialEq for LeaseAttrs {
    fn eq(&self, other: &Self) -> bool {
        self.underlay_v4 == other.underlay_v4
            && self.underlay_v6 == other.underlay_v6
            && self.backend == other.backend
            && self.node == other.node
            && self.released == other.released
            && same_json(self.data.as_deref(), other.data.as_deref())
            && same_json(self.data_v6.as_deref(), other.data_v6.as_deref())
    }
}

impl Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Display for LeaseId {
    /// In hexadecimal, as etcdctl prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Zero-width characters and those that say in which direction a text runs (Unicode Standard Annex 9, section 2).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn node_name(value: Option<&RawValue>) -> Result<Option<String>, BadJson> {
    let node = json::text("NodeName", value)?;
    match node.filter(|text| !text.is_empty()).map(Cow::into_owned) {
        Some(text) if !LeaseAttrs::is_node_name(&text) => {
            let why = "want a name without spaces and invisible characters, of at most 253 bytes";
            Err(bad_value("NodeName", &text, why))
        }
        node => Ok(node),
    }
}

fn underlay_v4(value: Option<&RawValue>) -> Result<Option<Ipv4Addr>, BadJson> {
    let Some(text) = json::text("PublicIP", value)? else {
        return Ok(None);
    };
    match text.parse::<Ipv4Addr>() {
        Ok(address) => Ok(Some(address).filter(|address| !address.is_unspecified())),
        Err(_) if text.is_empty() => Ok(None),
        Err(why) => Err(bad_value("PublicIP", &text, &why.to_string())),
    }
}

fn underlay_v6(value: Option<&RawValue>) -> Result<Option<Ipv6Addr>, BadJson> {
    let Some(text) = json::text("PublicIPv6", value)? else {
        return Ok(None);
    };
    match text.parse::<Ipv6Addr>() {
        Ok(address) => Ok(Some(address).filter(|address| !address.is_unspecified())),
        Err(_) if text.is_empty() => Ok(None),
        Err(why) => Err(bad_value("PublicIPv6", &text, &why.to_string())),
    }
}

fn same_json(a: Option<&RawValue>, b: Option<&RawValue>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) if a.get() == b.get() => true,
        (Some(a), Some(b)) => {
            let parse = |raw: &RawValue| serde_json::from_str::<serde_json::Value>(raw.get()).ok();
            parse(a).is_some_and(|value| parse(b) == Some(value))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FLANNEL contract: values captured from a running flanneld.
    const CAPTURED: [&str; 5] = [
        r#"{"PublicIP":"10.99.0.2","PublicIPv6":"fd99::2","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"fe:d9:bd:bd:f9:6d"},"BackendV6Data":{"VNI":1,"VtepMAC":"8e:0b:ad:ce:b3:2c"}}"#,
        r#"{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}"#,
        r#"{"PublicIP":"0.0.0.0","PublicIPv6":"fd99::2","BackendType":"vxlan","BackendV6Data":{"VNI":1,"VtepMAC":"8e:0b:ad:ce:b3:2c"}}"#,
        r#"{"PublicIP":"10.99.0.1","PublicIPv6":null,"BackendType":"host-gw"}"#,
        r#"{"PublicIP":"1.2.3.4","PublicIPv6":null}"#,
    ];

    fn read(text: &str) -> LeaseAttrs {
        LeaseAttrs::from_json(text.as_bytes()).expect(text)
    }

    #[test]
    fn flannels_values_are_written_back_byte_for_byte() {
        for text in CAPTURED {
            assert_eq!(String::from_utf8_lossy(&read(text).to_json()), text);
        }
    }

    #[test]
    fn the_node_name_comes_last_and_only_when_there_is_one() {
        let mut attrs = read(CAPTURED[3]);
        attrs.node = Some("worker-1".to_owned());
        let text = String::from_utf8(attrs.to_json()).expect("JSON is UTF-8");
        assert_eq!(
            text,
            r#"{"PublicIP":"10.99.0.1","PublicIPv6":null,"BackendType":"host-gw","NodeName":"worker-1"}"#
        );
        assert_eq!(read(&text), attrs);
    }

    #[test]
    fn a_release_is_said_at_the_very_end_and_only_then() {
        let mut attrs = read(CAPTURED[3]);
        (attrs.node, attrs.released) = (Some("a".to_owned()), true);
        let text = String::from_utf8(attrs.to_json()).expect("JSON is UTF-8");
        assert!(
            text.ends_with(r#","NodeName":"a","Released":true}"#),
            "{text}"
        );
        assert_eq!(read(&text), attrs);
        attrs.released = false;
        assert_ne!(read(&text), attrs);
    }

    #[test]
    fn reading_is_lenient_about_case_order_and_unknown_keys() {
        let odd = r#" {"x":[1],"backenddata":{"VtepMAC":"c6:d2:32:6f:8f:44", "VNI":1},"BACKENDTYPE":"vxlan","publicip":"192.168.64.3"} "#;
        assert_eq!(read(odd), read(CAPTURED[1]));
        assert_eq!(
            read(r#"{"PublicIP":"","BackendData":null}"#),
            LeaseAttrs::default()
        );
    }

    #[test]
    fn different_backend_data_makes_different_attributes() {
        let other = CAPTURED[1].replace("8f:44", "8f:45");
        assert_ne!(read(&other), read(CAPTURED[1]));
    }

    #[test]
    fn hostile_values_are_refused_with_a_reason() {
        let deep = format!(
            r#"{{"BackendData":{}{}}}"#,
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        let large = format!(r#"{{"BackendData":"{}"}}"#, "x".repeat(10 << 20));
        for (text, reason) in [
            (deep.as_str(), "nested deeper than 32"),
            (large.as_str(), "more than the 65536"),
            ("", "it is empty"),
            ("[]", "not a JSON object"),
            ("null", "not a JSON object"),
            ("{\"PublicIP\":", "not a JSON object"),
            (r#"{"PublicIP":5}"#, "PublicIP is 5"),
            (r#"{"PublicIP":"fd00::1"}"#, "PublicIP is fd00::1"),
            (r#"{"PublicIPv6":"1.2.3.4"}"#, "PublicIPv6 is 1.2.3.4"),
            (r#"{"BackendType":{}}"#, "BackendType is {}"),
            (r#"{"NodeName":"a b"}"#, "NodeName is a b"),
            (r#"{"NodeName":"a\u001b[2J"}"#, r"NodeName is a\u{1b}[2J"),
            (r#"{"NodeName":"\u202egnp"}"#, r"NodeName is \u{202e}gnp"),
        ] {
            let refused = LeaseAttrs::from_json(text.as_bytes()).expect_err(reason);
            assert!(refused.to_string().contains(reason), "{refused}");
        }
        assert!(LeaseAttrs::from_json(b"{\"PublicIP\":\"\xff\"}").is_err());
    }
}
