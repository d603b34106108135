//! `twill reload`.

use crate::config::{self, Flags};
use crate::control::{Topic, ask_daemon};

use super::{Outcome, print, say};

/// Has the daemon read its settings again.
pub(super) fn reload(flags: &Flags) -> anyhow::Result<Outcome> {
    let (config, _) = config::load(flags)?;
    let Some(answer) = ask_daemon(&config.run_dir, Topic::Reload)? else {
        say(&format!(
            "no daemon runs with --run-dir {}",
            config.run_dir.display()
        ));
        return Ok(Outcome::NotSo);
    };
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    print(&format!(
        "{}\n",
        answer["reloaded"].as_str().unwrap_or_default()
    ))?;
    Ok(Outcome::Fine)
}
