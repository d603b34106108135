//! What a million routes cost the reconciler: time and memory, without a kernel.
//!
//! `cargo bench -p kernel --bench routes [-- NUMBER-OF-ROUTES]`
#![allow(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use ipnetwork::{IpNetwork, Ipv4Network};
use kernel::{
    Dump, Entry, Hop, HopName, IfIndex, Nexthop, NexthopId, Ownership, Reconciler, Route, RouteKey,
    RouteTarget, Scope, To,
};

const BATCH: usize = 2048;
const HOPS: u32 = 8;
const OWNERSHIP: Ownership = Ownership {
    protocol: 84,
    adopt_boot_routes: false,
};

fn main() {
    let number = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let number: u32 = number.unwrap_or(1_000_000);
    let start = Meter::new(number);
    let mut reconciler = Reconciler::new(OWNERSHIP);
    reconciler.resync(dump(0));
    for hop in 0..HOPS {
        reconciler.want(Entry::Hop(HopName(gateway(hop)), hop_to(hop)));
    }
    for at in 0..number {
        let to = To::Via(HopName(gateway(at % HOPS)));
        reconciler.want(Entry::Route(key(at, number), to));
        if at % 4096 == 4095 {
            settle(&mut reconciler);
        }
    }
    settle(&mut reconciler);
    start.tell("wanted and put, as they come");
    let start = Meter::new(number);
    reconciler.resync(dump(number));
    start.tell("a dump of the same");
    assert_eq!(reconciler.drift(), 0);
    let start = Meter::new(number);
    for at in 0..number {
        let to = To::Via(HopName(gateway((at + 1) % HOPS)));
        reconciler.want(Entry::Route(key(at, number), to));
    }
    settle(&mut reconciler);
    start.tell("all moved to another hop, wanted at once");
    drop(reconciler);
    let start = Meter::new(number);
    let mut reconciler = Reconciler::new(OWNERSHIP);
    reconciler.resync(dump(number));
    start.tell("a restart: the first dump");
}

/// Answers for a kernel that refuses nothing.
fn settle(reconciler: &mut Reconciler) {
    loop {
        let now = Instant::now();
        let changes = reconciler.pending(now, Scope::All, BATCH);
        if changes.is_empty() {
            return;
        }
        reconciler.settle(&changes, &[], now);
    }
}

/// All of the kernel's objects and so many routes.
fn dump(number: u32) -> Dump {
    let hops = (0..HOPS).map(|hop| (NexthopId(hop + 1), Nexthop::Hop(hop_to(hop))));
    let route = |at: u32| Route {
        target: RouteTarget::Nexthop(NexthopId(at % HOPS + 1)),
        protocol: 84,
    };
    Dump {
        nexthops: Some(hops.collect()),
        routes: (0..number).map(|at| (key(at, number), route(at))).collect(),
        ..Dump::default()
    }
}

fn gateway(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + number))
}

fn hop_to(number: u32) -> Hop {
    Hop {
        gateway: gateway(number),
        link: IfIndex(2),
        onlink: false,
    }
}

/// The routes of a table in an order that is not theirs: a step that has no
/// divisor in common with any number of routes that is tried here.
fn key(at: u32, number: u32) -> RouteKey {
    let place = u64::from(at) * 7_919 % u64::from(number);
    let address = 0x1000_0000 + u32::try_from(place).unwrap_or(0) * 256;
    let network = Ipv4Network::new(Ipv4Addr::from(address), 24).map(IpNetwork::V4);
    RouteKey::with_default_metric(network.unwrap_or_else(|_| unreachable!("24 is a length")))
}

struct Meter {
    number: u32,
    since: Instant,
    before: u64,
}

impl Meter {
    fn new(number: u32) -> Meter {
        Meter {
            number,
            since: Instant::now(),
            before: memory("VmRSS:"),
        }
    }

    fn tell(self, what: &str) {
        let time = self.since.elapsed();
        let (now, peak) = (memory("VmRSS:"), memory("VmHWM:"));
        let each = (now.saturating_sub(self.before) << 10) / u64::from(self.number);
        println!(
            "{what}: {time:.2?}, {each} bytes more for each route; {} MiB in all, {} MiB at most so far",
            now >> 10,
            peak >> 10
        );
    }
}

/// A line of `/proc/self/status`, in KiB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
