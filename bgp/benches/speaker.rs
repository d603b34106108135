//! How fast the speaker is by itself, without sockets and kernel: `cargo bench -p bgp`. Numbers are for people to read; nothing
//! is asserted.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it measures and prints"
)]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bgp::peer::ConnId;
use bgp::policy::{Import, OwnHops, Policy};
use bgp::speaker::{Config, Input, Output, PeerConfig, PeerName, Speaker};
use bgp::wire::{
    AsPath, Attributes, Capabilities, HEADER, NextHop, Open, Rules, decode_update, encode_announce,
    encode_keepalive, encode_open, encode_withdraw,
};
use bgp::{Asn, Families, Peering, Prefix4, RouterId};

const RULES: Rules = Rules {
    peering: Peering::External,
    peer_asn: Asn(65010),
    enforce_first_as: true,
    four_octet_as: true,
    families: Families::IPV4,
    extended_next_hop: false,
    max_message: 4096,
};

fn main() {
    // By themselves, so that memory is not what an earlier one left: `cargo bench -p bgp -- 1000000 1000`,
    // or any one number for the decision.
    let numbers: Vec<u32> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    if let [routes, per_set] = numbers[..] {
        return load(routes, per_set);
    }
    if let [_] = numbers[..] {
        return decision();
    }
    codec();
    for (routes, per_set) in [
        (100_000, 1000),
        (100_000, 1),
        (1_000_000, 1000),
        (1_000_000, 10),
    ] {
        load(routes, per_set);
    }
    decision();
}

fn net(n: u32) -> Prefix4 {
    Prefix4::new(Ipv4Addr::from_bits((16 << 24) + (n << 8)), 24).unwrap()
}

fn attributes(peer: u8, set: u32, longer: usize) -> Attributes {
    let mut path = vec![Asn(65000 + u32::from(peer)), Asn(64000 + set % 1000)];
    path.extend(vec![Asn(70_000 + set); 1 + longer]);
    Attributes {
        as_path: AsPath::of(&path),
        ..Attributes::originated(NextHop::V4([10, 99, 0, peer].into()))
    }
}

fn mean(label: &str, took: Duration, count: usize, unit: &str) {
    let each = took.as_nanos() as f64 / count as f64;
    println!(
        "{label:<58} {:>9.3} ms  {each:>8.1} ns/{unit}  {:>7.2} M/s",
        took.as_secs_f64() * 1e3,
        1e3 / each
    );
}

fn codec() {
    for per_message in [1_usize, 200, 900] {
        let nets: Vec<Prefix4> = (0..per_message as u32).map(net).collect();
        let said = attributes(10, 7, 0);
        let mut wire = Vec::new();
        encode_announce(&said, &nets, &RULES, &mut wire).unwrap();
        let rounds = 2_000_000 / (per_message + 10);
        let start = Instant::now();
        for _ in 0..rounds {
            black_box(decode_update(black_box(&wire[HEADER..]), &RULES).unwrap());
        }
        mean(
            &format!("decode UPDATE of {per_message}"),
            start.elapsed(),
            rounds * per_message,
            "prefix",
        );
        let start = Instant::now();
        let mut out = Vec::new();
        for _ in 0..rounds {
            out.clear();
            encode_announce(black_box(&said), &nets, &RULES, &mut out).unwrap();
        }
        mean(
            &format!("encode UPDATE of {per_message}"),
            start.elapsed(),
            rounds * per_message,
            "prefix",
        );
    }
}

/// A speaker with peers that are up: 65010 at 10.99.0.10 and so on.
fn speaker(peers: u8) -> (Speaker, Instant) {
    let now = Instant::now();
    let config = Config {
        asn: Asn(65001),
        router_id: RouterId(Ipv4Addr::new(10, 99, 0, 1)),
        addresses: OwnHops {
            v4: Some(Ipv4Addr::new(10, 99, 0, 1)),
            v6: None,
        },
        max_paths: 1,
        guard: Default::default(),
        restart: Default::default(),
        peers: (10..10 + peers)
            .map(|n| (PeerName(n.to_string()), peer(n)))
            .collect(),
        listen: Vec::new(),
    };
    let mut speaker = Speaker::new(config, false, 1, now);
    for n in 10..10 + peers {
        let end = |n: u8| SocketAddr::from(([10, 99, 0, n], 179));
        let conn = ConnId(n.into());
        speaker.handle_input(
            Input::Accepted {
                conn,
                local: end(1),
                remote: end(n),
            },
            now,
        );
        let asn = Asn(65000 + u32::from(n));
        let capabilities = Capabilities {
            families: Families::IPV4,
            four_octet_as: Some(asn),
            ..Default::default()
        };
        let open = Open {
            asn,
            hold_time: 0,
            router_id: RouterId([10, 99, 0, n].into()),
            capabilities,
        };
        speaker.handle_input(Input::Bytes(conn, &encode_open(&open)), now);
        speaker.handle_input(Input::Bytes(conn, &encode_keepalive()), now);
    }
    drain(&mut speaker, now);
    (speaker, now)
}

fn peer(n: u8) -> PeerConfig {
    PeerConfig {
        passive: true,
        hold_time: 0,
        families: Families::IPV4,
        import: Import::Policy(Policy::everything()),
        export: Some(Policy::everything()),
        ..PeerConfig::new([10, 99, 0, n].into(), Asn(65000 + u32::from(n)))
    }
}

/// Takes what the speaker wants sent, as a peer does that keeps up: octets to peers, and routes to the kernel.
fn drain(speaker: &mut Speaker, now: Instant) -> (usize, usize) {
    let (mut octets, mut routes) = (0, 0);
    while let Some(output) = speaker.poll_output() {
        match output {
            Output::Send(conn, bytes) => {
                octets += bytes.len();
                speaker.handle_input(Input::Sent(conn, bytes.len()), now);
            }
            Output::Routes(changes) => routes += changes.len(),
            _ => (),
        }
    }
    (octets, routes)
}

fn feed(speaker: &mut Speaker, conn: u64, wire: &[u8], now: Instant) -> (usize, usize) {
    let mut all = (0, 0);
    for piece in wire.chunks(64 << 10) {
        speaker.handle_input(Input::Bytes(ConnId(conn), piece), now);
        let (octets, routes) = drain(speaker, now);
        all = (all.0 + octets, all.1 + routes);
    }
    all
}

fn table(peer: u8, routes: u32, per_set: u32, longer: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for set in 0..routes.div_ceil(per_set) {
        let nets: Vec<Prefix4> = (set * per_set..routes.min((set + 1) * per_set))
            .map(net)
            .collect();
        encode_announce(&attributes(peer, set, longer), &nets, &RULES, &mut wire).unwrap();
    }
    wire
}

/// Kilobytes of memory that the process has.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4
}

fn load(routes: u32, per_set: u32) {
    println!(
        "-- {routes} routes from one peer to the kernel and to another, {per_set} with the same attributes"
    );
    let wire = table(10, routes, per_set, 0);
    let (mut speaker, now) = speaker(2);
    let before = resident();
    let start = Instant::now();
    let (octets, installed) = feed(&mut speaker, 10, &wire, now);
    mean("announced", start.elapsed(), routes as usize, "route");
    let kept = (resident() - before) * 1024;
    println!(
        "{:58} {octets} octets told, {installed} installed, {} B/route",
        "",
        kept / routes as usize
    );
    let mut away = Vec::new();
    encode_withdraw(&(0..routes).map(net).collect::<Vec<_>>(), &RULES, &mut away);
    let start = Instant::now();
    feed(&mut speaker, 10, &away, now);
    mean("withdrawn", start.elapsed(), routes as usize, "route");
    let start = Instant::now();
    feed(&mut speaker, 10, &wire, now);
    mean("announced again", start.elapsed(), routes as usize, "route");
    let start = Instant::now();
    feed(&mut speaker, 10, &wire, now);
    mean("the same again", start.elapsed(), routes as usize, "route");
    let start = Instant::now();
    speaker.handle_input(Input::Closed(ConnId(10)), now);
    drain(&mut speaker, now);
    mean(
        "the session is lost",
        start.elapsed(),
        routes as usize,
        "route",
    );
}

fn decision() {
    const ROUTES: u32 = 100_000;
    println!("-- {ROUTES} prefixes with a path from each of 4 peers");
    let (mut speaker, now) = speaker(4);
    let before = resident();
    for (n, longer) in [(10, 3), (11, 2), (12, 1), (13, 0)] {
        let wire = table(n, ROUTES, 1000, longer);
        let start = Instant::now();
        feed(&mut speaker, n.into(), &wire, now);
        mean(
            &format!("announced by peer {n}, each better than the last"),
            start.elapsed(),
            ROUTES as usize,
            "path",
        );
    }
    println!(
        "{:58} {} B/path",
        "",
        (resident() - before) * 1024 / (4 * ROUTES as usize)
    );
    let wire = table(10, ROUTES, 1000, 4);
    let start = Instant::now();
    feed(&mut speaker, 10, &wire, now);
    mean(
        "the worst of 4 changes",
        start.elapsed(),
        ROUTES as usize,
        "decision",
    );
    let start = Instant::now();
    for n in 0..ROUTES {
        black_box(speaker.explain(net(n).into()).unwrap());
    }
    mean("explained", start.elapsed(), ROUTES as usize, "prefix");
    let hop = |n: u8| {
        (
            Ipv4Addr::new(10, 99, 0, n).into(),
            bgp::rib::Reach::Unreachable,
        )
    };
    let start = Instant::now();
    speaker.handle_input(Input::NextHops(vec![hop(13)]), now);
    drain(&mut speaker, now);
    mean(
        "the best next hop is lost",
        start.elapsed(),
        ROUTES as usize,
        "prefix",
    );
}
