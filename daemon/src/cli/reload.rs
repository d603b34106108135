//! `twill reload`.

use crate::config::{self, Flags};
use crate::control::{Topic, ask_daemon};

use super::{Outcome, no_daemon, print};

/// Has the daemon read its settings again.
pub(super) fn reload(flags: &Flags) -> anyhow::Result<Outcome> {
    let (config, _) = config::load(flags)?;
    let Some(answer) = ask_daemon(&config.run_dir, &Topic::Reload)? else {
        return Ok(no_daemon(&config));
    };
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    print(&format!(
        "{}\n",
        answer["done"].as_str().unwrap_or_default()
    ))?;
    Ok(Outcome::Fine)
}
