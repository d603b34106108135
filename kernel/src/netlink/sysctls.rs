//! Sysctls: files below `/proc/sys`, of the network namespace of the reader.

use std::fs;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::speaker::Notification;
use crate::sysctl::Sysctl;

/// How often those are read of whose change the kernel does not tell. inotify
/// does not work below `/proc`, and reading two files costs some microseconds.
const LOOK: Duration = Duration::from_secs(1);

/// Where a container without privileges, which has a read-only `/proc/sys`, may
/// have the node's mounted. Whose network it is about, the writer's namespace says.
const MOUNTED: &str = "/host/proc/sys";

/// The sysctls that matter, and what they were when they were last read.
#[derive(Default)]
pub(super) struct Sysctls {
    known: Vec<(Sysctl, Option<u32>)>,
    next_look: Option<Instant>,
}

impl Sysctls {
    /// Reads these, and watches them from here on.
    pub(super) fn follow(&mut self, sysctls: &[Sysctl]) -> Vec<(Sysctl, u32)> {
        let known = sysctls.iter().map(|sysctl| (sysctl.clone(), read(sysctl)));
        self.known = known.collect();
        let silent = self.known.iter().any(|(sysctl, _)| sysctl.is_silent());
        self.next_look = silent.then(|| Instant::now() + LOOK);
        let there = self.known.iter();
        there
            .filter_map(|(sysctl, value)| Some((sysctl.clone(), (*value)?)))
            .collect()
    }

    /// Waits until it is time to look at those that nobody tells of; for ever
    /// when there is none. Dropping the future loses nothing.
    pub(super) async fn look_is_due(&self) {
        match self.next_look {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// What has changed since the last time among all, or among those that
    /// nobody tells of.
    pub(super) fn changes(&mut self, all: bool) -> Vec<Notification> {
        let mut changes = Vec::new();
        for (sysctl, known) in &mut self.known {
            if !all && !sysctl.is_silent() {
                continue;
            }
            let value = read(sysctl);
            if value == std::mem::replace(known, value) {
                continue;
            }
            changes.extend(value.map(|value| Notification::Sysctl(sysctl.clone(), value)));
        }
        self.next_look = self.next_look.map(|_| Instant::now() + LOOK);
        changes
    }
}

/// A value that is right already is left alone: `/proc/sys` may be read-only.
pub(super) fn write(sysctl: &Sysctl, value: u32) -> io::Result<()> {
    if read(sysctl) == Some(value) {
        return Ok(());
    }
    let value = value.to_string();
    fs::write(file(sysctl), &value).or_else(|error| match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            let mounted = format!("{MOUNTED}/{}", sysctl.path());
            fs::write(mounted, &value).map_err(|_| error)
        }
        _ => Err(error),
    })
}

fn read(sysctl: &Sysctl) -> Option<u32> {
    let text = fs::read_to_string(file(sysctl)).ok()?;
    text.trim().parse().ok()
}

fn file(sysctl: &Sysctl) -> String {
    format!("/proc/sys/{}", sysctl.path())
}
