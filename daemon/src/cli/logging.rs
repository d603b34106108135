//! The log: to standard error, one line an event.

use std::io;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogOptions};

/// Starts logging. Under systemd the journal adds the time.
pub(super) fn start(options: &LogOptions) {
    let level = LevelFilter::from_level(options.level.into());
    // Libraries speak only when something is wrong; h2 and tower take every
    // lost connection for wrong.
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets([("twill", level), ("kernel", level), ("subnet_alloc", level)])
        .with_targets([("h2", LevelFilter::ERROR), ("tower", LevelFilter::ERROR)]);
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(false);
    let log = tracing_subscriber::registry().with(filter);
    let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    match (options.format, in_journal) {
        (LogFormat::Json, _) => log.with(lines.json()).init(),
        (LogFormat::Text, true) => log.with(lines.without_time()).init(),
        (LogFormat::Text, false) => log.with(lines).init(),
    }
}
