//! The nftables speaker on the real kernel, each test in network namespaces of
//! its own, what it wrote as the nft program reads it. Needs root; without it
//! the tests fail and say so.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kernel::{
    ChainName, Firewall, Masquerade, NfTables, NfTablesNotification, TableDrift, TableName,
    TunnelGuard, legacy_iptables_tables,
};
use nix::sched::{CloneFlags, setns, unshare};

/// Runs `test` in a fresh network namespace, which ends with its thread.
fn in_namespace(test: impl AsyncFnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("needs root to make a network namespace");
        run("ip", "link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn run(program: &str, args: &str) -> String {
    let output = Command::new(program)
        .args(args.split(' '))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Commands of the nft program, separated by semicolons in one transaction.
fn nft(script: &str) -> String {
    let output = Command::new("nft").arg(script).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "nft {script}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn networks(texts: &[&str]) -> Vec<ipnetwork::IpNetwork> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn masquerade() -> Masquerade {
    Masquerade {
        pools: networks(&["10.244.0.0/16", "fd44::/48"]),
        blocks: networks(&["10.244.1.0/24", "fd44:0:0:1::/64"]),
        direct: networks(&["198.51.100.0/24", "198.51.100.7/32", "2001:db8:51::/48"]),
        random_fully: true,
    }
}

fn guard(vteps: &[&str]) -> TunnelGuard {
    TunnelGuard {
        port: 8472,
        vni: 1,
        vteps: vteps.iter().map(|text| ip(text)).collect(),
    }
}

fn firewall() -> Firewall {
    Firewall {
        masquerade: Some(masquerade()),
        tunnel: Some(guard(&["192.0.2.2", "192.0.2.3", "2001:db8::2"])),
    }
}

fn open() -> NfTables {
    NfTables::open(TableName::default()).unwrap()
}

/// Waits for a notification; fails after 5 s.
async fn notified(nftables: &mut NfTables) -> Vec<NfTablesNotification> {
    tokio::time::timeout(Duration::from_secs(5), nftables.notifications())
        .await
        .expect("no notification within 5 s")
        .unwrap()
}

/// A network namespace that lives as long as this, reached from any thread.
struct Namespace(File);

impl Namespace {
    fn new() -> Namespace {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            run("ip", "link set lo up");
            for all in ["default", "all"] {
                let file = format!("/proc/sys/net/ipv6/conf/{all}/accept_dad");
                std::fs::write(file, "0").unwrap();
            }
            Namespace(File::open("/proc/thread-self/ns/net").unwrap())
        };
        std::thread::spawn(make).join().unwrap()
    }

    fn path(&self) -> String {
        use std::os::fd::AsRawFd;
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
            act()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
    }

    fn ip(&self, lines: &str) {
        self.inside(|| ip_lines(lines));
    }

    /// A socket on a port that is free. One written here may still be taken: a
    /// program that another test has just started holds a copy of each socket
    /// until it runs, so a closed one is not yet gone.
    fn socket(&self, at: &str) -> UdpSocket {
        self.inside(|| bind(SocketAddr::new(ip(at), 0)))
    }
}

fn ip_lines(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
        run("ip", line);
    }
}

fn bind(at: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(at).unwrap();
    let wait = Some(Duration::from_millis(200));
    socket.set_read_timeout(wait).unwrap();
    socket
}

/// Sends until something arrives; returns who the sender seems to be.
fn source_seen(from: &UdpSocket, at: &UdpSocket) -> IpAddr {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut buffer = [0; 16];
    while Instant::now() < deadline {
        from.send_to(b"ping", at.local_addr().unwrap()).unwrap();
        if let Ok((_, source)) = at.recv_from(&mut buffer) {
            return source.ip();
        }
    }
    panic!("{from:?} does not reach {at:?} within 5 s");
}

/// The first datagram that arrives within 5 s.
fn received(at: &UdpSocket) -> Vec<u8> {
    at.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 9000];
    let length = at.recv(&mut buffer).expect("nothing arrives within 5 s");
    buffer[..length].to_vec()
}

/// The node is the namespace of the test; a pod, and an outside on which there
/// are also a pod of another node and a direct destination.
///
/// ```text
///   pod 10.244.1.2 -- .1 node 192.0.2.1 -- .2 outside (10.244.9.2, 198.51.100.7)
///       10.244.7.2: of a block that the node had before
/// ```
struct Network {
    pod: Namespace,
    outside: Namespace,
}

impl Network {
    fn new() -> Network {
        let network = Network {
            pod: Namespace::new(),
            outside: Namespace::new(),
        };
        for file in ["ipv6/conf/default/accept_dad", "ipv6/conf/all/accept_dad"] {
            std::fs::write(format!("/proc/sys/net/{file}"), "0").unwrap();
        }
        for file in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{file}"), "1").unwrap();
        }
        ip_lines(&format!(
            "link add pod0 type veth peer name eth0 netns {}
             link add out0 type veth peer name eth0 netns {}",
            network.pod.path(),
            network.outside.path()
        ));
        ip_lines(
            "addr add 10.244.1.1/24 dev pod0
             addr add fd44:0:0:1::1/64 dev pod0
             addr add 192.0.2.1/24 dev out0
             addr add 2001:db8::1/64 dev out0
             link set pod0 up
             link set out0 up
             route add 10.244.7.0/24 dev pod0
             route add fd44:0:0:7::/64 dev pod0
             route add 10.244.9.0/24 via 192.0.2.2
             route add fd44:0:0:9::/64 via 2001:db8::2
             route add 198.51.100.0/24 via 192.0.2.2
             route add 2001:db8:51::/48 via 2001:db8::2",
        );
        network.pod.ip("addr add 10.244.1.2/24 dev eth0
             addr add fd44:0:0:1::2/64 dev eth0
             addr add 10.244.7.2/32 dev eth0
             addr add fd44:0:0:7::2/128 dev eth0
             link set eth0 up
             route add default via 10.244.1.1
             route add default via fd44:0:0:1::1");
        network.outside.ip("addr add 192.0.2.2/24 dev eth0
             addr add 2001:db8::2/64 dev eth0
             addr add 192.0.2.66/24 dev eth0
             addr add 2001:db8::66/64 dev eth0
             addr add 10.244.9.2/32 dev eth0
             addr add fd44:0:0:9::2/128 dev eth0
             addr add 198.51.100.7/32 dev eth0
             addr add 2001:db8:51::7/128 dev eth0
             link set eth0 up
             route add 10.244.0.0/16 via 192.0.2.1
             route add fd44::/48 via 2001:db8::1");
        network
    }
}

#[test]
fn nft_reads_what_is_written() {
    in_namespace(async || {
        open().replace(&firewall()).unwrap();
        let text = nft("list ruleset");
        let (head, rest) = text.split_once("\tset").unwrap();
        assert_eq!(format!("table inet twill {{\n\tset{rest}"), TEXT);
        let comment = "comment \"written by twill, which puts it back when changed: ";
        assert!(head.contains(comment), "{head}");
    });
}

#[test]
fn without_random_ports_and_ipv6_the_rules_are_as_plain() {
    in_namespace(async || {
        let mut masquerade = masquerade();
        masquerade.random_fully = false;
        masquerade.pools.truncate(1);
        let wanted = Firewall {
            masquerade: Some(masquerade),
            tunnel: None,
        };
        open().replace(&wanted).unwrap();
        let text = nft("list ruleset");
        assert!(text.contains("!= 224.0.0.0/4 masquerade comment"), "{text}");
        assert!(!text.contains("ip6") && !text.contains("tunnel"), "{text}");
    });
}

#[test]
fn pods_are_masqueraded_towards_the_outside_and_never_towards_pods() {
    in_namespace(async || {
        let network = Network::new();
        open().replace(&firewall()).unwrap();
        let seen = [
            ("10.244.1.2", "192.0.2.2", "192.0.2.1"),
            ("10.244.1.2", "10.244.9.2", "10.244.1.2"),
            ("10.244.7.2", "10.244.9.2", "10.244.7.2"),
            ("10.244.1.2", "198.51.100.7", "10.244.1.2"),
            ("fd44:0:0:1::2", "2001:db8::2", "2001:db8::1"),
            ("fd44:0:0:1::2", "fd44:0:0:9::2", "fd44:0:0:1::2"),
            ("fd44:0:0:7::2", "fd44:0:0:9::2", "fd44:0:0:7::2"),
            ("fd44:0:0:1::2", "2001:db8:51::7", "fd44:0:0:1::2"),
        ];
        for (from, to, source) in seen {
            let (sender, receiver) = (network.pod.socket(from), network.outside.socket(to));
            assert_eq!(source_seen(&sender, &receiver), ip(source), "{from} > {to}");
        }
        for (from, to, source) in [
            ("192.0.2.2", "10.244.1.2", "192.0.2.2"),
            ("192.0.2.2", "10.244.7.2", "10.244.1.1"),
            ("10.244.9.2", "10.244.1.2", "10.244.9.2"),
            ("2001:db8::2", "fd44:0:0:1::2", "2001:db8::2"),
        ] {
            let (sender, receiver) = (network.outside.socket(from), network.pod.socket(to));
            assert_eq!(source_seen(&sender, &receiver), ip(source), "{from} > {to}");
        }
    });
}

/// A VXLAN packet as far as the guard reads it, and a name for it.
fn vxlan(vni: u8, name: &str) -> Vec<u8> {
    let mut packet = vec![8, 0, 0, 0, 0, 0, vni, 0];
    packet.extend_from_slice(name.as_bytes());
    packet
}

#[test]
fn only_known_vteps_may_send_to_our_vni() {
    in_namespace(async || {
        only_the_known_pass(None);
    });
}

/// Masquerade brings connection tracking, which puts IPv6 fragments together
/// before the guard sees them.
#[test]
fn only_known_vteps_may_send_to_our_vni_where_connections_are_tracked() {
    in_namespace(async || {
        only_the_known_pass(Some(masquerade()));
    });
}

fn only_the_known_pass(masquerade: Option<Masquerade>) {
    let network = Network::new();
    let mut nftables = open();
    nftables
        .replace(&Firewall {
            masquerade,
            tunnel: Some(guard(&["192.0.2.2", "2001:db8::2"])),
        })
        .unwrap();
    let cases = [
        ("192.0.2.1:8472", "192.0.2.2", "192.0.2.66"),
        ("[2001:db8::1]:8472", "2001:db8::2", "2001:db8::66"),
    ];
    for (node, known, unknown) in cases {
        let at = bind(node.parse().unwrap());
        let known = network.outside.socket(known);
        let unknown = network.outside.socket(unknown);
        let fragmented = vxlan(1, &"x".repeat(4000));
        unknown.send_to(&vxlan(1, "unknown"), node).unwrap();
        unknown.send_to(&fragmented, node).unwrap();
        unknown.send_to(b"short", node).unwrap();
        known.send_to(&vxlan(1, "known"), node).unwrap();
        assert_eq!(received(&at), vxlan(1, "known"));
        known.send_to(&fragmented, node).unwrap();
        assert_eq!(received(&at), fragmented);
        unknown.send_to(&vxlan(2, "of another VNI"), node).unwrap();
        assert_eq!(received(&at), vxlan(2, "of another VNI"));

        let newcomer = [unknown.local_addr().unwrap().ip()];
        nftables.update_vteps(&newcomer, &[]).unwrap();
        unknown.send_to(&vxlan(1, "known now"), node).unwrap();
        assert_eq!(received(&at), vxlan(1, "known now"));
        nftables.update_vteps(&[], &newcomer).unwrap();
        unknown.send_to(&vxlan(1, "unknown again"), node).unwrap();
        known.send_to(&vxlan(1, "known still"), node).unwrap();
        assert_eq!(received(&at), vxlan(1, "known still"));
    }
    let text = nft("list chain inet twill tunnel");
    assert_eq!(text.matches("counter packets 4 ").count(), 2, "{text}");
}

fn many(count: u32) -> (Vec<IpAddr>, Firewall) {
    let v4 = (0..count / 2).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
    let v6 =
        (0..count / 2).map(|n| IpAddr::from(((0xfd_u128 << 120) + u128::from(n)).to_be_bytes()));
    let vteps: Vec<IpAddr> = v4.chain(v6).collect();
    let tunnel = TunnelGuard {
        vteps: vteps.iter().copied().collect(),
        ..guard(&[])
    };
    let firewall = Firewall {
        masquerade: Some(masquerade()),
        tunnel: Some(tunnel),
    };
    (vteps, firewall)
}

#[test]
fn forty_thousand_vteps_are_one_transaction_and_read_back() {
    in_namespace(async || {
        let mut nftables = open();
        let (vteps, wanted) = many(40_000);
        nftables.replace(&wanted).unwrap();
        assert_eq!(nftables.drift(&wanted).unwrap(), TableDrift::None);
        nftables.update_vteps(&[], &vteps).unwrap();
        let add = wanted
            .tunnel
            .as_ref()
            .unwrap()
            .vteps
            .iter()
            .copied()
            .collect();
        let remove = vec![];
        let all_missing = TableDrift::Vteps { add, remove };
        assert_eq!(nftables.drift(&wanted).unwrap(), all_missing);
        nftables.update_vteps(&vteps, &[]).unwrap();
        assert_eq!(nftables.drift(&wanted).unwrap(), TableDrift::None);
    });
}

#[test]
fn changes_of_vteps_may_be_repeated_but_not_without_a_table() {
    in_namespace(async || {
        let mut nftables = open();
        let addresses = [ip("192.0.2.7"), ip("2001:db8::7")];
        let error = nftables.update_vteps(&addresses, &[]).unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert!(
            error
                .to_string()
                .contains("known VTEPs of table inet twill"),
            "{error}"
        );
        nftables.replace(&firewall()).unwrap();
        for _ in 0..2 {
            nftables.update_vteps(&addresses, &[]).unwrap();
        }
        assert!(nft("list set inet twill vteps4").contains("192.0.2.7"));
        for _ in 0..2 {
            nftables.update_vteps(&[], &addresses).unwrap();
        }
        assert_eq!(nftables.drift(&firewall()).unwrap(), TableDrift::None);
    });
}

#[test]
fn a_set_that_is_full_says_so_and_is_larger_after_a_replacement() {
    in_namespace(async || {
        let mut nftables = open();
        nftables.replace(&firewall()).unwrap();
        let (vteps, wanted) = many(4_000);
        let error = nftables.update_vteps(&vteps, &[]).unwrap_err();
        assert!(error.to_string().contains("set is full"), "{error}");
        assert_eq!(nftables.drift(&firewall()).unwrap(), TableDrift::None);
        nftables.replace(&wanted).unwrap();
        assert!(nft("list set inet twill vteps4").contains("size 4096"));
    });
}

#[test]
fn a_second_start_finds_the_table_as_wanted_or_says_how_it_differs() {
    in_namespace(async || {
        assert_eq!(open().read().unwrap(), None);
        open().replace(&firewall()).unwrap();
        assert_eq!(open().drift(&firewall()).unwrap(), TableDrift::None);

        let mut other = firewall();
        other.tunnel.as_mut().unwrap().port = 4789;
        assert_eq!(open().drift(&other).unwrap(), TableDrift::Rules);

        nft("add rule inet twill tunnel accept");
        assert_eq!(open().drift(&firewall()).unwrap(), TableDrift::Rules);
        open().replace(&firewall()).unwrap();
        assert_eq!(open().drift(&firewall()).unwrap(), TableDrift::None);

        nft("flush chain inet twill postrouting");
        assert_eq!(open().drift(&firewall()).unwrap(), TableDrift::Rules);
        nft("flush ruleset; add table inet twill");
        assert_eq!(open().drift(&firewall()).unwrap(), TableDrift::Rules);
    });
}

#[test]
fn what_others_do_to_our_table_is_told_and_nothing_else() {
    in_namespace(async || {
        use NfTablesNotification::{Forward, Table};
        let mut nftables = open();
        nftables.replace(&firewall()).unwrap();
        nftables.update_vteps(&[ip("192.0.2.9")], &[]).unwrap();
        nft("add table ip foreign; add chain ip foreign FORWARD; add table ip twill");
        nft("add table ip filter; add chain ip filter INPUT");
        for (script, told) in [
            (
                "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
                Forward,
            ),
            ("delete element inet twill vteps4 { 192.0.2.9 }", Table),
            ("add rule inet twill tunnel accept", Table),
            ("add rule ip filter FORWARD accept", Forward),
            ("flush chain ip filter FORWARD", Forward),
            ("delete table inet twill", Table),
        ] {
            nft(script);
            assert_eq!(notified(&mut nftables).await, [told], "{script}");
        }
        nftables.replace(&firewall()).unwrap();
        nft("flush ruleset");
        assert_eq!(notified(&mut nftables).await, [Table, Forward]);
    });
}

#[test]
fn two_daemons_on_one_machine_have_a_table_each() {
    in_namespace(async || {
        let mut first = open();
        let mut second = NfTables::open("twill-85".parse().unwrap()).unwrap();
        first.replace(&firewall()).unwrap();
        second.replace(&firewall()).unwrap();
        assert_eq!(
            nft("list tables"),
            "table inet twill\ntable inet twill-85\n"
        );
        second.delete().unwrap();
        assert_eq!(first.drift(&firewall()).unwrap(), TableDrift::None);
    });
}

#[test]
fn no_flow_old_or_new_loses_a_packet_or_its_translation_while_the_table_is_replaced() {
    in_namespace(async || {
        let network = Network::new();
        let mut nftables = open();
        let (_, wanted) = many(2_000);
        nftables.replace(&wanted).unwrap();
        let pod = network.pod.socket("10.244.1.2");
        let outside = network.outside.socket("192.0.2.2");
        source_seen(&pod, &outside);
        let done = AtomicBool::new(false);
        let (pings, replaced) = std::thread::scope(|scope| {
            let flow = scope.spawn(|| {
                let mut pings = 0_u32;
                while !done.load(Ordering::Relaxed) || pings < 2_000 {
                    let new = network.pod.socket("10.244.1.2");
                    for pod in [&pod, &new] {
                        ping(pod, &outside, pings).unwrap_or_else(|e| panic!("ping {pings}: {e}"));
                    }
                    pings += 1;
                }
                pings
            });
            let mut replaced = 0;
            while replaced < 100 && !flow.is_finished() {
                nftables.replace(&wanted).unwrap();
                replaced += 1;
            }
            done.store(true, Ordering::Relaxed);
            (flow.join().unwrap(), replaced)
        });
        assert!(
            pings >= 2_000 && replaced == 100,
            "{pings} pings, {replaced} times replaced"
        );
    });
}

/// To the outside and back; each datagram must arrive within 5 s.
fn ping(pod: &UdpSocket, outside: &UdpSocket, number: u32) -> io::Result<()> {
    let ping = number.to_be_bytes();
    pod.send_to(&ping, outside.local_addr()?)?;
    let node = heard(outside, ping)?;
    assert_eq!(node.ip(), ip("192.0.2.1"), "not translated");
    outside.send_to(&ping, node)?;
    heard(pod, ping).map(drop)
}

/// Who sent this number. What else was sent before, as long as nobody was known to hear, is left out.
fn heard(at: &UdpSocket, number: [u8; 4]) -> io::Result<SocketAddr> {
    at.set_read_timeout(Some(Duration::from_secs(5)))?;
    loop {
        let mut buffer = [0; 4];
        let (_, from) = at.recv_from(&mut buffer)?;
        if buffer == number {
            return Ok(from);
        }
    }
}

/// As `iptables-nft -P FORWARD DROP` makes it, with somebody's rule.
fn drop_forwarded() {
    for family in ["ip", "ip6"] {
        nft(&format!(
            "add table {family} filter; \
             add chain {family} filter FORWARD {{ type filter hook forward priority 0; policy drop; }}; \
             add rule {family} filter FORWARD udp dport 9999 drop"
        ));
    }
}

#[test]
fn pods_traffic_passes_a_host_whose_forward_policy_is_drop() {
    in_namespace(async || {
        let network = Network::new();
        drop_forwarded();
        let mut nftables = open();
        let pools = networks(&["10.244.0.0/16", "fd44::/48"]);
        for (from, to) in [
            ("10.244.1.2", "192.0.2.2"),
            ("fd44:0:0:1::2", "2001:db8::2"),
        ] {
            let (pod, outside) = (network.pod.socket(from), network.outside.socket(to));
            let forbidden = SocketAddr::new(ip(to), 9999);
            let closed = network.outside.inside(|| bind(forbidden));
            nftables.open_forward(&[]).unwrap();
            pod.send_to(b"too early", outside.local_addr().unwrap())
                .unwrap();
            let forwarding = nftables.open_forward(&pools).unwrap();
            assert_eq!(forwarding.open.len(), 2);
            pod.send_to(b"forbidden", closed.local_addr().unwrap())
                .unwrap();
            pod.send_to(b"in time", outside.local_addr().unwrap())
                .unwrap();
            assert_eq!(received(&outside), b"in time");
            outside.send_to(b"back", pod.local_addr().unwrap()).unwrap();
            assert_eq!(received(&pod), b"back");
            assert!(
                closed.recv(&mut [0; 16]).is_err(),
                "a rule of others comes first"
            );
        }
    });
}

#[test]
fn forward_has_our_rules_once_while_its_policy_is_drop_and_they_go_with_our_table() {
    in_namespace(async || {
        drop_forwarded();
        let before = nft("list ruleset");
        let mut nftables = open();
        nftables.replace(&firewall()).unwrap();
        let pools = networks(&["10.244.0.0/16"]);
        for _ in 0..2 {
            nftables.open_forward(&pools).unwrap();
        }
        let ours = "\t\tudp dport 9999 drop\n\
                    \t\tip saddr 10.244.0.0/16 accept comment \"twill pods: from 10.244.0.0/16\"\n\
                    \t\tip daddr 10.244.0.0/16 accept comment \"twill pods: to 10.244.0.0/16\"\n\t}";
        let text = nft("list chain ip filter FORWARD");
        assert!(text.contains(ours), "{text}");

        nft("add chain ip filter FORWARD { policy accept; }");
        assert_eq!(nftables.open_forward(&pools).unwrap().open, []);
        assert!(!nft("list chain ip filter FORWARD").contains("twill"));

        nft("add chain ip filter FORWARD { policy drop; }");
        nftables.open_forward(&pools).unwrap();
        assert_eq!(
            names(&nftables.find_opened().unwrap()),
            ["ip filter FORWARD"]
        );
        nftables.delete().unwrap();
        assert_eq!(nftables.find_opened().unwrap(), []);
        assert_eq!(nft("list ruleset"), before);
    });
}

fn names(chains: &[ChainName]) -> Vec<String> {
    chains.iter().map(ToString::to_string).collect()
}

#[test]
fn chains_of_others_that_drop_are_named_and_left_alone() {
    in_namespace(async || {
        nft("add table inet host; \
             add chain inet host forward { type filter hook forward priority 0; policy drop; }; \
             add chain inet host input { type filter hook input priority 0; policy drop; }");
        let before = nft("list ruleset");
        let forwarding = open().open_forward(&networks(&["10.244.0.0/16"])).unwrap();
        assert_eq!(names(&forwarding.shut), ["inet host forward"]);
        assert_eq!(nft("list ruleset"), before);
    });
}

#[test]
fn what_flannel_left_is_found_and_removed_and_nothing_else() {
    in_namespace(async || {
        for family in ["ip", "ip6"] {
            nft(&format!(
                "add table {family} nat; \
                 add chain {family} nat POSTROUTING {{ type nat hook postrouting priority 100; }}; \
                 add rule {family} nat POSTROUTING counter comment \"of somebody else\"; \
                 add table {family} filter; \
                 add chain {family} filter FORWARD {{ type filter hook forward priority 0; }}; \
                 add chain {family} filter OTHER; \
                 add rule {family} filter FORWARD jump OTHER"
            ));
        }
        let before = nft("list ruleset");
        let mut nftables = open();
        assert_eq!(nftables.find_flannels().unwrap(), []);
        for (family, table) in [("ip", "flannel-ipv4"), ("ip6", "flannel-ipv6")] {
            nft(&format!(
                "add table {family} {table}; \
                 add chain {family} {table} postrtg {{ type nat hook postrouting priority srcnat; }}; \
                 add chain {family} nat FLANNEL-POSTRTG; \
                 add rule {family} nat FLANNEL-POSTRTG counter masquerade; \
                 insert rule {family} nat POSTROUTING counter jump FLANNEL-POSTRTG; \
                 add chain {family} filter FLANNEL-FWD; \
                 add rule {family} filter FLANNEL-FWD accept; \
                 add rule {family} filter FORWARD counter jump FLANNEL-FWD; \
                 add rule {family} filter FORWARD counter accept comment \"flanneld forward\""
            ));
        }
        let removed = nftables.remove_flannels().unwrap();
        let names: Vec<String> = removed.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 12, "{names:?}");
        for name in [
            "table ip flannel-ipv4",
            "table ip6 flannel-ipv6",
            "chain ip nat FLANNEL-POSTRTG",
            "chain ip6 filter FLANNEL-FWD",
        ] {
            assert!(names.iter().any(|n| n == name), "{name} not in {names:?}");
        }
        assert_eq!(nft("list ruleset"), before);
        assert_eq!(nftables.remove_flannels().unwrap(), []);
    });
}

#[test]
fn a_namespace_without_the_legacy_iptables_has_no_tables_of_it() {
    in_namespace(async || {
        open().replace(&firewall()).unwrap();
        for ipv4 in [true, false] {
            assert_eq!(legacy_iptables_tables(ipv4), Vec::<String>::new());
        }
    });
}

const TEXT: &str = r#"table inet twill {
	set vteps4 {
		type ipv4_addr
		size 1024
		elements = { 192.0.2.2, 192.0.2.3 }
	}

	set vteps6 {
		type ipv6_addr
		size 1024
		elements = { 2001:db8::2 }
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		meta mark & 0x00004000 == 0x00004000 return comment "kube-proxy masquerades it"
		ip saddr 10.244.0.0/16 ip daddr 10.244.0.0/16 return comment "pod to pod"
		ip daddr 10.244.1.0/24 return comment "outside to a pod of this node"
		ip saddr 10.244.0.0/16 ip daddr 198.51.100.0/24 return comment "destination that takes pod addresses"
		ip saddr 10.244.0.0/16 ip daddr 198.51.100.7 return comment "destination that takes pod addresses"
		ip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random comment "pod to outside"
		ip saddr != 10.244.0.0/16 ip daddr 10.244.0.0/16 masquerade fully-random comment "outside to a pod of another node"
		ip6 saddr fd44::/48 ip6 daddr fd44::/48 return comment "pod to pod"
		ip6 daddr fd44:0:0:1::/64 return comment "outside to a pod of this node"
		ip6 saddr fd44::/48 ip6 daddr 2001:db8:51::/48 return comment "destination that takes pod addresses"
		ip6 saddr fd44::/48 ip6 daddr != ff00::/8 masquerade fully-random comment "pod to outside"
		ip6 saddr != fd44::/48 ip6 daddr fd44::/48 masquerade fully-random comment "outside to a pod of another node"
	}

	chain tunnel {
		type filter hook input priority filter - 10; policy accept;
		udp dport 8472 @th,96,24 != 0x1 return comment "not our VNI"
		udp dport 8472 ip saddr != @vteps4 counter packets 0 bytes 0 drop comment "sender is no known VTEP"
		udp dport 8472 ip6 saddr != @vteps6 counter packets 0 bytes 0 drop comment "sender is no known VTEP"
	}
}
"#;
