//! What the operator is told.

use std::time::Instant;

use kernel::{Change, Refusal};
use subnet_alloc::How;
use tracing::{error, info, warn};

use crate::agent::{Agent, Notice};
use crate::hints;
use crate::passed_over::PassedOver;

/// Refusals of one batch that are named in the log; the rest is counted.
const REFUSALS_NAMED: usize = 5;

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

/// What the agent has to tell.
pub(super) enum Words {
    Notice(Notice),
    /// What the kernel refused for the first time.
    Refused(Vec<(Change, Refusal)>),
}

impl Words {
    pub(super) fn say(&self, agent: &Agent, passed_over: &mut PassedOver) {
        match self {
            Words::Notice(Notice::Skipped(leases)) => {
                passed_over.name_leases(leases, Instant::now());
            }
            Words::Notice(notice) => say(notice),
            Words::Refused(refused) => {
                for (change, refusal) in refused.iter().take(REFUSALS_NAMED) {
                    say_refused(agent, change, refusal);
                }
                if let Some(more @ 1..) = refused.len().checked_sub(REFUSALS_NAMED) {
                    warn!("the kernel refused {more} more changes; see `twill check`");
                }
            }
        }
    }
}

fn say_refused(agent: &Agent, change: &Change, refusal: &Refusal) {
    let links = agent.reconciler().links().values();
    let hint = hints::hint(change, refusal, links).map(|hint| format!("; {hint}"));
    let hint = hint.unwrap_or_default();
    if hints::is_grave(change) {
        error!(
            "the kernel refused {change}: {refusal}{hint}; no pod of this node has a network until then; trying again"
        );
    } else {
        warn!("the kernel refused {change}: {refusal}{hint}; trying again");
    }
}

/// Says it in one line, however many leases it concerns.
fn say(notice: &Notice) {
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
