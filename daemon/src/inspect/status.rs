//! `twill show status`.

use std::time::Instant;

use kernel::Key;
use serde::{Deserialize, Serialize};
use subnet_alloc::Hold;

use crate::agent::Agent;
use crate::bgp::fabric::Fabric;
use crate::config::Config;

use super::{Seen, StoreState};

/// How the daemon, its lease and its store are.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Name of this node.
    pub(crate) node: String,
    /// Version of the daemon.
    pub(crate) version: String,
    /// Its process.
    pub(crate) pid: u32,
    /// Seconds since it was started.
    pub(crate) uptime_s: u64,
    /// All that the first listing asked for is in the kernel.
    pub(crate) ready: bool,
    /// What it waits for while it is not ready.
    pub(crate) waiting: Option<String>,
    /// The backend and its options.
    pub(crate) backend: Option<String>,
    /// The underlay and why it was chosen.
    pub(crate) underlay: Option<String>,
    /// Why it is not there any more as it was chosen.
    pub(crate) underlay_trouble: Option<String>,
    /// This node's block.
    pub(crate) block: Option<String>,
    /// The MTU of pods.
    pub(crate) pod_mtu: Option<u32>,
    /// The own lease: `leased`, `reserved` or `given by the cluster`.
    pub(crate) hold: Option<String>,
    /// Seconds since the lease was renewed; since it was last seen to be right, if it is given.
    pub(crate) renewed_s: Option<u64>,
    /// Seconds that the lease lives without renewal; none if it is given.
    pub(crate) ttl_s: Option<u64>,
    /// Why this node may not have its block any more.
    pub(crate) lease_doubt: Option<String>,
    /// Which store.
    pub(crate) store: String,
    /// Its changes come in.
    pub(crate) store_up: bool,
    /// Why not, and how many seconds old the view of it is.
    pub(crate) store_down: Option<(String, u64)>,
    /// What was written and is not followed, and why.
    pub(crate) refused: Option<String>,
    /// BGP sessions that are up, and peers.
    #[serde(default)]
    pub(crate) sessions: Option<(usize, usize)>,
    /// BGP peers are asked to use other paths (RFC 8326).
    #[serde(default)]
    pub(crate) draining: bool,
    /// Leases of other nodes in use, and passed over.
    pub(crate) leases: usize,
    /// Leases that no packets are sent to.
    pub(crate) leases_passed_over: usize,
    /// Keys of the store that are no leases.
    pub(crate) bad_keys: usize,
    /// Routes that are wanted or there.
    pub(crate) routes: usize,
    /// Entries that the kernel does not hold as it should.
    pub(crate) drift: usize,
}

impl Status {
    /// While the daemon runs.
    pub(crate) fn of(seen: &Seen<'_>) -> Status {
        let (agent, daemon, config) = (seen.agent, seen.daemon, seen.config);
        let local = agent.local();
        let (leases, leases_passed_over) = agent.lease_counts();
        let store_down = match &daemon.store {
            StoreState::Up => None,
            StoreState::Down { why, heard, .. } => Some((why.clone(), heard.elapsed().as_secs())),
        };
        let is_given = agent.own().is_some_and(|lease| lease.hold == Hold::Given);
        let hold = agent.own().map(|lease| match lease.hold {
            Hold::Reserved => "reserved".to_owned(),
            Hold::Leased(id) => format!("leased ({id})"),
            Hold::Given => "given by the cluster".to_owned(),
        });
        Status {
            uptime_s: daemon.started.elapsed().as_secs(),
            ready: agent.is_ready(),
            waiting: (!agent.is_ready()).then(|| unready(agent)),
            backend: Some(local.backend.to_string()),
            underlay: Some(local.underlay.to_string()),
            underlay_trouble: daemon.underlay_trouble.clone(),
            block: local.block.map(|block| block.to_string()),
            pod_mtu: Some(local.pod_mtu()),
            hold,
            renewed_s: Some(daemon.renewed.elapsed().as_secs()),
            ttl_s: (!is_given).then_some(daemon.ttl.as_secs()),
            lease_doubt: daemon.doubt(),
            store: daemon.store_name.clone(),
            store_up: store_down.is_none(),
            store_down,
            refused: daemon.refused.clone(),
            leases,
            leases_passed_over,
            bad_keys: daemon.passed_over.bad_keys().len(),
            sessions: seen.fabric.map(sessions),
            draining: seen
                .fabric
                .is_some_and(|fabric| fabric.speaker().is_draining()),
            routes: agent.reconciler().routes().count(),
            drift: agent.reconciler().drift(),
            ..Status::early(config, "")
        }
    }

    /// Before it has a block.
    pub(crate) fn early(config: &Config, waiting: &str) -> Status {
        Status {
            node: config.node_name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            waiting: Some(waiting.to_owned()),
            store: crate::start::describe_store(config),
            ..Status::default()
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| text.push_str(&format!("{name:<10}{value}\n"));
        line(
            "node",
            format!(
                "{} (twill {}, pid {}, up {} s)",
                self.node, self.version, self.pid, self.uptime_s
            ),
        );
        line(
            "ready",
            match &self.waiting {
                Some(waiting) => format!("no: {waiting}"),
                None => "yes".to_owned(),
            },
        );
        for (name, value) in [
            ("backend", &self.backend),
            ("underlay", &self.underlay),
            ("block", &self.block),
        ] {
            line(name, value.clone().unwrap_or_else(|| "-".to_owned()));
        }
        if let Some(trouble) = &self.underlay_trouble {
            line(
                "trouble",
                format!("the underlay is not what it was: {trouble}"),
            );
        }
        match (&self.hold, self.renewed_s, self.ttl_s) {
            (Some(hold), Some(renewed), Some(ttl)) => line(
                "lease",
                format!("{hold}, renewed {renewed} s ago, lives {ttl} s without that"),
            ),
            (Some(hold), Some(renewed), None) => {
                line("lease", format!("{hold}, looked at {renewed} s ago"));
            }
            _ => {}
        }
        if let Some(doubt) = &self.lease_doubt {
            line("in doubt", doubt.clone());
        }
        if let Some(mtu) = self.pod_mtu {
            line("pod MTU", mtu.to_string());
        }
        line(
            "store",
            match &self.store_down {
                Some((why, seconds)) => format!(
                    "{}, away; leases are known as they were {seconds} s ago: {why}",
                    self.store
                ),
                None => self.store.clone(),
            },
        );
        if let Some((up, all)) = self.sessions {
            line("peers", format!("{all}, {up} of them with a session"));
        }
        if self.draining {
            line(
                "drains",
                "BGP peers are asked to use other paths, until `twill bgp drain --off` or a restart"
                    .to_owned(),
            );
        }
        if let Some(refused) = &self.refused {
            line("refused", refused.clone());
        }
        line(
            "leases",
            format!(
                "{} of other nodes, {} passed over; {} keys are no leases",
                self.leases, self.leases_passed_over, self.bad_keys
            ),
        );
        line(
            "kernel",
            format!(
                "{} routes, {} entries not as wanted",
                self.routes, self.drift
            ),
        );
        text
    }
}

fn sessions(fabric: &Fabric) -> (usize, usize) {
    let peers = fabric.speaker().peers(Instant::now());
    peers.fold((0, 0), |(up, all), peer| {
        (up + usize::from(peer.up_for.is_some()), all + 1)
    })
}

/// What stands between the daemon and being ready.
pub(super) fn unready(agent: &Agent) -> String {
    let refused = agent.reconciler().rows().find_map(|row| {
        let (why, _) = row.refused.filter(|_| matches!(row.key, Key::Device(_)))?;
        Some(format!("the kernel refuses {}: {why}", row.key))
    });
    let waiting = if agent.waits_for_peers() {
        "BGP peers have not told all their routes yet"
    } else {
        "the kernel is being programmed"
    };
    refused.unwrap_or_else(|| waiting.to_owned())
}
