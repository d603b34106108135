//! OpenBGPD: one configuration, `bgpctl` for questions. On Linux it does not install.

use super::seat::{Seat, json, refused};
use super::speaker::Dialect;
use super::{Neighbour, PeerSetup};
use lab::{Cidr, LabError, Process, eventually};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
/// Where its processes without rights are locked up.
const CHROOT: &str = "/run/openbgpd";

#[derive(Debug)]
pub(super) struct Openbgpd;

impl Dialect for Openbgpd {
    /// For the next hop of IPv6 over IPv4 it takes the first IPv6 address of all: that of the loopback, while there is one.
    fn prepare(&self, seat: &Seat) -> Result<Vec<Process>, LabError> {
        if seat
            .ask("ip", &["-6", "addr", "show", "dev", "lo"])?
            .contains("::1/128")
        {
            seat.ask("ip", &["-6", "addr", "del", "::1/128", "dev", "lo"])?;
        }
        if let Some(own) = seat.setup.addresses.v6 {
            seat.ask(
                "ip",
                &[
                    "-6",
                    "addr",
                    "add",
                    &format!("{own}/128"),
                    "dev",
                    "lo",
                    "nodad",
                ],
            )?;
        }
        Ok(Vec::new())
    }

    fn start(&self, seat: &Seat, _: bool) -> Result<Process, LabError> {
        std::fs::create_dir_all(CHROOT).map_err(refused("make OpenBGPD's chroot"))?;
        seat.write("bgpd.conf", &configuration(seat))?;
        // A configuration that others could read is refused.
        seat.set_mode("bgpd.conf", 0o600)?;
        let config = seat.text("bgpd.conf");
        let process = seat.start("/usr/sbin/bgpd", &["-d", "-f", &config])?;
        eventually("OpenBGPD answers", PATIENCE, || {
            ask(seat, &["show"]).is_ok()
        })?;
        Ok(process)
    }

    fn is_up(&self, seat: &Seat, neighbour: IpAddr) -> Result<bool, LabError> {
        let session = state(seat, neighbour)?;
        let up = session["state"] == "Established";
        // After a refused connection it would wait for 30 seconds and more.
        if !up && session["state"] == "Idle" {
            ask(seat, &["neighbor", &neighbour.to_string(), "clear"])?;
        }
        Ok(up)
    }

    fn routes_from(&self, seat: &Seat, neighbour: IpAddr) -> Result<BTreeSet<Cidr>, LabError> {
        let said = ask(
            seat,
            &["-j", "show", "rib", "neighbor", &neighbour.to_string()],
        )?;
        let said = json(&said)?;
        let routes = said["rib"].as_array().into_iter().flatten();
        Ok(routes
            .filter_map(|route| route["prefix"].as_str()?.parse().ok())
            .collect())
    }

    fn updates_from(&self, seat: &Seat, neighbour: IpAddr) -> Result<u64, LabError> {
        let count = &state(seat, neighbour)?["stats"]["update"]["received"];
        let messages = &state(seat, neighbour)?["stats"]["message"]["received"]["updates"];
        Ok(messages.as_u64().or(count["updates"].as_u64()).unwrap_or(0))
    }

    fn refresh(&self, seat: &Seat, neighbour: IpAddr) -> Result<(), LabError> {
        ask(seat, &["neighbor", &neighbour.to_string(), "refresh"]).map(drop)
    }

    fn apply(&self, seat: &Seat, route: Cidr, present: bool) -> Result<(), LabError> {
        let verb = if present { "add" } else { "delete" };
        ask(seat, &["network", verb, &route.to_string()]).map(drop)
    }
}

fn ask(seat: &Seat, words: &[&str]) -> Result<String, LabError> {
    let socket = seat.text("bgpd.sock");
    let args: Vec<&str> = ["-s", &socket]
        .into_iter()
        .chain(words.iter().copied())
        .collect();
    seat.ask("bgpctl", &args)
}

fn state(seat: &Seat, neighbour: IpAddr) -> Result<Value, LabError> {
    let said = json(&ask(
        seat,
        &["-j", "show", "neighbor", &neighbour.to_string()],
    )?)?;
    Ok(said["neighbors"][0].clone())
}

fn configuration(seat: &Seat) -> String {
    let setup = &seat.setup;
    let mut lines = vec![
        format!("AS {}", setup.asn),
        format!("router-id {}", setup.router_id),
        "fib-update no".to_owned(),
        format!("socket \"{}\"", seat.text("bgpd.sock")),
        "holdtime min 3".to_owned(),
        "connect-retry 2".to_owned(),
    ];
    lines.extend(setup.addresses.iter().map(|own| format!("listen on {own}")));
    lines.extend(setup.routes.iter().map(|route| format!("network {route}")));
    let neighbours = setup.neighbours.iter();
    lines.extend(neighbours.map(|neighbour| session(setup, neighbour)));
    lines.extend(["allow from any", "allow to any"].map(str::to_owned));
    lines.join("\n") + "\n"
}

fn session(setup: &PeerSetup, neighbour: &Neighbour) -> String {
    let mut lines = vec![
        format!("neighbor {} {{", neighbour.address),
        format!("  remote-as {}", neighbour.asn),
        format!("  local-address {}", setup.local(neighbour)),
        format!("  holdtime {}", neighbour.hold_time),
    ];
    let password = neighbour.password.iter();
    lines.extend(password.map(|password| format!("  tcp md5sig password \"{password}\"")));
    lines.extend(neighbour.passive.then(|| "  passive".to_owned()));
    lines.extend(neighbour.gtsm.then(|| "  ttl-security yes".to_owned()));
    if neighbour.multihop > 1 {
        lines.push(format!("  multihop {}", neighbour.multihop));
    }
    let has = |version| neighbour.versions().any(|own| own == version);
    lines.extend([4, 6].map(|version| {
        let kind = if has(version) { "unicast" } else { "none" };
        format!("  announce IPv{version} {kind}")
    }));
    let restart = match neighbour.graceful_restart {
        Some(_) => "yes",
        None => "no",
    };
    lines.push(format!("  announce restart {restart}"));
    lines.push("}".to_owned());
    lines.join("\n")
}
