//! A table of a million routes, a page at a time: making one page holds nobody up.

use bgp::Prefix;
use bgp::rib::{Path, Rib};
use serde::{Deserialize, Serialize};

/// The most rows of a page.
const ROWS: usize = 1000;
/// Prefixes that are looked at for one page, whether they make a row or not.
const LOOKED_AT: usize = 10_000;

/// Some rows, in the order of their prefixes: IPv4 first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Page<R> {
    pub(crate) rows: Vec<R>,
    /// What to ask for next: the prefixes behind this one. `None`: there are no more.
    pub(crate) next: Option<String>,
}

/// The page behind `after`. Prefixes of which `row` makes nothing are left out.
pub(crate) fn page<R>(
    rib: &Rib,
    after: Option<Prefix>,
    mut row: impl FnMut(Prefix, &[Path]) -> Option<R>,
) -> Page<R> {
    let mut rows = Vec::new();
    let mut last = None;
    for (looked_at, (prefix, paths)) in rib.after(after).enumerate() {
        if rows.len() == ROWS || looked_at == LOOKED_AT {
            let next = last.map(|prefix: Prefix| prefix.to_string());
            return Page { rows, next };
        }
        rows.extend(row(prefix, paths));
        last = Some(prefix);
    }
    Page { rows, next: None }
}
