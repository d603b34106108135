//! One lease, from etcd's put to the route in the kernel, beside etcd's own put-to-watch time in the same run.

use lab::LabError;
use netns_tests::measure::{
    Arena, BackendKind, EtcdClient, Peers, RouteMonitor, Table, milliseconds, percentile,
    release_twill, say,
};
use std::process::ExitCode;
use std::time::Duration;

const SAMPLES: u32 = 500;
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            say("WRONG: a route did not come or go");
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("the benchmark could not be run: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<bool, LabError> {
    say(&format!("One lease at a time, {SAMPLES} times"));
    let table = Table::new(&["backend", "from put to", "p50", "p95", "p99"]);
    for backend in BackendKind::ALL {
        let Some(mut samples) = sample(Peers(backend))? else {
            return Ok(false);
        };
        for (what, times) in [("watch", &mut samples.watch), ("route", &mut samples.route)] {
            let mut cells = vec![backend.name().to_owned(), what.to_owned()];
            cells.extend([50, 95, 99].map(|percent| milliseconds(percentile(times, percent))));
            table.row(&cells);
        }
    }
    say(
        "watch: etcd's own time, as a client in the same run sees it. route: the kernel's notification of the route.",
    );
    Ok(true)
}

#[derive(Default)]
struct Samples {
    watch: Vec<Duration>,
    route: Vec<Duration>,
}

fn sample(peers: Peers) -> Result<Option<Samples>, LabError> {
    let arena = Arena::new(peers, release_twill())?;
    let mut daemon = arena.start()?;
    daemon.wait_ready(PATIENCE)?;
    let monitor = RouteMonitor::open(arena.namespace())?;
    EtcdClient::within(arena.namespace(), move |etcd| {
        let mut watch = etcd.watch()?;
        let mut samples = Samples::default();
        for number in 0..SAMPLES {
            let block = peers.block(number);
            let (sent, seen) = etcd.put_and_see(&mut watch, peers, number)?;
            let Some(installed) = monitor.heard_of(block, true, PATIENCE) else {
                return Ok(None);
            };
            samples.watch.push(seen - sent);
            samples
                .route
                .push(installed.saturating_duration_since(sent));
            etcd.delete_and_see(&mut watch, peers, number)?;
            if monitor.heard_of(block, false, PATIENCE).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(samples))
    })
}
