//! `twill show` and `twill check`.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agent::Agent;
use crate::config::{self, Config};
use crate::control::{self, ask_daemon};
use crate::inspect::{
    self, Columns, DriftRow, LeaseRow, NeighbourRow, PeerRow, RouteRow, Status, table,
};

use super::args::{Check, Show, Topic};
use super::{Outcome, no_daemon, offline, peer, print, rib, say};

/// How often `--watch` looks again.
const WATCH_PERIOD: Duration = Duration::from_secs(1);

/// Shows one topic, once or until Ctrl-C.
pub(super) fn show(show: &Show) -> anyhow::Result<Outcome> {
    if show.topic == Topic::Rib && show.object.is_none() {
        return rib::all(show);
    }
    let mut last = None;
    loop {
        let (text, outcome) = shown(show)?;
        if last.as_ref() != Some(&text) {
            if last.is_some() && !show.json {
                print("\n")?;
            }
            print(&text)?;
            last = Some(text);
        }
        if !show.watch {
            return Ok(outcome);
        }
        std::thread::sleep(WATCH_PERIOD);
    }
}

fn shown(show: &Show) -> anyhow::Result<(String, Outcome)> {
    let (config, sources) = config::load(&show.flags)?;
    let json = show.json;
    let object = show.object.as_deref().unwrap_or_default();
    match show.topic {
        Topic::Config if json => Ok((as_json(&sources)?, Outcome::Fine)),
        Topic::Config => Ok((sources.to_string(), Outcome::Fine)),
        Topic::Routes => rows::<RouteRow>(&config, &control::Topic::Routes, inspect::routes, json),
        Topic::Leases => {
            let rows_of = |agent: &Agent| inspect::leases(agent, std::iter::empty());
            rows::<LeaseRow>(&config, &control::Topic::Leases, rows_of, json)
        }
        Topic::Neighbours => rows::<NeighbourRow>(
            &config,
            &control::Topic::Neighbours,
            inspect::neighbours,
            json,
        ),
        Topic::Peers => peers(&config, json),
        Topic::Peer => peer::shown(&config, object, json),
        Topic::Rib => rib::one(&config, show, object),
        Topic::Status => status(&config, json),
    }
}

/// Prints what the kernel does not hold as it should.
pub(super) fn check(check: &Check) -> anyhow::Result<Outcome> {
    let (config, _) = config::load(&check.flags)?;
    let drift: Vec<DriftRow> = ask(&config, &control::Topic::Drift, inspect::drift)?;
    match (check.json, drift.is_empty()) {
        (true, _) => print(&as_json(&drift)?)?,
        (false, true) => print("in sync\n")?,
        (false, false) => print(&table(&drift))?,
    }
    Ok(if drift.is_empty() {
        Outcome::Fine
    } else {
        Outcome::NotSo
    })
}

fn rows<R: Columns + Serialize + DeserializeOwned>(
    config: &Config,
    topic: &control::Topic,
    compute: impl Fn(&Agent) -> Vec<R>,
    json: bool,
) -> anyhow::Result<(String, Outcome)> {
    let rows = ask(config, topic, compute)?;
    let text = if json { as_json(&rows)? } else { table(&rows) };
    Ok((text, Outcome::Fine))
}

/// Asks the daemon; without one, computes the same from the store and the
/// kernel.
fn ask<R: DeserializeOwned>(
    config: &Config,
    topic: &control::Topic,
    compute: impl Fn(&Agent) -> Vec<R>,
) -> anyhow::Result<Vec<R>> {
    if let Some(text) = ask_daemon(&config.run_dir, topic)? {
        return Ok(serde_json::from_str(&text)?);
    }
    say(&format!(
        "no daemon runs with {}; reading the store and the kernel",
        config.run_dir.display()
    ));
    Ok(compute(&offline::agent(config)?))
}

fn status(config: &Config, json: bool) -> anyhow::Result<(String, Outcome)> {
    let Some(text) = ask_daemon(&config.run_dir, &control::Topic::Status)? else {
        return Ok((String::new(), no_daemon(config)));
    };
    let status: Status = serde_json::from_str(&text)?;
    let text = if json {
        as_json(&status)?
    } else {
        status.text()
    };
    Ok((text, Outcome::Fine))
}

/// Sessions are the daemon's: without one there are none.
fn peers(config: &Config, json: bool) -> anyhow::Result<(String, Outcome)> {
    let Some(text) = ask_daemon(&config.run_dir, &control::Topic::Peers)? else {
        return Ok((String::new(), no_daemon(config)));
    };
    let rows: Vec<PeerRow> = serde_json::from_str(&text)?;
    if json {
        return Ok((as_json(&rows)?, Outcome::Fine));
    }
    let mut text = table(&rows);
    if rows.iter().any(|row| row.draining) {
        text += "\nThis node drains: its peers are asked to use other paths, until `twill bgp drain --off`.\n";
    }
    Ok((text, Outcome::Fine))
}

/// For programs.
pub(super) fn as_json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}
