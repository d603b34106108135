//! A table of a million routes, a page at a time: making one page holds nobody up.

use bgp::Prefix;
use bgp::rib::{Path, Rib};
use serde::{Deserialize, Serialize};

/// The most rows of a page.
const ROWS: usize = 500;
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

#[cfg(test)]
mod tests {
    use super::*;
    use bgp::rib::{Known, PeerId, Surroundings};
    use bgp::wire::{Attributes, NextHop};
    use bgp::{Asn, Prefix4, Prefix6, RouterId};

    /// So many prefixes of each family.
    fn rib(many: u32) -> Rib {
        let around = Surroundings::new(Asn(1), RouterId::from_bits(1), 1);
        let mut rib = Rib::new(around);
        let said = Attributes::originated(NextHop::V4([10, 0, 0, 1].into()));
        let known = rib.intern(Known::as_sent(said));
        let path = Path {
            known,
            from: PeerId::SELF,
            refusal: None,
            round: 0,
        };
        for n in 0..many {
            let v4 = Prefix4::new(n.to_be().into(), 32).unwrap();
            let v6 = Prefix6::new(u128::from(n).into(), 128).unwrap();
            rib.put(v4, path.clone());
            rib.put(v6, path.clone());
        }
        rib
    }

    /// All rows, and the number of pages that they came in.
    fn all(rib: &Rib, is_row: impl Fn(Prefix) -> bool) -> (Vec<Prefix>, usize) {
        let (mut rows, mut pages, mut after) = (Vec::new(), 0, None);
        loop {
            let page = page(rib, after, |prefix, _| is_row(prefix).then_some(prefix));
            assert!(page.rows.len() <= ROWS);
            rows.extend(page.rows);
            pages += 1;
            match page.next {
                Some(next) => after = Some(next.parse().unwrap()),
                None => return (rows, pages),
            }
        }
    }

    #[test]
    fn pages_together_have_each_prefix_once_and_in_order() {
        let rib = rib(1_700);
        let (rows, pages) = all(&rib, |_| true);
        assert_eq!((rows.len(), pages), (3_400, 7));
        assert!(rows.is_sorted());
    }

    #[test]
    fn a_page_that_finds_nothing_ends_as_well() {
        let rib = rib(12_000);
        let (rows, pages) = all(&rib, |prefix| prefix.length() == 0);
        assert_eq!((rows.len(), pages), (0, 3));
    }

    #[test]
    fn an_empty_table_is_one_empty_page() {
        assert_eq!(all(&rib(0), |_| true), (Vec::new(), 1));
    }
}
