//! The settings as a page for people: docs/configuration.md.

use std::fmt::Write;

use clap::Arg;

use super::settings;

const INTRODUCTION: &str = "\
# Settings

Every setting is a flag (`--NAME`), a variable (`TWILL_NAME`, in capitals, `-` written as `_`) and a key (`NAME`) of the
TOML file that `--config` or `TWILL_CONFIG` names. The first of these that gives a value wins:

1. the flag,
2. the variable `TWILL_NAME`,
3. flannel's variable `FLANNELD_NAME`,
4. the file,
5. the default.

An empty value counts as not given. Lists are separated by commas in flags and variables (`iface-regex` takes one
expression each time) and are TOML lists in the file. `twill show config` prints every setting, its value and where that
came from; passwords are shown as `********`.

flanneld's own command line is understood: one dash does (`-etcd-prefix=/a`), and its flags that mean nothing to Twill
are accepted and named in one line of the log.

The file may have a table `[bgp]`, too: [bgp.md](bgp.md).

This page is generated from the flags by `UPDATE=1 cargo test -p twill reference`.
";

/// The page.
fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut heading = "";
    let command = settings::command();
    for setting in command.get_arguments() {
        let own_heading = setting.get_help_heading().unwrap_or_default();
        if own_heading != heading {
            heading = own_heading;
            let _ = write!(page, "\n## {heading}\n");
        }
        page.push_str(&entry(setting));
    }
    page
}

fn entry(setting: &Arg) -> String {
    let name = settings::name(setting);
    let variable = settings::variable("TWILL", name);
    let text = setting.get_value_names().unwrap_or_default().join(" ");
    let help = setting
        .get_long_help()
        .or(setting.get_help())
        .map(ToString::to_string);
    let help = help.unwrap_or_default();
    let mut entry = format!("\n### `{name}`\n\n`--{name} {text}`, `{variable}`");
    for (what, values) in [
        ("one of", possible(setting)),
        ("default", defaults(setting)),
    ] {
        if !values.is_empty() {
            let _ = write!(entry, "; {what} {values}");
        }
    }
    entry + "\n\n" + &help + "\n"
}

fn possible(setting: &Arg) -> String {
    let values = setting.get_possible_values();
    quoted(values.iter().map(|value| value.get_name()))
}

fn defaults(setting: &Arg) -> String {
    quoted(
        setting
            .get_default_values()
            .iter()
            .filter_map(|value| value.to_str()),
    )
}

fn quoted<'a>(values: impl Iterator<Item = &'a str>) -> String {
    values
        .map(|value| format!("`{value}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the page is kept; `UPDATE=1` writes it anew.
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");

    #[test]
    fn the_reference_page_is_that_of_the_declarations() {
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(PAGE, reference()).expect("docs/ can be written");
        }
        let kept = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert!(
            kept == reference(),
            "docs/configuration.md is old: UPDATE=1 cargo test -p twill reference"
        );
    }
}
