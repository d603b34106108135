//! What a daemon uses when nothing happens: with 2 and with 5,000 leases, plain and with masquerade and (over vxlan) the
//! tunnel guard.
//!
//! Bar: under 0.05 % of a core. `TWILL_IDLE_SECONDS` sets the length (default 60).

use lab::LabError;
use netns_tests::block_routes;
use netns_tests::measure::{
    Arena, BackendKind, EtcdClient, Peers, Table, Usage, megabytes, milliseconds, release_twill,
    say,
};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const READY: Duration = Duration::from_secs(30);

/// What follows the start (the first renewal, caches) is not idleness.
const SETTLE: Duration = Duration::from_secs(5);

const PLAIN: &[&str] = &["--tunnel-guard=false"];
const GUARDED: &[&str] = &["--ip-masq"];

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("WRONG: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), LabError> {
    let length = std::env::var("TWILL_IDLE_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let length = Duration::from_secs(length.unwrap_or(60));
    say(&format!("An idle daemon over {} s", length.as_secs()));
    let table = Table::new(&[
        "backend",
        "leases",
        "flags",
        "CPU time",
        "% of a core",
        "VmRSS",
        "VmHWM",
    ]);
    for backend in BackendKind::ALL {
        for leases in [2, 5_000] {
            for flags in [PLAIN, GUARDED] {
                let (cpu, usage) = idle((Peers(backend), leases), flags, length)?;
                table.row(&[
                    backend.name().to_owned(),
                    leases.to_string(),
                    flags.join(" "),
                    milliseconds(cpu),
                    format!("{:.4} %", cpu.as_secs_f64() / length.as_secs_f64() * 100.0),
                    megabytes(usage.resident),
                    megabytes(usage.peak),
                ]);
            }
        }
    }
    Ok(())
}

fn idle(
    (peers, leases): (Peers, u32),
    flags: &[&str],
    length: Duration,
) -> Result<(Duration, Usage), LabError> {
    let arena = Arena::new(peers, release_twill())?;
    EtcdClient::within(arena.namespace(), |etcd| etcd.put(peers, 0..leases))?;
    let mut daemon = arena.start_with(flags)?;
    daemon.wait_ready(READY)?;
    let routes = block_routes(arena.node())?.len();
    if routes != leases as usize {
        return Err(LabError::Malformed {
            what: format!("the routes of {leases} peers"),
            text: routes.to_string(),
        });
    }
    thread::sleep(SETTLE);
    let before = Usage::of(daemon.pid()).cpu;
    thread::sleep(length);
    let after = Usage::of(daemon.pid());
    daemon.process().must_run()?;
    Ok((after.cpu.saturating_sub(before), after))
}
