//! Where a daemon runs: its namespace, its files, its setup.

use super::{Neighbour, PeerSetup};
use lab::{LabError, Namespace, Process, output};
use serde_json::Value;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The place of one daemon. Its files go with it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) namespace: Namespace,
    pub(super) setup: PeerSetup,
    directory: TempDir,
}

impl Seat {
    pub(super) fn new(namespace: &Namespace, setup: PeerSetup) -> Result<Self, LabError> {
        let directory = tempfile::tempdir();
        let seat = Self {
            namespace: namespace.clone(),
            setup,
            directory: directory.map_err(refused("make a temporary directory"))?,
        };
        // Daemons that give up root look into it, too.
        seat.set_mode(".", 0o755)?;
        Ok(seat)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The same as text, for configurations.
    pub(super) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), LabError> {
        let what = format!("write {}", self.text(name));
        std::fs::write(self.path(name), text).map_err(refused(&what))
    }

    pub(super) fn set_mode(&self, name: &str, mode: u32) -> Result<(), LabError> {
        let what = format!("set the mode of {}", self.text(name));
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.path(name), mode).map_err(refused(&what))
    }

    /// Gives the directory to whom `like` belongs.
    pub(super) fn give_as(&self, like: &Path) -> Result<(), LabError> {
        let owner = std::fs::metadata(like);
        let given = owner.and_then(|owner| {
            std::os::unix::fs::chown(self.path("."), Some(owner.uid()), Some(owner.gid()))
        });
        given.map_err(refused(&format!(
            "give a directory to the owner of {}",
            like.display()
        )))
    }

    /// Starts a program that stays.
    pub(super) fn start(&self, program: &str, args: &[&str]) -> Result<Process, LabError> {
        self.start_with(program, args, &[])
    }

    /// The same with an environment.
    pub(super) fn start_with(
        &self,
        program: &str,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Process, LabError> {
        let mut command = self.namespace.command(program);
        command.args(args).envs(env.iter().copied());
        let name = Path::new(program).file_name().unwrap_or_default();
        let name = name.to_string_lossy();
        let log = self.path(&format!("{name}.log"));
        Process::start(
            &format!("{name} in {}", self.namespace.label()),
            command,
            &log,
        )
    }

    /// Runs a program to its end and returns what it printed.
    pub(super) fn ask(&self, program: &str, args: &[&str]) -> Result<String, LabError> {
        output(&self.namespace, self.namespace.command(program).args(args))
    }

    /// The neighbour of this address, and its number in the configuration.
    pub(super) fn neighbour(&self, address: IpAddr) -> Result<(usize, &Neighbour), LabError> {
        let mut all = self.setup.neighbours.iter().enumerate();
        all.find(|(_, neighbour)| neighbour.address == address)
            .ok_or_else(|| LabError::Malformed {
                what: "a neighbour of this daemon".into(),
                text: address.to_string(),
            })
    }
}

/// JSON that a daemon printed.
pub(super) fn json(text: &str) -> Result<Value, LabError> {
    serde_json::from_str(text).map_err(|error| LabError::Malformed {
        what: format!("a daemon's answer ({error})"),
        text: text.into(),
    })
}

pub(super) fn refused(what: &str) -> impl FnOnce(std::io::Error) -> LabError {
    let what = what.to_owned();
    move |source| LabError::System { what, source }
}
