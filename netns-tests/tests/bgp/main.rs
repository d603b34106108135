//! Twill speaks BGP with itself and with BIRD, FRR, GoBGP, ExaBGP and OpenBGPD.
//!
//! - `harness`: the five and the raw peer understand each other without Twill: what the other modules build on.
//! - `interop`: Twill with each of the five: sessions, families, keys, timers.
//! - `graceful`: restarts, Twill's and theirs, with routes kept.
//! - `mesh`: nodes that find each other by their leases; nodes that lie, nodes that are dead.
//! - `loss`: 0 lost of 2,000 pings over restarts, the peers being Twill, BIRD and FRR.
//! - `policy`: changed policies, limits, drain, shutdown, next hops that cannot be reached.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "the times are the answer")]

mod graceful;
mod harness;
mod interop;
mod loss;
mod mesh;
mod policy;
mod scene;

use netns_tests::peers::Brand;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

/// How long a session may take to come up, and a route to come through. The machine does other things as well.
const SOON: Duration = Duration::from_secs(45);

/// Does the same with each daemon, all at once, each on a link of its own, and says with which of them it failed.
fn with_each(brands: impl IntoIterator<Item = Brand>, test: impl Fn(Brand) + Sync) {
    let brands: Vec<Brand> = brands.into_iter().collect();
    let failed: Vec<String> = thread::scope(|scope| {
        let run = |brand| {
            let test = &test;
            let ended = scope.spawn(move || catch_unwind(AssertUnwindSafe(|| test(brand))));
            (brand, ended)
        };
        let running: Vec<_> = brands.into_iter().map(run).collect();
        let ended = running
            .into_iter()
            .map(|(brand, thread)| (brand, thread.join().unwrap()));
        ended
            .filter_map(|(brand, ended)| Some(format!("{brand}: {}", text(&*ended.err()?))))
            .collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked")
}
