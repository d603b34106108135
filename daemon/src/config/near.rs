//! The name that somebody may have meant.

use clap::Command;
use clap::error::{ContextKind, ContextValue};

/// The flag of `command` whose name is most like `name`, as clap finds it on a command line.
pub(super) fn near(command: Command, name: &str) -> Option<String> {
    let error = command
        .try_get_matches_from(["twill", &format!("--{name}")])
        .err()?;
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-').to_owned()),
        _ => None,
    }
}
