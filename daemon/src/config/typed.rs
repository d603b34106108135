//! The parsed settings as a `Config`: what belongs together, and what it means together.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use subnet_alloc::KubeOptions;

use super::settings::{CniSettings, OutsideSettings, Settings, StoreSettings, UnderlaySettings};
use super::values::StoreKind;
use super::{
    BgpChoice, CniChoice, Config, ConfigError, EtcdFlags, MasqueradeChoice, OutsideChoice, Source,
    Sources, StoreChoice, UnderlayChoice,
};

/// `sources` is for what must be given together; `ignored` is passed on.
pub(super) fn config(
    settings: Settings,
    sources: &Sources,
    host_name: &str,
    ignored: Vec<String>,
) -> Result<Config, ConfigError> {
    let Settings {
        store,
        underlay,
        overlay,
        cni,
        outside,
        node,
        health,
        log,
    } = settings;
    let node_name = node.node_name.unwrap_or_else(|| host_name.into());
    Ok(Config {
        backend: overlay.backend,
        store: store_choice(store, &node_name, sources)?,
        mtu: underlay.mtu,
        underlay: underlay_choice(underlay),
        subnet_file: overlay.subnet_file,
        cni: cni_choice(cni, sources)?,
        ip_masq: outside.ip_masq,
        outside: outside_choice(outside),
        run_dir: node.run_dir,
        state_dir: node.state_dir,
        lease_ttl: node.lease_ttl,
        vanished_grace: node.vanished_grace,
        bgp: BgpChoice::default(),
        node_name,
        node_labels: node_labels(node.node_label, sources)?,
        health: (health.healthz_port != 0)
            .then(|| SocketAddr::new(health.healthz_ip, health.healthz_port)),
        route_protocol: overlay.route_protocol,
        log,
        ignored,
    })
}

/// A node has one value of each label.
fn node_labels(
    given: Vec<(String, String)>,
    sources: &Sources,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut labels = BTreeMap::new();
    for (key, value) in given {
        let twice = labels.get(&key).is_some_and(|first| *first != value);
        if twice {
            return Err(ConfigError::Value {
                place: sources.of("node-label").clone(),
                name: "node-label".into(),
                value: format!("{key}={value}"),
                allowed: format!("{key} has another value, too: want one for each key"),
            });
        }
        labels.insert(key, value);
    }
    Ok(labels)
}

fn kube_choice(store: StoreSettings, node_name: &str) -> StoreChoice {
    StoreChoice::Kube(KubeOptions {
        kubeconfig: store.kubeconfig_file,
        node: node_name.to_owned(),
        network_config: store.net_config_path,
        annotations: store.kube_annotation_prefix,
    })
}

fn underlay_choice(underlay: UnderlaySettings) -> UnderlayChoice {
    UnderlayChoice {
        ifaces: underlay.iface,
        iface_regexes: underlay.iface_regex,
        can_reach: underlay.iface_can_reach,
        public_ip: underlay.public_ip,
        public_ipv6: underlay.public_ipv6,
    }
}

fn cni_choice(cni: CniSettings, sources: &Sources) -> Result<Option<CniChoice>, ConfigError> {
    let conf_dir = cni.cni_conf_dir;
    match cni.cni_bin_dir {
        Some(bin_dir) => Ok(Some(CniChoice { bin_dir, conf_dir })),
        // A config may name only what the runtime finds.
        None if conf_dir.is_some() => Err(ConfigError::Without {
            given: "cni-conf-dir",
            place: sources.of("cni-conf-dir").clone(),
            missing: "cni-bin-dir",
        }),
        None => Ok(None),
    }
}

fn outside_choice(outside: OutsideSettings) -> OutsideChoice {
    OutsideChoice {
        masquerade: outside.ip_masq.then_some(MasqueradeChoice {
            direct: outside.no_masq_to,
            random_fully: !outside.ip_masq_fully_random_disable,
        }),
        open_forward: outside.iptables_forward_rules,
        tunnel_guard: outside.tunnel_guard,
    }
}

fn store_choice(
    store: StoreSettings,
    node_name: &str,
    sources: &Sources,
) -> Result<StoreChoice, ConfigError> {
    match store.store {
        StoreKind::File(dir) => return Ok(StoreChoice::File(dir)),
        StoreKind::Etcd if !store.kube_subnet_mgr => {}
        StoreKind::Etcd | StoreKind::Kube => return Ok(kube_choice(store, node_name)),
    }
    if store.etcd_password.is_some() && store.etcd_password_file.is_some() {
        let (password, file) = (
            sources.of("etcd-password").clone(),
            sources.of("etcd-password-file").clone(),
        );
        return Err(ConfigError::TwoPasswords { password, file });
    }
    let password = ["etcd-password", "etcd-password-file"]
        .into_iter()
        .find(|name| sources.of(name) != &Source::Default);
    both_or_neither("etcd-certfile", "etcd-keyfile", sources)?;
    both_or_neither(
        "etcd-username",
        password.unwrap_or("etcd-password"),
        sources,
    )?;
    let tls = [&store.etcd_cafile, &store.etcd_certfile]
        .into_iter()
        .any(Option::is_some);
    Ok(StoreChoice::Etcd(EtcdFlags {
        endpoints: store
            .etcd_endpoints
            .into_iter()
            .map(|endpoint| with_scheme(endpoint, tls))
            .collect(),
        prefix: store.etcd_prefix,
        ca: store.etcd_cafile,
        cert: store.etcd_certfile,
        key: store.etcd_keyfile,
        username: store.etcd_username,
        password: store.etcd_password,
        password_file: store.etcd_password_file,
    }))
}

fn both_or_neither(
    one: &'static str,
    other: &'static str,
    sources: &Sources,
) -> Result<(), ConfigError> {
    let given = |name| sources.of(name) != &Source::Default;
    let (given, missing) = match (given(one), given(other)) {
        (true, false) => (one, other),
        (false, true) => (other, one),
        _ => return Ok(()),
    };
    Err(ConfigError::Half {
        given,
        place: sources.of(given).clone(),
        missing,
    })
}

fn with_scheme(endpoint: String, tls: bool) -> String {
    match (endpoint.contains("://"), tls) {
        (true, _) => endpoint,
        (false, true) => format!("https://{endpoint}"),
        (false, false) => format!("http://{endpoint}"),
    }
}
