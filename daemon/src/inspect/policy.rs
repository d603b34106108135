//! What is taken from a peer and what it is told, in words.

use bgp::policy::{
    Actions, AnyCommunity, Clause, Import, Learned, Match, MeshImport, Policy, PrefixList,
    PrefixRule,
};
use bgp::{Peering, Prefix};

use super::rib::extended;

/// What is taken: a line, or one for each rule.
pub(super) fn import(import: &Import, external: bool) -> Vec<String> {
    match import {
        Import::Unset => vec![unset(external)],
        Import::Mesh(mesh) => vec![of_node(mesh)],
        Import::Policy(policy) => rules(policy),
    }
}

/// What is told: a line, or one for each rule.
pub(super) fn export(export: Option<&Policy>, external: bool) -> Vec<String> {
    export.map_or_else(|| vec![unset(external)], rules)
}

fn unset(external: bool) -> String {
    let because = if external { " (RFC 8212)" } else { "" };
    format!("nothing: the settings have no policy{because}")
}

fn of_node(mesh: &MeshImport) -> String {
    let parts = if mesh.more_specifics {
        " and parts of them"
    } else {
        ""
    };
    let mut text = format!(
        "the blocks of its lease{parts}: {}",
        joined(mesh.blocks.iter())
    );
    let mut shared = mesh.shared.iter().map(|rule| rule.prefix).peekable();
    if shared.peek().is_some() {
        text += &format!("; what all nodes announce: {}", joined(shared));
    }
    text
}

fn joined(prefixes: impl Iterator<Item = Prefix>) -> String {
    let prefixes: Vec<String> = prefixes.map(|prefix| prefix.to_string()).collect();
    match prefixes.is_empty() {
        true => "none".to_owned(),
        false => prefixes.join(", "),
    }
}

fn rules(policy: &Policy) -> Vec<String> {
    if policy.clauses.is_empty() {
        return vec!["nothing".to_owned()];
    }
    if *policy == Policy::everything() {
        return vec!["everything but a default route".to_owned()];
    }
    if *policy == Policy::originated() {
        return vec!["what this node announces".to_owned()];
    }
    policy.clauses.iter().map(rule).collect()
}

/// `10.0.0.0/8 le 24 with 64512:7: taken, local-pref 200`.
fn rule(clause: &Clause) -> String {
    let verdict = match &clause.actions {
        None => "refused".to_owned(),
        Some(actions) => taken(actions),
    };
    format!("{}: {verdict}", fitting(&clause.matches))
}

fn fitting(matches: &Match) -> String {
    let prefixes = matches.prefixes.as_ref().map(|list| list_of(list, " or "));
    let mut text = prefixes.unwrap_or_else(|| "all but a default route".to_owned());
    if !matches.communities.is_empty() {
        text += &format!(" with {}", communities(&matches.communities, " or "));
    }
    text += match matches.learned {
        None => "",
        Some(Learned::Here) => " of this node",
        Some(Learned::From(Peering::Internal)) => " of internal peers",
        Some(Learned::From(Peering::External)) => " of external peers",
    };
    text
}

fn list_of(list: &PrefixList, between: &str) -> String {
    let rules: Vec<String> = list.iter().map(|rule| prefix_rule(&rule)).collect();
    rules.join(between)
}

/// As the settings have it.
fn prefix_rule(rule: &PrefixRule) -> String {
    let own = rule.prefix.length();
    let all = Prefix::host(rule.prefix.address()).length();
    let ge = (rule.min > own).then(|| format!(" ge {}", rule.min));
    let le = (rule.max < all && rule.max > rule.min || rule.min == own && rule.max > own)
        .then(|| format!(" le {}", rule.max.min(all)));
    let exactly = (rule.min > own && rule.max == rule.min).then(|| format!(" le {}", rule.max));
    let parts = [ge, le.or(exactly)].into_iter().flatten();
    format!("{}{}", rule.prefix, parts.collect::<String>())
}

fn taken(actions: &Actions) -> String {
    let number = |name: &str, value: Option<u32>| value.map(|value| format!("{name} {value}"));
    let list = |name: &str, list: &[AnyCommunity]| {
        (!list.is_empty()).then(|| format!("{name} {}", communities(list, ", ")))
    };
    let parts = [
        Some("taken".to_owned()),
        number("local-pref", actions.local_pref),
        number("MED", actions.med),
        (actions.prepend > 0).then(|| format!("prepended {} times", actions.prepend)),
        list("adding", &actions.add),
        list("removing", &actions.remove),
        actions
            .next_hop_self
            .then(|| "this node as next hop".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(", ")
}

fn communities(all: &[AnyCommunity], between: &str) -> String {
    let word = |one: &AnyCommunity| match one {
        AnyCommunity::Standard(one) => one.to_string(),
        AnyCommunity::Large(one) => one.to_string(),
        AnyCommunity::Extended(one) => extended(*one),
    };
    all.iter().map(word).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgp::wire::Community;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn lengths_are_written_as_the_settings_have_them() {
        for (min, max, text) in [
            (8, 8, "10.0.0.0/8"),
            (8, 24, "10.0.0.0/8 le 24"),
            (16, 24, "10.0.0.0/8 ge 16 le 24"),
            (16, 16, "10.0.0.0/8 ge 16 le 16"),
            (16, 32, "10.0.0.0/8 ge 16"),
            (8, 32, "10.0.0.0/8 le 32"),
        ] {
            let prefix = prefix("10.0.0.0/8");
            assert_eq!(prefix_rule(&PrefixRule { prefix, min, max }), text);
        }
    }

    #[test]
    fn a_rule_reads_as_a_sentence() {
        let clause = Clause {
            matches: Match {
                prefixes: Some(
                    [PrefixRule::exact(prefix("10.96.0.0/12"))]
                        .into_iter()
                        .collect(),
                ),
                communities: vec![AnyCommunity::Standard(Community::NO_EXPORT)],
                learned: Some(Learned::Here),
            },
            actions: Some(Actions {
                med: Some(5),
                prepend: 2,
                ..Actions::default()
            }),
        };
        assert_eq!(
            rule(&clause),
            "10.96.0.0/12 with no-export of this node: taken, MED 5, prepended 2 times"
        );
        let refusing = Clause {
            matches: Match::default(),
            actions: None,
        };
        assert_eq!(rule(&refusing), "all but a default route: refused");
    }

    #[test]
    fn words_of_the_settings_are_said_in_words() {
        assert_eq!(rules(&Policy::default()), ["nothing"]);
        assert_eq!(rules(&Policy::originated()), ["what this node announces"]);
        assert_eq!(
            import(&Import::Unset, true),
            ["nothing: the settings have no policy (RFC 8212)"]
        );
    }
}
