//! Taking away what is ours in the kernel.

use std::time::Instant;

use kernel::{Change, Kernel, KernelError, Netlink, NetlinkOptions, Ownership, Reconciler, Scope};

/// What was removed, and what could not be and why, in words.
#[derive(Default)]
pub(crate) struct Removal {
    pub(crate) removed: Vec<String>,
    pub(crate) failed: Vec<String>,
}

/// Removes all that is ours from the kernel's tables; with `dry_run` it only says what that would be.
pub(crate) fn remove(protocol: u8, dry_run: bool) -> Result<Removal, KernelError> {
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
    let mut failed = Vec::new();
    if !dry_run {
        for refusal in kernel.apply(&changes)? {
            // What went with its device or its nexthop is gone, too.
            if !matches!(refusal.errno, libc::ENOENT | libc::ESRCH | libc::ENODEV) {
                let change = &changes[refusal.index];
                failed.push(format!("the kernel refused the {change}: {refusal}"));
            }
        }
    }
    Ok(Removal {
        removed: named,
        failed,
    })
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
