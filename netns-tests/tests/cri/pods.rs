//! Pods that come, talk and go.

use super::*;
use lab::probe::ping;
use netns_tests::PodPort;
use std::net::{IpAddr, TcpStream};
use std::thread;

/// Says hello to whoever connects to port 80.
const SERVER: &str = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) or die; \
    open my $ready, '>', '/ready'; while (my $c = $s->accept) { print $c 'hello'; close $c }";

fn pings(runtime: &Containerd, from: &Sandbox, to: IpAddr) -> Result<String, String> {
    let to = to.to_string();
    runtime.exec(
        from,
        &["ping", "-q", "-c", "2", "-i", "0.1", "-W", "5", &to],
    )
}

#[test]
fn pods_of_two_nodes_reach_each_other_and_leave_nothing() {
    let stage = Stage::ready(2, Stack::Dual);
    let nodes = &stage.network.cluster.nodes;
    let [here, there] = [&stage.runtimes[0], &stage.runtimes[1]];
    let a = here.run_pod("a", &[], &[]).unwrap();
    let b = here.run_pod("b", &[], &[]).unwrap();
    let c = there.run_pod("c", &[], &[]).unwrap();
    for pod in [&a, &b, &c] {
        assert_eq!(pod.addresses.len(), 2, "{pod:?}");
        assert!(pod.addresses[0].is_ipv4() && pod.addresses[1].is_ipv6());
    }
    for to in [&b.addresses, &c.addresses, &a.addresses]
        .into_iter()
        .flatten()
    {
        pings(here, &a, *to).unwrap();
    }
    pings(here, &a, "127.0.0.1".parse().unwrap()).unwrap();
    for own in nodes[0].addresses().iter() {
        pings(here, &a, own).unwrap();
    }
    ping(nodes[0].namespace(), a.addresses[0], PATIENCE).unwrap();
    for (runtime, pod) in [(here, &a), (here, &b), (there, &c)] {
        runtime.stop_pod(pod).unwrap();
        runtime.stop_pod(pod).unwrap();
        runtime.remove_pod(pod).unwrap();
    }
    for node in nodes {
        assert_eq!(traces(node), [""; 0]);
    }
}

#[test]
fn a_pod_has_the_daemons_mtu_and_the_node_shows_its_name() {
    let stage = Stage::ready(1, Stack::V4);
    let pod = stage.runtime().run_pod("web", &[], &[]).unwrap();
    let link = stage
        .runtime()
        .exec(&pod, &["cat", "/sys/class/net/eth0/mtu"])
        .unwrap();
    let mtu = stage.node().subnet_env().unwrap().mtu;
    assert_eq!(link.trim(), mtu.to_string());
    let links = ip(stage.node().namespace(), &["link", "show", "type", "veth"]).unwrap();
    assert!(links.contains("alias shop/web"), "{links}");
}

#[test]
fn ports_of_the_node_and_limits_work_behind_the_plugin() {
    let stage = Stage::ready(1, Stack::V4);
    let limits = [
        ("kubernetes.io/ingress-bandwidth", "10M"),
        ("kubernetes.io/egress-bandwidth", "10M"),
    ];
    let port = PodPort {
        host: 8080,
        container: 80,
    };
    let runtime = stage.runtime();
    let pod = runtime.run_pod("web", &limits, &[port]).unwrap();
    let node = stage.node().namespace();
    let shown = ip(node, &["-d", "link", "show", "type", "veth"]).unwrap();
    assert!(shown.contains("qdisc tbf"), "{shown}");
    let serve = format!(
        "perl -e \"{}\" >/dev/null 2>&1 & while [ ! -e /ready ]; do sleep 0.02; done",
        SERVER.replace('$', "\\$")
    );
    runtime.exec(&pod, &["sh", "-c", &serve]).unwrap();
    let own = stage.node().addresses().first().unwrap();
    let other = runtime.run_pod("other", &[], &[]).unwrap();
    let from_pod = format!("exec 3<>/dev/tcp/{own}/8080; cat <&3");
    let said = runtime.exec(&other, &["bash", "-c", &from_pod]).unwrap();
    assert_eq!(said, "hello");
    runtime.stop_pod(&pod).unwrap();
    runtime.stop_pod(&other).unwrap();
    assert_eq!(traces(stage.node()), [""; 0]);
    let refused = node
        .run(|| TcpStream::connect((own, 8080)).is_err())
        .unwrap();
    assert!(refused, "the node's port is closed");
}

#[test]
fn pods_that_come_and_go_at_once_have_an_address_each() {
    const PODS: usize = 20;
    let stage = Stage::ready(1, Stack::Dual);
    let runtime = stage.runtime();
    let pods: Vec<Sandbox> = thread::scope(|scope| {
        let starts = (0..PODS)
            .map(|number| scope.spawn(move || runtime.run_pod(&format!("pod-{number}"), &[], &[])));
        let started: Vec<_> = starts.collect();
        let ended = started.into_iter().map(|thread| thread.join().unwrap());
        ended.collect::<Result<_, _>>().unwrap()
    });
    let mut addresses: Vec<IpAddr> = pods.iter().flat_map(|pod| pod.addresses.clone()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 2 * PODS);
    pings(runtime, &pods[0], pods[PODS - 1].addresses[0]).unwrap();
    thread::scope(|scope| {
        for pod in &pods {
            scope.spawn(move || runtime.stop_pod(pod).unwrap());
        }
    });
    assert_eq!(traces(stage.node()), [""; 0]);
}
