//! What a process has used: memory and processor time, from /proc.

use std::path::PathBuf;
use std::time::Duration;

/// Memory and processor time of one process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Resident memory in KiB (VmRSS).
    pub resident: u64,
    /// The most that it ever was, in KiB (VmHWM).
    pub peak: u64,
    /// Processor time of all its threads.
    pub cpu: Duration,
}

impl Usage {
    /// What it has used so far; zeros if it has ended.
    pub fn of(pid: u32) -> Self {
        let directory = PathBuf::from(format!("/proc/{pid}"));
        let status = std::fs::read_to_string(directory.join("status")).unwrap_or_default();
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            value
                .and_then(|value| value.split_whitespace().next()?.parse().ok())
                .unwrap_or(0)
        };
        let threads = std::fs::read_dir(directory.join("task"))
            .into_iter()
            .flatten()
            .flatten();
        // The first field of schedstat is the time on a processor in nanoseconds (sched/stats.rst).
        let spent = threads.filter_map(|thread| {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Self {
            resident: field("VmRSS:"),
            peak: field("VmHWM:"),
            cpu: Duration::from_nanos(spent.sum()),
        }
    }
}
