//! The settings on a command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, error::ErrorKind, value_parser};

use super::flannel;
use super::settings::{self, Settings};

/// The settings that a command line gives, as text by name; clap has checked each of them.
///
/// No `Debug`: it may hold a password.
#[derive(Clone, Default)]
pub(crate) struct Flags {
    pub(super) given: BTreeMap<String, Vec<String>>,
    /// flanneld's flags that mean nothing to us, by name.
    pub(super) ignored: Vec<&'static str>,
    /// The file named by `--config`.
    pub(super) config: Option<PathBuf>,
}

impl Flags {
    /// The words of a command line, flannel's spelling of flags put into ours.
    pub(crate) fn in_our_spelling(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
        let command = Self::augment_args(Command::new("twill"));
        let known: Vec<_> = command.get_arguments().filter_map(Arg::get_long).collect();
        flannel::to_our_flags(words.into_iter(), &known)
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help_heading("Configuration")
            .help("TOML file with settings: a line `mtu = 9000` says what --mtu 9000 says")
            .long_help(
                "TOML file with settings: a line `mtu = 9000` says what --mtu 9000 says\n\n\
                 A setting is taken from its flag, else from the variable TWILL_<NAME>, else from flannel's \
                 FLANNELD_<NAME>, else from this file, else it has its default. `twill show config` names the \
                 source of each value.",
            );
        flannel::augment(Settings::augment_args(command.arg(config))).args_override_self(true)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = BTreeMap::new();
        for setting in settings::command().get_arguments() {
            if on_the_command_line(matches, setting.get_id().as_str()) {
                given.insert(settings::name(setting).to_owned(), texts(matches, setting)?);
            }
        }
        let ignored = flannel::ignored().filter(|name| on_the_command_line(matches, name));
        Ok(Self {
            given,
            ignored: ignored.collect(),
            config: matches.get_one("config").cloned(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn on_the_command_line(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}

fn texts(matches: &ArgMatches, setting: &Arg) -> Result<Vec<String>, clap::Error> {
    let raw = matches
        .get_raw(setting.get_id().as_str())
        .into_iter()
        .flatten();
    raw.map(|text| text.to_str().map(str::to_owned))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| {
            clap::Error::raw(
                ErrorKind::InvalidUtf8,
                format!("--{} is not UTF-8\n", settings::name(setting)),
            )
        })
}
