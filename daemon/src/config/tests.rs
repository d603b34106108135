//! Layers in, `Config` and `Sources` out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches};

use super::*;

/// A setting and a value for it, as text.
type Pair = (&'static str, &'static str);

/// A value for every setting, and the setting that it cannot be without.
const SAMPLES: &[(&str, &str, Option<Pair>)] = &[
    ("store", "file:///srv/leases", None),
    ("etcd-endpoints", "https://10.0.0.1:2379", None),
    ("etcd-prefix", "/blue/network", None),
    (
        "etcd-keyfile",
        "/etc/etcd/key.pem",
        Some(("etcd-certfile", "/etc/etcd/cert.pem")),
    ),
    (
        "etcd-certfile",
        "/etc/etcd/cert.pem",
        Some(("etcd-keyfile", "/etc/etcd/key.pem")),
    ),
    ("etcd-cafile", "/etc/etcd/ca.pem", None),
    ("etcd-username", "twill", Some(("etcd-password", "hunter2"))),
    ("etcd-password", "hunter2", Some(("etcd-username", "twill"))),
    (
        "etcd-password-file",
        "/etc/twill/password",
        Some(("etcd-username", "twill")),
    ),
    ("kube-subnet-mgr", "true", None),
    ("kubeconfig-file", "/etc/twill/kubeconfig", None),
    ("kube-annotation-prefix", "pods.example.org", None),
    ("net-config-path", "/etc/twill/net-conf.json", None),
    ("iface", "eth1", None),
    ("iface-regex", "^eth[0-9]{1,2}$", None),
    ("iface-can-reach", "10.0.0.1", None),
    ("public-ip", "192.0.2.7", None),
    ("public-ipv6", "2001:db8::7", None),
    ("mtu", "9000", None),
    ("backend", "host-gw", None),
    ("route-protocol", "85", None),
    ("subnet-file", "/run/blue/subnet.env", None),
    (
        "cni-bin-dir",
        "/opt/cni/bin",
        Some(("cni-conf-dir", "/etc/cni/net.d")),
    ),
    (
        "cni-conf-dir",
        "/etc/cni/net.d",
        Some(("cni-bin-dir", "/opt/cni/bin")),
    ),
    ("ip-masq", "true", None),
    ("no-masq-to", "198.51.100.0/24", None),
    ("ip-masq-fully-random-disable", "true", None),
    ("iptables-forward-rules", "false", None),
    ("tunnel-guard", "false", None),
    ("node-name", "node-7", None),
    ("node-label", "rack=a", None),
    ("lease-ttl", "1h30m", None),
    ("vanished-grace", "5m", None),
    ("run-dir", "/run/blue", None),
    ("state-dir", "/var/lib/blue", None),
    ("healthz-ip", "127.0.0.1", None),
    ("healthz-port", "8081", None),
    ("log-level", "debug", None),
    ("log-format", "json", None),
];

/// The text that each layer gives, by the name of the setting.
#[derive(Default)]
struct Given {
    flags: Vec<String>,
    variables: BTreeMap<String, String>,
    file: String,
}

impl Given {
    fn flag(mut self, word: &str) -> Self {
        self.flags.push(word.into());
        self
    }

    fn variable(mut self, name: &str, text: &str) -> Self {
        self.variables.insert(name.into(), text.into());
        self
    }

    fn file(mut self, lines: &str) -> Self {
        self.file += &format!("{lines}\n");
        self
    }

    /// Gives a setting by one of [`LAYERS`].
    fn layer(self, layer: &str, name: &str, text: &str) -> Self {
        match layer {
            "flag" => self.flag(&format!("--{name}={text}")),
            "file" => self.file(&format!("{name} = {}", toml::Value::from(text))),
            prefix => self.variable(&settings::variable(prefix, name), text),
        }
    }

    fn resolve(&self) -> Result<(Config, Sources), String> {
        let file = FileConfig::parse(Path::new("twill.toml"), &self.file)
            .map_err(|error| error.to_string())?;
        let env = |name: &str| self.variables.get(name).cloned();
        resolve(&flags(&self.flags), env, Some(&file), "host").map_err(|error| error.to_string())
    }

    fn config(&self) -> Config {
        self.resolve().expect("a good configuration").0
    }

    fn error(&self) -> String {
        self.resolve().map(|_| ()).expect_err("a bad configuration")
    }

    fn etcd(&self) -> EtcdFlags {
        match self.config().store {
            StoreChoice::Etcd(etcd) => etcd,
            other => panic!("not etcd: {other:?}"),
        }
    }
}

/// The layers, strongest first.
const LAYERS: [&str; 4] = ["flag", "TWILL", "FLANNELD", "file"];

fn given() -> Given {
    Given::default()
}

fn flags(words: &[String]) -> Flags {
    let words = Flags::in_our_spelling(words.iter().map(OsString::from));
    let matches = Flags::augment_args(Command::new("twill"))
        .no_binary_name(true)
        .try_get_matches_from(words);
    Flags::from_arg_matches(&matches.expect("good flags")).expect("good flags")
}

fn source(layer: &str, name: &str) -> Source {
    match layer {
        "flag" => Source::Flag(name.into()),
        "file" => Source::File("twill.toml".into()),
        prefix => Source::Variable(settings::variable(prefix, name)),
    }
}

#[test]
fn there_is_a_sample_of_every_setting() {
    let command = settings::command();
    let names: Vec<_> = command.get_arguments().map(settings::name).collect();
    let samples: Vec<_> = SAMPLES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, samples);
}

#[test]
fn every_layer_can_give_every_setting_and_show_config_names_it() {
    for (name, text, needs) in SAMPLES {
        for layer in LAYERS {
            let given = given().layer(layer, name, text);
            let given = needs
                .iter()
                .fold(given, |given, (name, text)| given.layer(layer, name, text));
            let (_, sources) = given
                .resolve()
                .unwrap_or_else(|error| panic!("{name} by {layer}: {error}"));
            let shown = if *name == "etcd-password" {
                "********"
            } else {
                text
            };
            let line = sources
                .to_string()
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")))
                .map(str::to_owned);
            let words: Vec<_> = line
                .as_deref()
                .unwrap_or_default()
                .splitn(3, ' ')
                .map(str::trim)
                .collect();
            let rest = words[1..].join(" ");
            assert!(
                rest.trim_start().starts_with(shown),
                "{name} by {layer}: {line:?}"
            );
            assert!(
                rest.ends_with(&source(layer, name).to_string()),
                "{name} by {layer}: {line:?}"
            );
            assert_eq!(sources.of(name), &source(layer, name));
        }
    }
}

#[test]
fn the_stronger_layer_wins_for_every_setting() {
    for (name, text, needs) in SAMPLES {
        for strongest in 0..LAYERS.len() {
            let given = LAYERS[strongest..]
                .iter()
                .fold(given(), |given, layer| given.layer(layer, name, text));
            let given = needs
                .iter()
                .fold(given, |given, (name, text)| given.layer("file", name, text));
            let (_, sources) = given
                .resolve()
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(sources.of(name), &source(LAYERS[strongest], name));
        }
    }
}

#[test]
fn the_value_is_that_of_the_stronger_layer() {
    let all = |layers: &[&str]| {
        let mtus = layers.iter().map(|layer| {
            (
                *layer,
                ["1500", "1501", "1502", "1503"]
                    [LAYERS.iter().position(|l| l == layer).unwrap_or(0)],
            )
        });
        mtus.fold(given(), |given, (layer, mtu)| {
            given.layer(layer, "mtu", mtu)
        })
        .config()
        .mtu
    };
    assert_eq!(all(&LAYERS), Some(1500));
    assert_eq!(all(&LAYERS[1..]), Some(1501));
    assert_eq!(all(&LAYERS[2..]), Some(1502));
    assert_eq!(all(&LAYERS[3..]), Some(1503));
    assert_eq!(all(&[]), None);
}

#[test]
fn without_anything_the_defaults_are_flannels() {
    let config = given().config();
    let etcd = given().etcd();
    assert_eq!(etcd.endpoints, ["http://127.0.0.1:2379"]);
    assert_eq!(etcd.prefix, "/coreos.com/network");
    assert_eq!(config.subnet_file, Path::new("/run/flannel/subnet.env"));
    assert_eq!(config.lease_ttl, Duration::from_secs(86_400));
    assert_eq!(
        (config.backend, config.mtu, config.ip_masq, config.health),
        (None, None, false, None)
    );
    assert_eq!(
        (config.route_protocol, config.node_name.as_str()),
        (84, "host")
    );
    assert!(config.ignored.is_empty());
}

#[test]
fn flannelds_command_line_is_understood() {
    let given = given()
        .flag("-etcd-endpoints=http://10.0.0.1:2379,http://10.0.0.2:2379")
        .flag("-iface=eth1")
        .flag("--iface=10.0.0.7")
        .flag("--ip-masq")
        .flag("-public-ip=")
        .flag("-kube-subnet-mgr=false")
        .flag("-ip-masq-fully-random-disable")
        .flag("-iptables-forward-rules=false")
        .flag("-iptables-resync")
        .flag("5")
        .flag("-v=4");
    let config = given.config();
    assert_eq!(
        given.etcd().endpoints,
        ["http://10.0.0.1:2379", "http://10.0.0.2:2379"]
    );
    assert_eq!(config.underlay.ifaces, ["eth1", "10.0.0.7"]);
    assert_eq!(config.underlay.public_ip, None);
    assert!(config.ip_masq);
    assert!(!config.outside.masquerade.is_some_and(|m| m.random_fully));
    assert!(!config.outside.open_forward);
    assert_eq!(config.ignored, ["--iptables-resync", "--v"]);
}

#[test]
fn masquerade_can_be_turned_off_again() {
    for (word, on) in [
        ("--ip-masq=false", false),
        ("-ip-masq=true", true),
        ("--ip-masq", true),
        ("--ip-masq=0", false),
    ] {
        assert_eq!(
            given().file("ip-masq = true").flag(word).config().ip_masq,
            on,
            "{word}"
        );
    }
}

#[test]
fn only_nodes_may_tunnel_and_ports_are_random_unless_somebody_says_otherwise() {
    let outside = given().flag("--ip-masq").config().outside;
    assert!(outside.tunnel_guard && outside.open_forward);
    assert!(outside.masquerade.is_some_and(|m| m.random_fully));
    let off = given().flag("--tunnel-guard=false").config().outside;
    assert!(!off.tunnel_guard && off.masquerade.is_none());
}

#[test]
fn destinations_without_masquerade_are_a_list_of_networks() {
    let direct = |given: Given| given.flag("--ip-masq").config().outside.masquerade;
    let (flags, file) = (
        given()
            .flag("--no-masq-to=10.0.0.0/8,2001:db8::/32")
            .flag("--no-masq-to=192.0.2.7"),
        given().file("no-masq-to = [\"10.0.0.0/8\", \"2001:db8::/32\", \"192.0.2.7\"]"),
    );
    for given in [flags, file] {
        let direct = direct(given).expect("masquerade is on").direct;
        let texts: Vec<String> = direct.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32"]);
    }
    let error = given().variable("TWILL_NO_MASQ_TO", "10.0.0.1/8").error();
    assert_eq!(
        error,
        "variable TWILL_NO_MASQ_TO: no-masq-to = \"10.0.0.1/8\" is not allowed: it has bits beyond its length: want 10.0.0.0/8"
    );
}

#[test]
fn flannelds_variables_that_mean_nothing_to_us_are_named() {
    let given = given()
        .variable("FLANNELD_KUBE_API_URL", "https://k")
        .variable("FLANNELD_V", "")
        .variable("FLANNELD_IFACE", "eth1");
    let config = given.config();
    assert_eq!(config.ignored, ["FLANNELD_KUBE_API_URL"]);
    assert_eq!(config.underlay.ifaces, ["eth1"]);
}

#[test]
fn an_empty_value_counts_as_not_given() {
    let given = given()
        .variable("TWILL_MTU", "")
        .variable("FLANNELD_PUBLIC_IP", "")
        .file("iface = []\nmtu = \"\"");
    let (config, sources) = given.resolve().expect("a good configuration");
    assert_eq!((config.mtu, config.underlay.public_ip), (None, None));
    assert_eq!(
        (sources.of("mtu"), sources.of("iface")),
        (&Source::Default, &Source::Default)
    );
}

#[test]
fn a_file_has_numbers_lists_and_switches() {
    let config = given()
        .file("mtu = 9000\nip-masq = true\nlease-ttl = 90\niface = [\"eth0\", \"eth1\"]")
        .config();
    assert_eq!(
        (config.mtu, config.ip_masq, config.lease_ttl),
        (Some(9_000), true, Duration::from_secs(90))
    );
    assert_eq!(config.underlay.ifaces, ["eth0", "eth1"]);
}

#[test]
fn a_bad_value_names_its_place_its_setting_and_what_is_allowed() {
    assert_eq!(
        given().file("mtu = 100").error(),
        r#"file twill.toml: mtu = "100" is not allowed: want a number from 576 to 65535"#
    );
    assert_eq!(
        given().variable("TWILL_BACKEND", "udp").error(),
        r#"variable TWILL_BACKEND: backend = "udp" is not allowed: want vxlan or host-gw or bgp"#
    );
    assert_eq!(
        given().variable("FLANNELD_PUBLIC_IP", "::1").error(),
        r#"variable FLANNELD_PUBLIC_IP: public-ip = "::1" is not allowed: want an IPv4 address"#
    );
    assert_eq!(
        given().file("mtu = [1400, 1500]").error(),
        "file twill.toml: mtu = a list of 2 is not allowed: want one value"
    );
    assert_eq!(
        given().file("mtu = { bytes = 1 }").error(),
        "file twill.toml: mtu is a table; want a string, a number, true or false, or a list of them"
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_name_that_is_nearest() {
    let error = given().file("etcd_prefix = \"/a\"").error();
    assert_eq!(
        error,
        r#"file twill.toml: unknown key "etcd_prefix"; did you mean "etcd-prefix"?"#
    );
    for key in ["xyzzy", "config", "help", "v", "kube-api-url"] {
        assert!(
            given()
                .file(&format!("{key} = 1"))
                .error()
                .contains("unknown key"),
            "{key}"
        );
    }
}

#[test]
fn a_mistake_in_the_file_is_told_by_line_without_its_text() {
    let error = given()
        .file("mtu = 9000\netcd-password = \"hunter2")
        .error();
    assert!(error.starts_with("file twill.toml, line 2: "), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn the_password_is_never_printed() {
    let given = given().file("etcd-username = \"twill\"\netcd-password = \"hunter2\"");
    let (config, sources) = given.resolve().expect("a good configuration");
    let json = serde_json::to_string(&sources).expect("JSON");
    for text in [sources.to_string(), json, format!("{config:?}")] {
        assert!(
            text.contains("********") && !text.contains("hunter2"),
            "{text}"
        );
    }
    assert_eq!(
        given.etcd().password.as_ref().map(Secret::expose),
        Some("hunter2")
    );
}

#[test]
fn a_list_is_no_password_and_is_not_printed_either() {
    let error = given()
        .file("etcd-password = [\"hunter2\", \"hunter3\"]")
        .error();
    assert_eq!(
        error,
        "file twill.toml: etcd-password = a list of 2 is not allowed: want one value"
    );
}

#[test]
fn the_bad_one_of_a_list_is_named() {
    let error = given()
        .variable("TWILL_ETCD_ENDPOINTS", "http://a:1,ftp://b:1")
        .error();
    assert!(
        error.contains("etcd-endpoints = \"http://a:1,ftp://b:1\" is not allowed"),
        "{error}"
    );
    let error = given()
        .file("etcd-endpoints = [\"http://a:1\", \"ftp://b:1\"]")
        .error();
    assert!(
        error.contains("etcd-endpoints = \"ftp://b:1\" is not allowed"),
        "{error}"
    );
}

#[test]
fn settings_that_belong_together_are_given_together() {
    assert_eq!(
        given().flag("--etcd-keyfile=k").error(),
        "etcd-keyfile (flag --etcd-keyfile) is given without etcd-certfile: give both or neither"
    );
    assert_eq!(
        given().variable("TWILL_ETCD_USERNAME", "u").error(),
        "etcd-username (variable TWILL_ETCD_USERNAME) is given without etcd-password: give both or neither"
    );
    assert_eq!(
        given().flag("--cni-conf-dir=/etc/cni/net.d").error(),
        "cni-conf-dir (flag --cni-conf-dir) is given without cni-bin-dir: give cni-bin-dir, too"
    );
    let twice = given()
        .file("etcd-username = \"u\"\netcd-password = \"p\"")
        .flag("--etcd-password-file=f");
    assert!(twice.error().ends_with("give one"), "{}", twice.error());
    assert_eq!(
        given().flag("--etcd-cafile=ca").etcd().ca.as_deref(),
        Some(Path::new("ca"))
    );
}

#[test]
fn an_endpoint_without_a_scheme_is_https_when_tls_is_asked_for() {
    let given = given().flag("--etcd-endpoints=10.0.0.1:2379,http://10.0.0.2:2379");
    assert_eq!(
        given.etcd().endpoints,
        ["http://10.0.0.1:2379", "http://10.0.0.2:2379"]
    );
    assert_eq!(
        given.flag("--etcd-cafile=ca").etcd().endpoints,
        ["https://10.0.0.1:2379", "http://10.0.0.2:2379"]
    );
}

#[test]
fn health_is_served_once_a_port_is_given() {
    assert_eq!(given().flag("--healthz-ip=127.0.0.1").config().health, None);
    let health = given().flag("--healthz-port=8081").config().health;
    assert_eq!(health, Some(SocketAddr::from(([0, 0, 0, 0], 8081))));
}

#[test]
fn json_has_lists_as_lists_and_nothing_as_null() {
    let (_, sources) = given()
        .flag("--iface=eth0")
        .resolve()
        .expect("a good configuration");
    let json = serde_json::to_value(&sources).expect("JSON");
    let row = |name: &str| {
        json.as_array()
            .and_then(|rows| rows.iter().find(|row| row["name"] == name))
            .cloned()
    };
    assert_eq!(
        row("iface"),
        Some(serde_json::json!({"name": "iface", "value": ["eth0"], "source": "flag --iface"}))
    );
    assert_eq!(
        row("mtu"),
        Some(serde_json::json!({"name": "mtu", "value": null, "source": "default"}))
    );
}
