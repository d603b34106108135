//! Every setting of Twill, declared once: its name, help, default and parser.
//!
//! The flag `--NAME`, the variables `TWILL_NAME` and `FLANNELD_NAME`, the key `NAME` of the
//! `--config` file, the rows of `twill show config`, the man pages and docs/configuration.md are
//! all made from these declarations. The first paragraph of a comment is the short help, all of it
//! the long help.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, Args, Command, ValueEnum};
use ipnetwork::IpNetwork;
use regex_lite::Regex;
use subnet_alloc::Annotations;

use super::values::{self, Secret, StoreKind};

/// All settings, in the order in which help and `twill show config` list them.
#[derive(Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(super) store: StoreSettings,
    #[command(flatten)]
    pub(super) underlay: UnderlaySettings,
    #[command(flatten)]
    pub(super) overlay: OverlaySettings,
    #[command(flatten)]
    pub(super) cni: CniSettings,
    #[command(flatten)]
    pub(super) outside: OutsideSettings,
    #[command(flatten)]
    pub(super) node: NodeSettings,
    #[command(flatten)]
    pub(super) health: HealthSettings,
    #[command(flatten)]
    pub(super) log: LogOptions,
}

#[derive(Args)]
#[command(next_help_heading = "Store")]
pub(super) struct StoreSettings {
    /// Where leases are kept: `etcd`, `kube`, or `file:///DIR` for one machine
    ///
    /// `etcd` is flannel's own layout in etcd v3, reached with the --etcd-* settings. `kube` is a
    /// Kubernetes cluster: its Nodes' pod CIDRs and flannel's annotations. `file:///DIR` is a
    /// directory on this machine, for one host, labs and tests.
    #[arg(long, value_name = "STORE", default_value = "etcd", value_parser = values::store)]
    pub(super) store: StoreKind,

    /// Where etcd listens, separated by commas
    ///
    /// Name every member: when one dies, the next one is used. `host:port` without a scheme means
    /// https if a TLS file is given, else http.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:2379",
        value_delimiter = ','
    )]
    #[arg(value_parser = values::endpoint)]
    pub(super) etcd_endpoints: Vec<String>,

    /// The etcd key under which `config` and `subnets/` are
    #[arg(long, value_name = "KEY", default_value = "/coreos.com/network", value_parser = values::etcd_prefix)]
    pub(super) etcd_prefix: String,

    /// Private key of the client certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub(super) etcd_keyfile: Option<PathBuf>,

    /// Client certificate that we show to etcd (PEM)
    #[arg(long, value_name = "FILE")]
    pub(super) etcd_certfile: Option<PathBuf>,

    /// Certificate authority that etcd's certificate is checked against (PEM)
    ///
    /// It is used with or without a client certificate.
    #[arg(long, value_name = "FILE")]
    pub(super) etcd_cafile: Option<PathBuf>,

    /// User that we log in to etcd as
    #[arg(long, value_name = "NAME")]
    pub(super) etcd_username: Option<String>,

    /// Password of that user; every user of the machine can read it in the process list
    ///
    /// Prefer --etcd-password-file or the variable TWILL_ETCD_PASSWORD. The password is never
    /// printed.
    #[arg(long, value_name = "PASSWORD")]
    pub(super) etcd_password: Option<Secret>,

    /// File whose first line is that password
    #[arg(long, value_name = "FILE")]
    pub(super) etcd_password_file: Option<PathBuf>,

    /// With --store kube: leases are in Kubernetes, as flannel's flag of that name says it
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = values::boolean)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    #[arg(hide = true)]
    pub(super) kube_subnet_mgr: bool,

    /// kubeconfig with which the cluster is reached; without one, the pod's service account
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig_file: Option<PathBuf>,

    /// With --store kube: how the annotations begin in which Nodes say how they are reached
    ///
    /// A domain, and behind a slash a name if there are several networks. Nodes with flannel's
    /// daemon and nodes with ours understand each other under the same one.
    #[arg(long, value_name = "PREFIX", default_value = "flannel.alpha.coreos.com", value_parser = Annotations::new)]
    pub(super) kube_annotation_prefix: Annotations,

    /// With --store kube: the file with the network config
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/kube-flannel/net-conf.json"
    )]
    pub(super) net_config_path: PathBuf,
}

#[derive(Args)]
#[command(next_help_heading = "Underlay")]
pub(super) struct UnderlaySettings {
    /// Interface to other nodes, by name or by address (repeat: the first that exists wins)
    ///
    /// Without --iface, --iface-regex and --iface-can-reach it is the interface towards the store,
    /// else that of the default route, else the only one that has an address.
    #[arg(long, value_name = "NAME|IP", value_delimiter = ',')]
    pub(super) iface: Vec<String>,

    /// As --iface, by a regular expression on addresses, then on names (repeat; tried after
    /// --iface)
    #[arg(long, value_name = "REGEX", value_parser = values::regex)]
    pub(super) iface_regex: Vec<Regex>,

    /// Take the interface that the kernel would use to reach this address
    #[arg(long, value_name = "IP", value_parser = values::ip::<IpAddr>)]
    pub(super) iface_can_reach: Option<IpAddr>,

    /// IPv4 address that other nodes reach this node at, if not the interface's own
    #[arg(long, value_name = "IPV4", value_parser = values::ip::<Ipv4Addr>)]
    pub(super) public_ip: Option<Ipv4Addr>,

    /// IPv6 address that other nodes reach this node at, if not the interface's own
    #[arg(long, value_name = "IPV6", value_parser = values::ip::<Ipv6Addr>)]
    pub(super) public_ipv6: Option<Ipv6Addr>,

    /// MTU of the underlay in bytes, if not the interface's own
    ///
    /// Pods get what the backend leaves of it: over vxlan 50 bytes less on IPv4 and 70 on IPv6,
    /// over host-gw all of it.
    #[arg(long, value_name = "BYTES", value_parser = values::mtu)]
    pub(super) mtu: Option<u32>,
}

#[derive(Args)]
#[command(next_help_heading = "Overlay")]
pub(super) struct OverlaySettings {
    /// How packets travel between nodes, if not as the network config in the store says
    #[arg(long, value_name = "BACKEND")]
    pub(super) backend: Option<BackendKind>,

    /// The number that marks our routes (`ip route show proto N`): 5 to 255
    ///
    /// Routes with this number are ours to change and to remove. Daemons that share one network
    /// namespace need one number each.
    #[arg(long, value_name = "N", default_value = "84", value_parser = values::route_protocol)]
    pub(super) route_protocol: u8,

    /// Where the CNI plugin reads this node's block and MTU
    #[arg(long, value_name = "FILE", default_value = "/run/flannel/subnet.env")]
    pub(super) subnet_file: PathBuf,
}

#[derive(Args)]
#[command(next_help_heading = "CNI")]
pub(super) struct CniSettings {
    /// Directory in which the container runtime looks for CNI plugins, such as /opt/cni/bin
    ///
    /// When it is given, `twill-cni` is put there: the one beside the running `twill`, unless it is
    /// there as it is. Without one beside `twill`, the one that is there serves.
    #[arg(long, value_name = "DIR")]
    pub(super) cni_bin_dir: Option<PathBuf>,

    /// Directory in which the container runtime looks for network configs, such as /etc/cni/net.d
    ///
    /// When it is given, 10-twill.conflist is written there once `subnet.env` is, so that no pod
    /// comes before its network. It chains `portmap` and `bandwidth` where these are in
    /// --cni-bin-dir. A file of that name that has no `twill-cni` is left as it is.
    #[arg(long, value_name = "DIR")]
    pub(super) cni_conf_dir: Option<PathBuf>,
}

#[derive(Args)]
#[command(next_help_heading = "Outside")]
pub(super) struct OutsideSettings {
    /// Masquerade traffic from pods to addresses outside of the pod network
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = values::boolean)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(super) ip_masq: bool,

    /// Networks outside of the pod network that pods reach with their own addresses (repeat)
    ///
    /// They must have a route back to the pods. Without --ip-masq nothing is masqueraded, and this
    /// changes nothing.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = values::network)]
    pub(super) no_masq_to: Vec<IpNetwork>,

    /// Masquerade with source ports as they are, where they are free, instead of random ones
    ///
    /// Random ports keep two flows that start at once from taking the same one, which loses a
    /// packet.
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = values::boolean)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(super) ip_masq_fully_random_disable: bool,

    /// Let pods' traffic through iptables' FORWARD chains whose policy is drop
    #[arg(long, value_name = "BOOL", default_value = "true", value_parser = values::boolean)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(super) iptables_forward_rules: bool,

    /// Drop VXLAN packets whose sender is no node of this cluster
    ///
    /// A node is known by the addresses in its lease. Turn this off where packets of nodes come from
    /// other addresses than these: behind address translation that is not one to one.
    #[arg(long, value_name = "BOOL", default_value = "true", value_parser = values::boolean)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(super) tunnel_guard: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Node")]
pub(super) struct NodeSettings {
    /// Name of this node in its lease [default: the host name]
    ///
    /// A node that comes back with another address is known by this name and keeps its block.
    #[arg(long, value_name = "NAME", value_parser = values::node_name)]
    pub(super) node_name: Option<String>,

    /// What else is known of this node, such as its rack (repeat)
    ///
    /// A peer or a range of the `[bgp]` table with `labels` is there only on the nodes that have all
    /// of these. So one file serves all nodes.
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = values::label)]
    pub(super) node_label: Vec<(String, String)>,

    /// How long the lease outlives this node: 90, 90s, 30m, 24h, 7d
    ///
    /// A node that is down for longer may come back with another block.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = values::lease_ttl)]
    pub(super) lease_ttl: Duration,

    /// How long packets are still sent to a node whose lease has vanished from the store: 60s, 5m
    ///
    /// A store that was frozen, emptied or restored loses leases of nodes that live on. When most
    /// leases vanish at once, it is ten times as long. A block that another node takes, or that was
    /// released on purpose, does not wait. 0 believes the store at once.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = values::duration)]
    pub(super) vanished_grace: Duration,

    /// Directory of the control socket and the locks, lost at a reboot
    #[arg(long, value_name = "DIR", default_value = "/run/twill")]
    pub(super) run_dir: PathBuf,

    /// Directory of what must outlive a reboot
    #[arg(long, value_name = "DIR", default_value = "/var/lib/twill")]
    pub(super) state_dir: PathBuf,
}

#[derive(Args)]
#[command(next_help_heading = "Health")]
pub(super) struct HealthSettings {
    /// Address on which /healthz, /readyz and /metrics are served
    #[arg(long, value_name = "IP", default_value = "0.0.0.0", value_parser = values::ip::<IpAddr>)]
    pub(super) healthz_ip: IpAddr,

    /// Port on which they are served; 0 turns them off
    #[arg(long, value_name = "PORT", default_value = "0", value_parser = values::port)]
    pub(super) healthz_port: u16,
}

/// How much we log, and in which form.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Log")]
pub(crate) struct LogOptions {
    /// The least severe message that is logged
    #[arg(
        id = "log_level",
        long = "log-level",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub(crate) level: LogLevel,

    /// How a message is written to standard error
    #[arg(
        id = "log_format",
        long = "log-format",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub(crate) format: LogFormat,
}

/// How packets travel between nodes.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackendKind {
    /// In UDP, over any underlay that routes between the nodes
    Vxlan,
    /// By plain routes, between nodes on one link
    HostGw,
    /// By plain routes that nodes and routers tell each other by BGP
    Bgp,
}

/// Severity of a log message.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogLevel {
    /// Wake someone up
    Error,
    /// Look at it this week
    Warn,
    /// What the daemon does
    Info,
    /// Why it does it
    Debug,
    /// Every event
    Trace,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Form of a log message.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One line for people
    Text,
    /// One JSON object a line
    Json,
}

/// A command line that has the settings as its flags and nothing else: the parser of every source.
pub(super) fn command() -> Command {
    Settings::augment_args(Command::new("twill"))
        .disable_help_flag(true)
        .disable_version_flag(true)
}

/// The name of a setting: its flag without the dashes, its key in the file.
pub(super) fn name(setting: &Arg) -> &str {
    setting
        .get_long()
        .expect("every setting is declared with `long`")
}

/// The variable that holds a setting: `lease-ttl` and `TWILL` give `TWILL_LEASE_TTL`.
pub(super) fn variable(prefix: &str, name: &str) -> String {
    format!("{prefix}_{}", name.to_uppercase().replace('-', "_"))
}
