//! ExaBGP: what it hears goes line by line through a helper into a file, what it shall say comes through a FIFO.

use super::seat::{Seat, refused};
use super::speaker::Dialect;
use super::{Neighbour, PeerSetup};
use lab::{Cidr, LabError, Process, eventually};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Exabgp;

impl Dialect for Exabgp {
    fn start(&self, seat: &Seat, _: bool) -> Result<Process, LabError> {
        seat.write("heard.json", "")?;
        seat.write("helper", &helper(seat))?;
        seat.set_mode("helper", 0o755)?;
        let _ = std::fs::remove_file(seat.path("commands"));
        let made = Command::new("mkfifo").arg(seat.path("commands")).status();
        made.map_err(refused("make a FIFO"))?;
        seat.write("exabgp.conf", &configuration(seat))?;
        let own: Vec<String> = seat
            .setup
            .addresses
            .iter()
            .map(|own| own.to_string())
            .collect();
        let (config, own) = (seat.text("exabgp.conf"), own.join(" "));
        let env = [
            ("exabgp.daemon.user", "root"),
            ("exabgp.daemon.drop", "false"),
            ("exabgp.api.cli", "false"),
            ("exabgp.api.ack", "false"),
            ("exabgp.bgp.openwait", "10"),
            ("exabgp.tcp.bind", own.as_str()),
        ];
        let process = seat.start_with("exabgp", &[&config], &env)?;
        let started = || seat.path("helper.ready").exists();
        eventually("ExaBGP has started its helper", PATIENCE, started)?;
        Ok(process)
    }

    fn is_up(&self, seat: &Seat, neighbour: IpAddr) -> Result<bool, LabError> {
        let events = events(seat, neighbour)?;
        let mut states = events.iter().filter(|event| event["type"] == "state");
        Ok(states
            .next_back()
            .is_some_and(|event| event["neighbor"]["state"] == "up"))
    }

    fn routes_from(&self, seat: &Seat, neighbour: IpAddr) -> Result<BTreeSet<Cidr>, LabError> {
        let mut routes = BTreeSet::new();
        for event in events(seat, neighbour)? {
            if event["type"] == "state" && event["neighbor"]["state"] == "down" {
                routes.clear();
            }
            let update = &event["neighbor"]["message"]["update"];
            for prefix in prefixes(&update["withdraw"]) {
                routes.remove(&prefix);
            }
            routes.extend(prefixes(&update["announce"]));
        }
        Ok(routes)
    }

    fn updates_from(&self, seat: &Seat, neighbour: IpAddr) -> Result<u64, LabError> {
        let events = events(seat, neighbour)?;
        let updates = events.iter().filter(|event| event["type"] == "update");
        Ok(updates.count() as u64)
    }

    fn refresh(&self, seat: &Seat, neighbour: IpAddr) -> Result<(), LabError> {
        for version in seat.neighbour(neighbour)?.1.versions() {
            say(
                seat,
                &format!("neighbor {neighbour} announce route-refresh ipv{version} unicast"),
            )?;
        }
        Ok(())
    }

    fn apply(&self, seat: &Seat, route: Cidr, present: bool) -> Result<(), LabError> {
        let verb = if present { "announce" } else { "withdraw" };
        say(seat, &format!("{verb} {}", originated(&seat.setup, route)))
    }
}

/// A helper whose stdout closes is started anew, and after five times ExaBGP ends. Opened for reading and writing, a FIFO
/// has no end.
fn helper(seat: &Seat) -> String {
    let (commands, heard, ready) = (
        seat.text("commands"),
        seat.text("heard.json"),
        seat.text("helper.ready"),
    );
    format!("#!/bin/sh\ncat <>{commands} &\n: >{ready}\nexec cat >>{heard} 3>&1\n")
}

fn say(seat: &Seat, command: &str) -> Result<(), LabError> {
    let fifo = OpenOptions::new().write(true).open(seat.path("commands"));
    let said = fifo.and_then(|mut fifo| fifo.write_all(format!("{command}\n").as_bytes()));
    said.map_err(refused("write a command for ExaBGP"))
}

/// What was heard of this neighbour since the start.
fn events(seat: &Seat, neighbour: IpAddr) -> Result<Vec<Value>, LabError> {
    let text = std::fs::read_to_string(seat.path("heard.json"));
    let text = text.map_err(refused("read what ExaBGP heard"))?;
    let address = neighbour.to_string();
    let events = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(events
        .filter(|event| event["neighbor"]["address"]["peer"] == address.as_str())
        .collect())
}

/// `{"ipv4 unicast": {"10.99.0.1": [{"nlri": "10.1.0.0/16"}]}}`, or without the next hop.
fn prefixes(part: &Value) -> Vec<Cidr> {
    match part {
        Value::String(text) => text.parse().into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(prefixes).collect(),
        Value::Object(fields) => match fields.get("nlri") {
            Some(prefix) => prefixes(prefix),
            None => fields.values().flat_map(prefixes).collect(),
        },
        _ => Vec::new(),
    }
}

fn originated(setup: &PeerSetup, route: Cidr) -> String {
    let own = setup.addresses.like(route.address);
    let own = own.expect("a route's family is one of the daemon's own");
    format!("route {route} next-hop {own}")
}

fn configuration(seat: &Seat) -> String {
    let helper = seat.text("helper");
    let neighbours = seat.setup.neighbours.iter();
    let neighbours = neighbours.map(|neighbour| session(&seat.setup, neighbour));
    format!(
        "process tell {{ run {helper}; encoder json; }}\n{}\n",
        neighbours.collect::<Vec<_>>().join("\n")
    )
}

fn session(setup: &PeerSetup, neighbour: &Neighbour) -> String {
    let mut lines = vec![
        format!("neighbor {} {{", neighbour.address),
        format!("router-id {};", setup.router_id),
        format!("local-address {};", setup.local(neighbour)),
        format!("local-as {}; peer-as {};", setup.asn, neighbour.asn),
        format!("hold-time {};", neighbour.hold_time),
    ];
    let password = neighbour.password.iter();
    lines.extend(password.map(|password| format!("md5-password '{password}';")));
    if neighbour.passive {
        lines.push("passive true; listen 179;".to_owned());
    }
    match (neighbour.gtsm, neighbour.multihop) {
        (true, _) => lines.push("outgoing-ttl 255; incoming-ttl 255;".to_owned()),
        (false, 1) => {}
        (false, hops) => lines.push(format!("outgoing-ttl {hops};")),
    }
    let families = neighbour
        .versions()
        .map(|version| format!("ipv{version} unicast;"));
    lines.push(format!("family {{ {} }}", families.collect::<String>()));
    let restart = neighbour.graceful_restart;
    let restart = restart.map(|time| format!("graceful-restart {time};"));
    lines.push(format!(
        "capability {{ route-refresh enable; {} }}",
        restart.unwrap_or_default()
    ));
    let carried = |route: &&Cidr| match route.address {
        IpAddr::V4(_) => neighbour.families.has_v4(),
        IpAddr::V6(_) => neighbour.families.has_v6(),
    };
    let routes = setup.routes.iter().filter(carried);
    let routes = routes.map(|&route| format!("{};\n", originated(setup, route)));
    lines.push(format!("static {{\n{}}}", routes.collect::<String>()));
    lines.push(
        "api { processes [ tell ]; neighbor-changes; receive { parsed; update; } }".to_owned(),
    );
    lines.push("}".to_owned());
    lines.join("\n")
}
