//! Which daemon, and what it is to do.

use lab::{Addresses, Cidr, Stack};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// A BGP daemon of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brand {
    /// BIRD 2 (package bird2).
    Bird,
    /// FRR: bgpd and zebra (package frr).
    Frr,
    /// GoBGP (package gobgpd).
    Gobgp,
    /// ExaBGP (package exabgp): no router, it says and hears.
    Exabgp,
    /// OpenBGPD (package openbgpd).
    Openbgpd,
}

/// What a daemon is to do.
#[derive(Debug, Clone)]
pub struct PeerSetup {
    /// Its AS.
    pub asn: u32,
    /// Its BGP identifier.
    pub router_id: Ipv4Addr,
    /// Its addresses on the link.
    pub addresses: Addresses,
    /// Whom it peers with.
    pub neighbours: Vec<Neighbour>,
    /// What it originates, of both families.
    pub routes: Vec<Cidr>,
    /// Whether what it learns goes into the kernel, where it can do that.
    pub installs: bool,
}

/// One peer of a daemon.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its AS.
    pub asn: u32,
    /// The key of TCP MD5 (RFC 2385).
    pub password: Option<String>,
    /// Whether to wait for its connection.
    pub passive: bool,
    /// GTSM (RFC 5082) for a neighbour on the same link.
    pub gtsm: bool,
    /// How many hops it may be away (eBGP): 1 is the same link.
    pub multihop: u8,
    /// The families of the session.
    pub families: Stack,
    /// Graceful restart (RFC 4724), and for how many seconds routes are kept.
    pub graceful_restart: Option<u16>,
    /// The hold time that is offered, in seconds.
    pub hold_time: u16,
}

impl Brand {
    /// All five.
    pub const ALL: [Self; 5] = [
        Self::Bird,
        Self::Frr,
        Self::Gobgp,
        Self::Exabgp,
        Self::Openbgpd,
    ];

    /// Whether its own kernel routes and the promise to forward survive its restart (RFC 4724 section 4.1).
    pub fn restarts_gracefully(self) -> bool {
        matches!(self, Self::Bird | Self::Frr | Self::Gobgp)
    }

    /// Whether it keeps what a peer announced while that restarts (RFC 4724 section 4.2).
    pub fn keeps_routes(self) -> bool {
        self != Self::Exabgp
    }

    /// Whether it can be told to ask for all routes again (RFC 2918).
    pub fn asks_for_a_refresh(self) -> bool {
        self != Self::Gobgp
    }

    /// Whether its listening socket has the key of TCP MD5. On Linux OpenBGPD's has not: it must connect.
    pub fn listens_with_a_password(self) -> bool {
        self != Self::Openbgpd
    }

    /// Whether what it learns can go into the kernel.
    pub fn can_install(self) -> bool {
        matches!(self, Self::Bird | Self::Frr)
    }
}

impl fmt::Display for Brand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bird => "BIRD",
            Self::Frr => "FRR",
            Self::Gobgp => "GoBGP",
            Self::Exabgp => "ExaBGP",
            Self::Openbgpd => "OpenBGPD",
        })
    }
}

impl PeerSetup {
    /// A daemon of this AS with these addresses, without peers and routes. It does not install.
    pub fn new(asn: u32, addresses: Addresses) -> Self {
        Self {
            asn,
            router_id: addresses.v4.unwrap_or(Ipv4Addr::new(192, 0, 2, 1)),
            addresses,
            neighbours: Vec::new(),
            routes: Vec::new(),
            installs: false,
        }
    }

    /// With this peer.
    #[must_use]
    pub fn neighbour(mut self, neighbour: Neighbour) -> Self {
        self.neighbours.push(neighbour);
        self
    }

    /// With these routes of its own.
    ///
    /// # Panics
    ///
    /// When one of them is no prefix.
    #[must_use]
    pub fn routes(mut self, routes: &[&str]) -> Self {
        let parsed = routes.iter().map(|route| route.parse::<Cidr>());
        self.routes
            .extend(parsed.map(|route| route.expect("a test names valid prefixes")));
        self
    }

    /// With what it learns in the kernel.
    #[must_use]
    pub fn installing(mut self) -> Self {
        self.installs = true;
        self
    }

    /// Its routes of one family.
    pub(super) fn of_family(&self, ipv6: bool) -> impl Iterator<Item = Cidr> {
        self.routes
            .iter()
            .copied()
            .filter(move |route| route.address.is_ipv6() == ipv6)
    }

    /// Its own address towards this neighbour.
    pub(super) fn local(&self, neighbour: &Neighbour) -> IpAddr {
        let like = self.addresses.like(neighbour.address);
        like.expect("a neighbour's family is one of the daemon's own")
    }

    /// For how long any session keeps routes.
    pub(super) fn graceful_restart(&self) -> Option<u16> {
        let times = self.neighbours.iter();
        times
            .filter_map(|neighbour| neighbour.graceful_restart)
            .max()
    }
}

impl Neighbour {
    /// A neighbour on the same link: the family of its address alone, hold time 90 s, nothing else.
    pub fn new(address: IpAddr, asn: u32) -> Self {
        Self {
            address,
            asn,
            password: None,
            passive: false,
            gtsm: false,
            multihop: 1,
            families: if address.is_ipv4() {
                Stack::V4
            } else {
                Stack::V6
            },
            graceful_restart: None,
            hold_time: 90,
        }
    }

    /// `4` and `6`, as far as the session has them.
    pub(super) fn versions(&self) -> impl Iterator<Item = u8> + use<> {
        let (v4, v6) = (self.families.has_v4(), self.families.has_v6());
        [(4, v4), (6, v6)]
            .into_iter()
            .filter_map(|(version, has)| has.then_some(version))
    }
}
