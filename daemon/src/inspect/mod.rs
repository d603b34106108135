//! What people and programs get to see of the daemon. Everything here reads the
//! very structs that the core decides with.

mod drift;
mod leases;
mod metrics;
mod neighbours;
mod peers;
mod routes;
mod status;
mod table;

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::agent::Agent;
use crate::bgp::fabric::Fabric;
use crate::config::Config;
use crate::control::{Answer, Request, Topic};
use crate::passed_over::PassedOver;

pub(crate) use drift::{DriftRow, drift};
pub(crate) use leases::{LeaseRow, leases};
pub(crate) use neighbours::{NeighbourRow, neighbours};
pub(crate) use peers::PeerRow;
pub(crate) use routes::{RouteRow, routes};
pub(crate) use status::Status;
pub(crate) use table::{Columns, table};

/// What the driver knows besides the agent.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// Which store.
    pub(crate) store_name: String,
    /// How it is.
    pub(crate) store: StoreState,
    /// What was written and is not followed, and why.
    pub(crate) refused: Option<String>,
    /// Why the underlay is not what was planned with.
    pub(crate) underlay_trouble: Option<String>,
    /// What of the store is passed over.
    pub(crate) passed_over: PassedOver,
    /// When the daemon was started.
    pub(crate) started: Instant,
    /// When the lease was last renewed.
    pub(crate) renewed: Instant,
    /// The lease was lost, and no block is held.
    pub(crate) lost: bool,
    /// How long the lease lives without renewal.
    pub(crate) ttl: Duration,
}

/// How the store is.
#[derive(Debug)]
pub(crate) enum StoreState {
    /// Its changes come in.
    Up,
    /// It cannot be read.
    Down {
        why: String,
        /// When that was noticed.
        since: Instant,
        /// What is known was right then.
        heard: Instant,
    },
}

impl Daemon {
    pub(crate) fn new(store_name: String, ttl: Duration, started: Instant) -> Daemon {
        Daemon {
            store_name,
            store: StoreState::Up,
            refused: None,
            underlay_trouble: None,
            passed_over: PassedOver::default(),
            started,
            renewed: Instant::now(),
            lost: false,
            ttl,
        }
    }

    /// What is doubtful about the own lease, if anything is: a daemon that was
    /// frozen, or whose renewals fail, cannot know that it still has its block.
    fn doubt(&self) -> Option<String> {
        let silent = self.renewed.elapsed();
        if self.lost {
            Some("the lease is gone from the store and is being acquired again".to_owned())
        } else if silent > self.ttl {
            let (silent, ttl) = (silent.as_secs(), self.ttl.as_secs());
            Some(format!(
                "the lease was last renewed {silent} s ago and lives {ttl} s, so that it may be gone"
            ))
        } else {
            None
        }
    }
}

/// Answers a question while the daemon runs.
pub(crate) fn answer(request: Request, agent: &Agent, daemon: &Daemon, config: &Config) {
    let answer = match request.topic {
        Topic::Routes => json(&routes(agent)),
        Topic::Leases => json(&leases(agent, daemon.passed_over.bad_keys())),
        Topic::Neighbours => json(&neighbours(agent)),
        Topic::Drift => json(&drift(agent)),
        Topic::Status => json(&Status::of(agent, daemon, config)),
        Topic::Ready => ready(agent, daemon),
        // The driver has what these are about.
        Topic::Reload | Topic::Peers => return,
        Topic::Metrics => Answer {
            good: true,
            text: metrics::text(agent, daemon),
        },
    };
    // Somebody who does not wait any more needs no answer.
    let _ = request.reply.send(answer);
}

/// Answers who speaks BGP with this node; without that backend nobody does.
pub(crate) fn answer_peers(request: Request, fabric: Option<&Fabric>) {
    let _ = request.reply.send(json(&peers::peers(fabric)));
}

/// Answers a question before the daemon has its block.
pub(crate) fn answer_early(request: Request, config: &Config) {
    let waiting = "waiting for the store, its network config, or a block; see the log";
    let text = match request.topic {
        Topic::Status => json(&Status::early(config, waiting)).text,
        Topic::Metrics => metrics::early(),
        Topic::Ready => format!("twill is not ready yet: {waiting}\n"),
        _ => serde_json::json!({ "error": waiting }).to_string(),
    };
    let good = request.topic == Topic::Metrics;
    let _ = request.reply.send(Answer { good, text });
}

/// A store that is away takes nothing from the data plane; but changes of other
/// nodes do not come in, and that is what readiness is about. A node that may not
/// have its block any more must get no new pods.
fn ready(agent: &Agent, daemon: &Daemon) -> Answer {
    let (good, text) = match &daemon.store {
        _ if !agent.is_ready() => {
            let why = status::unready(agent);
            (false, format!("twill is not ready yet: {why}\n"))
        }
        StoreState::Down { why, heard, .. } => (
            false,
            format!(
                "twill knows the other nodes as they were {} s ago, and its routes stay; the store is away: {why}\n",
                heard.elapsed().as_secs()
            ),
        ),
        StoreState::Up => match daemon.doubt() {
            Some(doubt) => (false, format!("twill keeps its routes, but {doubt}\n")),
            None => (true, "twill is ready\n".to_owned()),
        },
    };
    Answer { good, text }
}

fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_string(value) {
        Ok(text) => Answer { good: true, text },
        Err(error) => Answer {
            good: false,
            text: format!("{{\"error\":\"{error}\"}}"),
        },
    }
}
