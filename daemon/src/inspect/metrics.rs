//! `/metrics`: a fixed number of series, however many nodes there are.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::agent::Agent;

use super::{Daemon, StoreState};

/// The metrics of a running daemon.
pub(super) fn text(agent: &Agent, daemon: &Daemon) -> String {
    let mut registry = registry();
    let counts = agent.counts();
    let (leases, passed_over) = agent.lease_counts();
    let store_up = i64::from(matches!(daemon.store, StoreState::Up));
    let gauges = [
        (
            "ready",
            "Whether all that the first listing asked for is in the kernel",
            i64::from(agent.is_ready()),
        ),
        ("store_up", "Whether changes of the store come in", store_up),
        ("leases", "Leases of other nodes in use", as_i64(leases)),
        (
            "leases_vanished",
            "Leases that vanished from the store whose entries stay for now",
            as_i64(agent.vanished_count()),
        ),
        (
            "leases_passed_over",
            "Leases that no packets are sent to",
            as_i64(passed_over),
        ),
        (
            "store_bad_keys",
            "Keys of the store that are no leases",
            as_i64(daemon.passed_over.bad_keys().len()),
        ),
        (
            "routes",
            "Routes that are wanted or in the kernel",
            as_i64(agent.reconciler().routes().count()),
        ),
        (
            "drift",
            "Entries that the kernel does not hold as it should",
            as_i64(agent.reconciler().drift()),
        ),
        (
            "pod_mtu_bytes",
            "MTU of pods",
            i64::from(agent.local().pod_mtu()),
        ),
    ];
    for (name, help, value) in gauges {
        registry.register(name, help, ConstGauge::new(value));
    }
    let ages = [
        (
            "lease_age",
            "Time since the own lease was renewed",
            daemon.renewed,
        ),
        (
            "uptime",
            "Time since the daemon was started",
            daemon.started,
        ),
    ];
    for (name, help, since) in ages {
        registry.register_with_unit(
            name,
            help,
            Unit::Seconds,
            ConstGauge::new(since.elapsed().as_secs_f64()),
        );
    }
    let counters = [
        (
            "kernel_changes",
            "Changes that the kernel carried out",
            counts.changes,
        ),
        (
            "kernel_refusals",
            "Changes that the kernel refused",
            counts.refusals,
        ),
        (
            "kernel_dumps",
            "Times that the kernel's tables were read",
            counts.dumps,
        ),
        (
            "kernel_overruns",
            "Times that the kernel told more than could be taken in",
            counts.overruns,
        ),
        (
            "lease_events",
            "Changes of leases that the store told",
            counts.lease_events,
        ),
    ];
    for (name, help, value) in counters {
        registry.register(name, help, ConstCounter::new(value));
    }
    written(&registry)
}

/// The metrics of a daemon that has no block yet.
pub(super) fn early() -> String {
    let mut registry = registry();
    registry.register(
        "ready",
        "Whether all that the first listing asked for is in the kernel",
        ConstGauge::new(0_i64),
    );
    written(&registry)
}

fn registry() -> Registry {
    Registry::with_prefix("twill")
}

fn written(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, registry);
    text
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
