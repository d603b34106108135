//! A gate that many processes wait at, so that they start at once and the cost of forking them is not measured.

use lab::{Daemon, LabError, eventually};
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A FIFO: opening one for reading waits for a writer, and one writer lets all readers in.
pub struct Gate {
    fifo: PathBuf,
    starter: PathBuf,
}

impl Gate {
    /// A closed gate in front of `binary`.
    pub fn new(directory: &Path, binary: &Path) -> Result<Self, LabError> {
        let gate = Self {
            fifo: directory.join("gate"),
            starter: directory.join("twill-at-the-gate"),
        };
        let script = format!(
            "#!/bin/sh\n: < '{}'\nexec '{}' \"$@\"\n",
            gate.fifo.display(),
            binary.display()
        );
        let made = Command::new("mkfifo").arg(&gate.fifo).status().map(drop);
        made.and_then(|()| std::fs::write(&gate.starter, script))
            .and_then(|()| std::fs::set_permissions(&gate.starter, Permissions::from_mode(0o755)))
            .map_err(|source| LabError::System {
                what: format!("make a gate in {}", directory.display()),
                source,
            })?;
        Ok(gate)
    }

    /// Start this instead of the binary.
    pub fn starter(&self) -> &Path {
        &self.starter
    }

    /// Waits until all of them stand at the gate and opens it; returns when. Keep the file: it holds the gate open.
    pub fn open(&self, waiting: &[Daemon]) -> Result<(Instant, File), LabError> {
        eventually("all daemons stand at the gate", PATIENCE, || {
            waiting.iter().all(|daemon| stands_at_a_gate(daemon.pid()))
        })?;
        let opened = Instant::now();
        let writer = OpenOptions::new().write(true).open(&self.fifo);
        let writer = writer.map_err(|source| LabError::System {
            what: "open the gate".into(),
            source,
        })?;
        Ok((opened, writer))
    }
}

/// Waits for the other end of a FIFO (fs/pipe.c, `wait_for_partner`).
fn stands_at_a_gate(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/wchan"))
        .is_ok_and(|place| place == "wait_for_partner")
}
