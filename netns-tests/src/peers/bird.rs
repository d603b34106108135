//! BIRD 2: one configuration, `birdc` for questions.

use super::seat::Seat;
use super::speaker::Dialect;
use super::{Neighbour, PeerSetup};
use lab::{Cidr, LabError, Process, eventually};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Bird;

impl Dialect for Bird {
    fn start(&self, seat: &Seat, restarting: bool) -> Result<Process, LabError> {
        seat.write("bird.conf", &configuration(seat))?;
        let (config, socket, pid) = (
            seat.text("bird.conf"),
            seat.text("bird.ctl"),
            seat.text("bird.pid"),
        );
        let mut args = vec!["-f", "-c", &config, "-s", &socket, "-P", &pid];
        args.extend(restarting.then_some("-R"));
        let process = seat.start("bird", &args)?;
        eventually("BIRD answers", PATIENCE, || {
            ask(seat, &["show", "status"]).is_ok()
        })?;
        Ok(process)
    }

    fn is_up(&self, seat: &Seat, neighbour: IpAddr) -> Result<bool, LabError> {
        let protocol = name(seat, neighbour)?;
        let said = ask(seat, &["show", "protocols", "all", &protocol])?;
        Ok(value(&said, "BGP state:") == Some("Established"))
    }

    fn routes_from(&self, seat: &Seat, neighbour: IpAddr) -> Result<BTreeSet<Cidr>, LabError> {
        let protocol = name(seat, neighbour)?;
        let said = ask(seat, &["show", "route", "protocol", &protocol])?;
        let words = said
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        Ok(words.filter_map(|word| word.parse().ok()).collect())
    }

    fn updates_from(&self, seat: &Seat, neighbour: IpAddr) -> Result<u64, LabError> {
        let protocol = name(seat, neighbour)?;
        let said = ask(seat, &["show", "protocols", "all", &protocol])?;
        let counts = said.lines().filter_map(|line| {
            let counts = line.trim().strip_prefix("Import updates:")?;
            counts.split_whitespace().next()?.parse::<u64>().ok()
        });
        Ok(counts.sum())
    }

    fn refresh(&self, seat: &Seat, neighbour: IpAddr) -> Result<(), LabError> {
        let protocol = name(seat, neighbour)?;
        ask(seat, &["reload", "in", &protocol]).map(drop)
    }

    fn apply(&self, seat: &Seat, _: Cidr, _: bool) -> Result<(), LabError> {
        seat.write("bird.conf", &configuration(seat))?;
        ask(seat, &["configure"]).map(drop)
    }
}

fn ask(seat: &Seat, words: &[&str]) -> Result<String, LabError> {
    let socket = seat.text("bird.ctl");
    let args: Vec<&str> = ["-s", &socket]
        .into_iter()
        .chain(words.iter().copied())
        .collect();
    seat.ask("birdc", &args)
}

fn name(seat: &Seat, neighbour: IpAddr) -> Result<String, LabError> {
    let (number, _) = seat.neighbour(neighbour)?;
    Ok(format!("peer{number}"))
}

fn value<'a>(said: &'a str, key: &str) -> Option<&'a str> {
    said.lines()
        .find_map(|line| line.trim().strip_prefix(key))
        .map(str::trim)
}

fn configuration(seat: &Seat) -> String {
    let setup = &seat.setup;
    let mut lines = vec![
        format!("log \"{}\" all;", seat.text("bird.log")),
        format!("router id {};", setup.router_id),
        "protocol device {}".to_owned(),
    ];
    if let Some(time) = setup.graceful_restart() {
        lines.push(format!("graceful restart wait {time};"));
    }
    for version in [4, 6] {
        let ipv6 = version == 6;
        if setup.installs {
            lines.push(kernel(setup, version));
        }
        let routes = setup.of_family(ipv6);
        let routes: String = routes
            .map(|route| format!(" route {route} blackhole;"))
            .collect();
        lines.push(format!(
            "protocol static static{version} {{ ipv{version};{routes} }}"
        ));
    }
    let neighbours = setup.neighbours.iter().enumerate();
    lines.extend(neighbours.map(|(number, neighbour)| bgp(setup, number, neighbour)));
    lines.join("\n") + "\n"
}

/// Without both options a BIRD that restarts gracefully takes its own kernel routes away for two seconds.
fn kernel(setup: &PeerSetup, version: u8) -> String {
    let keep = match setup.graceful_restart() {
        Some(_) => "persist; graceful restart;",
        None => "",
    };
    format!(
        "protocol kernel kernel{version} {{ merge paths on; {keep} \
         ipv{version} {{ import none; export where source = RTS_BGP; }}; }}"
    )
}

fn bgp(setup: &PeerSetup, number: usize, neighbour: &Neighbour) -> String {
    let (local, asn) = (setup.local(neighbour), setup.asn);
    let mut lines = vec![
        format!("protocol bgp peer{number} {{"),
        format!("  local {local} as {asn};"),
        format!("  neighbor {} as {};", neighbour.address, neighbour.asn),
        format!("  hold time {};", neighbour.hold_time),
        "  connect delay time 1; connect retry time 2; error wait time 1, 3;".to_owned(),
        match neighbour.multihop {
            1 => "  direct;".to_owned(),
            hops => format!("  multihop {hops};"),
        },
    ];
    let password = neighbour.password.iter();
    lines.extend(password.map(|password| format!("  password \"{password}\";")));
    lines.extend(neighbour.passive.then(|| "  passive on;".to_owned()));
    lines.extend(neighbour.gtsm.then(|| "  ttl security on;".to_owned()));
    lines.push(match neighbour.graceful_restart {
        Some(time) => format!("  graceful restart on; graceful restart time {time};"),
        None => "  graceful restart off;".to_owned(),
    });
    lines.extend(neighbour.versions().map(|version| channel(setup, version)));
    lines.push("}".to_owned());
    lines.join("\n")
}

fn channel(setup: &PeerSetup, version: u8) -> String {
    let own = match version {
        4 => setup.addresses.v4.map(IpAddr::V4),
        _ => setup.addresses.v6.map(IpAddr::V6),
    };
    let own = own.map_or("next hop self;".to_owned(), |own| {
        format!("next hop address {own};")
    });
    format!(
        "  ipv{version} {{ import all; export where source ~ [ RTS_STATIC, RTS_BGP ]; {own} }};"
    )
}
