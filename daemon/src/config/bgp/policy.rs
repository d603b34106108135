//! `import` and `export`: a word, or rules in order.

use bgp::Peering;
use bgp::policy::{Actions, AnyCommunity, Clause, Learned, Match, Policy};
use toml::Value;

use super::super::{ConfigError, values};
use super::reader::{Keys, Node};
use super::text;

/// The most that our AS or the peer's is put in front of a path.
const MOST_PREPENDED: u8 = 16;

pub(super) const KEYS: &[&str] = &[
    "prefixes",
    "communities",
    "learned",
    "refuse",
    "local-pref",
    "med",
    "prepend",
    "add",
    "remove",
    "next-hop-self",
];

/// What a rule that takes a route may do with it.
const ACTIONS: [&str; 6] = [
    "local-pref",
    "med",
    "prepend",
    "add",
    "remove",
    "next-hop-self",
];

/// What a rule can say only of what we tell.
const OF_EXPORT: [&str; 2] = ["learned", "next-hop-self"];

/// What is taken from a peer.
pub(super) fn import(node: &Node<'_>) -> Result<Policy, ConfigError> {
    match node.value {
        Value::String(word) if word == "none" => Ok(Policy::default()),
        Value::String(word) if word == "all" => Ok(Policy::everything()),
        Value::String(word) if word == "own" => Err(node.refused(
            r#"what is our own does not come from a peer: want "none", "all" or a list of rules"#,
        )),
        Value::Array(_) => rules(node, import_rule),
        _ => Err(node.refused(r#"want "none", "all" or a list of rules"#)),
    }
}

/// What a peer is told.
pub(super) fn export(node: &Node<'_>) -> Result<Policy, ConfigError> {
    match node.value {
        Value::String(word) if word == "none" => Ok(Policy::default()),
        Value::String(word) if word == "own" => Ok(Policy::originated()),
        Value::String(word) if word == "all" => Ok(Policy::everything()),
        Value::Array(_) => rules(node, rule),
        _ => Err(node.refused(r#"want "none", "own", "all" or a list of rules"#)),
    }
}

/// How a policy is written; the number of its rules where no word says it.
pub(super) fn shown(policy: &Policy) -> String {
    match policy {
        policy if policy.clauses.is_empty() => "none".into(),
        policy if *policy == Policy::everything() => "all".into(),
        policy if *policy == Policy::originated() => "own".into(),
        policy if policy.clauses.len() == 1 => "1 rule".into(),
        policy => format!("{} rules", policy.clauses.len()),
    }
}

fn rules(
    node: &Node<'_>,
    rule: fn(&Node<'_>) -> Result<Clause, ConfigError>,
) -> Result<Policy, ConfigError> {
    let clauses = node.list(|one| rule(&one))?;
    Ok(Policy { clauses })
}

fn import_rule(node: &Node<'_>) -> Result<Clause, ConfigError> {
    let keys = node.keys(KEYS)?;
    match OF_EXPORT.into_iter().find_map(|key| keys.node(key)) {
        Some(given) => {
            Err(given.refused("it says something of what is told: want it in export only"))
        }
        None => rule(node),
    }
}

fn rule(node: &Node<'_>) -> Result<Clause, ConfigError> {
    let keys = node.keys(KEYS)?;
    let refuse = keys.parsed("refuse", values::boolean)?.unwrap_or(false);
    let matches = matches(&keys)?;
    let actions = actions(&keys)?;
    if !refuse {
        return Ok(Clause {
            matches,
            actions: Some(actions),
        });
    }
    match ACTIONS.into_iter().find_map(|key| keys.node(key)) {
        Some(given) => Err(given.refused("the rule refuses the routes: want it without refuse")),
        None => Ok(Clause {
            matches,
            actions: None,
        }),
    }
}

fn matches(keys: &Keys<'_>) -> Result<Match, ConfigError> {
    let prefixes = keys.read("prefixes", |list| {
        list.some(|one| one.string(text::prefix_rule))
    })?;
    let communities = keys.read("communities", |list| {
        list.some(|one| one.string(text::community))
    })?;
    Ok(Match {
        prefixes: prefixes.map(|rules| rules.into_iter().collect()),
        communities: communities.unwrap_or_default(),
        learned: keys.parsed("learned", learned)?,
    })
}

fn actions(keys: &Keys<'_>) -> Result<Actions, ConfigError> {
    let prepend = keys.parsed("prepend", text::number(0..=MOST_PREPENDED))?;
    Ok(Actions {
        local_pref: keys.parsed("local-pref", text::number(0..=u32::MAX))?,
        med: keys.parsed("med", text::number(0..=u32::MAX))?,
        prepend: prepend.unwrap_or(0),
        add: communities(keys, "add")?,
        remove: communities(keys, "remove")?,
        next_hop_self: keys
            .parsed("next-hop-self", values::boolean)?
            .unwrap_or(false),
    })
}

/// A list of communities; none where it is not given.
pub(super) fn communities(
    keys: &Keys<'_>,
    key: &'static str,
) -> Result<Vec<AnyCommunity>, ConfigError> {
    let list = keys.read(key, |list| list.list(|one| one.string(text::community)))?;
    Ok(list.unwrap_or_default())
}

fn learned(text: &str) -> Result<Learned, String> {
    match text {
        "here" => Ok(Learned::Here),
        "ibgp" => Ok(Learned::From(Peering::Internal)),
        "ebgp" => Ok(Learned::From(Peering::External)),
        _ => Err("want here, ibgp or ebgp".into()),
    }
}
