//! What an ADD made, in the format of each version.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Version;

/// The interfaces, addresses and routes of an attachment.
#[derive(Deserialize, Clone, PartialEq, Debug)]
pub(crate) struct PodResult {
    /// The version to write it in.
    #[serde(skip, default = "latest")]
    pub(crate) version: Version,
    #[serde(default, deserialize_with = "super::config::or_default")]
    pub(crate) interfaces: Vec<Interface>,
    #[serde(default, deserialize_with = "super::config::or_default")]
    pub(crate) ips: Vec<Ip>,
    #[serde(default, deserialize_with = "super::config::or_default")]
    pub(crate) routes: Vec<Route>,
    #[serde(default)]
    pub(crate) dns: Value,
}

/// An interface, on the node or in the pod.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) mac: String,
    /// In bytes; version 1.1.0 has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mtu: Option<u32>,
    /// The namespace's path; empty on the node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) sandbox: String,
    #[serde(
        rename = "socketPath",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) socket_path: Option<String>,
    #[serde(rename = "pciID", default, skip_serializing_if = "Option::is_none")]
    pub(crate) pci_id: Option<String>,
}

/// An address of an interface.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(crate) struct Ip {
    /// With its prefix length.
    pub(crate) address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<IpAddr>,
    /// Index into the interfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) interface: Option<usize>,
}

/// A route in the pod. What a plugin before us said of it beside destination and gateway is kept as it is.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(crate) struct Route {
    pub(crate) dst: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gw: Option<IpAddr>,
    #[serde(flatten)]
    pub(crate) more: serde_json::Map<String, Value>,
}

impl PodResult {
    /// Nothing made yet.
    pub(crate) fn empty(version: Version, dns: &Value) -> PodResult {
        PodResult {
            version,
            interfaces: Vec::new(),
            ips: Vec::new(),
            routes: Vec::new(),
            dns: dns.clone(),
        }
    }

    /// The JSON of its version.
    pub(crate) fn json(&self) -> String {
        let interfaces: Vec<Interface> = self.interfaces.iter().map(|i| self.fitting(i)).collect();
        let dns = if self.dns.is_object() {
            self.dns.clone()
        } else {
            json!({})
        };
        let result = json!({
            "cniVersion": self.version.text(),
            "interfaces": interfaces,
            "ips": self.ips.iter().map(|ip| self.ip(ip)).collect::<Vec<Value>>(),
            "routes": self.routes,
            "dns": dns,
        });
        result.to_string()
    }

    /// Versions before 1.1.0 know neither the MTU nor what follows it.
    fn fitting(&self, interface: &Interface) -> Interface {
        let mut interface = interface.clone();
        if self.version < Version::V1_1_0 {
            (interface.mtu, interface.socket_path, interface.pci_id) = (None, None, None);
        }
        interface
    }

    /// Versions before 1.0.0 name the family.
    fn ip(&self, ip: &Ip) -> Value {
        let mut value = json!(ip);
        if self.version < Version::V1_0_0 {
            value["version"] = if ip.address.contains(':') { "6" } else { "4" }.into();
        }
        value
    }
}

fn latest() -> Version {
    Version::LATEST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(version: Version) -> Value {
        let result = PodResult {
            interfaces: vec![Interface {
                name: "eth0".into(),
                mac: "02:00:00:00:00:01".into(),
                mtu: Some(1450),
                sandbox: "/run/netns/a".into(),
                socket_path: None,
                pci_id: None,
            }],
            ips: vec![Ip {
                address: "fd00::2/128".into(),
                gateway: Some("fe80::1".parse().unwrap()),
                interface: Some(0),
            }],
            ..PodResult::empty(version, &Value::Null)
        };
        serde_json::from_str(&result.json()).unwrap()
    }

    #[test]
    fn each_version_has_its_own_format() {
        for version in Version::ALL {
            let result = made(version);
            assert_eq!(result["cniVersion"], version.text());
            let family = &result["ips"][0]["version"];
            assert_eq!(family == "6", version < Version::V1_0_0, "{result}");
            let mtu = &result["interfaces"][0]["mtu"];
            assert_eq!(mtu.is_null(), version < Version::V1_1_0, "{result}");
            assert_eq!(result["ips"][0]["interface"], 0);
            assert!(result["dns"].is_object());
        }
    }

    #[test]
    fn a_result_of_another_plugin_reads_back_with_all_that_it_said() {
        let text = r#"{"cniVersion":"1.1.0","dns":{"nameservers":["10.1.1.1"]},"interfaces":[{"name":"vif","pciID":"0000:04:00.5"}],
            "ips":[{"address":"10.1.0.2/24"}],"routes":[{"dst":"0.0.0.0/0","mtu":1400}]}"#;
        let read: PodResult = serde_json::from_str(text).unwrap();
        let again: Value = serde_json::from_str(&read.json()).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(text).unwrap());
    }
}
