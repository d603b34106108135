//! Which link and which addresses carry packets between nodes.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use kernel::{Address, IfIndex, Link};

use crate::config::UnderlayChoice;

/// The link between nodes, and where this node is on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Underlay {
    /// The link.
    pub(crate) link: IfIndex,
    /// Its name.
    pub(crate) name: String,
    /// Its MTU in bytes, or the one that was set.
    pub(crate) mtu: u32,
    /// Our own address on it, by family.
    pub(crate) v4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub(crate) v6: Option<Ipv6Addr>,
    /// What other nodes are told to send to.
    pub(crate) public_v4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub(crate) public_v6: Option<Ipv6Addr>,
    /// The prefixes that are on-link.
    pub(crate) connected: Vec<IpNetwork>,
    /// By which rule it was chosen.
    pub(crate) why: String,
}

/// Which address families the network config asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Families {
    pub(crate) v4: bool,
    pub(crate) v6: bool,
}

/// What the kernel says about links, addresses and the way to a destination.
pub(crate) struct Facts<'a> {
    pub(crate) links: Vec<&'a Link>,
    pub(crate) addresses: &'a [Address],
    /// The source address that the kernel takes towards this one.
    pub(crate) source_towards: &'a dyn Fn(IpAddr) -> Option<IpAddr>,
    /// Addresses of the store, tried before the default route.
    pub(crate) store: Vec<IpAddr>,
}

/// Why no underlay could be chosen.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum UnderlayError {
    #[error(
        "no link has the name or the address given by --iface ({0}); links here: {1}; correct --iface, or leave it out for the link towards the store"
    )]
    NoSuchIface(String, String),
    #[error(
        "no link matches --iface-regex ({0}); links here: {1}; correct it, or name the link with --iface"
    )]
    NoMatch(String, String),
    #[error(
        "--iface-can-reach {0}: the kernel has no route to it; add one, or name the link with --iface"
    )]
    Unreachable(IpAddr),
    #[error(
        "cannot tell which link joins the nodes: there is no default route and more than one link with an address ({0}); name it with --iface"
    )]
    Ambiguous(String),
    #[error(
        "no link but the loopback has an address; give one to the link that joins the nodes, or name it with --iface"
    )]
    Nothing,
    #[error(
        "the network config has {family} enabled, but {link} has no {family} address; add one, or set --{flag}"
    )]
    NoAddress {
        family: &'static str,
        link: String,
        flag: &'static str,
    },
}

/// Chooses by the first rule that is given: `--iface`, `--iface-regex`,
/// `--iface-can-reach`; else the link towards the store, else that of the
/// default route, else the only one that there is.
pub(crate) fn choose(
    facts: &Facts<'_>,
    choice: &UnderlayChoice,
    families: Families,
    mtu: Option<u32>,
) -> Result<Underlay, UnderlayError> {
    let (link, pinned, why) = chosen_link(facts, choice)?;
    let on_link = on_link(link.index, facts.addresses);
    let v4 = pinned
        .and_then(v4_of)
        .or_else(|| on_link.iter().find_map(|n| v4_of(n.ip())));
    let v6 = pinned
        .and_then(v6_of)
        .or_else(|| on_link.iter().find_map(|n| v6_of(n.ip())));
    let underlay = Underlay {
        link: link.index,
        name: link.name.clone(),
        mtu: mtu.unwrap_or(link.mtu),
        v4: v4.filter(|_| families.v4),
        v6: v6.filter(|_| families.v6),
        public_v4: choice.public_ip.or(v4).filter(|_| families.v4),
        public_v6: choice.public_ipv6.or(v6).filter(|_| families.v6),
        connected: on_link.into_iter().filter(is_shared).collect(),
        why,
    };
    underlay.check(families)
}

impl Underlay {
    fn check(self, families: Families) -> Result<Underlay, UnderlayError> {
        let missing = |family, flag| UnderlayError::NoAddress {
            family,
            link: self.name.clone(),
            flag,
        };
        if families.v4 && (self.v4.is_none() || self.public_v4.is_none()) {
            return Err(missing("IPv4", "public-ip"));
        }
        if families.v6 && (self.v6.is_none() || self.public_v6.is_none()) {
            return Err(missing("IPv6", "public-ipv6"));
        }
        Ok(self)
    }

    /// Whether `ip` can be reached without a router.
    pub(crate) fn is_on_link(&self, ip: IpAddr) -> bool {
        self.connected.iter().any(|network| network.contains(ip))
    }

    /// Whether the link has the same addresses as when it was chosen.
    pub(crate) fn has_its_addresses(&self, addresses: &[Address]) -> bool {
        let on_link: Vec<IpNetwork> = on_link(self.link, addresses);
        let own = [self.v4.map(IpAddr::V4), self.v6.map(IpAddr::V6)];
        let connected: BTreeSet<_> = on_link.iter().copied().filter(is_shared).collect();
        own.into_iter()
            .flatten()
            .all(|ip| on_link.iter().any(|network| network.ip() == ip))
            && connected == self.connected.iter().copied().collect()
    }

    /// Whether this node has the same addresses on the other one.
    pub(crate) fn has_addresses_of(&self, other: &Underlay) -> bool {
        (self.v4, self.v6) == (other.v4, other.v6)
    }

    /// Whether `ip` is this node itself.
    pub(crate) fn is_own(&self, ip: IpAddr) -> bool {
        self.own_addresses().any(|own| own == ip)
    }

    /// Under which addresses packets reach this node.
    pub(crate) fn own_addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let v4 = [self.v4, self.public_v4].into_iter().flatten();
        let v6 = [self.v6, self.public_v6].into_iter().flatten();
        v4.map(IpAddr::V4).chain(v6.map(IpAddr::V6))
    }

    /// Whether `ip` stands for an on-link network or for all of its hosts.
    pub(crate) fn is_no_host(&self, ip: IpAddr) -> bool {
        let stands_for = |network: &IpNetwork| match network {
            IpNetwork::V4(n) if n.prefix() < 31 => {
                [n.network(), n.broadcast()].map(IpAddr::V4).contains(&ip)
            }
            IpNetwork::V4(_) | IpNetwork::V6(_) => false,
        };
        self.connected.iter().any(stands_for)
    }
}

impl fmt::Display for Underlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (MTU {}", self.name, self.mtu)?;
        for ip in [
            self.public_v4.map(IpAddr::V4),
            self.public_v6.map(IpAddr::V6),
        ]
        .into_iter()
        .flatten()
        {
            write!(f, ", {ip}")?;
        }
        write!(f, "; {})", self.why)
    }
}

fn on_link(link: IfIndex, addresses: &[Address]) -> Vec<IpNetwork> {
    let on_link = addresses.iter().filter(|a| a.link == link);
    on_link.map(|a| a.network).collect()
}

type Chosen<'a> = (&'a Link, Option<IpAddr>, String);

fn chosen_link<'a>(
    facts: &Facts<'a>,
    choice: &UnderlayChoice,
) -> Result<Chosen<'a>, UnderlayError> {
    if !choice.ifaces.is_empty() || !choice.iface_regexes.is_empty() {
        let named = choice
            .ifaces
            .iter()
            .find_map(|iface| facts.by_name_or_address(iface));
        let matching = || {
            choice
                .iface_regexes
                .iter()
                .find_map(|regex| facts.by_regex(regex))
        };
        return named
            .or_else(matching)
            .ok_or_else(|| facts.no_such_link(choice));
    }
    if let Some(target) = choice.can_reach {
        let why = format!("--iface-can-reach {target}");
        return facts
            .towards(target, why)
            .ok_or(UnderlayError::Unreachable(target));
    }
    let store = || {
        facts
            .store
            .iter()
            .find_map(|ip| facts.towards(*ip, format!("the way to the store at {ip}")))
    };
    store()
        .or_else(|| facts.by_default_route())
        .map_or_else(|| facts.only_link(), Ok)
}

/// Addresses that no host has (RFC 5737, RFC 3849): the way to them is the
/// default route.
const NOWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

impl<'a> Facts<'a> {
    fn by_name_or_address(&self, iface: &str) -> Option<Chosen<'a>> {
        let why = format!("--iface {iface}");
        match iface.parse::<IpAddr>() {
            Ok(ip) => self.with_address(ip).map(|link| (link, Some(ip), why)),
            Err(_) => self
                .links
                .iter()
                .find(|link| link.name == iface)
                .map(|link| (*link, None, why)),
        }
    }

    /// Addresses are tried before names, as flannel does.
    fn by_regex(&self, regex: &regex_lite::Regex) -> Option<Chosen<'a>> {
        let why = format!("--iface-regex {}", regex.as_str());
        let address = self
            .addresses
            .iter()
            .map(|a| a.network.ip())
            .find(|ip| regex.is_match(&ip.to_string()));
        if let Some(ip) = address
            && let Some(link) = self.with_address(ip)
        {
            return Some((link, Some(ip), why));
        }
        self.links
            .iter()
            .find(|link| regex.is_match(&link.name))
            .map(|link| (*link, None, why))
    }

    fn towards(&self, target: IpAddr, why: String) -> Option<Chosen<'a>> {
        let source = (self.source_towards)(target)?;
        let link = self
            .with_address(source)
            .filter(|_| !source.is_loopback())?;
        Some((link, Some(source), why))
    }

    fn by_default_route(&self) -> Option<Chosen<'a>> {
        NOWHERE
            .into_iter()
            .find_map(|ip| self.towards(ip, "the default route".into()))
    }

    fn only_link(&self) -> Result<Chosen<'a>, UnderlayError> {
        let usable =
            |link: &&&'a Link| link.up && link.vxlan.is_none() && self.has_address(link.index);
        let mut links = self.links.iter().filter(usable);
        match (links.next(), links.next()) {
            (Some(link), None) => Ok((link, None, "the only link with an address".into())),
            (None, _) => Err(UnderlayError::Nothing),
            _ => Err(UnderlayError::Ambiguous(self.names())),
        }
    }

    fn with_address(&self, ip: IpAddr) -> Option<&'a Link> {
        let index = self.addresses.iter().find(|a| a.network.ip() == ip)?.link;
        self.links.iter().find(|link| link.index == index).copied()
    }

    fn has_address(&self, link: IfIndex) -> bool {
        let global = |ip: IpAddr| !ip.is_loopback() && (v4_of(ip).is_some() || v6_of(ip).is_some());
        self.addresses
            .iter()
            .any(|a| a.link == link && global(a.network.ip()))
    }

    fn no_such_link(&self, choice: &UnderlayChoice) -> UnderlayError {
        if choice.iface_regexes.is_empty() {
            return UnderlayError::NoSuchIface(choice.ifaces.join(", "), self.names());
        }
        let patterns: Vec<&str> = choice
            .iface_regexes
            .iter()
            .map(regex_lite::Regex::as_str)
            .collect();
        UnderlayError::NoMatch(patterns.join(", "), self.names())
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self
            .links
            .iter()
            .map(|link| link.name.as_str())
            .take(20)
            .collect();
        names.join(", ")
    }
}

fn v4_of(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

/// A link-local address names no node beyond its link.
fn v6_of(ip: IpAddr) -> Option<Ipv6Addr> {
    match ip {
        IpAddr::V6(ip) if !ip.is_unicast_link_local() => Some(ip),
        IpAddr::V6(_) | IpAddr::V4(_) => None,
    }
}

/// A prefix with room for another node.
fn is_shared(network: &IpNetwork) -> bool {
    let host = if network.is_ipv4() { 32 } else { 128 };
    network.prefix() < host && (v4_of(network.ip()).is_some() || v6_of(network.ip()).is_some())
}

/// The source address that the kernel takes towards `target`: connecting a UDP
/// socket looks the route up and sends nothing.
pub(crate) fn source_towards(target: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if target.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect((target, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: Families = Families {
        v4: true,
        v6: false,
    };
    const DUAL: Families = Families { v4: true, v6: true };

    fn link(index: u32, name: &str) -> Link {
        Link {
            index: IfIndex(index),
            name: name.into(),
            alias: None,
            mtu: 1500,
            mac: None,
            up: true,
            carrier: true,
            vxlan: None,
        }
    }

    fn address(link: u32, network: &str) -> Address {
        Address {
            link: IfIndex(link),
            network: network.parse().unwrap(),
        }
    }

    fn no_rule() -> UnderlayChoice {
        UnderlayChoice {
            ifaces: vec![],
            iface_regexes: vec![],
            can_reach: None,
            public_ip: None,
            public_ipv6: None,
        }
    }

    fn choose_among(
        choice: &UnderlayChoice,
        families: Families,
        towards: &dyn Fn(IpAddr) -> Option<IpAddr>,
    ) -> Result<Underlay, UnderlayError> {
        let links = [link(1, "lo"), link(2, "eth0"), link(3, "eth1")];
        let addresses = [
            address(1, "127.0.0.1/8"),
            address(2, "10.0.0.1/24"),
            address(2, "10.0.0.100/24"),
            address(3, "192.168.0.1/24"),
            address(3, "fe80::1/64"),
            address(3, "fd99::1/64"),
        ];
        let facts = Facts {
            links: links.iter().collect(),
            addresses: &addresses,
            source_towards: towards,
            store: vec!["192.168.0.9".parse().unwrap()],
        };
        choose(&facts, choice, families, None)
    }

    fn nowhere(_: IpAddr) -> Option<IpAddr> {
        None
    }

    #[test]
    fn a_named_link_gives_its_primary_address() {
        let choice = UnderlayChoice {
            ifaces: vec!["nope".into(), "eth0".into()],
            ..no_rule()
        };
        let underlay = choose_among(&choice, V4, &nowhere).unwrap();
        assert_eq!(
            (underlay.name.as_str(), underlay.public_v4),
            ("eth0", Some([10, 0, 0, 1].into()))
        );
    }

    #[test]
    fn an_address_names_its_link_and_itself() {
        let choice = UnderlayChoice {
            ifaces: vec!["10.0.0.100".into()],
            ..no_rule()
        };
        let underlay = choose_among(&choice, V4, &nowhere).unwrap();
        assert_eq!(underlay.v4, Some([10, 0, 0, 100].into()));
    }

    #[test]
    fn a_regex_is_tried_on_addresses_before_names() {
        let regex = |text: &str| vec![regex_lite::Regex::new(text).unwrap()];
        let by_address = UnderlayChoice {
            iface_regexes: regex(r"^192\.168\."),
            ..no_rule()
        };
        assert_eq!(
            choose_among(&by_address, V4, &nowhere).unwrap().name,
            "eth1"
        );
        let by_name = UnderlayChoice {
            iface_regexes: regex("^eth0$"),
            ..no_rule()
        };
        assert_eq!(choose_among(&by_name, V4, &nowhere).unwrap().name, "eth0");
    }

    #[test]
    fn without_a_rule_the_way_to_the_store_comes_before_the_default_route() {
        let towards = |ip: IpAddr| -> Option<IpAddr> {
            let store: IpAddr = "192.168.0.9".parse().unwrap();
            let source = if ip == store {
                "192.168.0.1"
            } else {
                "10.0.0.1"
            };
            Some(source.parse().unwrap())
        };
        let underlay = choose_among(&no_rule(), V4, &towards).unwrap();
        assert_eq!(
            (underlay.name.as_str(), underlay.why.as_str()),
            ("eth1", "the way to the store at 192.168.0.9")
        );
    }

    #[test]
    fn two_links_and_no_route_is_an_error_that_names_them() {
        let error = choose_among(&no_rule(), V4, &nowhere).unwrap_err();
        assert!(error.to_string().contains("eth0, eth1") && error.to_string().contains("--iface"));
    }

    #[test]
    fn a_link_without_an_address_of_an_enabled_family_is_refused() {
        let choice = UnderlayChoice {
            ifaces: vec!["eth0".into()],
            ..no_rule()
        };
        let error = choose_among(&choice, DUAL, &nowhere).unwrap_err();
        assert!(error.to_string().contains("eth0 has no IPv6 address"));
    }

    #[test]
    fn link_local_addresses_are_passed_over() {
        let choice = UnderlayChoice {
            ifaces: vec!["eth1".into()],
            ..no_rule()
        };
        let underlay = choose_among(&choice, DUAL, &nowhere).unwrap();
        assert_eq!(underlay.v6, Some("fd99::1".parse().unwrap()));
    }

    #[test]
    fn on_link_is_what_shares_a_prefix_with_us() {
        let choice = UnderlayChoice {
            ifaces: vec!["eth1".into()],
            ..no_rule()
        };
        let underlay = choose_among(&choice, DUAL, &nowhere).unwrap();
        assert!(underlay.is_on_link("192.168.0.77".parse().unwrap()));
        assert!(underlay.is_on_link("fd99::77".parse().unwrap()));
        assert!(!underlay.is_on_link("10.0.0.1".parse().unwrap()));
    }
}
