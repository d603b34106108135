//! The `[bgp]` table as a whole.

use std::collections::{BTreeMap, BTreeSet};

use bgp::Prefix;
use bgp::speaker::Origination;
use toml::Value;

use super::super::{ConfigError, Source, values};
use super::reader::{Keys, Node, Place};
use super::{BgpChoice, peer, policy, text};

/// The longest restart time that fits into a capability, in seconds (RFC 4724, section 3).
const LONGEST_RESTART: u64 = 4_095;

/// The longest that we wait for a peer, in seconds: a day.
const LONGEST_WAIT: u64 = 86_400;

/// The most paths that are used together.
const MOST_PATHS: usize = 128;

/// What holds for all, in the order of the reference.
pub(super) const KEYS: &[&str] = &[
    "as",
    "router-id",
    "port",
    "mesh",
    "password",
    "password-file",
    "hold-time",
    "graceful-restart",
    "restart-time",
    "sync-time",
    "helper-time",
    "metric",
    "max-paths",
    "announce",
    "announce-block",
    "more-specifics",
    "peer",
    "listen",
];

/// What the table says, for all nodes.
pub(super) fn read(value: &Value, file: &Source) -> Result<BgpChoice, ConfigError> {
    let node = Node::new(Place::new(file, "bgp"), value);
    let keys = node.keys(KEYS)?;
    let mut choice = scalars(&keys)?;
    let tables = |key: &str| format!("want [[bgp.{key}]], in double brackets, for each");
    if let Some(list) = keys.node("peer") {
        let list = list.many(&tables("peer"))?;
        choice.peers = list.list(|one| peer::peer(&one, &choice))?;
    }
    if let Some(list) = keys.node("listen") {
        let list = list.many(&tables("listen"))?;
        choice.listen = list.list(|one| peer::listen(&one, &choice))?;
    }
    has_a_port(&choice, &keys)?;
    Ok(choice)
}

fn scalars(keys: &Keys<'_>) -> Result<BgpChoice, ConfigError> {
    let usual = BgpChoice::default();
    let (key, key_file) = peer::key(keys)?;
    let wait = text::duration_up_to(LONGEST_WAIT);
    let restart_time = keys.parsed("restart-time", text::duration_up_to(LONGEST_RESTART))?;
    let switch = |key, without| Ok(keys.parsed(key, values::boolean)?.unwrap_or(without));
    Ok(BgpChoice {
        asn: keys.parsed("as", text::asn)?.unwrap_or(usual.asn),
        router_id: keys.parsed("router-id", text::router_id)?,
        port: keys.parsed("port", values::port)?.unwrap_or(usual.port),
        mesh: switch("mesh", usual.mesh)?,
        key,
        key_file,
        hold_time: keys
            .parsed("hold-time", text::hold_time)?
            .unwrap_or(usual.hold_time),
        graceful_restart: switch("graceful-restart", usual.graceful_restart)?,
        restart_time: restart_time.unwrap_or(usual.restart_time),
        sync_time: keys.parsed("sync-time", &wait)?.unwrap_or(usual.sync_time),
        helper_time: keys
            .parsed("helper-time", &wait)?
            .unwrap_or(usual.helper_time),
        metric: keys
            .parsed("metric", text::number(0..=u32::MAX))?
            .unwrap_or(usual.metric),
        max_paths: keys
            .parsed("max-paths", text::number(1..=MOST_PATHS))?
            .unwrap_or(usual.max_paths),
        announce: keys
            .read("announce", |list| announce(&list))?
            .unwrap_or_default(),
        announce_block: switch("announce-block", usual.announce_block)?,
        more_specifics: keys
            .read("more-specifics", |list| prefixes(&list))?
            .unwrap_or_default(),
        ..usual
    })
}

fn announce(list: &Node<'_>) -> Result<BTreeMap<Prefix, Origination>, ConfigError> {
    let mut all = BTreeMap::new();
    list.list(|one| {
        let (prefix, said) = origination(&one)?;
        match all.insert(prefix, said) {
            Some(_) => Err(one
                .place
                .refuses(prefix, "it is in the list twice: want it once")),
            None => Ok(()),
        }
    })?;
    Ok(all)
}

/// `"192.0.2.0/24"`, or `{ prefix = "192.0.2.0/24", med = 5 }`.
fn origination(node: &Node<'_>) -> Result<(Prefix, Origination), ConfigError> {
    if !node.value.is_table() {
        return Ok((node.string(text::prefix)?, Origination::default()));
    }
    let keys = node.keys(&["prefix", "communities", "med", "local-pref"])?;
    let said = Origination {
        med: keys.parsed("med", text::number(0..=u32::MAX))?,
        local_pref: keys.parsed("local-pref", text::number(0..=u32::MAX))?,
        communities: policy::communities(&keys, "communities")?,
    };
    Ok((
        keys.needed("prefix", |node| node.parsed(text::prefix))?,
        said,
    ))
}

fn prefixes(list: &Node<'_>) -> Result<Vec<Prefix>, ConfigError> {
    let prefixes: BTreeSet<Prefix> = list
        .list(|one| one.string(text::prefix))?
        .into_iter()
        .collect();
    Ok(prefixes.into_iter().collect())
}

/// Whoever is to connect to us needs a port for it.
fn has_a_port(choice: &BgpChoice, keys: &Keys<'_>) -> Result<(), ConfigError> {
    let refused = |allowed: String| Err(keys.place.key("port").refuses(0, allowed));
    let passive = choice.peers.iter().find(|one| one.peer.passive);
    match (choice.port, passive, choice.listen.first()) {
        (0, ..) if choice.mesh => {
            refused("the nodes of the mesh connect to it: want a port, or mesh = false".into())
        }
        (0, Some(peer), _) => refused(format!(
            "bgp.peer \"{}\" is passive: want a port",
            peer.name
        )),
        (0, _, Some(_)) => refused("there is a bgp.listen: want a port".into()),
        _ => Ok(()),
    }
}
