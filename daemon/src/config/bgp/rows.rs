//! What `twill show config` says of the `[bgp]` table: a row for each key, each peer and each range; no keys of TCP MD5.

use std::fmt::Display;
use std::time::Duration;

use bgp::Prefix;
use bgp::policy::Import;
use bgp::speaker::{Origination, PeerConfig};

use super::super::Source;
use super::super::sources::{Row, Value};
use super::{BgpChoice, NodeFilter, TcpChoice, Ttl, policy, table};

/// The rows. `all`: what the file says, `given`: its keys, `own`: what is this node's of it.
pub(super) fn rows(
    all: &BgpChoice,
    own: &BgpChoice,
    given: &toml::Table,
    file: &Source,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for key in table::KEYS {
        let source = match given.contains_key(*key) {
            true => file.clone(),
            false => Source::Default,
        };
        let name = format!("bgp.{key}");
        rows.extend(scalar(all, key).map(|value| Row {
            name,
            value,
            source,
        }));
    }
    let from_file = |name: String, value: String| Row {
        name,
        value: Value::One(Some(value)),
        source: file.clone(),
    };
    rows.extend(all.peers.iter().map(|one| {
        let here = own
            .peers
            .contains(one)
            .then(|| format!("{}, {}", one.peer.address, session(&one.peer, &one.tcp)));
        from_file(
            format!("bgp.peer.{}", one.name),
            here.unwrap_or_else(|| elsewhere(&one.on)),
        )
    }));
    rows.extend(all.listen.iter().map(|one| {
        let here = own
            .listen
            .contains(one)
            .then(|| session(&one.range.peer, &one.tcp));
        from_file(
            format!("bgp.listen.{}", one.range.range),
            here.unwrap_or_else(|| elsewhere(&one.on)),
        )
    }));
    rows
}

/// What stands for a key; `None`: it has rows of its own.
fn scalar(choice: &BgpChoice, key: &str) -> Option<Value> {
    Some(match key {
        "as" => one(choice.asn),
        "router-id" => Value::One(choice.router_id.map(|id| id.to_string())),
        "port" => one(choice.port),
        "mesh" => one(choice.mesh),
        "password" => Value::One(choice.key.as_ref().map(|_| "********".into())),
        "password-file" => Value::One(
            choice
                .key_file
                .as_ref()
                .map(|path| path.display().to_string()),
        ),
        "hold-time" => one(format_args!("{}s", choice.hold_time)),
        "graceful-restart" => one(choice.graceful_restart),
        "restart-time" => seconds(choice.restart_time),
        "sync-time" => seconds(choice.sync_time),
        "helper-time" => seconds(choice.helper_time),
        "metric" => one(choice.metric),
        "max-paths" => one(choice.max_paths),
        "announce" => Value::Many(choice.announce.iter().map(announced).collect()),
        "announce-block" => one(choice.announce_block),
        "more-specifics" => Value::Many(
            choice
                .more_specifics
                .iter()
                .map(Prefix::to_string)
                .collect(),
        ),
        _ => return None,
    })
}

fn one(value: impl Display) -> Value {
    Value::One(Some(value.to_string()))
}

fn seconds(time: Duration) -> Value {
    one(format_args!("{}s", time.as_secs()))
}

/// `192.0.2.0/24 (MED 5, 2 communities)`.
fn announced((prefix, said): (&Prefix, &Origination)) -> String {
    let communities = said.communities.len();
    let words: Vec<String> = [
        said.med.map(|med| format!("MED {med}")),
        said.local_pref.map(|pref| format!("LOCAL_PREF {pref}")),
        (communities > 0).then(|| format!("communities: {communities}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    match words.is_empty() {
        true => prefix.to_string(),
        false => format!("{prefix} ({})", words.join("; ")),
    }
}

/// `AS 65001, GTSM 1 hop, MD5, import all, export own`.
fn session(peer: &PeerConfig, tcp: &TcpChoice) -> String {
    let import = match &peer.import {
        Import::Policy(given) => policy::shown(given),
        Import::Unset | Import::Mesh(_) => "not given: none".into(),
    };
    let export = peer.export.as_ref().map(policy::shown);
    let ttl = match tcp.ttl {
        Ttl::Hops(hops) => format!("TTL {hops}"),
        Ttl::Security(hops) => format!("ttl-security {hops}"),
    };
    let md5 = tcp.key.is_some() || tcp.key_file.is_some();
    let words = [
        Some(format!("AS {}", peer.asn)),
        Some(ttl),
        md5.then(|| "MD5".into()),
        peer.shutdown.as_ref().map(|_| "shutdown".into()),
        Some(format!("import {import}")),
        Some(format!(
            "export {}",
            export.unwrap_or_else(|| "not given: none".into())
        )),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Why something is not this node's.
fn elsewhere(on: &NodeFilter) -> String {
    let labels = on
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let labels: Vec<String> = labels.collect();
    let parts = [("nodes", on.nodes.join(" ")), ("labels", labels.join(" "))];
    let parts = parts.iter().filter(|(_, text)| !text.is_empty());
    let parts: Vec<String> = parts.map(|(what, text)| format!("{what} {text}")).collect();
    format!("not on this node: only {}", parts.join(", "))
}
