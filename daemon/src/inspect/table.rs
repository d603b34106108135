//! Aligned columns for people.

/// A row of a table.
pub(crate) trait Columns {
    /// The heads of the columns.
    const HEADS: &'static [&'static str];

    /// The cells, one for each head.
    fn cells(&self) -> Vec<String>;
}

/// The rows as text; a column is as wide as its widest cell.
pub(crate) fn table<R: Columns>(rows: &[R]) -> String {
    Table::default().text(rows)
}

/// A table that is written a piece at a time. Columns are as wide as their widest cell so far.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// None before the heads are written.
    widths: Option<Vec<usize>>,
}

impl Table {
    /// The next rows as text, the heads before the first.
    pub(crate) fn text<R: Columns>(&mut self, rows: &[R]) -> String {
        let heads = R::HEADS.iter().map(|head| (*head).to_owned()).collect();
        let heads = self.widths.is_none().then_some(heads);
        let rows = rows.iter().map(Columns::cells);
        let lines: Vec<Vec<String>> = heads.into_iter().chain(rows).collect();
        let widths = self.widths.get_or_insert_with(|| vec![0; R::HEADS.len()]);
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        lines.iter().map(|line| aligned(line, widths)).collect()
    }
}

fn aligned(line: &[String], widths: &[usize]) -> String {
    let padded = line
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:width$}"));
    let padded: Vec<String> = padded.collect();
    format!("{}\n", padded.join("  ").trim_end())
}

/// A cell that may be empty.
pub(super) fn or_dash(cell: Option<&str>) -> String {
    cell.unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair(&'static str, &'static str);

    impl Columns for Pair {
        const HEADS: &'static [&'static str] = &["NAME", "VALUE"];

        fn cells(&self) -> Vec<String> {
            vec![self.0.into(), self.1.into()]
        }
    }

    #[test]
    fn columns_are_aligned_and_no_line_ends_in_spaces() {
        let text = table(&[Pair("a", "1"), Pair("longer", "")]);
        assert_eq!(text, "NAME    VALUE\na       1\nlonger\n");
    }

    #[test]
    fn what_comes_later_has_no_heads_and_is_aligned_with_what_came_before() {
        let mut table = Table::default();
        table.text(&[Pair("longer", "1")]);
        assert_eq!(table.text(&[Pair("a", "2")]), "a       2\n");
        assert_eq!(table.text::<Pair>(&[]), "");
    }
}
