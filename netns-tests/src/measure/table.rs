//! Aligned columns, and figures for people.

use super::say;
use std::time::Duration;

/// A table that prints its rows as they come.
pub struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Prints the heading. A column is as wide as its title, at least ten characters.
    pub fn new(titles: &[&str]) -> Self {
        let table = Self {
            widths: titles
                .iter()
                .map(|title| title.chars().count().max(10))
                .collect(),
        };
        table.row(
            &titles
                .iter()
                .map(|&title| title.to_owned())
                .collect::<Vec<_>>(),
        );
        table
    }

    /// Prints a row, aligned to the right.
    pub fn row(&self, cells: &[String]) {
        let cells: Vec<String> = cells
            .iter()
            .zip(&self.widths)
            .map(|(cell, &width)| format!("{cell:>width$}"))
            .collect();
        say(&cells.join("  "));
    }
}

/// `12.34 ms`
pub fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// `7.5 MB`, of KiB.
pub fn megabytes(kibibytes: u64) -> String {
    format!("{:.1} MB", kibibytes as f64 / 1024.0)
}

/// The value below which `percent` of `times` lie; sorts them.
///
/// # Panics
///
/// When there are none.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_a_hundred_and_its_tail() {
        let mut times: Vec<Duration> = (0..100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut times, 50), Duration::from_millis(50));
        assert_eq!(percentile(&mut times, 99), Duration::from_millis(99));
    }
}
