//! The settings in a TOML file, and its `[bgp]` table.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Command;
use toml::Value;

use super::error::ConfigError;
use super::near::near;
use super::settings;
use super::sources::Source;

/// The settings that a file gives, as text by name; every name is that of a setting.
///
/// No `Debug`: it may hold a password.
pub(crate) struct FileConfig {
    pub(super) source: Source,
    pub(super) given: BTreeMap<String, Vec<String>>,
    /// What stands under `bgp`.
    pub(super) bgp: Option<Value>,
}

impl FileConfig {
    /// Reads the settings in `text`, which stands in the file `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = Source::File(path.into());
        let mut table = text
            .parse::<toml::Table>()
            .map_err(|error| syntax(&file, text, &error))?;
        let bgp = table.remove("bgp");
        let command = settings::command();
        let mut given = BTreeMap::new();
        for (key, value) in table {
            if !command
                .get_arguments()
                .any(|setting| settings::name(setting) == key)
            {
                let (table, hint) = (String::new(), hint(command, &key));
                return Err(ConfigError::UnknownKey {
                    file,
                    table,
                    key,
                    hint,
                });
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
            bgp,
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

/// What to write instead of a key that is no setting.
fn hint(command: Command, key: &str) -> String {
    match near(command, key) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "keys are the names of the flags that `twill run --help` lists, and bgp".into(),
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
