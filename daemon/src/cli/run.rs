//! `twill run`.

use tracing::info;

use crate::capability::require_net_admin;
use crate::config::{self, Flags};
use crate::driver::{self, Settings};
use crate::memory;

use super::{Outcome, logging, runtime};

/// Runs the daemon until a signal ends it.
pub(super) fn run(flags: &Flags) -> anyhow::Result<Outcome> {
    memory::keep_little();
    let (config, _) = config::load(flags)?;
    require_net_admin()?;
    logging::start(&config.log);
    if !config.ignored.is_empty() {
        info!(
            "these settings of flanneld mean nothing here and are ignored: {}",
            config.ignored.join(", ")
        );
    }
    let flags = flags.clone();
    let load = Box::new(move || config::load(&flags).map(|(config, _)| config));
    runtime()?.block_on(driver::run(Settings { config, load }))?;
    Ok(Outcome::Fine)
}
