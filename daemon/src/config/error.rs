//! What can be wrong with a configuration.

use std::io;
use std::path::PathBuf;

use super::sources::Source;

/// Why there is no configuration: the place, the setting, the value and what is allowed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A value that its setting does not take.
    #[error("{place}: {name} = {value} is not allowed: {allowed}")]
    Value {
        place: Source,
        name: String,
        value: String,
        allowed: String,
    },

    /// Values that are good each for itself and cannot be read together.
    #[error("{0}")]
    Whole(String),

    /// A key in the file that is no setting.
    #[error("{file}: {table}unknown key {key:?}; {hint}")]
    UnknownKey {
        file: Source,
        /// The table with a colon, or nothing.
        table: String,
        key: String,
        hint: String,
    },

    /// A key in the file whose value is a table, or a list in a list.
    #[error("{file}: {key} is {found}; want a string, a number, true or false, or a list of them")]
    Shape {
        file: Source,
        key: String,
        found: &'static str,
    },

    /// The file is not TOML.
    #[error("{file}, line {line}: {message}")]
    Syntax {
        file: Source,
        line: usize,
        message: String,
    },

    /// A file that a setting names cannot be read.
    #[error("cannot read {path}, named by {named_by}: {error}")]
    Unreadable {
        path: PathBuf,
        named_by: String,
        error: io::Error,
    },

    /// One of two settings that only make sense together.
    #[error("{given} ({place}) is given without {missing}: give both or neither")]
    Half {
        given: &'static str,
        place: Source,
        missing: &'static str,
    },

    /// A setting that means nothing by itself.
    #[error("{given} ({place}) is given without {missing}: give {missing}, too")]
    Without {
        given: &'static str,
        place: Source,
        missing: &'static str,
    },

    /// The password is given twice.
    #[error("etcd-password ({password}) and etcd-password-file ({file}) are given: give one")]
    TwoPasswords { password: Source, file: Source },
}
