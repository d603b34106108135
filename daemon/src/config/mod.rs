//! Configuration: everything that an operator can set, parsed to its type before any I/O is done
//! with it.
//!
//! ```text
//! settings.rs   declares each setting once
//!      |
//! flags.rs  TWILL_*  FLANNELD_*  file.rs  defaults    the layers, strongest first: text by name
//!      +--------+--------+----------+--------+
//!                    resolve.rs                       the strongest text of each setting, parsed
//!                     typed.rs                        what the settings mean together
//!                   /          \
//!             Config            Sources               what the daemon runs with; where it came from
//! ```
//!
//! Only `load.rs` reads files and variables; all the rest is pure.

mod bgp;
mod error;
mod file;
mod flags;
mod flannel;
mod load;
mod near;
#[cfg(test)]
mod reference;
mod reload;
mod resolve;
mod settings;
mod sources;
mod typed;
mod values;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnetwork::IpNetwork;
use regex_lite::Regex;
use subnet_alloc::KubeOptions;

pub(crate) use bgp::{BgpChoice, ListenChoice, TcpChoice, Ttl};
#[cfg(test)]
pub(crate) use bgp::{NodeFilter, PeerChoice};
pub(crate) use error::ConfigError;
use file::FileConfig;
pub(crate) use flags::Flags;
pub(crate) use load::load;
pub(crate) use reload::Reload;
use resolve::resolve;
pub(crate) use settings::{BackendKind, LogFormat, LogOptions};
pub(crate) use sources::{Source, Sources};
pub(crate) use values::{Secret, duration};

/// What the daemon runs with: every setting in its type.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The backend, if not the one that the network config names.
    pub(crate) backend: Option<BackendKind>,
    /// Where leases are kept.
    pub(crate) store: StoreChoice,
    /// How this node's underlay interface and addresses are found.
    pub(crate) underlay: UnderlayChoice,
    /// The underlay's MTU in bytes, if not the interface's own.
    pub(crate) mtu: Option<u32>,
    /// Where the CNI plugin reads this node's block and MTU.
    pub(crate) subnet_file: PathBuf,
    /// Where our CNI plugin is put for the container runtime, if at all.
    pub(crate) cni: Option<CniChoice>,
    /// Whether traffic that leaves the pod network is masqueraded.
    pub(crate) ip_masq: bool,
    /// What is done about traffic that enters and leaves the pod network.
    pub(crate) outside: OutsideChoice,
    /// Directory of the control socket and the locks.
    pub(crate) run_dir: PathBuf,
    /// Directory of what must outlive a reboot.
    pub(crate) state_dir: PathBuf,
    /// How long the lease outlives this node, in whole seconds, at least one.
    pub(crate) lease_ttl: Duration,
    /// How long the entries of a lease stay that has vanished from the store.
    pub(crate) vanished_grace: Duration,
    /// Name of this node in its lease.
    pub(crate) node_name: String,
    /// What else is known of this node: `rack` is `a`.
    pub(crate) node_labels: BTreeMap<String, String>,
    /// What is done by BGP, with the peers that are this node's; the defaults where nothing is said.
    pub(crate) bgp: BgpChoice,
    /// Where health and metrics are served, if at all.
    pub(crate) health: Option<SocketAddr>,
    /// The number that marks our routes, 5 to 255.
    pub(crate) route_protocol: u8,
    /// How much is logged, and in which form.
    pub(crate) log: LogOptions,
    /// flanneld's flags and variables that were given and mean nothing to us.
    pub(crate) ignored: Vec<String>,
}

/// Where leases are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreChoice {
    /// In etcd v3, in flannel's layout.
    Etcd(EtcdFlags),
    /// In a Kubernetes cluster, on its Nodes.
    Kube(KubeOptions),
    /// In this directory of this machine.
    File(PathBuf),
}

/// How etcd is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EtcdFlags {
    /// `http://HOST:PORT` or `https://HOST:PORT`, at least one.
    pub(crate) endpoints: Vec<String>,
    /// The key under which `config` and `subnets/` are, without a slash at its end.
    pub(crate) prefix: String,
    /// Certificate authority that etcd's certificate is checked against (PEM).
    pub(crate) ca: Option<PathBuf>,
    /// Our client certificate (PEM); given with `key` or not at all.
    pub(crate) cert: Option<PathBuf>,
    /// Its private key (PEM).
    pub(crate) key: Option<PathBuf>,
    /// The user that we log in as; given with a password or not at all.
    pub(crate) username: Option<String>,
    /// That user's password.
    pub(crate) password: Option<Secret>,
    /// The file whose first line is that password; [`load()`] reads it into `password`.
    pub(crate) password_file: Option<PathBuf>,
}

/// How this node's underlay interface and addresses are found: the first rule that finds an
/// interface wins, in the order of these fields; without any rule it is the interface towards the
/// store, else that of the default route, else the only one that has an address.
#[derive(Clone, Debug)]
pub(crate) struct UnderlayChoice {
    /// Names or addresses of interfaces.
    pub(crate) ifaces: Vec<String>,
    /// Regular expressions on addresses, then on names.
    pub(crate) iface_regexes: Vec<Regex>,
    /// The interface that the kernel would use to reach this address.
    pub(crate) can_reach: Option<IpAddr>,
    /// IPv4 address that other nodes reach us at, if not the interface's own.
    pub(crate) public_ip: Option<Ipv4Addr>,
    /// IPv6 address that other nodes reach us at, if not the interface's own.
    pub(crate) public_ipv6: Option<Ipv6Addr>,
}

/// Where our CNI plugin is put for the container runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CniChoice {
    /// Where it looks for plugins.
    pub(crate) bin_dir: PathBuf,
    /// Where it looks for network configs, if one is to be written.
    pub(crate) conf_dir: Option<PathBuf>,
}

/// What is done about traffic that enters and leaves the pod network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutsideChoice {
    /// How traffic to the outside is masqueraded, if it is.
    pub(crate) masquerade: Option<MasqueradeChoice>,
    /// Pods' traffic is let through iptables' FORWARD chains that drop by policy.
    pub(crate) open_forward: bool,
    /// VXLAN packets whose sender is no node are dropped.
    pub(crate) tunnel_guard: bool,
}

/// How traffic to the outside is masqueraded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MasqueradeChoice {
    /// Networks that pods reach with their own addresses.
    pub(crate) direct: Vec<IpNetwork>,
    /// Source ports are chosen wholly at random.
    pub(crate) random_fully: bool,
}

#[cfg(test)]
mod tests;
