//! Which settings a running daemon follows when they are read again.

use regex_lite::Regex;

use super::{BgpChoice, Config, StoreChoice, UnderlayChoice};

/// What became of settings that were read again.
#[derive(Debug)]
pub(crate) struct Reload {
    /// What to go on with: those that can be followed as they are now, the
    /// others as they were.
    pub(crate) config: Config,
    /// Names of the settings that have changed and are followed.
    pub(crate) followed: Vec<&'static str>,
    /// Names of those that have changed and that only a restart follows.
    pub(crate) waiting: Vec<&'static str>,
}

impl Config {
    /// These settings after `fresh` was read.
    pub(crate) fn reloaded_by(&self, fresh: Config) -> Reload {
        let bgp = BgpChoice {
            metric: self.bgp.metric,
            ..fresh.bgp.clone()
        };
        let followed = [
            ("backend", self.backend != fresh.backend),
            ("mtu", self.mtu != fresh.mtu),
            ("the underlay's choice", !self.underlay.is(&fresh.underlay)),
            (
                "ip-masq and the outside",
                self.ip_masq != fresh.ip_masq || self.outside != fresh.outside,
            ),
            ("cni-bin-dir and cni-conf-dir", self.cni != fresh.cni),
            ("node-name", self.node_name != fresh.node_name),
            ("node-label", self.node_labels != fresh.node_labels),
            ("bgp", self.bgp != bgp),
            ("lease-ttl", self.lease_ttl != fresh.lease_ttl),
            (
                "vanished-grace",
                self.vanished_grace != fresh.vanished_grace,
            ),
            (
                "how the store is reached",
                self.store != fresh.store && self.store.is_moved_to(&fresh.store),
            ),
        ];
        let waiting = [
            (
                "store",
                self.store != fresh.store && !self.store.is_moved_to(&fresh.store),
            ),
            ("subnet-file", self.subnet_file != fresh.subnet_file),
            ("run-dir", self.run_dir != fresh.run_dir),
            ("state-dir", self.state_dir != fresh.state_dir),
            ("healthz-ip and healthz-port", self.health != fresh.health),
            (
                "route-protocol",
                self.route_protocol != fresh.route_protocol,
            ),
            ("bgp.metric", self.bgp.metric != fresh.bgp.metric),
            ("log-level and log-format", self.log != fresh.log),
        ];
        let store = if self.store.is_moved_to(&fresh.store) {
            fresh.store
        } else {
            self.store.clone()
        };
        let config = Config {
            store,
            subnet_file: self.subnet_file.clone(),
            run_dir: self.run_dir.clone(),
            state_dir: self.state_dir.clone(),
            health: self.health,
            route_protocol: self.route_protocol,
            log: self.log,
            bgp,
            ..fresh
        };
        Reload {
            config,
            followed: changed(&followed),
            waiting: changed(&waiting),
        }
    }
}

fn changed(settings: &[(&'static str, bool)]) -> Vec<&'static str> {
    let changed = settings.iter().filter(|(_, changed)| *changed);
    changed.map(|(name, _)| *name).collect()
}

impl StoreChoice {
    /// Whether `other` is the same store by other endpoints or credentials.
    fn is_moved_to(&self, other: &StoreChoice) -> bool {
        match (self, other) {
            (StoreChoice::Etcd(one), StoreChoice::Etcd(other)) => one.prefix == other.prefix,
            (StoreChoice::Kube(one), StoreChoice::Kube(other)) => one.node == other.node,
            (StoreChoice::File(one), StoreChoice::File(other)) => one == other,
            _ => false,
        }
    }
}

impl UnderlayChoice {
    fn is(&self, other: &UnderlayChoice) -> bool {
        let texts = |regexes: &[Regex]| -> Vec<String> {
            regexes.iter().map(|r| r.as_str().to_owned()).collect()
        };
        self.ifaces == other.ifaces
            && texts(&self.iface_regexes) == texts(&other.iface_regexes)
            && self.can_reach == other.can_reach
            && (self.public_ip, self.public_ipv6) == (other.public_ip, other.public_ipv6)
    }
}
