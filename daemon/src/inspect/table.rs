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
    let heads = R::HEADS.iter().map(|head| (*head).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heads)
        .chain(rows.iter().map(Columns::cells))
        .collect();
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..R::HEADS.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let padded: Vec<String> = padded.collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
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
}
