//! `twill cleanup`: takes down all that is ours.

use std::fs;
use std::time::Instant;

use kernel::{Change, Kernel, Netlink, NetlinkOptions, Ownership, Reconciler, Scope};

use crate::config::{self, Config};
use crate::{locks, outside, plugin, subnet_env};

use super::args::Cleanup;
use super::{Outcome, print, release, runtime, say};

/// Removes our routes, nexthops, devices and what hangs on them, and
/// `subnet.env`; says what. The lease first if it is to be released, while
/// `subnet.env` still says which it is: without a store nothing is removed.
pub(super) fn cleanup(cleanup: &Cleanup) -> anyhow::Result<Outcome> {
    let (config, _) = config::load(&cleanup.flags)?;
    if !cleanup.dry_run && locks::is_held(&config) {
        anyhow::bail!(
            "a daemon runs with {}: stop it first, or it puts back what is removed",
            config.run_dir.display()
        );
    }
    let mut removed = Vec::new();
    if cleanup.release {
        removed.extend(release::release(&config, cleanup.dry_run)?);
    }
    let runtime = runtime()?;
    let _context = runtime.enter();
    removed.extend(remove_from_kernel(&config, cleanup.dry_run)?);
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

fn remove_from_kernel(config: &Config, dry_run: bool) -> anyhow::Result<Vec<String>> {
    let protocol = config.route_protocol;
    let mut kernel = Netlink::open(NetlinkOptions {
        protocol,
        nexthop_objects: true,
    })?;
    let mut reconciler = Reconciler::new(Ownership {
        protocol,
        adopt_boot_routes: false,
    });
    let (links, addresses) = kernel.links()?;
    reconciler.observe_links(links, addresses);
    reconciler.resync(kernel.dump(&reconciler.interest(false))?);
    let changes = reconciler.pending(Instant::now(), Scope::All, usize::MAX);
    let named = changes
        .iter()
        .map(|change| name(change, &reconciler))
        .collect();
    if !dry_run {
        for refusal in kernel.apply(&changes)? {
            // What went with its device or its nexthop is gone, too.
            if !matches!(refusal.errno, libc::ENOENT | libc::ESRCH | libc::ENODEV) {
                say(&format!(
                    "the kernel refused the {}: {refusal}",
                    changes[refusal.index]
                ));
            }
        }
    }
    Ok(named)
}

fn name(change: &Change, reconciler: &Reconciler) -> String {
    let link = |index: &kernel::IfIndex| {
        reconciler
            .links()
            .get(index)
            .map_or_else(|| index.to_string(), |l| l.name.clone())
    };
    match change {
        Change::RemoveDevice { name } => format!("device {name}"),
        Change::RemoveAddress {
            link: index,
            network,
        } => format!("address {network} on {}", link(index)),
        Change::RemoveNeighbour { link: index, ip } => format!("neighbour {ip} on {}", link(index)),
        Change::RemoveFdb {
            link: index,
            mac,
            dst,
        } => format!("FDB entry {mac} to {dst} on {}", link(index)),
        Change::RemoveNexthop { id } => format!("nexthop {}", id.0),
        Change::RemoveRoute { key, .. } => format!("route {}", key.prefix),
        other => other.to_string(),
    }
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
