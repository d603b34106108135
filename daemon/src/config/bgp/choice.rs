//! What the node does by BGP, in its types.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bgp::policy::Import;
use bgp::speaker::{ListenRange, Origination, PeerConfig, Restart};
use bgp::{Asn, Prefix, RouterId};

use super::super::Secret;
use super::NodeFilter;

/// What the node does by BGP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BgpChoice {
    /// Our AS, that of every node of the mesh.
    pub(crate) asn: Asn,
    /// Our BGP identifier, if not the underlay's IPv4 address.
    pub(crate) router_id: Option<RouterId>,
    /// Where we listen, and where nodes of the mesh listen; 0: we do not listen.
    pub(crate) port: u16,
    /// Whether every node that has a lease is a peer.
    pub(crate) mesh: bool,
    /// The TCP MD5 key between the nodes of the mesh (RFC 2385).
    pub(crate) key: Option<Secret>,
    /// The file whose first line is that key; [`load()`](crate::config::load()) reads it into `key`.
    pub(crate) key_file: Option<PathBuf>,
    /// Seconds that are proposed for the hold time in the mesh: 0 (no keepalives), or 3 and more.
    pub(crate) hold_time: u16,
    /// Whether graceful restart is offered in the mesh, and helped with.
    pub(crate) graceful_restart: bool,
    /// How long peers shall keep our routes while we restart, at most 4,095 s.
    pub(crate) restart_time: Duration,
    /// How long a peer that is back may take for its End-of-RIB.
    pub(crate) sync_time: Duration,
    /// The longest that we keep routes of a peer that is away, whatever it asks for.
    pub(crate) helper_time: Duration,
    /// The metric of routes that we install; 0: the kernel's default.
    pub(crate) metric: u32,
    /// How many equally good paths are used together, 1 to 128.
    pub(crate) max_paths: usize,
    /// What is announced besides the block, and what is said about it.
    pub(crate) announce: BTreeMap<Prefix, Origination>,
    /// Whether the node's own block is announced.
    pub(crate) announce_block: bool,
    /// What is announced besides where it is a part of the node's own block.
    pub(crate) more_specifics: Vec<Prefix>,
    /// The peers besides the nodes of the mesh.
    pub(crate) peers: Vec<PeerChoice>,
    /// Whoever connects from these ranges is a peer while the session lasts.
    pub(crate) listen: Vec<ListenChoice>,
}

/// A peer besides the nodes of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerChoice {
    /// What it is called in logs and commands; unique on a node.
    pub(crate) name: String,
    /// On which nodes it is a peer.
    pub(crate) on: NodeFilter,
    /// The connection to it.
    pub(crate) tcp: TcpChoice,
    /// The session with it.
    pub(crate) peer: PeerConfig,
}

/// A range of addresses whoever connects from which is a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenChoice {
    /// On which nodes it holds.
    pub(crate) on: NodeFilter,
    /// The connections from it; their port and source mean nothing.
    pub(crate) tcp: TcpChoice,
    /// The range, and the sessions.
    pub(crate) range: ListenRange,
}

/// How a connection to a peer is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcpChoice {
    /// The peer's port, never 0.
    pub(crate) port: u16,
    /// Our address of the connection, of the peer's family, if not the one that the kernel takes.
    pub(crate) source: Option<IpAddr>,
    /// The TCP MD5 key (RFC 2385).
    pub(crate) key: Option<Secret>,
    /// The file whose first line is that key; [`load()`](crate::config::load()) reads it into `key`.
    pub(crate) key_file: Option<PathBuf>,
    /// How far packets travel.
    pub(crate) ttl: Ttl,
}

/// How far packets of a session travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ttl {
    /// They leave with this TTL: the peer is at most so many hops away. 1: on the same link.
    Hops(u8),
    /// They leave with TTL 255, and only those are taken that came over at most so many hops, 1 to 254 (GTSM, RFC 5082).
    /// With 1 hop a packet must arrive with 255, with 2 hops with 254 or more.
    Security(u8),
}

impl Default for BgpChoice {
    /// A mesh of AS 64512 in which every node announces its block.
    fn default() -> Self {
        let restart = Restart::default();
        Self {
            asn: Asn(64_512),
            router_id: None,
            port: 179,
            mesh: true,
            key: None,
            key_file: None,
            hold_time: 90,
            graceful_restart: true,
            restart_time: restart.restart_time,
            sync_time: restart.sync_time,
            helper_time: restart.helper_time,
            metric: 0,
            max_paths: 8,
            announce: BTreeMap::new(),
            announce_block: true,
            more_specifics: Vec::new(),
            peers: Vec::new(),
            listen: Vec::new(),
        }
    }
}

impl BgpChoice {
    /// The same with those peers and ranges that are this node's. What a [`Config`](crate::config::Config) holds is that already.
    pub(crate) fn of_node(&self, node: &str, labels: &BTreeMap<String, String>) -> Self {
        let mut own = self.clone();
        own.peers.retain(|peer| peer.on.takes(node, labels));
        own.listen.retain(|listen| listen.on.takes(node, labels));
        own
    }

    /// The peer of this name.
    pub(crate) fn peer(&self, name: &str) -> Option<&PeerChoice> {
        self.peers.iter().find(|one| one.name == name)
    }

    /// The range that this address is in: of several the first.
    pub(crate) fn range(&self, address: IpAddr) -> Option<&ListenChoice> {
        let host = Prefix::host(address);
        let mut ranges = self.listen.iter();
        ranges.find(|one| one.range.range.covers(host))
    }

    /// What somebody should know who has configured this, one line each: it is allowed, and probably not meant.
    pub(crate) fn advice(&self) -> Vec<String> {
        let external = self.peers.iter().filter(|one| one.peer.asn != self.asn);
        let mut lines: Vec<String> = external
            .flat_map(|one| unset_policies(&format!("peer {}", one.name), &one.peer))
            .collect();
        let external = self
            .listen
            .iter()
            .filter(|one| one.range.peer.asn != self.asn);
        lines.extend(external.flat_map(|one| {
            unset_policies(&format!("range {}", one.range.range), &one.range.peer)
        }));
        let default = self.announce.keys().find(|prefix| prefix.is_default());
        lines.extend(default.map(|prefix| {
            format!(
                "bgp.announce has {prefix}, which \"own\" and \"all\" leave out: only a peer with the export rule \
                 {{ prefixes = [\"{prefix}\"] }} is told"
            )
        }));
        lines
    }
}

/// What RFC 8212 makes of an external peer without policies.
fn unset_policies(who: &str, peer: &PeerConfig) -> impl Iterator<Item = String> + use<> {
    let unset = |direction: &str, so: &str, write: &str| {
        format!(
            "BGP {who} is in another AS and has no {direction} policy: {so} (RFC 8212); write {direction} = {write}"
        )
    };
    let import = matches!(peer.import, Import::Unset).then(|| {
        unset(
            "import",
            "nothing is taken from it",
            r#""all", a list of rules, or "none" if that is meant"#,
        )
    });
    let export = peer.export.is_none().then(|| {
        unset(
            "export",
            "it is told nothing",
            r#""own", a list of rules, or "none" if that is meant"#,
        )
    });
    import.into_iter().chain(export)
}
