//! What people and programs get to see of the daemon. Everything here reads the
//! very structs that the core decides with.

mod drift;
mod leases;
mod metrics;
mod neighbours;
mod peer;
mod peers;
mod policy;
mod rib;
mod routes;
mod status;
mod table;
mod tally;

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::agent::Agent;
use crate::backend::Backend;
use crate::bgp::fabric::Fabric;
use crate::config::Config;
use crate::control::{Answer, Request, Topic};
use crate::passed_over::PassedOver;

pub(crate) use drift::{DriftRow, drift};
pub(crate) use leases::{LeaseRow, leases};
pub(crate) use neighbours::{NeighbourRow, neighbours};
pub(crate) use peer::PeerDetail;
pub(crate) use peers::PeerRow;
pub(crate) use rib::{Explained, Page, Told, ToldRow, UsedRow};
pub(crate) use routes::{RouteRow, routes};
pub(crate) use status::Status;
pub(crate) use table::{Columns, Table, table};
pub(crate) use tally::Tally;

/// What `/healthz` says.
const RUNNING: &str = "twill is running\n";

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

/// All that answers are made from.
pub(crate) struct Seen<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) daemon: &'a Daemon,
    pub(crate) config: &'a Config,
    /// While the backend is BGP.
    pub(crate) fabric: Option<&'a Fabric>,
}

/// Answers a question while the daemon runs.
pub(crate) fn answer(request: Request, seen: &Seen<'_>) {
    let (agent, daemon, now) = (seen.agent, seen.daemon, Instant::now());
    let answer = match &request.topic {
        Topic::Routes => json(&routes(agent)),
        Topic::Leases => json(&leases(agent, daemon.passed_over.bad_keys())),
        Topic::Neighbours => json(&neighbours(agent)),
        Topic::Drift => json(&drift(agent)),
        Topic::Status => json(&Status::of(seen)),
        Topic::Alive => Answer {
            good: true,
            text: RUNNING.to_owned(),
        },
        Topic::Ready => ready(agent, daemon),
        Topic::Peers => json(&peers::peers(seen.fabric, now)),
        Topic::Peer(of) => about_bgp(seen, |fabric| {
            PeerDetail::of(fabric, &of.peer).map(|peer| json(&peer))
        }),
        Topic::Tally(of) => about_bgp(seen, |fabric| tally::answer(fabric, of)),
        Topic::Rib(of) => about_bgp(seen, |fabric| rib::answer(fabric, of)),
        // These change something: the driver's.
        Topic::Reload | Topic::Bgp(_) => return,
        Topic::Metrics => Answer {
            good: true,
            text: metrics::text(agent, daemon),
        },
    };
    // Somebody who does not wait any more needs no answer.
    let _ = request.reply.send(answer);
}

fn about_bgp(
    seen: &Seen<'_>,
    answer: impl FnOnce(&rib::InFabric<'_>) -> Result<Answer, String>,
) -> Answer {
    let fabric = seen.fabric.ok_or_else(|| without_bgp(seen.agent));
    let answer = fabric.and_then(|fabric| {
        answer(&rib::InFabric {
            fabric,
            agent: seen.agent,
            now: Instant::now(),
        })
    });
    answer.unwrap_or_else(|why| error(&why))
}

/// Why there is nothing to say about BGP.
pub(crate) fn without_bgp(agent: &Agent) -> String {
    match &agent.local().backend {
        Backend::Bgp => "BGP has not begun yet: the kernel's routes are being read".to_owned(),
        other => format!(
            "the backend of this node is {}; BGP is spoken only with --backend bgp",
            other.name()
        ),
    }
}

fn error(why: &str) -> Answer {
    Answer {
        good: false,
        text: serde_json::json!({ "error": why }).to_string(),
    }
}

/// Answers a question before the daemon has its block.
pub(crate) fn answer_early(request: Request, config: &Config) {
    let waiting = "waiting for the store, its network config, or a block; see the log";
    let text = match request.topic {
        Topic::Status => json(&Status::early(config, waiting)).text,
        Topic::Metrics => metrics::early(),
        Topic::Alive => RUNNING.to_owned(),
        Topic::Ready => format!("twill is not ready yet: {waiting}\n"),
        _ => serde_json::json!({ "error": waiting }).to_string(),
    };
    let good = matches!(request.topic, Topic::Alive | Topic::Metrics);
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
