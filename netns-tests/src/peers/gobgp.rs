//! GoBGP: a configuration without routes, `gobgp` for routes and questions.

use super::seat::{Seat, json};
use super::speaker::Dialect;
use super::{Neighbour, PeerSetup};
use lab::{Cidr, LabError, Process, eventually};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
/// `SessionState.ESTABLISHED` of its API.
const ESTABLISHED: u64 = 6;

#[derive(Debug)]
pub(super) struct Gobgp;

impl Dialect for Gobgp {
    fn start(&self, seat: &Seat, restarting: bool) -> Result<Process, LabError> {
        seat.write("gobgpd.toml", &configuration(&seat.setup))?;
        // What a killed one leaves keeps the next from listening.
        let _ = std::fs::remove_file(seat.path("api.sock"));
        let (config, api) = (
            seat.text("gobgpd.toml"),
            format!("unix://{}", seat.text("api.sock")),
        );
        let mut args = vec!["-p", "-t", "toml", "-f", &config, "--api-hosts", &api];
        args.push("--pprof-disable");
        args.extend(restarting.then_some("-r"));
        let process = seat.start("gobgpd", &args)?;
        let neighbours = seat.setup.neighbours.len();
        eventually("GoBGP has its neighbours", PATIENCE, || {
            let listed = ask(seat, &["neighbor", "-j"]).and_then(|said| json(&said));
            listed.is_ok_and(|all| all.as_array().map_or(0, Vec::len) == neighbours)
        })?;
        for &route in &seat.setup.routes {
            self.apply(seat, route, true)?;
        }
        Ok(process)
    }

    fn is_up(&self, seat: &Seat, neighbour: IpAddr) -> Result<bool, LabError> {
        Ok(state(seat, neighbour)?["session_state"] == ESTABLISHED)
    }

    fn routes_from(&self, seat: &Seat, neighbour: IpAddr) -> Result<BTreeSet<Cidr>, LabError> {
        let (mut all, address) = (BTreeSet::new(), neighbour.to_string());
        for version in seat.neighbour(neighbour)?.1.versions() {
            let family = format!("ipv{version}");
            let said = ask(seat, &["neighbor", &address, "adj-in", "-a", &family, "-j"])?;
            // Without routes it says so in words.
            let Ok(routes) = json(&said) else { continue };
            let routes = routes.as_object().into_iter().flatten();
            all.extend(routes.filter_map(|(prefix, _)| prefix.parse::<Cidr>().ok()));
        }
        Ok(all)
    }

    fn updates_from(&self, seat: &Seat, neighbour: IpAddr) -> Result<u64, LabError> {
        let count = &state(seat, neighbour)?["messages"]["received"]["update"];
        Ok(count.as_u64().unwrap_or(0))
    }

    fn refresh(&self, seat: &Seat, neighbour: IpAddr) -> Result<(), LabError> {
        ask(seat, &["neighbor", &neighbour.to_string(), "softresetin"]).map(drop)
    }

    fn apply(&self, seat: &Seat, route: Cidr, present: bool) -> Result<(), LabError> {
        let ipv6 = route.address.is_ipv6();
        let own = match ipv6 {
            true => seat.setup.addresses.v6.map(IpAddr::V6),
            false => seat.setup.addresses.v4.map(IpAddr::V4),
        };
        let (prefix, own) = (route.to_string(), own.map(|own| own.to_string()));
        let verb = if present { "add" } else { "del" };
        let family = if ipv6 { "ipv6" } else { "ipv4" };
        let mut words = vec!["global", "rib", verb, "-a", family, &prefix];
        if let Some(own) = own.as_deref().filter(|_| present) {
            words.extend(["origin", "igp", "nexthop", own]);
        }
        ask(seat, &words).map(drop)
    }
}

fn ask(seat: &Seat, words: &[&str]) -> Result<String, LabError> {
    let api = format!("unix://{}", seat.text("api.sock"));
    let args: Vec<&str> = ["--target", &api]
        .into_iter()
        .chain(words.iter().copied())
        .collect();
    seat.ask("gobgp", &args)
}

fn state(seat: &Seat, neighbour: IpAddr) -> Result<Value, LabError> {
    let listed = json(&ask(seat, &["neighbor", "-j"])?)?;
    let states = listed.as_array().into_iter().flatten();
    let mut states = states.map(|peer| peer["state"].clone());
    let address = neighbour.to_string();
    let found = states.find(|state| state["neighbor_address"] == address.as_str());
    Ok(found.unwrap_or_default())
}

fn configuration(setup: &PeerSetup) -> String {
    let own: Vec<String> = setup
        .addresses
        .iter()
        .map(|own| format!("\"{own}\""))
        .collect();
    let mut lines = vec![
        "[global.config]".to_owned(),
        format!("as = {}", setup.asn),
        format!("router-id = \"{}\"", setup.router_id),
        format!("local-address-list = [{}]", own.join(", ")),
    ];
    for neighbour in &setup.neighbours {
        lines.extend(session(setup, neighbour));
    }
    lines.join("\n") + "\n"
}

fn session(setup: &PeerSetup, neighbour: &Neighbour) -> Vec<String> {
    let mut lines = vec![
        "[[neighbors]]".to_owned(),
        "[neighbors.config]".to_owned(),
        format!("neighbor-address = \"{}\"", neighbour.address),
        format!("peer-as = {}", neighbour.asn),
    ];
    let password = neighbour.password.iter();
    lines.extend(password.map(|password| format!("auth-password = \"{password}\"")));
    lines.push("[neighbors.timers.config]".to_owned());
    lines.push(format!("hold-time = {}", neighbour.hold_time));
    lines.push(format!("keepalive-interval = {}", neighbour.hold_time / 3));
    lines.extend(["connect-retry = 1", "idle-hold-time-after-reset = 1"].map(str::to_owned));
    lines.push("[neighbors.transport.config]".to_owned());
    lines.push(format!("local-address = \"{}\"", setup.local(neighbour)));
    lines.push(format!("passive-mode = {}", neighbour.passive));
    if neighbour.gtsm {
        lines.extend(
            [
                "[neighbors.ttl-security.config]",
                "enabled = true",
                "ttl-min = 255",
            ]
            .map(str::to_owned),
        );
    }
    if neighbour.multihop > 1 {
        lines.extend(["[neighbors.ebgp-multihop.config]", "enabled = true"].map(str::to_owned));
        lines.push(format!("multihop-ttl = {}", neighbour.multihop));
    }
    // RFC 7606 is off by default in version 3.
    lines.extend(
        [
            "[neighbors.error-handling.config]",
            "treat-as-withdraw = true",
        ]
        .map(str::to_owned),
    );
    if let Some(time) = neighbour.graceful_restart {
        lines.extend(["[neighbors.graceful-restart.config]", "enabled = true"].map(str::to_owned));
        lines.push(format!("restart-time = {time}"));
        lines.push("notification-enabled = true".to_owned());
    }
    for version in neighbour.versions() {
        lines
            .extend(["[[neighbors.afi-safis]]", "[neighbors.afi-safis.config]"].map(str::to_owned));
        lines.push(format!("afi-safi-name = \"ipv{version}-unicast\""));
        if neighbour.graceful_restart.is_some() {
            lines.extend(
                [
                    "[neighbors.afi-safis.mp-graceful-restart.config]",
                    "enabled = true",
                ]
                .map(str::to_owned),
            );
        }
    }
    lines
}
