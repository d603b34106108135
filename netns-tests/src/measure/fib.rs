//! How many routes a kernel holds, asked in a way that disturbs nobody: the counters of its routing trie.

use lab::{LabError, Namespace};
use std::fs::File;
use std::io::{Read, Seek};
use std::thread;
use std::time::{Duration, Instant};

/// How often the counter is read. One reading of 20,000 routes takes about a millisecond.
const LOOK: Duration = Duration::from_millis(4);

/// Without a change for this long, the last change was the last.
const QUIET: Duration = Duration::from_millis(300);

/// The IPv4 route counter of one namespace.
pub struct FibGauge(File);

impl FibGauge {
    /// Opens it.
    pub fn open(namespace: &Namespace) -> Result<Self, LabError> {
        let opened = namespace.run(|| File::open("/proc/thread-self/net/fib_triestat"))?;
        opened.map(Self).map_err(|source| LabError::System {
            what: "open the routing trie's counters".into(),
            source,
        })
    }

    /// Prefixes in the main table.
    pub fn count(&mut self) -> u64 {
        let mut text = String::new();
        if self
            .0
            .rewind()
            .and_then(|()| self.0.read_to_string(&mut text))
            .is_err()
        {
            return 0;
        }
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("Prefixes:"));
        line.and_then(|count| count.trim().parse().ok())
            .unwrap_or(0)
    }
}

/// Waits until `enough` holds of the count and it changes no more; returns the count and the moment of its last change.
/// `None` if that takes longer than `patience`.
pub fn settled(
    gauge: &mut FibGauge,
    patience: Duration,
    enough: impl Fn(u64) -> bool,
) -> Option<(u64, Instant)> {
    let start = Instant::now();
    let mut last = (gauge.count(), Instant::now());
    while start.elapsed() < patience {
        thread::sleep(LOOK);
        let count = gauge.count();
        if count != last.0 {
            last = (count, Instant::now());
        } else if enough(count) && last.1.elapsed() > QUIET {
            return Some(last);
        }
    }
    None
}
