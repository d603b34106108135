//! Versions of the specification, and what came with which.

use super::{CniError, Command};

/// A version of the specification that we speak.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Version {
    V0_3_1,
    V0_4_0,
    V1_0_0,
    V1_1_0,
}

impl Version {
    /// All of them, oldest first.
    pub(crate) const ALL: [Version; 4] = [
        Version::V0_3_1,
        Version::V0_4_0,
        Version::V1_0_0,
        Version::V1_1_0,
    ];

    /// The newest.
    pub(crate) const LATEST: Version = Version::V1_1_0;

    /// As it stands in `cniVersion`.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Version::V0_3_1 => "0.3.1",
            Version::V0_4_0 => "0.4.0",
            Version::V1_0_0 => "1.0.0",
            Version::V1_1_0 => "1.1.0",
        }
    }

    /// The version of this text. A config without one means 0.1.0, as libcni has it.
    pub(crate) fn parse(text: &str) -> Result<Version, CniError> {
        let known = Version::ALL.into_iter().find(|known| known.text() == text);
        known.ok_or_else(|| CniError::UnknownVersion(text.chars().take(40).collect()))
    }

    /// Whether `command` exists in this version.
    pub(crate) fn knows(self, command: Command) -> Result<(), CniError> {
        let since = match command {
            Command::Add | Command::Del | Command::Version => Version::V0_3_1,
            Command::Check => Version::V0_4_0,
            Command::Gc | Command::Status => Version::V1_1_0,
        };
        if self >= since {
            return Ok(());
        }
        Err(CniError::CommandTooNew {
            command: command.text(),
            since: since.text(),
            version: self.text(),
        })
    }
}
