//! What keeps a daemon from starting or from doing its work: each gives one clear line, and nothing is half done.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::kernel_view::link;
use lab::{
    Cluster, Daemon, DaemonCommand, Etcd, Node, Plan, Process, Shape, Stack, Store, eventually, ip,
};
use netns_tests::{PREFIX, READY, block_routes, config, twill};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;

const VXLAN: &str = r#"{"Type":"vxlan"}"#;

/// One node, and a directory as its store.
struct Stage {
    cluster: Cluster,
}

impl Stage {
    fn new() -> Self {
        let plan = Plan {
            nodes: 1,
            shape: Shape::OneSwitch,
            stack: Stack::V4,
        };
        let stage = Self {
            cluster: Cluster::build(plan).unwrap(),
        };
        std::fs::create_dir(stage.store()).unwrap();
        std::fs::write(stage.store().join("config"), config(Stack::V4, VXLAN)).unwrap();
        stage
    }

    fn node(&self) -> &Node {
        &self.cluster.nodes[0]
    }

    fn store(&self) -> PathBuf {
        self.cluster.directory().join("store")
    }

    fn command(&self) -> DaemonCommand {
        DaemonCommand::new(twill(), Store::File(self.store()))
    }

    fn with_etcd(&self, endpoint: &str) -> DaemonCommand {
        DaemonCommand::new(twill(), Store::Etcd(vec![endpoint.into()]))
    }

    fn start(&self, command: &DaemonCommand) -> Daemon {
        self.node().start(command).unwrap()
    }

    fn ready(&self) -> Daemon {
        let mut daemon = self.start(&self.command());
        daemon.wait_ready(READY).unwrap();
        daemon
    }

    /// The last line of a daemon that must end by itself with exit code 2.
    fn last_words(&self, command: &DaemonCommand) -> String {
        self.last_words_of(&[], command)
    }

    /// The same of one that is started through another program.
    fn last_words_of(&self, through: &[&str], command: &DaemonCommand) -> String {
        let binary = command.binary.display().to_string();
        let mut words = through.iter().copied().chain([binary.as_str(), "run"]);
        let mut program = self.node().namespace().command(words.next().unwrap());
        program.args(words).args(command.settings(self.node()));
        let log = self.cluster.directory().join("last-words.log");
        let mut process = Process::start("twill", program, &log).unwrap();
        let status = process.wait(READY).unwrap();
        let last = process.log_tail(1);
        assert_eq!(status.code(), Some(2), "{last}");
        last
    }

    /// Nobody has a trace of a daemon that could not start.
    fn is_untouched(&self) {
        let node = self.node();
        assert!(block_routes(node).unwrap().is_empty());
        assert!(link(node.namespace(), "flannel.1").unwrap().is_none());
        assert!(!node.subnet_file().exists());
        let blocks = std::fs::read_dir(self.store().join("subnets"));
        assert_eq!(blocks.map_or(0, Iterator::count), 0, "a block was claimed");
    }
}

/// What the daemon's flag says instead of what the lab gives it: the last of two counts.
fn with(command: DaemonCommand, args: &[&str]) -> DaemonCommand {
    command.args(args)
}

fn has_all(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

/// Waits for a line with all of these words, and finds it once.
fn says_once(daemon: &mut Daemon, words: &[&str]) {
    let line = |text: &str| {
        let lines = text
            .lines()
            .filter(|line| words.iter().all(|word| line.contains(word)));
        lines.count()
    };
    let log = daemon.process().log().to_owned();
    let read = || std::fs::read_to_string(&log).unwrap();
    eventually(&format!("{words:?} is said"), READY, || line(&read()) > 0).unwrap();
    assert_eq!(line(&read()), 1, "{}", read());
}

/// What is in the way is named and stays; a subnet.env is written only when it is gone.
fn waits_for_its_device(stage: &Stage, words: &[&str], clear: impl FnOnce()) {
    let mut daemon = stage.start(&stage.command());
    says_once(&mut daemon, words);
    assert!(!daemon.is_ready() && !stage.node().subnet_file().exists());
    let status = stage
        .node()
        .twill_says(&stage.command(), &["show", "status"]);
    has_all(&status.unwrap(), &["the kernel refuses device flannel.1"]);
    clear();
    daemon.wait_ready(READY).unwrap();
    assert!(stage.node().subnet_file().exists());
}

#[test]
fn a_device_of_somebody_else_with_our_vni_is_named_and_left_alone() {
    let stage = Stage::new();
    let inside = stage.node().namespace();
    let theirs = "link add theirs type vxlan id 1 dstport 8472 dev eth0";
    ip(inside, &theirs.split(' ').collect::<Vec<_>>()).unwrap();
    let words = [
        "ERROR",
        "device flannel.1",
        "theirs has VNI 1 and port 8472",
        "Backend.VNI",
    ];
    waits_for_its_device(&stage, &words, || {
        assert!(link(inside, "theirs").unwrap().is_some());
        ip(inside, &["link", "delete", "theirs"]).unwrap();
    });
}

#[test]
fn a_link_of_another_kind_with_our_name_is_named_and_left_alone() {
    let stage = Stage::new();
    let inside = stage.node().namespace();
    ip(
        inside,
        &[
            "link",
            "add",
            "flannel.1",
            "type",
            "veth",
            "peer",
            "name",
            "other",
        ],
    )
    .unwrap();
    let words = [
        "ERROR",
        "flannel.1 that is no VXLAN device",
        "ip link delete flannel.1",
    ];
    waits_for_its_device(&stage, &words, || {
        let theirs = link(inside, "flannel.1").unwrap().unwrap();
        assert_eq!(theirs.linkinfo.unwrap().info_kind, "veth");
        ip(inside, &["link", "delete", "flannel.1"]).unwrap();
    });
}

#[test]
fn a_taken_udp_port_is_named() {
    let stage = Stage::new();
    let bind = || UdpSocket::bind(("0.0.0.0", 8472)).unwrap();
    let socket = stage.node().namespace().run(bind).unwrap();
    let words = [
        "ERROR",
        "device flannel.1",
        "another program has UDP port 8472",
        "ss -ulnp",
    ];
    waits_for_its_device(&stage, &words, || drop(socket));
}

#[test]
fn a_daemon_without_cap_net_admin_ends_before_it_claims_a_block() {
    let stage = Stage::new();
    let setpriv = [
        "setpriv",
        "--bounding-set=-net_admin",
        "--inh-caps=-net_admin",
    ];
    let last = stage.last_words_of(&setpriv, &stage.command());
    has_all(
        &last,
        &["CAP_NET_ADMIN", "run it as root", "AmbientCapabilities"],
    );
    stage.is_untouched();
}

#[test]
fn a_node_for_which_there_is_no_block_leaves_its_kernel_as_it_was() {
    let stage = Stage::new();
    let pool = r#"{"Network":"10.244.0.0/22","SubnetLen":24,"Backend":{"Type":"vxlan"}}"#;
    std::fs::write(stage.store().join("config"), pool).unwrap();
    let leases = stage.store().join("subnets");
    std::fs::create_dir(&leases).unwrap();
    for number in 0..4 {
        let lease = format!(
            r#"{{"PublicIP":"10.99.0.{}","BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"02:00:00:00:00:{number:02}"}}}}"#,
            number + 101
        );
        std::fs::write(leases.join(format!("10.244.{number}.0-24")), lease).unwrap();
    }
    let last = stage.last_words(&stage.command());
    has_all(&last, &["no free IPv4 block", "10.244.0.0/22"]);
    let node = stage.node();
    assert!(block_routes(node).unwrap().is_empty());
    assert!(link(node.namespace(), "flannel.1").unwrap().is_none());
    assert!(!node.subnet_file().exists());
}

#[test]
fn a_run_directory_that_cannot_be_written_is_named() {
    let stage = Stage::new();
    let run = stage.node().run_directory();
    std::fs::create_dir(&run).unwrap();
    let mount = format!("mount -t tmpfs -o ro none {} && exec \"$@\"", run.display());
    let shell = ["unshare", "--mount", "sh", "-c", &mount, "sh"];
    let last = stage.last_words_of(&shell, &stage.command());
    has_all(
        &last,
        &[
            &run.display().to_string(),
            "Read-only file system",
            "--run-dir",
        ],
    );
    assert_eq!(last.matches("Read-only").count(), 1, "{last}");
    stage.is_untouched();
}

#[test]
fn settings_that_cannot_be_are_named_with_what_would_do() {
    let stage = Stage::new();
    let file = stage.cluster.directory().join("twill.toml");
    let path = file.display().to_string();
    std::fs::write(&file, "lease-ttl = [\n").unwrap();
    let cases: [(&[&str], &[&str]); 6] = [
        (
            &["--config", "/no/such/file"],
            &["/no/such/file", "--config", "No such file"],
        ),
        (
            &["--config", "/proc"],
            &["/proc", "--config", "Is a directory"],
        ),
        (&["--config", &path], &[&path, "line 1"]),
        (
            &["--iface-can-reach", "203.0.113.1", "--iface", "nosuch0"],
            &["nosuch0", "links here: lo, eth0", "correct --iface"],
        ),
        (
            &["--healthz-ip", "203.0.113.1"],
            &["203.0.113.1", "--healthz-ip"],
        ),
        (
            &["--store", "file:///proc/nothing"],
            &["/proc/nothing", "cannot create"],
        ),
    ];
    for (args, words) in cases {
        has_all(&last_words_with(&stage, &stage.command(), args), words);
    }
    let https = stage.with_etcd("https://127.0.0.1:2379");
    let last = last_words_with(&stage, &https, &["--etcd-cafile", "/no/ca.pem"]);
    has_all(
        &last,
        &["/no/ca.pem", "certificate cannot be read", "No such file"],
    );
    stage.is_untouched();
}

/// The lab gives some of these flags as well, and a flag may be given once.
fn last_words_with(stage: &Stage, command: &DaemonCommand, args: &[&str]) -> String {
    let mut given = command.clone();
    given.args.clear();
    let mut words = given.settings(stage.node());
    for name in args.iter().filter(|arg| arg.starts_with("--")) {
        if let Some(at) = words.iter().position(|word| word == name) {
            words.drain(at..at + 2);
        }
    }
    let mut program = stage.node().namespace().command("timeout");
    program.arg("30").arg(&command.binary).arg("run");
    program.args(words).args(args);
    let output = program.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
    text.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_bad_flag_value_is_named_on_the_first_line() {
    for (flag, value, word) in [
        ("--lease-ttl", "x", "24h"),
        ("--mtu", "9", "576"),
        ("--route-protocol", "2", "5 to 255"),
        ("--node-name", "a b", "without spaces"),
        ("--backend", "udp", "host-gw"),
    ] {
        let output = Command::new(twill())
            .args(["run", flag, value])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        has_all(&text, &[flag, value, word]);
    }
}

#[test]
fn a_second_daemon_on_a_node_is_refused_and_the_first_is_undisturbed() {
    let stage = Stage::new();
    let mut first = stage.ready();
    let before = first.process().log_text();
    let other = stage
        .cluster
        .directory()
        .join("other-run")
        .display()
        .to_string();
    let pid = format!("(pid {})", first.pid());
    let run_dir = stage.node().run_directory().display().to_string();
    let cases: [(&[&str], &[&str]); 3] = [
        (&[], &[&pid, &run_dir, "--run-dir"]),
        (
            &["--run-dir", &other],
            &[&pid, "protocol 84", "--route-protocol"],
        ),
        (
            &["--run-dir", &other, "--route-protocol", "85"],
            &[&pid, "is node node1 of file://", "--etcd-prefix"],
        ),
    ];
    for (args, words) in cases {
        let elsewhere = [args, &["--healthz-port", "8082"]].concat();
        let last = last_words_with(&stage, &stage.command(), &elsewhere);
        has_all(&last, &["another twill"]);
        has_all(&last, words);
    }
    first.process().must_run().unwrap();
    assert!(first.is_ready());
    assert_eq!(
        first.process().log_text(),
        before,
        "the first daemon had something to say"
    );
    let status = stage
        .node()
        .twill_says(&stage.command(), &["show", "status"]);
    has_all(&status.unwrap(), &[&format!("pid {}", first.pid())]);
}

#[test]
fn a_taken_health_port_is_named_and_nothing_is_done() {
    let stage = Stage::new();
    let bind = || std::net::TcpListener::bind(("127.0.0.1", lab::HEALTH_PORT)).unwrap();
    let _taken = stage.node().namespace().run(bind).unwrap();
    let last = stage.last_words(&stage.command());
    has_all(
        &last,
        &["127.0.0.1:8081", "--healthz-port", "in use (os error 98)"],
    );
    stage.is_untouched();
}

#[test]
fn a_store_that_is_not_there_yet_is_waited_for_and_named_once() {
    let stage = Stage::new();
    let mut daemon = stage.start(&stage.with_etcd("http://10.99.0.201:2379"));
    says_once(
        &mut daemon,
        &[
            "WARN",
            "no block yet",
            "http://10.99.0.201:2379 does not answer",
            "trying again",
        ],
    );
    stage.is_untouched();
    let etcd = stage.cluster.etcd(1).unwrap();
    says_once(
        &mut daemon,
        &[
            "WARN",
            "no network config at etcd http://10.99.0.201:2379, key /coreos.com/network/config",
            "write one",
        ],
    );
    etcd.put("/coreos.com/network/config", &config(Stack::V4, VXLAN))
        .unwrap();
    daemon.wait_ready(READY).unwrap();
}

#[test]
fn a_wrong_password_is_named_and_a_right_one_needs_no_more_than_that() {
    let stage = Stage::new();
    let etcd = stage.cluster.etcd(1).unwrap();
    etcd.put("/coreos.com/network/config", &config(Stack::V4, VXLAN))
        .unwrap();
    etcd.ctl(&["user", "add", "root:right"]).unwrap();
    etcd.ctl(&["user", "grant-role", "root", "root"]).unwrap();
    etcd.ctl(&["auth", "enable"]).unwrap();
    let endpoint = etcd.endpoints().remove(0);
    let user = ["--etcd-username", "root", "--etcd-password"];
    let wrong = with(
        stage.with_etcd(&endpoint),
        &[&user[..], &["wrong"]].concat(),
    );
    let mut daemon = stage.start(&wrong);
    says_once(
        &mut daemon,
        &["WARN", &endpoint, "refuses", "check user, password"],
    );
    assert!(
        !daemon.process().log_text().contains("wrong"),
        "the password is in the log"
    );
    drop(daemon);
    stage.is_untouched();
    let right = with(
        stage.with_etcd(&endpoint),
        &[&user[..], &["right"]].concat(),
    );
    stage.start(&right).wait_ready(READY).unwrap();
}

/// An etcd with this network in which the daemon's user may read and, until root says so, not write.
struct ReadOnly<'a> {
    stage: &'a Stage,
    etcd: Etcd,
}

impl<'a> ReadOnly<'a> {
    fn new(stage: &'a Stage, network: &str) -> Self {
        let etcd = stage.cluster.etcd(1).unwrap();
        etcd.put(&format!("{PREFIX}/config"), network).unwrap();
        let role = [
            "role",
            "grant-permission",
            "pods",
            "--prefix=true",
            "read",
            PREFIX,
        ];
        for command in [
            &["user", "add", "root:right"][..],
            &["user", "grant-role", "root", "root"],
            &["role", "add", "pods"],
            &role,
            &["user", "add", "twill:right"],
            &["user", "grant-role", "twill", "pods"],
            &["auth", "enable"],
        ] {
            etcd.ctl(command).unwrap();
        }
        ReadOnly { stage, etcd }
    }

    fn as_root(&self, args: &[&str]) {
        self.etcd
            .ctl(&[&["--user=root:right"], args].concat())
            .unwrap();
    }

    fn start(&self) -> Daemon {
        let endpoint = self.etcd.endpoints().remove(0);
        let user = ["--etcd-username", "twill", "--etcd-password", "right"];
        let mut daemon = self
            .stage
            .start(&with(self.stage.with_etcd(&endpoint), &user));
        says_once(&mut daemon, &["WARN", "no block yet", "permission denied"]);
        daemon
    }
}

#[test]
fn a_bad_key_and_what_is_planned_are_named_once_however_often_the_claim_is_refused() {
    let stage = Stage::new();
    let store = ReadOnly::new(&stage, &config(Stack::V4, VXLAN));
    let bad = format!("{PREFIX}/subnets/nonsense");
    store.as_root(&["put", &bad, "{}"]);
    let mut daemon = store.start();
    let role = ["role", "grant-permission", "pods", "--prefix=true"];
    store.as_root(&[&role[..], &["readwrite", PREFIX]].concat());
    daemon.wait_ready(READY).unwrap();
    says_once(&mut daemon, &["subnets/nonsense is passed over"]);
    says_once(&mut daemon, &["INFO backend vxlan"]);
}

#[test]
fn what_was_put_before_a_refused_claim_is_taken_back_when_there_is_no_block_in_the_end() {
    let stage = Stage::new();
    let pool = r#"{"Network":"10.244.0.0/22","SubnetLen":24,"Backend":{"Type":"host-gw"}}"#;
    let store = ReadOnly::new(&stage, pool);
    let lease = |number: u8| {
        let key = format!("{PREFIX}/subnets/10.244.{number}.0-24");
        let value = format!(
            r#"{{"PublicIP":"10.99.0.{}","BackendType":"host-gw"}}"#,
            number + 101
        );
        store.as_root(&["put", &key, &value]);
    };
    (0..3).for_each(lease);
    let mut daemon = store.start();
    let node = stage.node();
    assert_eq!(block_routes(node).unwrap().len(), 3);
    lease(3);
    let status = daemon.process().wait(READY).unwrap();
    assert_eq!(status.code(), Some(2));
    has_all(
        &daemon.process().log_text(),
        &["no free IPv4 block", "10.244.0.0/22"],
    );
    assert!(block_routes(node).unwrap().is_empty());
}

/// An authority, and a certificate of it for 127.0.0.1.
fn authority(directory: &Path, name: &str) {
    let run = |args: &str| {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(directory).args(args.split(' '));
        let output = openssl.output().unwrap();
        assert!(output.status.success(), "{args}: {output:?}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    run(&format!(
        "req -x509 {key} -days 2 -subj /CN={name} -keyout {name}-ca.key -out {name}-ca.pem"
    ));
    run(&format!(
        "req {key} -subj /CN=server -addext subjectAltName=IP:127.0.0.1 -keyout {name}.key -out {name}.csr"
    ));
    run(&format!(
        "x509 -req -days 2 -in {name}.csr -CA {name}-ca.pem -CAkey {name}-ca.key -CAcreateserial -copy_extensions copy -out {name}.pem"
    ));
}

#[test]
fn a_wrong_authority_and_a_missing_client_certificate_are_named() {
    let stage = Stage::new();
    let directory = stage.cluster.directory();
    for name in ["ours", "theirs"] {
        authority(directory, name);
    }
    let mut command = stage.node().namespace().command("etcd");
    command.current_dir(directory).args([
        "--data-dir=tls-etcd",
        "--listen-client-urls=https://127.0.0.1:2379",
        "--advertise-client-urls=https://127.0.0.1:2379",
        "--cert-file=ours.pem",
        "--key-file=ours.key",
        "--trusted-ca-file=ours-ca.pem",
        "--client-cert-auth",
        "--log-level=error",
    ]);
    let _etcd = Process::start("etcd", command, &directory.join("tls-etcd.log")).unwrap();
    let file = |name: &str| directory.join(name).display().to_string();
    let endpoint = "https://127.0.0.1:2379";
    for (ca, cert, says) in [
        ("theirs-ca.pem", None, "invalid peer certificate"),
        (
            "ours-ca.pem",
            None,
            // Who sees it first decides on the words: "BadCertificate", or a closed connection and our guess.
            "ertificate",
        ),
        ("ours-ca.pem", Some("theirs"), "ertificate"),
    ] {
        let mut args = vec!["--etcd-cafile".to_owned(), file(ca)];
        for (flag, end) in [("--etcd-certfile", "pem"), ("--etcd-keyfile", "key")] {
            let name = cert.map(|cert| [flag.to_owned(), file(&format!("{cert}.{end}"))]);
            args.extend(name.into_iter().flatten());
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let _ = std::fs::remove_file(stage.node().directory().join("twill.log"));
        // Until etcd listens, that is what is said.
        eventually("etcd listens", READY, || listens(&stage)).unwrap();
        let mut daemon = stage.start(&with(stage.with_etcd(endpoint), &args));
        says_once(&mut daemon, &["WARN", "no block yet", endpoint, says]);
        drop(daemon);
        stage.is_untouched();
    }
}

fn listens(stage: &Stage) -> bool {
    let connect = || std::net::TcpStream::connect(("127.0.0.1", 2379)).is_ok();
    stage.node().namespace().run(connect).unwrap()
}
