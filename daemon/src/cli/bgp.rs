//! `twill bgp`.

use crate::config::{self, Flags};
use crate::control::{self, Topic, ask_daemon};

use super::args::Order;
use super::{Outcome, no_daemon, print};

/// Has the daemon do it, and says what was done.
pub(super) fn bgp(order: &Order) -> anyhow::Result<Outcome> {
    let (flags, order) = asked(order);
    let (config, _) = config::load(flags)?;
    let Some(answer) = ask_daemon(&config.run_dir, &Topic::Bgp(order))? else {
        return Ok(no_daemon(&config));
    };
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let done = answer["done"].as_str().unwrap_or_default();
    print(&format!("{done}\n"))?;
    Ok(Outcome::Fine)
}

fn asked(order: &Order) -> (&Flags, control::Order) {
    match order {
        Order::Refresh {
            name,
            from,
            to,
            flags,
        } => {
            let (peer, ask, tell) = (name.clone(), !to, !from);
            (flags, control::Order::Refresh { peer, ask, tell })
        }
        Order::Reset {
            name,
            reason,
            flags,
        } => {
            let (peer, reason) = (name.clone(), reason.clone());
            (flags, control::Order::Reset { peer, reason })
        }
        Order::Drain { off, flags } => (flags, control::Order::Drain { on: !off }),
    }
}
