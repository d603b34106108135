//! What somebody with access to the store can write there: leases of every wrong shape beside good ones, and network
//! configs that nobody can follow.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::{Cluster, Etcd, EtcdOptions, Plan, Shape, Stack, eventually};
use netns_tests::measure::Usage;
use netns_tests::{PREFIX, PodNetwork, READY, block_routes, config, subnet_key};

const VXLAN: &str = r#"{"Type":"vxlan"}"#;
const PLAN: Plan = Plan {
    nodes: 1,
    shape: Shape::OneSwitch,
    stack: Stack::Dual,
};

/// More than the largest value here; etcd refuses 1.5 MB by default.
const LARGEST_REQUEST: &str = "--max-request-bytes=20000000";

/// A key behind `subnets/` and its value.
type Pair = (Vec<u8>, Vec<u8>);

fn pair(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Pair {
    (key.as_ref().into(), value.as_ref().into())
}

/// A node that nobody started yet, whose etcd takes large values.
fn network() -> PodNetwork {
    let cluster = Cluster::build(PLAN).unwrap();
    let options = EtcdOptions {
        args: vec![LARGEST_REQUEST.into()],
        ..EtcdOptions::default()
    };
    let directory = cluster.directory().join("etcd");
    let etcd = Etcd::on_underlay(&cluster.underlay, 201..202, &directory, &options).unwrap();
    etcd.put(&format!("{PREFIX}/config"), &config(Stack::Dual, VXLAN))
        .unwrap();
    PodNetwork {
        daemons: Vec::new(),
        pods: Vec::new(),
        etcd,
        cluster,
    }
}

fn start(network: &mut PodNetwork) {
    let daemon = network.node().start(&network.command()).unwrap();
    network.daemons.push(daemon);
    network.daemons[0].wait_ready(READY).unwrap();
}

/// Writes any bytes, which no command line could.
fn write(network: &PodNetwork, pairs: &[Pair]) {
    with_etcd(network, async |client| {
        for (key, value) in pairs {
            client.put(full(key), value.clone(), None).await?;
        }
        Ok(())
    });
}

fn delete(network: &PodNetwork, pairs: &[Pair]) {
    with_etcd(network, async |client| {
        for (key, _) in pairs {
            client.delete(full(key), None).await?;
        }
        Ok(())
    });
}

fn full(key: &[u8]) -> Vec<u8> {
    [subnet_key("").as_bytes(), key].concat()
}

fn with_etcd<W>(network: &PodNetwork, work: W)
where
    W: AsyncFnOnce(&mut etcd_client::Client) -> Result<(), etcd_client::Error> + Send,
{
    let member = network.etcd.living().unwrap();
    let endpoint = member.client_address().to_string();
    let run = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(async {
            let mut client = etcd_client::Client::connect([endpoint], None).await?;
            work(&mut client).await
        })
    };
    member.namespace().run(run).unwrap().unwrap();
}

fn metric(network: &PodNetwork, name: &str) -> Option<u64> {
    netns_tests::metric(network.node(), name).ok()
}

fn log(network: &PodNetwork) -> String {
    std::fs::read_to_string(network.node().directory().join("twill.log")).unwrap()
}

fn mac(number: u8) -> String {
    format!("02:99:00:00:00:{number:02x}")
}

/// The value of a node with this number: `PublicIP`, VNI and MAC as they should be.
fn value(number: u8) -> String {
    let (v4, v6) = (mac(number), mac(100 + number));
    format!(
        r#"{{"PublicIP":"10.99.0.{}","PublicIPv6":"fd99::{}","BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{v4}"}},"BackendV6Data":{{"VNI":1,"VtepMAC":"{v6}"}},"NodeName":"n{number}"}}"#,
        100 + number,
        100 + number
    )
}

/// Five leases as they should be. The daemon's own block is one of the first fifty.
fn good() -> Vec<Pair> {
    (1..=5)
        .map(|n| pair(format!("10.244.5{n}.0-24&fd00:244:0:{n}::-64"), value(n)))
        .collect()
}

/// Keys that are no leases, and how each is named.
fn bad_keys(large: usize) -> Vec<(Pair, String)> {
    let deep = format!(
        r#"{{"PublicIP":"10.99.0.9","BackendData":{}{}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let large = format!(r#"{{"PublicIP":"10.99.0.9","x":"{}"}}"#, "x".repeat(large));
    let named = |name: &str| value(9).replace("{\"PublicIP\"", &format!("{{{name},\"PublicIP\""));
    let mut all: Vec<(Pair, String)> = vec![
        (
            pair("10.244.60.0-24\0", value(9)),
            r"10.244.60.0-24\u{0}".into(),
        ),
        (
            pair("１０.244.60.0-24", value(9)),
            r"\u{ff11}\u{ff10}.244.60.0-24".into(),
        ),
        (pair("10.244.60.7-24", value(9)), "10.244.60.7-24".into()),
        (pair("0.0.0.0-0", value(9)), "0.0.0.0-0".into()),
        (pair("../config", value(9)), "../config".into()),
        (pair(b"\xff\xfe", value(9)), r"\u{fffd}\u{fffd}".into()),
        (pair("x".repeat(5_000), value(9)), "xxxxx".into()),
    ];
    let values: [Vec<u8>; 10] = [
        deep.into(),
        large.into(),
        "".into(),
        "[]".into(),
        b"{\"PublicIP\":\"10.99.0.9\0\"}".into(),
        b"{\"PublicIP\":\"\xff\"}".into(),
        r#"{"PublicIP":5,"BackendType":"vxlan"}"#.into(),
        r#"{"PublicIP":"fd99::9","BackendType":"vxlan"}"#.into(),
        value(9).replace("n9", "\u{202e}1edon").into(),
        named(r#""Released":"\u001b[2J\nERROR forged""#).into(),
    ];
    for (number, value) in (61..).zip(values) {
        let key = format!("10.244.{number}.0-24");
        all.push((pair(&key, value), key));
    }
    all
}

/// Leases that must be sent no packets, and how each block is named.
fn misleading(own: &str) -> Vec<(Pair, String)> {
    let good = value(9);
    let with = |old: &str, new: &str| good.replace(old, new);
    let underlay = |ip: &str| with("10.99.0.109", ip);
    let with_mac = |new: &str| with(&mac(9), new);
    let of_key = [
        ("10.245.7.0-24", "10.245.7.0/24"),
        ("10.99.0.0-24", "10.99.0.0/24"),
        ("10.0.0.0-8", "10.0.0.0/8"),
        ("0.0.0.0-1", "0.0.0.0/1"),
    ];
    let of_value = [
        // With the name of another node it would be a node that has our address, and keep us from starting.
        underlay(own).replace(r#","NodeName":"n9""#, ""),
        underlay("127.0.0.1"),
        underlay("224.0.0.1"),
        underlay("255.255.255.255"),
        underlay("10.99.0.255"),
        underlay("0.0.0.0"),
        with(
            "{\"PublicIP\"",
            r#"{"publicip":"10.99.0.9","PublicIP":"127.0.0.1","x""#,
        ),
        with("fd99::109", "fe80::9"),
        with_mac("01:00:5e:00:00:01"),
        with_mac("ff:ff:ff:ff:ff:ff"),
        with_mac("00:00:00:00:00:00"),
        with(
            r#""VNI":1,"VtepMAC":"02:99:00:00:00:09""#,
            r#""VNI":1,"VNI":1,"VtepMAC":"02:99:00:00:00:09""#,
        ),
        with(r#""VNI":1"#, r#""VNI":16777216"#),
        with(r#""VNI":1"#, r#""VNI":7"#),
        with(r#""vxlan""#, r#""wire\u001b[31mguard""#),
    ];
    let mut all: Vec<(Pair, String)> = of_key
        .map(|(key, block)| (pair(key, &good), block.to_owned()))
        .into();
    for (number, value) in (80..).zip(of_value) {
        let block = format!("10.244.{number}.0");
        all.push((pair(format!("{block}-24"), value), format!("{block}/24")));
    }
    // The underlay address lies in the block itself.
    all.push((
        pair("10.244.110.0-24", underlay("10.244.110.9")),
        "10.244.110.0/24".into(),
    ));
    // It lies across a good one, and has the MAC of a good one.
    for (key, value, block) in [
        ("10.244.53.128-25", good.clone(), "10.244.53.128/25"),
        ("10.244.111.0-24", with_mac(&mac(2)), "10.244.111.0/24"),
    ] {
        all.push((pair(key, value), block.into()));
    }
    // The key is of IPv6, and the value has nothing of it.
    let v4_only = r#"{"PublicIP":"10.99.0.111","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:99:00:00:00:0b"}}"#;
    all.push((
        pair("0.0.0.0-0&fd00:244:0:77::-64", v4_only),
        "fd00:244:0:77::/64".into(),
    ));
    all
}

/// All of the hostile ones.
struct Hostile {
    keys: Vec<(Pair, String)>,
    leases: Vec<(Pair, String)>,
}

impl Hostile {
    /// With one value of `large` bytes.
    fn towards(network: &PodNetwork, large: usize) -> Self {
        let own = network.node().addresses().first().unwrap();
        Self {
            keys: bad_keys(large),
            leases: misleading(&own.to_string()),
        }
    }

    fn pairs(&self) -> Vec<Pair> {
        let all = self.keys.iter().chain(&self.leases);
        all.map(|(pair, _)| pair.clone()).collect()
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let keys = self
            .keys
            .iter()
            .map(|(_, name)| format!("key subnets/{name}"));
        let leases = self
            .leases
            .iter()
            .map(|(_, name)| format!("lease on {name} "));
        keys.chain(leases)
    }

    /// The good ones work, the bad ones are counted, and each has exactly one line in the log.
    fn is_survived_by(&self, network: &mut PodNetwork) {
        let (keys, leases) = (self.keys.len(), self.leases.len());
        assert!(
            keys + leases >= 20,
            "there are to be twenty shapes at least"
        );
        eventually("everything bad is counted", READY, || {
            metric(network, "twill_store_bad_keys") == Some(keys as u64)
                && metric(network, "twill_leases_passed_over") == Some(leases as u64)
        })
        .unwrap();
        has_routes_to_the_good(network, 5);
        let log = log(network);
        for line in self.lines() {
            let times = log.matches(&line).count();
            assert_eq!(times, 1, "{line:?} in the log:\n{log}");
        }
        assert!(!log.contains("panicked"), "{log}");
        assert!(
            !log.contains('\u{1b}') && !log.contains('\u{202e}'),
            "{log}"
        );
        assert!(log.lines().all(|line| line.len() < 600), "{log}");
        network.daemons[0].process().must_run().unwrap();
        let peak = Usage::of(network.daemons[0].pid()).peak;
        assert!(peak < 100 << 10, "the daemon grew to {peak} KiB");
    }
}

fn has_routes_to_the_good(network: &PodNetwork, count: usize) {
    let routes = || block_routes(network.node()).unwrap();
    eventually("the good leases have routes", READY, || {
        routes().len() == 2 * count
    })
    .unwrap();
    for n in 1..=count {
        for block in [format!("10.244.5{n}.0/24"), format!("fd00:244:0:{n}::/64")] {
            assert!(routes().iter().any(|route| route.dst == block), "{block}");
        }
    }
}

#[test]
fn good_leases_work_beside_hostile_ones_that_are_there_at_the_start() {
    let mut network = network();
    let hostile = Hostile::towards(&network, 10 << 20);
    write(&network, &hostile.pairs());
    write(&network, &good());
    start(&mut network);
    hostile.is_survived_by(&mut network);
}

/// The largest value is smaller than in the other test: etcd does not start again with a record of 10 MB in its log.
#[test]
fn good_leases_work_beside_hostile_ones_that_are_written_later_and_none_is_named_twice() {
    let mut network = network();
    start(&mut network);
    let hostile = Hostile::towards(&network, 1 << 20);
    write(&network, &good());
    write(&network, &hostile.pairs());
    hostile.is_survived_by(&mut network);
    // The connection is lost, and all of it is listed again.
    network.etcd.members[0].restart().unwrap();
    eventually("the store is heard again", READY, || {
        log(&network).contains("store back") && metric(&network, "twill_store_up") == Some(1)
    })
    .unwrap();
    write(
        &network,
        &[pair("10.244.56.0-24&fd00:244:0:6::-64", value(6))],
    );
    has_routes_to_the_good(&network, 6);
    delete(&network, &[pair("10.244.56.0-24&fd00:244:0:6::-64", "")]);
    network.daemons[0].process().terminate().unwrap();
    let log = log(&network);
    for line in hostile.lines() {
        assert_eq!(log.matches(&line).count(), 1, "{line:?} in the log:\n{log}");
    }
}

#[test]
fn a_bad_key_that_is_repaired_is_used_and_one_that_is_deleted_is_not_counted() {
    let mut network = network();
    let (good_key, key) = ("10.244.57.0-24&fd00:244:0:7::-64", "10.244.58.0-24");
    write(
        &network,
        &[
            pair(good_key, "{"),
            pair(key, value(8).replace(":1,", ":2,")),
            pair("x", ""),
        ],
    );
    start(&mut network);
    let counted = |keys, leases| {
        eventually("they are counted", READY, || {
            metric(&network, "twill_store_bad_keys") == Some(keys)
                && metric(&network, "twill_leases_passed_over") == Some(leases)
        })
        .unwrap();
    };
    counted(2, 1);
    let shown = network
        .node()
        .twill_says(&network.command(), &["show", "leases"])
        .unwrap();
    assert!(
        shown.contains(good_key) && shown.contains("no lease: "),
        "{shown}"
    );
    write(&network, &[pair(good_key, value(7)), pair(key, value(8))]);
    counted(1, 0);
    eventually("the repaired leases have routes", READY, || {
        block_routes(network.node()).unwrap().len() == 3
    })
    .unwrap();
    delete(&network, &[pair("x", "")]);
    counted(0, 0);
}

/// What nobody can follow, and what is said of it: the key, the value and what to do.
const BAD_CONFIGS: [(&str, &[&str]); 8] = [
    ("", &["config", "it is empty"]),
    ("{", &["config", "it is not a JSON object"]),
    ("{}", &["Network is missing", "10.244.0.0/16"]),
    (
        r#"{"Network":"10.244.0.0/30"}"#,
        &["Network is 10.244.0.0/30", "too small", "at most /28"],
    ),
    (
        r#"{"Network":"10.244.0.0/16","SubnetLen":17}"#,
        &["SubnetLen is 17", "18 to 30"],
    ),
    (
        r#"{"Network":"10.244.0.0/16","Backend":{"Type":"udp"}}"#,
        &["Backend.Type is \"udp\"", "vxlan, host-gw and bgp"],
    ),
    (
        r#"{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan","VNI":16777216}}"#,
        &["VNI", "16777216", "16777215"],
    ),
    (
        r#"{"Network":"10.244.0.0/16","EnableIPv6":true}"#,
        &["IPv6Network is missing", "fd00:244::/48"],
    ),
];

#[test]
fn a_network_config_that_nobody_can_follow_ends_the_start_and_says_why() {
    let network = network();
    for (config, words) in BAD_CONFIGS {
        network
            .etcd
            .put(&format!("{PREFIX}/config"), config)
            .unwrap();
        let mut daemon = network.node().start(&network.command()).unwrap();
        let status = daemon.process().wait(READY).unwrap();
        assert_eq!(status.code(), Some(2), "{config}");
        let last = daemon.process().log_tail(1);
        assert!(last.starts_with("twill: etcd http://"), "{last}");
        for word in words {
            assert!(last.contains(word), "{config}: {word:?} in {last:?}");
        }
        assert!(
            network.etcd.list(&subnet_key("")).unwrap().is_empty(),
            "a block was claimed"
        );
    }
}

#[test]
fn a_network_config_that_nobody_can_follow_leaves_a_running_daemon_as_it_is() {
    let mut network = network();
    write(&network, &good());
    start(&mut network);
    has_routes_to_the_good(&network, 5);
    let before = block_routes(network.node()).unwrap();
    let status = |network: &PodNetwork| {
        let node = network.node();
        node.twill_says(&network.command(), &["show", "status"])
            .unwrap()
    };
    let pool_without_us = (
        r#"{"Network":"10.77.0.0/16"}"#,
        &["this node's block", "10.77.1.0"][..],
    );
    for (config, words) in BAD_CONFIGS.into_iter().chain([pool_without_us]) {
        network
            .etcd
            .put(&format!("{PREFIX}/config"), config)
            .unwrap();
        let says_so = || {
            let shown = status(&network);
            shown.contains("refused") && words.iter().all(|word| shown.contains(word))
        };
        eventually(&format!("{config:?} is refused"), READY, says_so).unwrap();
    }
    let text = log(&network);
    let refusals = text
        .lines()
        .filter(|line| line.contains("ERROR") && line.contains("refused"));
    assert_eq!(refusals.count(), BAD_CONFIGS.len() + 1, "{text}");
    assert_eq!(block_routes(network.node()).unwrap(), before);
    assert_eq!(metric(&network, "twill_ready"), Some(1));
    network
        .etcd
        .put(&format!("{PREFIX}/config"), &config(Stack::Dual, VXLAN))
        .unwrap();
    eventually("nothing is refused", READY, || {
        !status(&network).contains("refused")
    })
    .unwrap();
    network.daemons[0].process().must_run().unwrap();
}
