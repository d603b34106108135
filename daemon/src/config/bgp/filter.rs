//! On which nodes something of the configuration holds.

use std::collections::BTreeMap;

/// On which nodes something holds; without anything on all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeFilter {
    /// Names of nodes, `*` for any text in them; one must fit. Empty: any name.
    pub(crate) nodes: Vec<String>,
    /// Labels that the node must all have.
    pub(crate) labels: BTreeMap<String, String>,
}

impl NodeFilter {
    /// Whether the node is one of these.
    pub(crate) fn takes(&self, node: &str, labels: &BTreeMap<String, String>) -> bool {
        let named = self.nodes.is_empty() || self.nodes.iter().any(|glob| fits(glob, node));
        named
            && self
                .labels
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// Whether the name is the text, in which `*` stands for any text.
fn fits(glob: &str, name: &str) -> bool {
    let Some((start, rest)) = glob.split_once('*') else {
        return glob == name;
    };
    let Some(mut left) = name.strip_prefix(start) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let end = pieces.pop().unwrap_or_default();
    for piece in pieces {
        // The first place will do: whatever fits behind a later one fits behind this one, too.
        let Some(at) = left.find(piece) else {
            return false;
        };
        left = &left[at + piece.len()..];
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_does() {
        for (glob, name, fit) in [
            ("node-1", "node-1", true),
            ("node-1", "node-10", false),
            ("*", "", true),
            ("rack-a-*", "rack-a-", true),
            ("rack-a-*", "rack-b-1", false),
            ("*-gpu", "a-gpu", true),
            ("*-gpu", "a-gpu-1", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("**", "x", true),
            ("*é*", "né", true),
            ("a?c", "abc", false),
            ("[a-z]", "a", false),
        ] {
            assert_eq!(fits(glob, name), fit, "{glob} {name}");
        }
    }

    #[test]
    fn a_node_must_have_one_of_the_names_and_all_of_the_labels() {
        let all = NodeFilter::default();
        assert!(all.takes("node-1", &labels(&[])));
        let some = NodeFilter {
            nodes: vec!["node-*".into(), "edge".into()],
            labels: labels(&[("rack", "a"), ("zone", "z")]),
        };
        let full = labels(&[("rack", "a"), ("zone", "z"), ("more", "")]);
        assert!(some.takes("edge", &full));
        assert!(!some.takes("core", &full));
        assert!(!some.takes("edge", &labels(&[("rack", "a")])));
        assert!(!some.takes("edge", &labels(&[("rack", "b"), ("zone", "z")])));
    }
}
