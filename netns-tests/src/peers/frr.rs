//! FRR: zebra and bgpd, `vtysh` for questions. bgpd is the speaker; zebra and its kernel routes stay when it ends.

use super::seat::{Seat, json};
use super::speaker::Dialect;
use super::{Neighbour, PeerSetup};
use lab::{Cidr, LabError, Process, eventually};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
const ZEBRA: &str = "/usr/lib/frr/zebra";
const BGPD: &str = "/usr/lib/frr/bgpd";

/// The log alone: what comes before zebra has told bgpd the addresses would be answered with an error.
const EMPTY: &str = "empty.conf";

#[derive(Debug)]
pub(super) struct Frr;

impl Dialect for Frr {
    fn prepare(&self, seat: &Seat) -> Result<Vec<Process>, LabError> {
        let owner = Path::new("/etc/frr");
        if !owner.exists() {
            return Err(LabError::ProgramMissing {
                program: ZEBRA.into(),
                package: "frr",
            });
        }
        seat.give_as(owner)?;
        seat.write("vtysh.conf", "")?;
        seat.write(EMPTY, &format!("log file {}\n", seat.text("frr.log")))?;
        let zebra = daemon(seat, ZEBRA, &[])?;
        let listens = || seat.path("zserv.api").exists();
        eventually("zebra listens", PATIENCE, listens)?;
        Ok(vec![zebra])
    }

    fn start(&self, seat: &Seat, _: bool) -> Result<Process, LabError> {
        let install: &[&str] = if seat.setup.installs { &[] } else { &["-n"] };
        let bgpd = daemon(seat, BGPD, install)?;
        let bgp = format!("router bgp {}", seat.setup.asn);
        eventually("bgpd listens to vtysh", PATIENCE, || {
            vtysh(
                seat,
                &["-d", "bgpd", "-c", "configure terminal", "-c", &bgp],
            )
            .is_ok()
        })?;
        eventually("bgpd knows the addresses", PATIENCE, || {
            knows_addresses(seat)
        })?;
        seat.write("frr.conf", &configuration(&seat.setup))?;
        let file = seat.text("frr.conf");
        vtysh(seat, &["-f", &file])?;
        Ok(bgpd)
    }

    fn is_up(&self, seat: &Seat, neighbour: IpAddr) -> Result<bool, LabError> {
        let (said, key) = (
            ask(seat, None, "show bgp neighbors json")?,
            neighbour.to_string(),
        );
        let up = json(&said)?[&key]["bgpState"] == "Established";
        Ok(up && (seat.setup.graceful_restart().is_none() || zebra_keeps_routes(seat)?))
    }

    fn routes_from(&self, seat: &Seat, neighbour: IpAddr) -> Result<BTreeSet<Cidr>, LabError> {
        let mut all = BTreeSet::new();
        for version in seat.neighbour(neighbour)?.1.versions() {
            let question =
                format!("show bgp ipv{version} unicast neighbors {neighbour} routes json");
            let said = json(&ask(seat, None, &question)?)?;
            let routes = said["routes"].as_object().into_iter().flatten();
            all.extend(routes.filter_map(|(prefix, _)| prefix.parse::<Cidr>().ok()));
        }
        Ok(all)
    }

    fn updates_from(&self, seat: &Seat, neighbour: IpAddr) -> Result<u64, LabError> {
        let (said, key) = (
            ask(seat, None, "show bgp neighbors json")?,
            neighbour.to_string(),
        );
        let count = &json(&said)?[&key]["messageStats"]["updatesRecv"];
        Ok(count.as_u64().unwrap_or(0))
    }

    fn refresh(&self, seat: &Seat, neighbour: IpAddr) -> Result<(), LabError> {
        for version in seat.neighbour(neighbour)?.1.versions() {
            ask(
                seat,
                None,
                &format!("clear bgp ipv{version} unicast {neighbour} soft in"),
            )?;
        }
        Ok(())
    }

    fn apply(&self, seat: &Seat, route: Cidr, present: bool) -> Result<(), LabError> {
        let bgp = format!("router bgp {}", seat.setup.asn);
        let version = if route.address.is_ipv6() { 6 } else { 4 };
        let family = format!("address-family ipv{version} unicast");
        let network = format!("{}network {route}", if present { "" } else { "no " });
        let words = ["configure terminal", &bgp, &family, &network];
        vtysh(seat, &words.map(|word| ["-c", word]).concat()).map(drop)
    }
}

/// In the foreground, so that its end is seen; with all sockets in its own directory.
fn daemon(seat: &Seat, program: &str, more: &[&str]) -> Result<Process, LabError> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let (directory, api, config, pid) = (
        seat.text(""),
        seat.text("zserv.api"),
        seat.text(EMPTY),
        seat.text(&format!("{name}.pid")),
    );
    let mut args = vec![
        "--vty_socket",
        &directory,
        "-z",
        &api,
        "-f",
        &config,
        "-i",
        &pid,
    ];
    args.extend(["-A", "127.0.0.1"]);
    args.extend(more);
    seat.start(program, &args)
}

/// bgpd learns them from zebra; a session before that ends with an error. It lists them as next hops that are its own.
fn knows_addresses(seat: &Seat) -> bool {
    let said = ask(seat, Some("bgpd"), "show bgp martian next-hop");
    let own = seat.setup.addresses.v4.map(|own| own.to_string());
    said.is_ok_and(|said| own.is_none_or(|own| said.contains(&own)))
}

/// bgpd tells zebra with the first session that its routes are to outlive it.
fn zebra_keeps_routes(seat: &Seat) -> Result<bool, LabError> {
    let said = ask(seat, Some("zebra"), "show zebra client")?;
    Ok(said.contains("Capabilities : Graceful Restart("))
}

fn ask(seat: &Seat, daemon: Option<&str>, question: &str) -> Result<String, LabError> {
    let mut args: Vec<&str> = daemon
        .into_iter()
        .flat_map(|daemon| ["-d", daemon])
        .collect();
    args.extend(["-c", question]);
    vtysh(seat, &args)
}

fn vtysh(seat: &Seat, args: &[&str]) -> Result<String, LabError> {
    let directory = seat.text("");
    let mut all = vec!["--vty_socket", &directory, "--config_dir", &directory];
    all.extend(args);
    seat.ask("vtysh", &all)
}

fn configuration(setup: &PeerSetup) -> String {
    let mut lines = Vec::new();
    if let Some(own) = setup.addresses.v6 {
        lines.push("route-map own-ipv6 permit 10".to_owned());
        lines.push(format!(" set ipv6 next-hop global {own}"));
        lines.push("exit".to_owned());
    }
    lines.push(format!("router bgp {}", setup.asn));
    lines.push(format!(" bgp router-id {}", setup.router_id));
    lines.extend(
        [
            "no bgp ebgp-requires-policy",
            "no bgp network import-check",
            "no bgp default ipv4-unicast",
            "bgp log-neighbor-changes",
        ]
        .map(|line| format!(" {line}")),
    );
    match setup.graceful_restart() {
        Some(time) => lines.extend([
            " bgp graceful-restart".to_owned(),
            " bgp graceful-restart preserve-fw-state".to_owned(),
            format!(" bgp graceful-restart stalepath-time {time}"),
            format!(" bgp graceful-restart restart-time {time}"),
        ]),
        None => lines.push(" bgp graceful-restart-disable".to_owned()),
    }
    for neighbour in &setup.neighbours {
        lines.extend(session(setup, neighbour));
    }
    for version in [4, 6] {
        lines.extend(family(setup, version));
    }
    lines.extend(["exit".to_owned(), String::new()]);
    lines.join("\n")
}

fn session(setup: &PeerSetup, neighbour: &Neighbour) -> Vec<String> {
    let (hold, keepalive) = (neighbour.hold_time, neighbour.hold_time / 3);
    let external = neighbour.asn != setup.asn;
    let mut words = vec![
        format!("remote-as {}", neighbour.asn),
        format!("timers {keepalive} {hold}"),
        "timers connect 1".to_owned(),
    ];
    let password = neighbour.password.iter();
    words.extend(password.map(|password| format!("password {password}")));
    words.extend(neighbour.passive.then(|| "passive".to_owned()));
    words.extend(neighbour.gtsm.then(|| "ttl-security hops 1".to_owned()));
    if external && neighbour.multihop > 1 {
        words.push(format!("ebgp-multihop {}", neighbour.multihop));
    }
    words.extend(external.then(|| "advertisement-interval 0".to_owned()));
    let line = |words: String| format!(" neighbor {} {words}", neighbour.address);
    words.into_iter().map(line).collect()
}

fn family(setup: &PeerSetup, version: u8) -> Vec<String> {
    let mut lines = vec![format!(" address-family ipv{version} unicast")];
    lines.extend(
        setup
            .of_family(version == 6)
            .map(|route| format!("  network {route}")),
    );
    let neighbours = setup.neighbours.iter();
    for neighbour in neighbours.filter(|neighbour| neighbour.versions().any(|own| own == version)) {
        let mut words = vec!["activate", "next-hop-self"];
        // Over IPv4 it would announce IPv6 through an IPv4-mapped address.
        if version == 6 && neighbour.address.is_ipv4() {
            words.push("route-map own-ipv6 out");
        }
        let line = |word: &str| format!("  neighbor {} {word}", neighbour.address);
        lines.extend(words.into_iter().map(line));
    }
    lines.push(" exit-address-family".to_owned());
    lines
}
