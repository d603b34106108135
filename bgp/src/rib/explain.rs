//! For a prefix: all its paths, which is used, by which rule, and why another is not. The rules that decide are the ones that
//! explain.

use std::fmt::{self, Display};

use crate::family::Family;
use crate::prefix::Prefix;
use crate::rib::decision::{Rule, contenders, decide};
use crate::rib::path::{Path, PeerId, Refusal};
use crate::rib::source::Surroundings;
use crate::wire::Attributes;

/// What became of a path, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is the best, by this rule.
    Best(Rule),
    /// It is as good as the best and used beside it.
    Multipath,
    /// This rule found a better one.
    Lost(Rule),
    /// Its next hop cannot be reached.
    Unreachable,
    /// It may not be used at all.
    Refused(Refusal),
}

impl Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Best(rule) => write!(f, "best: {rule}"),
            Fate::Multipath => f.write_str("used beside the best"),
            Fate::Lost(rule) => write!(f, "not used: another is better by: {rule}"),
            Fate::Unreachable => f.write_str("not used: its next hop cannot be reached"),
            Fate::Refused(refusal) => write!(f, "refused: {refusal}"),
        }
    }
}

/// One path of a prefix, with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedPath {
    /// Who told it.
    pub from: PeerId,
    /// What is decided with.
    pub attributes: Attributes,
    /// What the peer sent, where the import policy changed something.
    pub received: Option<Attributes>,
    /// What became of it.
    pub fate: Fate,
    /// Whether it is kept only until its peer is back and has said what it has to say (RFC 4724).
    pub stale: bool,
}

/// All that is known of a prefix: the used paths first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Which prefix.
    pub prefix: Prefix,
    /// Its paths.
    pub paths: Vec<ExplainedPath>,
}

pub(super) fn explain(
    prefix: Prefix,
    family: Family,
    paths: &[Path],
    around: &Surroundings,
) -> Explanation {
    let mut fates: Vec<Fate> = paths.iter().map(unusable).collect();
    let mut left = Vec::new();
    contenders(paths, around, &mut left);
    let won_by = decide(&mut left, around.max_paths, |loser, rule| {
        fates[loser.at] = Fate::Lost(rule)
    });
    for (n, contender) in left.iter().enumerate() {
        fates[contender.at] = if n == 0 {
            Fate::Best(won_by)
        } else {
            Fate::Multipath
        };
    }
    let explained = |(path, fate): (&Path, &Fate)| ExplainedPath {
        from: path.from,
        attributes: path.known.attributes.clone(),
        received: path.known.received.as_deref().cloned(),
        fate: *fate,
        stale: around.is_stale(path, family),
    };
    let mut paths: Vec<_> = paths.iter().zip(&fates).map(explained).collect();
    paths.sort_by_key(|path| rank(path.fate));
    Explanation { prefix, paths }
}

/// The fate of a path that does not take part.
fn unusable(path: &Path) -> Fate {
    path.refusal.map_or(Fate::Unreachable, Fate::Refused)
}

fn rank(fate: Fate) -> u8 {
    match fate {
        Fate::Best(_) => 0,
        Fate::Multipath => 1,
        Fate::Lost(_) => 2,
        Fate::Unreachable => 3,
        Fate::Refused(_) => 4,
    }
}
