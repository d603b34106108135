//! What the kernel of a namespace holds, as `ip -j` and `bridge -j` tell it: an oracle that is not our own decoder.

use crate::error::{LabError, Result};
use crate::{Namespace, bridge, ip};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// An address family, as `ip` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `ip -4`.
    V4,
    /// `ip -6`.
    V6,
}

/// A route of the main table. A route that names a nexthop object shows that object's gateway, device and flags.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Route {
    /// `10.244.3.0/24`, `default`, or an address alone for a host route.
    pub dst: String,
    /// `unicast`, `unreachable`, `blackhole`, ...
    #[serde(rename = "type", default = "unicast")]
    pub kind: String,
    /// The gateway's address.
    pub gateway: Option<String>,
    /// The device.
    pub dev: Option<String>,
    /// The id of its nexthop object.
    pub nhid: Option<u32>,
    /// `kernel`, `boot`, ... or a number.
    pub protocol: Option<String>,
    /// `link` and so on; none for global.
    pub scope: Option<String>,
    /// The metric.
    pub metric: Option<u32>,
    /// `onlink`, `linkdown`, ...
    #[serde(default)]
    pub flags: Vec<String>,
}

/// A nexthop object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Nexthop {
    /// Its number.
    pub id: u32,
    /// The gateway's address.
    pub gateway: Option<String>,
    /// The device.
    pub dev: Option<String>,
    /// `boot`, ... or a number.
    pub protocol: Option<String>,
    /// `onlink`, ...
    #[serde(default)]
    pub flags: Vec<String>,
}

/// A neighbour (ARP or NDP) entry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Neighbour {
    /// Its IP address.
    pub dst: String,
    /// The device.
    pub dev: String,
    /// The MAC address.
    pub lladdr: Option<String>,
    /// `PERMANENT`, `REACHABLE`, ...
    #[serde(default)]
    pub state: Vec<String>,
}

/// An FDB entry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FdbEntry {
    /// The inner MAC address.
    pub mac: String,
    /// The device.
    pub ifname: String,
    /// The underlay address that it is sent to.
    pub dst: Option<String>,
    /// `self`, ...
    #[serde(default)]
    pub flags: Vec<String>,
    /// `permanent` or empty.
    #[serde(default)]
    pub state: String,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Link {
    /// Its number.
    pub ifindex: u32,
    /// Its name.
    pub ifname: String,
    /// `UP`, `LOWER_UP`, ...
    pub flags: Vec<String>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its MAC address.
    pub address: Option<String>,
    /// Its kind and the kind's own settings.
    pub linkinfo: Option<LinkInfo>,
}

/// The kind of an interface and the kind's own settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LinkInfo {
    /// `vxlan`, `veth`, `bridge`, ...
    #[serde(default)]
    pub info_kind: String,
    /// The kind's settings as `ip -d -j link` names them.
    #[serde(default)]
    pub info_data: Value,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InterfaceAddress {
    /// `inet` or `inet6`.
    pub family: String,
    /// The address.
    pub local: String,
    /// Its prefix length.
    pub prefixlen: u8,
    /// `global`, `link`, `host`.
    pub scope: String,
}

impl Route {
    /// Whether the kernel takes the gateway to be on the link without looking.
    pub fn is_onlink(&self) -> bool {
        self.flags.iter().any(|flag| flag == "onlink")
    }
}

/// The main routing table.
pub fn routes(namespace: &Namespace, family: Family) -> Result<Vec<Route>> {
    let objects: BTreeMap<u32, Nexthop> = nexthops(namespace)?
        .into_iter()
        .map(|object| (object.id, object))
        .collect();
    let listed: Vec<Route> = parse(
        "ip route",
        &ip(namespace, &["-j", "-d", family.flag(), "route", "show"])?,
    )?;
    Ok(listed
        .into_iter()
        .map(|route| resolve(route, &objects))
        .collect())
}

/// All nexthop objects.
pub fn nexthops(namespace: &Namespace) -> Result<Vec<Nexthop>> {
    parse("ip nexthop", &ip(namespace, &["-j", "nexthop", "show"])?)
}

/// The neighbour entries of a device.
pub fn neighbours(namespace: &Namespace, family: Family, device: &str) -> Result<Vec<Neighbour>> {
    let text = ip(
        namespace,
        &["-j", family.flag(), "neigh", "show", "dev", device],
    )?;
    let mut listed: Vec<Value> = parse("ip neigh", &text)?;
    for entry in &mut listed {
        // `ip` leaves out the device that it was asked for.
        entry["dev"] = Value::from(device);
    }
    from_value("ip neigh", Value::from(listed))
}

/// The FDB entries of a device.
pub fn fdb(namespace: &Namespace, device: &str) -> Result<Vec<FdbEntry>> {
    let text = bridge(namespace, &["-j", "fdb", "show", "dev", device])?;
    let mut listed: Vec<Value> = parse("bridge fdb", &text)?;
    for entry in &mut listed {
        entry["ifname"] = Value::from(device);
    }
    from_value("bridge fdb", Value::from(listed))
}

/// All interfaces.
pub fn links(namespace: &Namespace) -> Result<Vec<Link>> {
    parse("ip link", &ip(namespace, &["-j", "-d", "link", "show"])?)
}

/// The interface of that name, if there is one.
pub fn link(namespace: &Namespace, name: &str) -> Result<Option<Link>> {
    Ok(links(namespace)?
        .into_iter()
        .find(|link| link.ifname == name))
}

/// The addresses of a device.
pub fn addresses(namespace: &Namespace, device: &str) -> Result<Vec<InterfaceAddress>> {
    let mut listed: Value = parse(
        "ip addr",
        &ip(namespace, &["-j", "addr", "show", "dev", device])?,
    )?;
    from_value("ip addr", listed[0]["addr_info"].take())
}

impl Family {
    fn flag(self) -> &'static str {
        match self {
            Self::V4 => "-4",
            Self::V6 => "-6",
        }
    }
}

fn resolve(mut route: Route, objects: &BTreeMap<u32, Nexthop>) -> Route {
    if let Some(object) = route.nhid.and_then(|id| objects.get(&id)) {
        route.gateway = route.gateway.or_else(|| object.gateway.clone());
        route.dev = route.dev.or_else(|| object.dev.clone());
        let missing = object
            .flags
            .iter()
            .filter(|flag| !route.flags.contains(flag));
        let missing: Vec<String> = missing.cloned().collect();
        route.flags.extend(missing);
    }
    route
}

fn unicast() -> String {
    "unicast".into()
}

fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    // `ip -j` prints nothing at all, or `[{}]`, for some empty tables.
    let text = if text.trim().is_empty() { "[]" } else { text };
    let mut value: Value =
        serde_json::from_str(text).map_err(|error| malformed(what, &error, text))?;
    if let Value::Array(entries) = &mut value {
        entries.retain(|entry| entry.as_object().is_none_or(|fields| !fields.is_empty()));
    }
    from_value(what, value)
}

fn from_value<T: DeserializeOwned>(what: &str, value: Value) -> Result<T> {
    let text = value.to_string();
    serde_json::from_value(value).map_err(|error| malformed(what, &error, &text))
}

fn malformed(what: &str, error: &serde_json::Error, text: &str) -> LabError {
    LabError::Malformed {
        what: format!("the output of `{what}` ({error})"),
        text: text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip_batch;

    fn with_a_vxlan_device() -> Namespace {
        let namespace = Namespace::new("kernel-view").unwrap();
        let lines = [
            "link add under0 up type bridge",
            "addr add 10.99.1.1/24 dev under0",
            "link add flannel.1 up type vxlan id 1 local 10.99.1.1 dev under0 dstport 8472 nolearning",
            "addr add 10.244.1.0/32 dev flannel.1",
            "neigh add 10.244.2.0 lladdr 02:00:00:00:00:02 dev flannel.1 nud permanent",
            "nexthop add id 7 via 10.244.2.0 dev flannel.1 onlink proto 84",
            "route add 10.244.2.0/24 nhid 7 proto 84",
            "route add unreachable 10.244.1.0/24 metric 9999 proto 84",
        ];
        ip_batch(&namespace, &lines.map(str::to_owned)).unwrap();
        let entry = [
            "fdb",
            "add",
            "02:00:00:00:00:02",
            "dev",
            "flannel.1",
            "self",
            "permanent",
            "dst",
            "10.99.1.2",
        ];
        bridge(&namespace, &entry).unwrap();
        namespace
    }

    #[test]
    fn a_route_by_nexthop_object_shows_gateway_device_and_onlink() {
        let routes = routes(&with_a_vxlan_device(), Family::V4).unwrap();
        let route = routes
            .iter()
            .find(|route| route.dst == "10.244.2.0/24")
            .unwrap();
        assert_eq!(
            (route.gateway.as_deref(), route.dev.as_deref()),
            (Some("10.244.2.0"), Some("flannel.1"))
        );
        assert_eq!(
            (route.nhid, route.protocol.as_deref()),
            (Some(7), Some("84"))
        );
        assert!(route.is_onlink());
        assert!(
            routes
                .iter()
                .any(|route| route.kind == "unreachable" && route.metric == Some(9999))
        );
    }

    #[test]
    fn neighbours_fdb_links_and_addresses_are_read() {
        let namespace = with_a_vxlan_device();
        let neighbours = neighbours(&namespace, Family::V4, "flannel.1").unwrap();
        assert_eq!(neighbours[0].lladdr.as_deref(), Some("02:00:00:00:00:02"));
        assert_eq!(neighbours[0].state, ["PERMANENT"]);
        let fdb = fdb(&namespace, "flannel.1").unwrap();
        assert!(
            fdb.iter().any(
                |entry| entry.dst.as_deref() == Some("10.99.1.2") && entry.state == "permanent"
            )
        );
        let link = link(&namespace, "flannel.1").unwrap().unwrap();
        assert_eq!(link.linkinfo.unwrap().info_data["id"], 1);
        assert!(
            addresses(&namespace, "flannel.1")
                .unwrap()
                .iter()
                .any(|own| own.local == "10.244.1.0")
        );
    }

    #[test]
    fn an_empty_namespace_has_empty_tables() {
        let namespace = Namespace::new("empty").unwrap();
        assert!(routes(&namespace, Family::V4).unwrap().is_empty());
        assert!(nexthops(&namespace).unwrap().is_empty());
        assert!(neighbours(&namespace, Family::V6, "lo").unwrap().is_empty());
    }
}
