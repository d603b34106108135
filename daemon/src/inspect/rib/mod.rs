//! `twill show rib`: what is known of prefixes, which paths are used, by which rule, and why others are not.
//!
//! ```text
//! page.rs   a large table in small pieces     rows.rs   what a line of it says
//! one.rs    all about one prefix              said.rs   attributes in words
//! ```

mod one;
mod page;
mod rows;
mod said;

use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use bgp::Prefix;
use bgp::rib::{Fate, PeerId};
use kernel::{Detail, Hop, Row, Status};
use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::bgp::fabric::Fabric;
use crate::control::{Answer, OfRib, Side};

use super::json;
use super::routes::link_name;

pub(crate) use one::{Explained, Told};
pub(crate) use page::{Page, page};
pub(crate) use rows::{ToldRow, UsedRow};
use said::Said;
pub(super) use said::extended;

/// What is looked at.
pub(super) struct InFabric<'a> {
    pub(super) fabric: &'a Fabric,
    pub(super) agent: &'a Agent,
    pub(super) now: Instant,
}

/// What the kernel holds for a prefix.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Kernel {
    /// `installed`, `waiting`, `refused`, `wrong`, `stale`, `own` or `not wanted`.
    pub(crate) state: String,
    /// Where packets go next.
    pub(crate) via: Vec<String>,
    /// Why it was refused.
    pub(crate) why: Option<String>,
}

impl Kernel {
    /// All of it, for people.
    fn line(&self) -> String {
        match self.via.is_empty() {
            true => self.to_string(),
            false => format!("{self}, via {}", self.via.join(" and ")),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.state)?;
        self.why.iter().try_for_each(|why| write!(f, ": {why}"))
    }
}

/// Answers a question about the RIB.
pub(super) fn answer(seen: &InFabric<'_>, of: &OfRib) -> Result<Answer, String> {
    let read = |text: &String| text.parse::<Prefix>().map_err(|error| error.to_string());
    let asked = of.prefix.as_ref().map(read).transpose()?;
    let after = of.after.as_ref().map(read).transpose()?;
    let rib = seen.fabric.speaker().rib();
    Ok(match (&of.side, asked) {
        (Side::Used, Some(asked)) => json(&Explained::of(seen, asked, None)),
        (Side::Used, None) => json(&page(rib, after, |prefix, paths| {
            Some(UsedRow::of(seen, prefix, paths))
        })),
        (Side::In(name), asked) => {
            let id = seen.fabric.named(name)?;
            match asked {
                Some(asked) => json(&Explained::of(seen, asked, Some(id))),
                None => json(&page(rib, after, |prefix, paths| {
                    let mut told = paths.iter().filter(|path| path.from == id);
                    told.next().and_then(|_| ToldRow::from(seen, id, prefix))
                })),
            }
        }
        (Side::Out(name), asked) => {
            let id = seen.fabric.named(name)?;
            match asked {
                Some(asked) => json(&Told::of(seen, asked, id)),
                None => json(&page(rib, after, |prefix, _| ToldRow::to(seen, id, prefix))),
            }
        }
    })
}

impl InFabric<'_> {
    /// Who a path is from.
    fn name(&self, id: PeerId) -> &str {
        match id {
            PeerId::SELF => "this node",
            id => self.fabric.name(id),
        }
    }

    /// What the kernel holds for a prefix.
    fn kernel(&self, prefix: Prefix) -> Kernel {
        let used = self.fabric.speaker().rib().used(prefix);
        let state = |state: &str| Kernel {
            state: state.to_owned(),
            via: Vec::new(),
            why: None,
        };
        let row = self
            .agent
            .reconciler()
            .route(&self.fabric.route_key(prefix));
        match (used.best(), row) {
            (Some(best), _) if best.from == PeerId::SELF => state("own"),
            (Some(_), None) => state("waiting"),
            (Some(_), Some(row)) => self.kernel_has(&row),
            (None, Some(row)) if row.have.is_some() => self.kernel_has(&row),
            (None, _) => state("not wanted"),
        }
    }

    fn kernel_has(&self, row: &Row) -> Kernel {
        let state = match row.status() {
            Status::InSync => "installed",
            Status::Missing => "waiting",
            Status::Wrong => "wrong",
            Status::Stale => "stale",
            Status::Refused => "refused by the kernel",
        };
        let via = match row.have.as_ref() {
            Some(Detail::Via(hop)) => vec![self.hop(*hop)],
            Some(Detail::Over(hops)) => hops.iter().map(|hop| self.hop(*hop)).collect(),
            _ => Vec::new(),
        };
        Kernel {
            state: state.to_owned(),
            via,
            why: row.refused.as_ref().map(|(why, _)| why.clone()),
        }
    }

    /// How the kernel reaches a next hop.
    fn way(&self, hop: IpAddr) -> Option<String> {
        Some(self.hop(self.fabric.way(hop)?.hop))
    }

    fn hop(&self, hop: Hop) -> String {
        let link = link_name(self.agent.reconciler(), hop.link).unwrap_or_default();
        format!("{} on {link}", hop.gateway)
    }

    /// Why no path of a prefix is used.
    fn why_unused(&self, prefix: Prefix) -> String {
        let explained = self.fabric.speaker().explain(prefix);
        let first = explained.and_then(|explained| explained.paths.into_iter().next());
        first.map_or_else(String::new, |path| fate(path.fate))
    }
}

/// What became of a path, for a table.
fn fate(fate: Fate) -> String {
    match fate {
        Fate::Best(rule) => format!("best: {rule}"),
        Fate::Multipath => "used beside the best".to_owned(),
        Fate::Lost(rule) => format!("lost: {rule}"),
        Fate::Unreachable => "unreachable".to_owned(),
        Fate::Refused(refusal) => format!("refused: {refusal}"),
    }
}
