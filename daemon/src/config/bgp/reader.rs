//! A table of the file, key by key, and errors that say where the value stands.

use std::fmt;

use clap::{Arg, Command};
use subnet_alloc::shown;
use toml::{Table, Value};

use super::super::near::near;
use super::super::{ConfigError, Source};

/// How much of a text is repeated in an error, in characters.
pub(super) const SHOWN: usize = 100;

/// A place in the file: `bgp.peer "tor1": import[2].prefixes[0]`.
#[derive(Clone)]
pub(super) struct Place<'a> {
    file: &'a Source,
    /// The table with a name that the path begins in; empty: the file.
    entry: String,
    path: String,
}

impl<'a> Place<'a> {
    /// A key of the file itself.
    pub(super) fn new(file: &'a Source, key: &str) -> Self {
        let (entry, path) = (String::new(), key.to_owned());
        Place { file, entry, path }
    }

    /// A key of the table that stands here.
    pub(super) fn key(&self, key: &str) -> Self {
        let path = match &*self.path {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        Place {
            path,
            ..self.clone()
        }
    }

    /// The `n`-th of the list that stands here, counted from 0.
    fn item(&self, n: usize) -> Self {
        let path = format!("{}[{n}]", self.path);
        Place {
            path,
            ..self.clone()
        }
    }

    /// This item of a list by its name instead of its number.
    pub(super) fn named(&self, name: &str) -> Self {
        let list = self.path.split('[').next().unwrap_or_default();
        Place {
            file: self.file,
            entry: format!("{list} \"{}\"", shown(name, SHOWN)),
            path: String::new(),
        }
    }

    /// The error that this value cannot stand here.
    pub(super) fn refuses(
        &self,
        value: impl fmt::Display,
        allowed: impl Into<String>,
    ) -> ConfigError {
        ConfigError::Value {
            place: self.file.clone(),
            name: self.to_string(),
            value: value.to_string(),
            allowed: allowed.into(),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.entry, &*self.path) {
            ("", path) => f.write_str(path),
            (entry, "") => f.write_str(entry),
            (entry, path) => write!(f, "{entry}: {path}"),
        }
    }
}

/// A value, and where it stands.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) place: Place<'a>,
    pub(super) value: &'a Value,
    /// Whether it must not be printed.
    secret: bool,
}

impl<'a> Node<'a> {
    pub(super) fn new(place: Place<'a>, value: &'a Value) -> Self {
        Node {
            place,
            value,
            secret: false,
        }
    }

    /// The same, never printed.
    pub(super) fn secret(self) -> Self {
        Node {
            secret: true,
            ..self
        }
    }

    /// The error that this value cannot stand here.
    pub(super) fn refused(&self, allowed: impl Into<String>) -> ConfigError {
        let value = match self.value {
            _ if self.secret => "********".into(),
            Value::String(text) => format!("\"{}\"", shown(text, SHOWN)),
            Value::Array(values) => format!("a list of {}", values.len()),
            Value::Table(_) => "a table".into(),
            value => value.to_string(),
        };
        self.place.refuses(value, allowed)
    }

    /// A string, a number, true or false, by the parser of its text.
    pub(super) fn parsed<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let text = match self.value {
            Value::String(text) => text.clone(),
            Value::Array(_) | Value::Table(_) => String::new(),
            value => value.to_string(),
        };
        parse(&text).map_err(|allowed| self.refused(allowed))
    }

    /// A string, by its parser.
    pub(super) fn string<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let text = self
            .value
            .as_str()
            .ok_or_else(|| self.refused("want a text in quotes"))?;
        parse(text).map_err(|allowed| self.refused(allowed))
    }

    /// A list, each of it by `read`.
    pub(super) fn list<T>(
        &self,
        read: impl FnMut(Node<'a>) -> Result<T, ConfigError>,
    ) -> Result<Vec<T>, ConfigError> {
        let Value::Array(values) = self.value else {
            return Err(self.refused("want a list: [ ... ]"));
        };
        let items = values.iter().enumerate();
        items
            .map(|(n, value)| Node {
                place: self.place.item(n),
                value,
                secret: self.secret,
            })
            .map(read)
            .collect()
    }

    /// As [`Node::list`], with something in it.
    pub(super) fn some<T>(
        &self,
        read: impl FnMut(Node<'a>) -> Result<T, ConfigError>,
    ) -> Result<Vec<T>, ConfigError> {
        let list = self.list(read)?;
        match list.is_empty() {
            true => Err(self.refused("want at least one, or leave the key out")),
            false => Ok(list),
        }
    }

    /// The same, if it is a list of tables.
    pub(super) fn many(self, allowed: &str) -> Result<Self, ConfigError> {
        let tables = self
            .value
            .as_array()
            .is_some_and(|all| all.iter().all(Value::is_table));
        if tables {
            Ok(self)
        } else {
            Err(self.refused(allowed))
        }
    }

    /// A table, whatever its keys.
    pub(super) fn table(&self) -> Result<&'a Table, ConfigError> {
        self.value
            .as_table()
            .ok_or_else(|| self.refused("want a table"))
    }

    /// A table that has no other keys than these.
    pub(super) fn keys(&self, known: &'static [&'static str]) -> Result<Keys<'a>, ConfigError> {
        let (table, place) = (self.table()?, self.place.clone());
        match table.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(ConfigError::UnknownKey {
                file: place.file.clone(),
                table: format!("{place}: "),
                key: shown(key, SHOWN),
                hint: hint(known, key),
            }),
            None => Ok(Keys {
                place,
                table,
                known,
            }),
        }
    }
}

/// What to write instead of a key that nobody knows.
fn hint(known: &'static [&'static str], key: &str) -> String {
    let flags = known.iter().map(|key| Arg::new(*key).long(*key));
    let command = Command::new("twill")
        .disable_help_flag(true)
        .disable_version_flag(true);
    match near(command.args(flags), key) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("the keys here are {}", known.join(", ")),
    }
}

/// A table whose keys are all known.
pub(super) struct Keys<'a> {
    pub(super) place: Place<'a>,
    table: &'a Table,
    known: &'static [&'static str],
}

impl<'a> Keys<'a> {
    /// The value of a key, if it is given.
    pub(super) fn node(&self, key: &'static str) -> Option<Node<'a>> {
        debug_assert!(self.known.contains(&key), "{key} is read and not known");
        let value = self.table.get(key)?;
        Some(Node::new(self.place.key(key), value))
    }

    /// What `read` makes of the value of a key, if it is given.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(Node<'a>) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.node(key).map(read).transpose()
    }

    /// The value of a key by the parser of its text, if it is given.
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        self.read(key, |node| node.parsed(parse))
    }

    /// What `read` makes of the value of a key that must be given.
    pub(super) fn needed<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(Node<'a>) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        self.read(key, read)?
            .ok_or_else(|| self.place.key(key).refuses("nothing", "it must be given"))
    }
}
