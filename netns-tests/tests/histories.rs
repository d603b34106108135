//! Random histories: daemons are killed, frozen and cut off, etcd is restarted and frozen; whatever the store went
//! through, the invariants held.
//!
//! `HISTORIES=200` is how many runs there are, `HISTORY_SEED=17` does one again: the same faults at the same times, not
//! the same race.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "the numbers are the answer")]

use lab::{Etcd, EtcdOptions, Namespace};
use netns_tests::histories::{Arena, RUNS_AT_ONCE, Rules, Store, Verdict, violations};
use netns_tests::twill;
use std::collections::BTreeSet;
use std::time::Instant;

/// Two heats. What is found rarely, more of them find: `HISTORIES`.
const RUNS: u64 = 2 * RUNS_AT_ONCE;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// The seeds of each heat.
fn heats() -> Vec<Vec<u64>> {
    if let Some(seed) = number("HISTORY_SEED") {
        return vec![vec![seed]];
    }
    let seeds: Vec<u64> = (0..number("HISTORIES").unwrap_or(RUNS)).collect();
    let heats = seeds.chunk_by(|one, other| one / RUNS_AT_ONCE == other / RUNS_AT_ONCE);
    heats.map(<[u64]>::to_vec).collect()
}

#[test]
fn random_faults_break_no_invariant() {
    let (began, heats) = (Instant::now(), heats());
    let largest = heats.iter().map(Vec::len).max().unwrap();
    let mut arena = Arena::new(&twill(), largest).unwrap();
    let mut verdicts = Vec::new();
    for seeds in &heats {
        let heat = Instant::now();
        verdicts.extend(arena.heat(seeds).unwrap());
        let (first, took) = (seeds[0], heat.elapsed().as_secs_f64());
        eprintln!("{} runs from seed {first} on: {took:.0} s", seeds.len());
    }
    let sum = |of: fn(&Verdict) -> usize| verdicts.iter().map(of).sum::<usize>();
    eprintln!(
        "{} runs in {:.0} s: {} faults of daemons, {} changes of leases, {} blocks that went to another node",
        verdicts.len(),
        began.elapsed().as_secs_f64(),
        sum(|verdict| verdict.faults),
        sum(|verdict| verdict.events),
        sum(|verdict| verdict.handovers),
    );
    let bad: Vec<&Verdict> = verdicts
        .iter()
        .filter(|v| !v.violations.is_empty())
        .collect();
    for Verdict {
        seed,
        story,
        violations,
        ..
    } in bad.iter().rev()
    {
        eprintln!("==== HISTORY_SEED={seed}\n{story}");
        violations
            .iter()
            .for_each(|violation| eprintln!("HISTORY_SEED={seed}: {violation}"));
    }
    assert!(bad.is_empty(), "{} runs broke an invariant", bad.len());
}

#[test]
fn a_writer_that_breaks_the_rules_is_found() {
    let (namespace, directory) = (
        Namespace::new("etcd").unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let options = EtcdOptions::default();
    let etcd = Etcd::on_loopback(&namespace, directory.path(), &options).unwrap();
    let lease = etcd.ctl(&["lease", "grant", "3600"]).unwrap();
    let lease = format!("--lease={}", lease.split_whitespace().nth(1).unwrap());
    let put = |key: &str, node: &str| {
        let value = format!(r#"{{"PublicIP":"10.99.0.1","NodeName":"{node}"}}"#);
        etcd.ctl(&["put", &lease, &format!("/p/subnets/{key}"), &value])
            .unwrap();
    };
    put("10.244.1.0-24", "one");
    put("10.244.2.0-24", "two");
    let broken = || -> BTreeSet<&'static str> {
        let url = &etcd.endpoints()[0];
        let history = Store::within((&namespace, url), |store| store.history("/p")).unwrap();
        let found = violations(&history, &Rules::default());
        found.iter().map(|violation| violation.invariant).collect()
    };
    assert_eq!(broken(), [].into());
    put("10.244.1.128-25", "three");
    assert_eq!(broken(), ["I1"].into());
    put("10.244.2.0-24", "four");
    assert_eq!(broken(), ["I1", "I2"].into());
    etcd.ctl(&["del", "/p/subnets/10.244.1.0-24"]).unwrap();
    etcd.put("/p/subnets/10.244.7.0-24", r#"{"PublicIP":"10.99.0.7"}"#)
        .unwrap();
    assert_eq!(broken(), ["I1", "I2", "I6"].into());
    put("10.244.3.0-24", "four");
    assert_eq!(broken(), ["I1", "I2", "I5", "I6"].into());
}
