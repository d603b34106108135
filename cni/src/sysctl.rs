//! The sysctls that a pod's packets depend on: read first, written only where they differ.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use crate::spec::CniError;

/// The link forwards packets of this family. A new link has what the node has; only where that is off is it turned on,
/// for the node, as the daemon does, and for the link.
pub(crate) fn forward(link: &str, like: IpAddr) -> Result<(), CniError> {
    let (own, node) = match like {
        IpAddr::V4(_) => (
            format!("net/ipv4/conf/{link}/forwarding"),
            "net/ipv4/ip_forward",
        ),
        IpAddr::V6(_) => (
            format!("net/ipv6/conf/{link}/forwarding"),
            "net/ipv6/conf/all/forwarding",
        ),
    };
    if read(&own)? == "1" {
        return Ok(());
    }
    ensure(node, "1")?;
    ensure(&own, "1")
}

/// The node answers at once on this link for addresses that it is told of. By itself it lets others go first, for up to 0.8 s.
pub(crate) fn answer_for_others(link: &str, like: IpAddr) -> Result<(), CniError> {
    let family = if like.is_ipv4() { "ipv4" } else { "ipv6" };
    ensure(&format!("net/{family}/neigh/{link}/proxy_delay"), "0")?;
    match like {
        IpAddr::V4(_) => Ok(()),
        IpAddr::V6(_) => ensure(&format!("net/ipv6/conf/{link}/proxy_ndp"), "1"),
    }
}

/// The link has IPv6. Some runtimes make namespaces in which it is off.
pub(crate) fn enable_ipv6(link: &str) -> Result<(), CniError> {
    ensure(&format!("net/ipv6/conf/{link}/disable_ipv6"), "0")
}

fn ensure(name: &str, value: &str) -> Result<(), CniError> {
    if read(name)? == value {
        return Ok(());
    }
    fs::write(path(name), value).map_err(failed("set", name))
}

fn read(name: &str) -> Result<String, CniError> {
    let text = fs::read_to_string(path(name)).map_err(failed("read", name))?;
    Ok(text.trim().into())
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new("/proc/sys").join(name)
}

fn failed(verb: &str, name: &str) -> impl FnOnce(io::Error) -> CniError {
    let what = format!("{verb} the sysctl {name}");
    move |source| CniError::Io { what, source }
}
