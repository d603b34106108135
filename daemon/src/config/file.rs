//! The settings in a TOML file.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue};
use toml::Value;

use super::error::ConfigError;
use super::settings;
use super::sources::Source;

/// The settings that a file gives, as text by name; every name is that of a setting.
///
/// No `Debug`: it may hold a password.
pub(crate) struct FileConfig {
    pub(super) source: Source,
    pub(super) given: BTreeMap<String, Vec<String>>,
}

impl FileConfig {
    /// Reads the settings in `text`, which stands in the file `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = Source::File(path.into());
        let table = text
            .parse::<toml::Table>()
            .map_err(|error| syntax(&file, text, &error))?;
        let command = settings::command();
        let mut given = BTreeMap::new();
        for (key, value) in table {
            if !command
                .get_arguments()
                .any(|setting| settings::name(setting) == key)
            {
                let near = near(command, &key);
                return Err(ConfigError::UnknownKey { file, key, near });
            }
            let texts = texts(value).map_err(|found| ConfigError::Shape {
                file: file.clone(),
                key: key.clone(),
                found,
            })?;
            given.insert(key, texts);
        }
        Ok(Self {
            source: file,
            given,
        })
    }
}

/// The message and the line; not the text of the line, which may hold a password.
fn syntax(file: &Source, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = 1 + text.as_bytes()[..start]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count();
    ConfigError::Syntax {
        file: file.clone(),
        line,
        message: error.message().replace('\n', ", "),
    }
}

/// The setting whose name is most like `key`, as clap finds it for a flag.
fn near(command: Command, key: &str) -> Option<String> {
    let error = command
        .try_get_matches_from(["twill", &format!("--{key}")])
        .err()?;
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-').to_owned()),
        _ => None,
    }
}

/// A value as the texts that its flag would be given, or what it is instead.
fn texts(value: Value) -> Result<Vec<String>, &'static str> {
    match value {
        Value::Array(values) => values.into_iter().map(text).collect(),
        value => Ok(vec![text(value)?]),
    }
}

fn text(value: Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text),
        Value::Table(_) => Err("a table"),
        Value::Array(_) => Err("a list in a list"),
        value => Ok(value.to_string()),
    }
}
