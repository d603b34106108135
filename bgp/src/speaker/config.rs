//! What a speaker is told to do.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::family::Families;
use crate::ident::{Asn, RouterId};
use crate::policy::{AnyCommunity, Guard, Import, OwnHops, Policy};
use crate::prefix::Prefix;

/// The name of a peer: that of a node, or one from the configuration. Unique within a speaker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerName(pub String);

/// What a speaker is told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP identifier, unique in the AS.
    pub router_id: RouterId,
    /// Our addresses, as next hops; the address of a session takes precedence in its family.
    pub addresses: OwnHops,
    /// How many equally good paths are used together, 1 or more.
    pub max_paths: usize,
    /// What is never taken.
    pub guard: Guard,
    /// Graceful restart.
    pub restart: Restart,
    /// The peers.
    pub peers: BTreeMap<PeerName, PeerConfig>,
    /// Whoever connects from these networks is a peer while the session lasts.
    pub listen: Vec<ListenRange>,
}

/// Graceful restart (RFC 4724), for all peers that have it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// How long peers shall keep our routes while we restart, at most 4,095 s. Also how long we wait at the start for a peer
    /// that does not come.
    pub restart_time: Duration,
    /// How long a peer that is back may take for its End-of-RIB.
    pub sync_time: Duration,
    /// The longest that we keep routes of a peer that is away, whatever it asks for.
    pub helper_time: Duration,
}

impl Default for Restart {
    fn default() -> Restart {
        Restart {
            restart_time: Duration::from_secs(120),
            sync_time: Duration::from_secs(60),
            helper_time: Duration::from_secs(600),
        }
    }
}

/// Whoever connects from this network is a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenRange {
    /// From where.
    pub range: Prefix,
    /// What such a peer is like; its address is not looked at, and it is passive.
    pub peer: PeerConfig,
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Where it is.
    pub address: IpAddr,
    /// Its AS.
    pub asn: Asn,
    /// Whether we wait for it to connect.
    pub passive: bool,
    /// Seconds that we propose for the hold time: 0 (no keepalives), or 3 and more. A change counts from the next session on.
    pub hold_time: u16,
    /// The families that we want to exchange.
    pub families: Families,
    /// Whether graceful restart is offered, and helped with.
    pub graceful_restart: bool,
    /// Whether its paths must begin with its AS, where it is external. Off for route servers.
    pub enforce_first_as: bool,
    /// How often our AS may be in its paths.
    pub allow_own_as: u8,
    /// What is taken from it.
    pub import: Import,
    /// What it is told; `None`: nothing.
    pub export: Option<Policy>,
    /// Whether we are the next hop of all that it is told, also where it is internal.
    pub next_hop_self: bool,
    /// How many prefixes it may announce.
    pub max_prefixes: Option<MaxPrefixes>,
    /// There shall be no session, and the peer is told why (RFC 9003); may be empty.
    pub shutdown: Option<String>,
}

impl PeerConfig {
    /// A peer of both families with graceful restart and the usual timers, from which nothing is taken and to which nothing is
    /// told.
    pub fn new(address: IpAddr, asn: Asn) -> PeerConfig {
        PeerConfig {
            address,
            asn,
            passive: false,
            hold_time: 90,
            families: Families::BOTH,
            graceful_restart: true,
            enforce_first_as: true,
            allow_own_as: 0,
            import: Import::Unset,
            export: None,
            next_hop_self: false,
            max_prefixes: None,
            shutdown: None,
        }
    }

    /// Whether a session under the other settings has to end for these.
    pub(super) fn needs_reset(&self, other: &PeerConfig) -> bool {
        let of = |c: &PeerConfig| (c.address, c.asn, c.families, c.graceful_restart);
        of(self) != of(other)
    }
}

/// How many prefixes a peer may announce, refused ones counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPrefixes {
    /// Above this the session is closed with Cease 6/1.
    pub limit: usize,
    /// Above this there is a warning; 0: none.
    pub warn: usize,
    /// When the session may come back; `None`: when an operator resets it.
    pub restart: Option<Duration>,
}

/// What is said about a prefix that we originate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origination {
    /// MED.
    pub med: Option<u32>,
    /// LOCAL_PREF, for internal peers.
    pub local_pref: Option<u32>,
    /// Communities of any size.
    pub communities: Vec<AnyCommunity>,
}
