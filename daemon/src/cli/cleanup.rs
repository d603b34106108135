//! `twill cleanup`: takes down all that is ours.

use std::fs;

use crate::config::{self, Config};
use crate::locks::{self, Locks};
use crate::{outside, plugin, removal, subnet_env};

use super::args::Cleanup;
use super::{Outcome, print, release, runtime, say};

/// Removes our routes, nexthops, devices and what hangs on them, and
/// `subnet.env`; says what. The lease first if it is to be released, while
/// `subnet.env` still says which it is: without a store nothing is removed.
pub(super) fn cleanup(cleanup: &Cleanup) -> anyhow::Result<Outcome> {
    let (config, _) = config::load(&cleanup.flags)?;
    let runtime = runtime()?;
    let _context = runtime.enter();
    let _locks = in_place_of_the_daemon(&config, cleanup.dry_run)?;
    let mut removed = Vec::new();
    if cleanup.release {
        removed.extend(release::release(&config, cleanup.dry_run)?);
    }
    let inside = removal::remove(config.route_protocol, cleanup.dry_run)?;
    removed.extend(inside.removed);
    inside.failed.iter().for_each(|why| say(why));
    let outside = outside::remove(config.route_protocol, cleanup.dry_run);
    removed.extend(outside.removed);
    outside.failed.iter().for_each(|why| say(why));
    removed.extend(remove_files(&config, cleanup.dry_run)?);
    let conflist = plugin::remove(&config, cleanup.dry_run)?;
    removed.extend(conflist.map(|path| format!("file {}", path.display())));
    let text = if cleanup.json {
        serde_json::to_string_pretty(&removed)? + "\n"
    } else {
        told(&removed, cleanup.dry_run)
    };
    print(&text)?;
    Ok(Outcome::Fine)
}

/// A daemon would put back what is removed, and one that starts meanwhile would lose it.
fn in_place_of_the_daemon(config: &Config, dry_run: bool) -> anyhow::Result<Option<Locks>> {
    if dry_run {
        return Ok(None);
    }
    let locks = locks::take(config).map_err(|why| match why.apart() {
        Some(_) => anyhow::anyhow!("nothing is removed: {why}; stop it first"),
        None => anyhow::anyhow!("nothing is removed: {why}"),
    })?;
    Ok(Some(locks))
}

fn told(removed: &[String], dry_run: bool) -> String {
    if removed.is_empty() {
        return "nothing here is twill's\n".to_owned();
    }
    let verb = if dry_run { "would remove" } else { "removed" };
    removed
        .iter()
        .map(|what| format!("{verb} {what}\n"))
        .collect()
}

/// `subnet.env` is ours if it has what we write.
fn remove_files(config: &Config, dry_run: bool) -> anyhow::Result<Vec<String>> {
    let path = &config.subnet_file;
    if subnet_env::previous_block(path).is_none() {
        return Ok(Vec::new());
    }
    if !dry_run {
        fs::remove_file(path)
            .map_err(|error| anyhow::anyhow!("cannot remove {}: {error}", path.display()))?;
    }
    Ok(vec![format!("file {}", path.display())])
}
