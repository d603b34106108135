//! The strongest text of each setting, parsed: layers in, `Config` and `Sources` out.

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

use super::settings::{self, Settings};
use super::sources::{Row, Value};
use super::values::Secret;
use super::{Config, ConfigError, FileConfig, Flags, Source, Sources, bgp, flannel, typed};

/// Takes each setting from its flag, else `TWILL_*`, else `FLANNELD_*`, else the file, else its
/// default.
///
/// `env` looks a variable up. An empty value counts as not given, wherever it stands. `host_name`
/// is the default of `node-name`. Password files are named, not read: `load` does that.
pub(crate) fn resolve(
    flags: &Flags,
    env: impl Fn(&str) -> Option<String>,
    file: Option<&FileConfig>,
    host_name: &str,
) -> Result<(Config, Sources), ConfigError> {
    let layers = Layers {
        flags,
        env: |name: &str| env(name).filter(|text| !text.is_empty()),
        file,
    };
    let command = settings::command();
    let given: Vec<_> = command
        .get_arguments()
        .filter_map(|setting| layers.strongest(setting))
        .collect();
    let words = given.iter().flat_map(Given::words);
    let matches = parse(&command, words).map_err(|error| blame(&command, &given, &error))?;

    let mut sources = Sources::new(
        command
            .get_arguments()
            .map(|setting| row(setting, &given, &matches))
            .collect(),
    );
    if sources.of("node-name") == &Source::Default {
        sources.set("node-name", host_name, Source::Default);
    }
    let settings = Settings::from_arg_matches(&matches).expect("clap has parsed every value");
    let mut config = typed::config(settings, &sources, host_name, layers.ignored())?;
    if let Some((value, file)) = file.and_then(|file| Some((file.bgp.as_ref()?, &file.source))) {
        let (bgp, rows) = bgp::resolve(value, file, &config.node_name, &config.node_labels)?;
        config.bgp = bgp;
        sources.extend(rows);
    }
    Ok((config, sources))
}

/// Where a setting's text is looked for.
struct Layers<'a, E> {
    flags: &'a Flags,
    env: E,
    file: Option<&'a FileConfig>,
}

/// The strongest text of a setting that some layer gives.
struct Given {
    name: String,
    texts: Vec<String>,
    source: Source,
}

impl Given {
    fn with(&self, text: &str) -> Self {
        Self {
            name: self.name.clone(),
            texts: vec![text.to_owned()],
            source: self.source.clone(),
        }
    }

    fn words(&self) -> impl Iterator<Item = String> {
        self.texts
            .iter()
            .map(|text| format!("--{}={text}", self.name))
    }
}

impl<E: Fn(&str) -> Option<String>> Layers<'_, E> {
    /// What the strongest layer that gives `setting` says; `None` leaves it at its default.
    fn strongest(&self, setting: &Arg) -> Option<Given> {
        let name = settings::name(setting);
        let (texts, source) = None
            .or_else(|| self.flag(name))
            .or_else(|| self.variable("TWILL", name))
            .or_else(|| self.variable("FLANNELD", name))
            .or_else(|| self.key(name))?;
        Some(Given {
            name: name.into(),
            texts,
            source,
        })
    }

    fn flag(&self, name: &str) -> Option<(Vec<String>, Source)> {
        Some((
            not_empty(self.flags.given.get(name)?)?,
            Source::Flag(name.into()),
        ))
    }

    fn variable(&self, prefix: &str, name: &str) -> Option<(Vec<String>, Source)> {
        let variable = settings::variable(prefix, name);
        Some((vec![(self.env)(&variable)?], Source::Variable(variable)))
    }

    fn key(&self, name: &str) -> Option<(Vec<String>, Source)> {
        let file = self.file?;
        Some((not_empty(file.given.get(name)?)?, file.source.clone()))
    }

    /// flanneld's flags and variables that were given and mean nothing to us.
    fn ignored(&self) -> Vec<String> {
        let flags = self.flags.ignored.iter().map(|name| format!("--{name}"));
        let variables = flannel::ignored().map(|name| settings::variable("FLANNELD", name));
        flags
            .chain(variables.filter(|name| (self.env)(name).is_some()))
            .collect()
    }
}

fn not_empty(texts: &[String]) -> Option<Vec<String>> {
    let texts: Vec<_> = texts
        .iter()
        .filter(|text| !text.is_empty())
        .cloned()
        .collect();
    (!texts.is_empty()).then_some(texts)
}

fn parse(
    command: &Command,
    words: impl Iterator<Item = String>,
) -> Result<ArgMatches, clap::Error> {
    command
        .clone()
        .no_binary_name(true)
        .try_get_matches_from(words)
}

/// Finds the setting that does not parse, by parsing each alone, and its text that does not.
fn blame(command: &Command, given: &[Given], whole: &clap::Error) -> ConfigError {
    let fails = |one: &Given| parse(command, one.words()).err();
    let Some((one, error)) = given.iter().find_map(|one| Some((one, fails(one)?))) else {
        return ConfigError::Whole(whole.to_string());
    };
    let texts = one.texts.iter();
    let bad = texts
        .map(|text| one.with(text))
        .find_map(|one| Some((fails(&one)?, one)));
    // The texts of a list that is wrong as a whole are not shown: they may be passwords.
    let (value, error) = match bad {
        Some((error, one)) => (format!("{:?}", one.texts[0]), error),
        None => (format!("a list of {}", one.texts.len()), error),
    };
    let (place, name) = (one.source.clone(), one.name.clone());
    ConfigError::Value {
        place,
        name,
        value,
        allowed: allowed(&error),
    }
}

/// What clap says that the value should have been.
fn allowed(error: &clap::Error) -> String {
    match (
        error.get(ContextKind::ValidValue),
        std::error::Error::source(error),
    ) {
        (Some(ContextValue::Strings(values)), _) => format!("want {}", values.join(" or ")),
        (_, Some(reason)) => reason.to_string(),
        _ => "want one value".into(),
    }
}

/// What `twill show config` says about a setting.
fn row(setting: &Arg, given: &[Given], matches: &ArgMatches) -> Row {
    let (name, id) = (settings::name(setting), setting.get_id().as_str());
    let secret = matches!(matches.try_get_one::<Secret>(id), Ok(Some(_)));
    let texts = matches.get_raw(id).into_iter().flatten();
    let mut texts = texts.map(|text| {
        if secret {
            "********".into()
        } else {
            text.to_string_lossy().into_owned()
        }
    });
    let value = match setting.get_action() {
        ArgAction::Append => Value::Many(texts.collect()),
        _ => Value::One(texts.next_back()),
    };
    let source = given
        .iter()
        .find(|one| one.name == name)
        .map_or(Source::Default, |one| one.source.clone());
    Row {
        name: name.into(),
        value,
        source,
    }
}
