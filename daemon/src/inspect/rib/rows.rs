//! The rows of `twill show rib`.

use bgp::Prefix;
use bgp::rib::{Path, PeerId};
use serde::{Deserialize, Serialize};

use super::super::table::{Columns, or_dash};
use super::{InFabric, Said, fate};

/// One prefix: its best path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct UsedRow {
    /// Destination.
    pub(crate) prefix: String,
    /// The next hops of the paths that are used together, the best first; none where this node announces it.
    pub(crate) next_hops: Vec<String>,
    /// Who told the best path, or `this node`.
    pub(crate) from: Option<String>,
    /// The AS path of the best path.
    pub(crate) as_path: Option<String>,
    /// LOCAL_PREF of the best path.
    pub(crate) local_pref: Option<u32>,
    /// MED of the best path.
    pub(crate) med: Option<u32>,
    /// How many paths there are besides the best one, or besides none.
    pub(crate) others: usize,
    /// `installed`, `own`, `waiting`, or what stands in the way.
    pub(crate) state: String,
}

impl Columns for UsedRow {
    const HEADS: &'static [&'static str] = &[
        "PREFIX", "NEXT HOP", "FROM", "AS PATH", "PREF", "MED", "OTHERS", "STATE",
    ];

    fn cells(&self) -> Vec<String> {
        let hops = (!self.next_hops.is_empty()).then(|| self.next_hops.join(","));
        vec![
            self.prefix.clone(),
            or_dash(hops.as_deref()),
            or_dash(self.from.as_deref()),
            or_dash(self.as_path.as_deref().filter(|path| !path.is_empty())),
            number(self.local_pref),
            number(self.med),
            self.others.to_string(),
            self.state.clone(),
        ]
    }
}

impl UsedRow {
    pub(super) fn of(seen: &InFabric<'_>, prefix: Prefix, paths: &[Path]) -> UsedRow {
        let used = seen.fabric.speaker().rib().used(prefix);
        let best = used.best();
        let said = best.map(|best| &best.known.attributes);
        let hops = used.paths().iter().filter(|path| path.from != PeerId::SELF);
        let mut next_hops: Vec<String> = hops
            .map(|path| path.known.attributes.next_hop.to_string())
            .collect();
        next_hops.dedup();
        let state = match best {
            Some(best) if best.from == PeerId::SELF => "own".to_owned(),
            Some(_) => seen.kernel(prefix).to_string(),
            None => seen.why_unused(prefix),
        };
        UsedRow {
            prefix: prefix.to_string(),
            next_hops,
            from: best.map(|best| seen.name(best.from).to_owned()),
            as_path: said.map(|said| said.as_path.to_string()),
            local_pref: said.and_then(|said| said.local_pref),
            med: said.and_then(|said| said.med),
            others: paths.len() - usize::from(best.is_some()),
            state,
        }
    }
}

/// One prefix as a peer told it, or as it is told to one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ToldRow {
    /// Destination.
    pub(crate) prefix: String,
    #[serde(flatten)]
    pub(crate) said: Said,
    /// What became of it; `told`, or `waiting` until the peer takes it.
    pub(crate) fate: String,
}

impl Columns for ToldRow {
    const HEADS: &'static [&'static str] = &[
        "PREFIX",
        "NEXT HOP",
        "AS PATH",
        "PREF",
        "MED",
        "COMMUNITIES",
        "FATE",
    ];

    fn cells(&self) -> Vec<String> {
        let communities = self.said.communities.join(",");
        let or_dash = |text: &str| or_dash(Some(text).filter(|text| !text.is_empty()));
        vec![
            self.prefix.clone(),
            self.said.next_hop.clone(),
            or_dash(&self.said.as_path),
            number(self.said.local_pref),
            number(self.said.med),
            or_dash(&communities),
            self.fate.clone(),
        ]
    }
}

impl ToldRow {
    /// What this peer told, before the import policy.
    pub(super) fn from(seen: &InFabric<'_>, id: PeerId, prefix: Prefix) -> Option<ToldRow> {
        let explained = seen.fabric.speaker().explain(prefix)?;
        let path = explained.paths.into_iter().find(|path| path.from == id)?;
        let stale = if path.stale { " (stale)" } else { "" };
        Some(ToldRow {
            prefix: prefix.to_string(),
            said: Said::of(path.received.as_ref().unwrap_or(&path.attributes)),
            fate: format!("{}{stale}", fate(path.fate)),
        })
    }

    /// What this peer is told.
    pub(super) fn to(seen: &InFabric<'_>, id: PeerId, prefix: Prefix) -> Option<ToldRow> {
        let speaker = seen.fabric.speaker();
        let told = speaker.told(id, prefix).ok()?;
        let waits = speaker.waits_for(id, prefix);
        Some(ToldRow {
            prefix: prefix.to_string(),
            said: Said::of(&told),
            fate: if waits { "waiting" } else { "told" }.to_owned(),
        })
    }
}

fn number(number: Option<u32>) -> String {
    or_dash(number.map(|number| number.to_string()).as_deref())
}
