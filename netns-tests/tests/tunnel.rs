//! Who may tunnel: VXLAN packets from a machine of the underlay that is no node reach no pod.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::kernel_view::link;
use lab::probe::{ping_between, source_is_kept};
use lab::{Namespace, Node, Plan, Pod, Shape, Stack, eventually, ip_batch, output};
use netns_tests::{PodNetwork, READY, config, subnet_key};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Two nodes with a pod each, whose daemons have these flags. etcd's host is on the underlay, and is no node.
fn network(stack: Stack, backend: &str, flags: &[&str]) -> PodNetwork {
    let plan = Plan {
        nodes: 2,
        shape: Shape::OneSwitch,
        stack,
    };
    let mut network = PodNetwork::new(plan, 1, &config(stack, backend)).unwrap();
    for node in &network.cluster.nodes {
        let command = network
            .command()
            .args(flags)
            .args(&["--vanished-grace", "1s"]);
        network.daemons.push(node.start(&command).unwrap());
    }
    for daemon in &mut network.daemons {
        daemon.wait_ready(READY).unwrap();
    }
    network.add_pods(1).unwrap();
    eventually("the pods reach each other", READY, || {
        ping_between(&network.pods[0], &network.pods[1]).is_ok()
    })
    .unwrap();
    network
}

fn vxlan(stack: Stack, flags: &[&str]) -> PodNetwork {
    network(stack, r#"{"Type":"vxlan"}"#, flags)
}

/// A machine that makes itself the VTEP of the second node: packets into the first pod bear the second's address.
struct Intruder<'a> {
    machine: Namespace,
    victim: &'a Pod,
    forged: IpAddr,
}

impl<'a> Intruder<'a> {
    fn new(network: &'a PodNetwork) -> Intruder<'a> {
        let machine = network.etcd.living().unwrap();
        let (node, victim) = (network.node(), &network.pods[0]);
        let own = machine.client_address().ip();
        let device = if own.is_ipv4() {
            "flannel.1"
        } else {
            "flannel-v6.1"
        };
        let vtep = link(node.namespace(), device).unwrap().unwrap();
        let mac = vtep.address.unwrap();
        let first = |pod: &Pod| pod.addresses().iter().next().unwrap();
        let (to, forged) = (first(victim), first(&network.pods[1]));
        let remote = node.addresses().iter().next().unwrap();
        let lines = [
            format!(
                "link add evil mtu 1400 type vxlan id 1 local {own} remote {remote} dstport 8472 nolearning"
            ),
            format!("addr add {forged} dev evil{}", no_dad(forged)),
            "link set evil up".to_owned(),
            format!("route add {to} dev evil src {forged}"),
            format!("neigh add {to} lladdr {mac} dev evil nud permanent"),
        ];
        ip_batch(machine.namespace(), &lines).unwrap();
        let machine = machine.namespace().clone();
        Intruder {
            machine,
            victim,
            forged,
        }
    }

    /// A socket of the victim that hears what the intruder sends.
    fn listen(&self) -> UdpSocket {
        let own = self.victim.addresses().iter().next().unwrap();
        let bind = || UdpSocket::bind((own, 0));
        let socket = self.victim.namespace().run(bind).unwrap().unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn send(&self, to: SocketAddr) {
        let bind = || UdpSocket::bind((self.forged, 0));
        let socket = self.machine.run(bind).unwrap().unwrap();
        socket.send_to(b"evil", to).unwrap();
    }

    /// Sends until it is heard.
    fn gets_in(&self) {
        let socket = self.listen();
        eventually("a packet gets in", READY, || {
            self.send(socket.local_addr().unwrap());
            matches!(socket.recv_from(&mut [0; 8]), Ok((4, from)) if from.ip() == self.forged)
        })
        .unwrap();
    }

    /// Sends until `node` counts that it dropped something, and nothing was heard.
    fn is_kept_out_of(&self, node: &Node) {
        let (socket, before) = (self.listen(), dropped(node));
        eventually("packets are counted as dropped", READY, || {
            self.send(socket.local_addr().unwrap());
            dropped(node) >= before + 3
        })
        .unwrap();
        let heard = socket.recv_from(&mut [0; 8]);
        assert_eq!(heard.unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

fn no_dad(ip: IpAddr) -> &'static str {
    if ip.is_ipv6() { " nodad" } else { "" }
}

fn nft(node: &Node, args: &str) -> String {
    let mut command = node.namespace().command("nft");
    command.args(args.split(' '));
    output(node.namespace(), &mut command).unwrap()
}

/// How many packets the guard has dropped.
fn dropped(node: &Node) -> u64 {
    let text = nft(node, "list chain inet twill tunnel");
    let counters = text.split("counter packets ").skip(1);
    counters
        .filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Whether the node lets this address tunnel.
fn lets_in(node: &Node, ip: IpAddr) -> bool {
    let set = if ip.is_ipv4() { "vteps4" } else { "vteps6" };
    nft(node, &format!("list set inet twill {set}"))
        .split([' ', ',', '\n'])
        .any(|word| word == ip.to_string())
}

fn value(address: IpAddr) -> String {
    format!(
        r#"{{"PublicIP":"{address}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}}}"#
    )
}

#[test]
fn a_machine_that_is_no_node_reaches_pods_when_the_guard_is_off() {
    for stack in [Stack::V4, Stack::V6] {
        let network = vxlan(stack, &["--tunnel-guard=false"]);
        Intruder::new(&network).gets_in();
        assert!(!nft(network.node(), "list ruleset").contains("tunnel"));
    }
}

#[test]
fn a_machine_that_is_no_node_reaches_no_pod_and_nodes_do() {
    for stack in [Stack::V4, Stack::V6, Stack::Dual] {
        let network = vxlan(stack, &[]);
        Intruder::new(&network).is_kept_out_of(network.node());
        source_is_kept(&network.pods[1], &network.pods[0]).unwrap();
        source_is_kept(&network.pods[0], &network.pods[1]).unwrap();
    }
}

#[test]
fn who_becomes_a_node_may_tunnel_and_who_moves_away_or_leaves_may_not() {
    let network = vxlan(Stack::V4, &[]);
    let (node, intruder) = (network.node(), Intruder::new(&network));
    let machine = network.etcd.living().unwrap().client_address().ip();
    intruder.is_kept_out_of(node);

    let key = subnet_key("10.244.255.0-24");
    let put = |address: IpAddr| network.etcd.put(&key, &value(address)).unwrap();
    put(machine);
    intruder.gets_in();

    let elsewhere = "10.99.0.77".parse().unwrap();
    put(elsewhere);
    let moved = || lets_in(node, elsewhere) && !lets_in(node, machine);
    eventually("the new address has replaced the old one", READY, moved).unwrap();
    intruder.is_kept_out_of(node);

    network.etcd.ctl(&["del", &key]).unwrap();
    eventually("it is forgotten", READY, || !lets_in(node, elsewhere)).unwrap();
    source_is_kept(&network.pods[1], &network.pods[0]).unwrap();
}

#[test]
fn one_lease_more_is_one_change_and_no_new_table() {
    let network = vxlan(Stack::V4, &[]);
    let node = network.node();
    Intruder::new(&network).is_kept_out_of(node);
    let before = dropped(node);
    let key = subnet_key("10.244.255.0-24");
    let address = "10.99.0.77".parse().unwrap();
    network.etcd.put(&key, &value(address)).unwrap();
    eventually("the node is known", READY, || lets_in(node, address)).unwrap();
    assert!(dropped(node) >= before, "a new table counts from zero");
}

#[test]
fn other_peoples_vxlan_on_the_same_port_is_not_touched() {
    let network = vxlan(Stack::V4, &[]);
    // The second node may have spoken before the first one knew it.
    let before = dropped(network.node());
    let machine = network.etcd.living().unwrap();
    let (there, here) = (machine.client_address().ip(), network.node().addresses());
    let here = here.iter().next().unwrap();
    let ends = [
        (network.node().namespace(), "192.0.2.1/24", here, there),
        (machine.namespace(), "192.0.2.2/24", there, here),
    ];
    for (namespace, address, local, remote) in ends {
        let lines = [
            format!("link add other type vxlan id 42 local {local} remote {remote} dstport 8472"),
            format!("addr add {address} dev other"),
            "link set other up".to_owned(),
        ];
        ip_batch(namespace, &lines).unwrap();
    }
    let mut ping = machine.namespace().command("ping");
    ping.args(["-c", "3", "-i", "0.2", "-W", "5", "192.0.2.1"]);
    output(machine.namespace(), &mut ping).unwrap();
    assert_eq!(dropped(network.node()), before);
}

#[test]
fn a_guard_that_somebody_removes_or_weakens_comes_back() {
    let network = vxlan(Stack::V4, &[]);
    let (node, intruder) = (network.node(), Intruder::new(&network));
    let machine = network.etcd.living().unwrap().client_address().ip();
    let weaken = format!("add element inet twill vteps4 {{ {machine} }}");
    for harm in [
        "flush ruleset",
        "delete table inet twill",
        "flush chain inet twill tunnel",
        "insert rule inet twill tunnel accept",
        &weaken,
    ] {
        nft(node, harm);
        eventually(&format!("it is as before `{harm}`"), READY, || {
            let text = nft(node, "list ruleset");
            text.matches("sender is no known VTEP").count() == 2
                && !text.contains("\t\taccept")
                && !lets_in(node, machine)
        })
        .unwrap();
    }
    intruder.is_kept_out_of(node);
    source_is_kept(&network.pods[1], &network.pods[0]).unwrap();
}

#[test]
fn the_guard_outlives_the_daemon_and_goes_with_cleanup() {
    let mut network = vxlan(Stack::V4, &[]);
    network.daemons[0].kill().unwrap();
    Intruder::new(&network).is_kept_out_of(network.node());
    source_is_kept(&network.pods[1], &network.pods[0]).unwrap();
    let said = network
        .node()
        .twill_says(&network.command(), &["cleanup"])
        .unwrap();
    assert!(said.contains("removed nftables table inet twill"), "{said}");
    assert_eq!(nft(network.node(), "list ruleset"), "");
}

#[test]
fn direct_routes_need_no_guard() {
    let network = network(Stack::V4, r#"{"Type":"host-gw"}"#, &[]);
    assert!(!nft(network.node(), "list ruleset").contains("tunnel"));
}
