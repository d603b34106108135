//! All about one prefix: `twill show rib PREFIX`.

use bgp::Prefix;
use bgp::rib::{ExplainedPath, Fate, PeerId};
use serde::{Deserialize, Serialize};

use super::{InFabric, Kernel, Said};

/// All paths of a prefix, or that of one peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Explained {
    /// What was asked for.
    pub(crate) asked: String,
    /// The longest known prefix that this is a part of; `None`: there is none.
    pub(crate) prefix: Option<String>,
    /// What the kernel holds for it.
    pub(crate) kernel: Option<Kernel>,
    /// Its paths, the used ones first.
    pub(crate) paths: Vec<PathView>,
}

/// One path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PathView {
    /// Who told it, or `this node`.
    pub(crate) from: String,
    /// Where that is.
    pub(crate) address: Option<String>,
    /// Its AS.
    #[serde(rename = "as")]
    pub(crate) asn: Option<u32>,
    /// `best`, `used`, `lost`, `unreachable` or `refused`.
    pub(crate) fate: String,
    /// The rule of the decision, or the reason.
    pub(crate) why: String,
    /// It stays only until the peer is back and has told all its routes.
    pub(crate) stale: bool,
    /// How the kernel reaches the next hop.
    pub(crate) way: Option<String>,
    /// What is decided with.
    #[serde(flatten)]
    pub(crate) said: Said,
    /// What the peer said, where the import policy changed something.
    pub(crate) received: Option<Said>,
}

/// What a peer is told about a prefix.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// What was asked for.
    pub(crate) asked: String,
    /// The longest known prefix that this is a part of; `None`: there is none.
    pub(crate) prefix: Option<String>,
    /// Who is told.
    pub(crate) peer: String,
    /// What is said.
    pub(crate) said: Option<Said>,
    /// Why nothing is.
    pub(crate) why_not: Option<String>,
    /// It is said as soon as the peer takes it.
    pub(crate) waiting: bool,
}

impl Explained {
    /// All paths, or only that of `from`.
    pub(super) fn of(seen: &InFabric<'_>, asked: Prefix, from: Option<PeerId>) -> Explained {
        let rib = seen.fabric.speaker().rib();
        let is_of = |path: PeerId| from.is_none_or(|from| from == path);
        let prefix = rib.covering(asked, |paths| paths.iter().any(|path| is_of(path.from)));
        let paths = prefix.and_then(|prefix| rib.explain(prefix));
        let paths = paths.into_iter().flat_map(|explained| explained.paths);
        Explained {
            asked: asked.to_string(),
            prefix: prefix.map(|prefix| prefix.to_string()),
            kernel: prefix.map(|prefix| seen.kernel(prefix)),
            paths: paths
                .filter(|path| is_of(path.from))
                .map(|path| PathView::of(seen, &path))
                .collect(),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let Some(prefix) = &self.prefix else {
            return unknown(&self.asked);
        };
        let mut text = line("prefix", &found(&self.asked, prefix));
        if let Some(kernel) = &self.kernel {
            text += &line("kernel", &kernel.line());
        }
        for path in &self.paths {
            text.push('\n');
            text += &path.text();
        }
        text
    }
}

impl PathView {
    fn of(seen: &InFabric<'_>, path: &ExplainedPath) -> PathView {
        let peer = seen.fabric.speaker().peer(path.from, seen.now);
        let hop = path.attributes.next_hop.address();
        let (fate, why) = match path.fate {
            Fate::Best(rule) => ("best", rule.to_string()),
            Fate::Multipath => ("used", "as good as the best".to_owned()),
            Fate::Lost(rule) => ("lost", rule.to_string()),
            Fate::Unreachable => ("unreachable", NO_WAY.to_owned()),
            Fate::Refused(refusal) => ("refused", refusal.to_string()),
        };
        PathView {
            from: seen.name(path.from).to_owned(),
            address: peer.as_ref().map(|peer| peer.config.address.to_string()),
            asn: peer.as_ref().map(|peer| peer.config.asn.0),
            fate: fate.to_owned(),
            why,
            stale: path.stale,
            way: seen.way(hop).filter(|_| peer.is_some()),
            said: Said::of(&path.attributes),
            received: path.received.as_ref().map(Said::of),
        }
    }

    fn text(&self) -> String {
        let from = match (&self.address, self.asn) {
            (Some(address), Some(asn)) => format!("{} ({address}, AS {asn})", self.from),
            _ => self.from.clone(),
        };
        let fate = match &*self.fate {
            "best" => format!("best: {}", self.why),
            "used" => "used beside the best: nothing tells them apart".to_owned(),
            "lost" => format!("not used: another is better by: {}", self.why),
            _ => format!("not used: {}", self.why),
        };
        let stale = "kept until the peer is back and has told all its routes".to_owned();
        let way = match (&self.way, &*self.fate) {
            (Some(way), _) => format!(", via {way}"),
            (None, "unreachable") => ", unreachable".to_owned(),
            _ => String::new(),
        };
        let mut lines = vec![("from", from), ("fate", fate)];
        lines.extend(self.stale.then_some(("stale", stale)));
        lines.extend(self.said.lines(&way));
        let received = self.received.iter();
        lines.extend(received.map(|said| ("as told", said.line())));
        lines
            .iter()
            .map(|(name, value)| line(name, value))
            .collect()
    }
}

impl Told {
    pub(super) fn of(seen: &InFabric<'_>, asked: Prefix, to: PeerId) -> Told {
        let speaker = seen.fabric.speaker();
        let prefix = speaker.rib().covering(asked, |paths| !paths.is_empty());
        let told = prefix.map(|prefix| speaker.told(to, prefix));
        let waiting = prefix.is_some_and(|prefix| speaker.waits_for(to, prefix));
        let (said, why_not) = match told {
            Some(Ok(told)) => (Some(Said::of(&told)), None),
            Some(Err(why)) => (None, Some(why.to_string())),
            None => (None, None),
        };
        Told {
            asked: asked.to_string(),
            prefix: prefix.map(|prefix| prefix.to_string()),
            peer: seen.name(to).to_owned(),
            waiting: waiting && said.is_some(),
            said,
            why_not,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let Some(prefix) = &self.prefix else {
            return unknown(&self.asked);
        };
        let mut text = line("prefix", &found(&self.asked, prefix));
        text += &match (&self.why_not, self.waiting) {
            (Some(why), _) => line("told", &format!("{} is not told: {why}", self.peer)),
            (None, true) => line(
                "told",
                &format!("{} will be, as soon as it takes more", self.peer),
            ),
            (None, false) => line("told", &self.peer),
        };
        let lines = self.said.iter().flat_map(|said| said.lines(""));
        lines.for_each(|(name, value)| text += &line(name, &value));
        text
    }
}

/// What is known of a next hop without a way.
const NO_WAY: &str =
    "its next hop is unreachable: no route leads there but those that BGP itself has installed";

fn line(name: &str, value: &str) -> String {
    format!("{name:<13}{value}\n")
}

fn unknown(asked: &str) -> String {
    format!("nothing is known of {asked}, nor of a prefix that it is a part of\n")
}

fn found(asked: &str, prefix: &str) -> String {
    if asked == prefix {
        return prefix.to_owned();
    }
    format!("{prefix}, the longest known one that {asked} is a part of")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(from: &str, fate: &str, why: &str) -> PathView {
        PathView {
            from: from.into(),
            address: Some("10.1.0.1".into()),
            asn: Some(65_001),
            fate: fate.into(),
            why: why.into(),
            stale: fate == "unreachable",
            way: (fate == "best").then(|| "10.1.0.1 on eth0".into()),
            said: Said {
                next_hop: "10.1.0.1".into(),
                as_path: "65001".into(),
                origin: "igp".into(),
                local_pref: Some(90),
                communities: vec!["64512:7".into()],
                ..Said::default()
            },
            received: None,
        }
    }

    #[test]
    fn a_prefix_is_explained_in_sentences() {
        let explained = Explained {
            asked: "10.244.7.9/32".into(),
            prefix: Some("10.244.7.0/24".into()),
            kernel: Some(Kernel {
                state: "refused by the kernel".into(),
                via: Vec::new(),
                why: Some("File exists".into()),
            }),
            paths: vec![
                path("tor-a", "best", "shortest AS path"),
                path("tor-b", "unreachable", NO_WAY),
            ],
        };
        assert_eq!(
            explained.text(),
            "\
prefix       10.244.7.0/24, the longest known one that 10.244.7.9/32 is a part of
kernel       refused by the kernel: File exists

from         tor-a (10.1.0.1, AS 65001)
fate         best: shortest AS path
next hop     10.1.0.1, via 10.1.0.1 on eth0
AS path      65001; origin igp
preference   local-pref 90
communities  64512:7

from         tor-b (10.1.0.1, AS 65001)
fate         not used: its next hop is unreachable: no route leads there but those that BGP itself has installed
stale        kept until the peer is back and has told all its routes
next hop     10.1.0.1, unreachable
AS path      65001; origin igp
preference   local-pref 90
communities  64512:7
"
        );
    }

    #[test]
    fn what_is_not_told_says_why_and_what_is_not_known_says_so() {
        let mut told = Told {
            asked: "0.0.0.0/0".into(),
            prefix: Some("0.0.0.0/0".into()),
            peer: "tor-a".into(),
            said: None,
            why_not: Some("the export policy does not take it".into()),
            waiting: false,
        };
        assert!(told.text().contains("tor-a is not told: the export policy"));
        told.prefix = None;
        assert!(told.text().starts_with("nothing is known of 0.0.0.0/0"));
    }
}
