//! What the operator is told.

use subnet_alloc::How;
use tracing::{error, info, warn};

use crate::agent::Notice;

/// Fights that break out together and are named; the rest is counted.
const FIGHTS_NAMED: usize = 5;

/// How a block came to this node.
pub(super) fn how(how: How) -> &'static str {
    match how {
        How::Kept => "kept",
        How::Published => "kept, and published again",
        How::Extended => "kept in one family, and extended",
        How::Claimed => "claimed",
    }
}

/// Says it in one line, however many leases it concerns.
pub(super) fn say(notice: &Notice) {
    match notice {
        Notice::Vanished {
            count,
            known,
            example,
            grace,
        } => warn!(
            "{count} of {known} leases vanished from the store (block {example}, for one); packets are sent to their nodes for {} s more unless others take the blocks",
            grace.as_secs()
        ),
        Notice::Forgotten { count, example } => info!(
            "{count} leases (block {example}, for one) did not come back; nothing is sent to their nodes from here on"
        ),
        Notice::MostAreStale {
            stale,
            known,
            grace,
        } => warn!(
            "the store has no leases for {stale} of the {known} routes that are in the kernel; they stay for {} s in case that it has lost them",
            grace.as_secs()
        ),
        Notice::Fights(fights) => {
            for fight in fights.iter().take(FIGHTS_NAMED) {
                warn!("{fight}");
            }
            if let Some(more @ 1..) = fights.len().checked_sub(FIGHTS_NAMED) {
                warn!("{more} more entries are changed by other programs again and again");
            }
        }
        Notice::Namesake(block) => error!(
            "the node that has block {block} has this node's name; whichever is restarted may take the other's block: give one of them another --node-name"
        ),
        // Named one by one, see `PassedOver`.
        Notice::Skipped(_) => {}
    }
}
