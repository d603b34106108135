//! Where each value came from: what `twill show config` prints.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody gave it.
    Default,
    /// The command line, by this flag (without its dashes).
    Flag(String),
    /// The environment, by this variable.
    Variable(String),
    /// This file.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Flag(name) => write!(f, "flag --{name}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Every setting with its value and where that came from, in the order of the declarations.
///
/// As text a table, as JSON a list of `{"name", "value", "source"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Sources(Vec<Row>);

/// One setting: its name, its value as text (passwords as `********`), where that came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) source: Source,
}

/// A value as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    One(Option<String>),
    Many(Vec<String>),
}

impl Sources {
    pub(super) fn new(rows: Vec<Row>) -> Self {
        Self(rows)
    }

    /// Where the value of the setting `name` came from.
    pub(crate) fn of(&self, name: &str) -> &Source {
        self.0
            .iter()
            .find(|row| row.name == name)
            .map_or(&Source::Default, |row| &row.source)
    }

    /// Adds these behind the others.
    pub(super) fn extend(&mut self, rows: Vec<Row>) {
        self.0.extend(rows);
    }

    /// Says that `name` has this value, from there.
    pub(super) fn set(&mut self, name: &str, value: &str, source: Source) {
        if let Some(row) = self.0.iter_mut().find(|row| row.name == name) {
            row.value = Value::One(Some(value.into()));
            row.source = source;
        }
    }
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&Row) -> String, head: &str| {
            self.0
                .iter()
                .map(|row| of(row).chars().count())
                .chain([head.len()])
                .max()
                .unwrap_or(0)
        };
        let name = width(|row| row.name.clone(), "NAME");
        let value = width(|row| row.value.to_string(), "VALUE");
        writeln!(f, "{:name$}  {:value$}  SOURCE", "NAME", "VALUE")?;
        for row in &self.0 {
            writeln!(
                f,
                "{:name$}  {:value$}  {}",
                row.name,
                row.value.to_string(),
                row.source
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(Some(value)) => f.write_str(value),
            Self::Many(values) if !values.is_empty() => f.write_str(&values.join(", ")),
            _ => f.write_str("-"),
        }
    }
}
