//! All that a daemon keeps in its kernel, as text: what has to be the same again after drift.

use lab::kernel_view::{
    Family, Link, Nexthop, Route, addresses, fdb, links, neighbours, nexthops, routes,
};
use lab::{HEALTH_PORT, LabError, Node, get};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

const OURS: &str = "84";

/// Routes and nexthops of Twill's protocol, the VTEP devices with all that is on them, and the sysctls. Numbers of links
/// and nexthops are left out: a device that is made again has others.
pub fn data_plane(node: &Node) -> Result<BTreeSet<String>, LabError> {
    let namespace = node.namespace();
    let mut lines = BTreeSet::new();
    for family in [Family::V4, Family::V6] {
        let ours = |protocol: &Option<String>| protocol.as_deref() == Some(OURS);
        let routes = routes(namespace, family)?.into_iter();
        let routes = routes.filter(|route| ours(&route.protocol));
        lines.extend(routes.map(|route| {
            format!(
                "{:?}",
                Route {
                    nhid: None,
                    ..route
                }
            )
        }));
    }
    let objects = nexthops(namespace)?.into_iter();
    let objects = objects.filter(|object| object.protocol.as_deref() == Some(OURS));
    lines.extend(objects.map(|object| format!("{:?}", Nexthop { id: 0, ..object })));
    for device in links(namespace)?.iter().filter(|link| is_vtep(link)) {
        lines.extend(on_device(node, device)?);
    }
    for sysctl in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        lines.insert(format!("{sysctl} = {}", namespace.sysctl(sysctl)?));
    }
    Ok(lines)
}

/// A counter or gauge of the daemon's `/metrics`.
pub fn metric(node: &Node, name: &str) -> Result<u64, LabError> {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, HEALTH_PORT));
    let text = get(node.namespace(), server, "/metrics")?.body;
    let text = String::from_utf8_lossy(&text);
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value
        .and_then(|value| value.trim().parse().ok())
        .ok_or_else(|| LabError::Malformed {
            what: format!("the metric {name}"),
            text: text.clone().into_owned(),
        })
}

fn is_vtep(link: &Link) -> bool {
    link.ifname.starts_with("flannel")
}

fn on_device(node: &Node, device: &Link) -> Result<Vec<String>, LabError> {
    let (namespace, name) = (node.namespace(), device.ifname.as_str());
    let up = device.flags.iter().any(|flag| flag == "UP");
    let info = device.linkinfo.as_ref().map(|info| &info.info_data);
    let mut lines = vec![format!(
        "{name} {:?} mtu {} up {up} {info:?}",
        device.address, device.mtu
    )];
    let sysctl = format!("net/ipv6/conf/{name}/accept_ra");
    lines.push(format!("{sysctl} = {}", namespace.sysctl(&sysctl)?));
    let global = addresses(namespace, name)?.into_iter();
    let global = global.filter(|address| address.scope == "global");
    lines.extend(global.map(|address| format!("{name} {}/{}", address.local, address.prefixlen)));
    for family in [Family::V4, Family::V6] {
        let permanent = neighbours(namespace, family, name)?.into_iter();
        let permanent = permanent.filter(|entry| entry.state.iter().any(|s| s == "PERMANENT"));
        lines.extend(permanent.map(|entry| format!("{name} {} {:?}", entry.dst, entry.lladdr)));
    }
    let remotes = fdb(namespace, name)?.into_iter();
    let remotes = remotes.filter(|entry| entry.dst.is_some());
    lines.extend(remotes.map(|entry| format!("{name} {} {:?}", entry.mac, entry.dst)));
    Ok(lines)
}
