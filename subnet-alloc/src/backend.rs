//! The `Backend` part of the network config: a type and its options, which only the backend itself understands.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::ConfigError;
use crate::json::{Fields, LONGEST, shown};

/// Which backend, and what it was told.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendConfig {
    /// `Type`, in lower case; `vxlan` when it is missing.
    pub kind: String,
    /// Whether the config named a type. flannel itself falls back to `udp`, so a missing one deserves a line in the log.
    pub kind_given: bool,
    /// The other members, by lower-case key.
    pub options: BTreeMap<String, Value>,
}

/// An option of the backend with a value of the wrong kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("network config: Backend.{key} is {value}; expected {expected}")]
pub struct BadOption {
    /// The key as asked for.
    pub key: String,
    /// The value as JSON, cut to 80 characters.
    pub value: String,
    /// What would do.
    pub expected: &'static str,
}

impl BackendConfig {
    /// An option that is a whole number, not negative.
    pub fn number(&self, key: &str) -> Result<Option<u64>, BadOption> {
        self.option(key, Value::as_u64, "a whole number, not negative")
    }

    /// An option that is true or false.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, BadOption> {
        self.option(key, Value::as_bool, "true or false")
    }

    fn option<T>(
        &self,
        key: &str,
        read: impl Fn(&Value) -> Option<T>,
        expected: &'static str,
    ) -> Result<Option<T>, BadOption> {
        let Some(value) = self.options.get(&key.to_ascii_lowercase()) else {
            return Ok(None);
        };
        match read(value) {
            Some(value) => Ok(Some(value)),
            None if value.is_null() => Ok(None),
            None => Err(BadOption {
                key: key.to_owned(),
                value: shown(&value.to_string(), 80),
                expected,
            }),
        }
    }

    pub(crate) fn read(config: &Fields<'_>) -> Result<BackendConfig, ConfigError> {
        let fields: Fields<'_> = config.take("Backend")?.unwrap_or_default();
        let kind: Option<String> = fields.take("Type")?;
        let kind = kind.filter(|kind| !kind.is_empty());
        Ok(BackendConfig {
            kind_given: kind.is_some(),
            kind: kind.map_or("vxlan".to_owned(), |kind| kind.to_ascii_lowercase()),
            options: options(&fields)?,
        })
    }
}

fn options(fields: &Fields<'_>) -> Result<BTreeMap<String, Value>, ConfigError> {
    let read = |(key, raw): (&str, &serde_json::value::RawValue)| {
        let value = serde_json::from_str(raw.get()).map_err(|why| ConfigError::Value {
            key: "Backend",
            value: shown(raw.get(), 80),
            why: shown(&why.to_string(), LONGEST),
        })?;
        Ok((key.to_ascii_lowercase(), value))
    };
    let is_option =
        |(key, _): &(&str, &serde_json::value::RawValue)| !key.eq_ignore_ascii_case("Type");
    fields.iter().filter(is_option).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_of_the_wrong_kind_is_named_with_its_value() {
        let backend = BackendConfig {
            kind: "vxlan".to_owned(),
            kind_given: true,
            options: [
                ("vni".to_owned(), Value::from("one")),
                ("gbp".to_owned(), Value::Null),
            ]
            .into(),
        };
        let refused = backend.number("VNI").expect_err("a string").to_string();
        assert_eq!(
            refused,
            "network config: Backend.VNI is \"one\"; expected a whole number, not negative"
        );
        assert_eq!(backend.flag("GBP"), Ok(None));
    }
}
