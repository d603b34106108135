//! `[[bgp.peer]]` and `[[bgp.listen]]`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use bgp::Families;
use bgp::policy::{Import, Policy};
use bgp::speaker::{ListenRange, MaxPrefixes, PeerConfig};
use subnet_alloc::shown;
use toml::Value;

use super::super::{ConfigError, Secret, values};
use super::reader::{Keys, Node, Place, SHOWN};
use super::{BgpChoice, ListenChoice, NodeFilter, PeerChoice, TcpChoice, Ttl, policy, text};

/// The port of BGP.
const PORT: u16 = 179;

/// How far packets travel where nothing is said: to the same link in another AS, anywhere in ours.
const TTL_EXTERNAL: u8 = 1;
const TTL_INTERNAL: u8 = 64;

/// The longest that a peer with too many prefixes stays away by itself, in seconds: a week.
const LONGEST_PAUSE: u64 = 604_800;

/// What peers and ranges can both say.
macro_rules! keys_with {
    ($($own:literal),*) => {
        &[
            $($own,)*
            "as",
            "nodes",
            "labels",
            "password",
            "password-file",
            "ttl-security",
            "multihop",
            "hold-time",
            "graceful-restart",
            "families",
            "allow-own-as",
            "enforce-first-as",
            "next-hop-self",
            "max-prefixes",
            "shutdown",
            "import",
            "export",
        ]
    };
}
pub(super) const PEER_KEYS: &[&str] = keys_with!("name", "address", "port", "source", "passive");
const LISTEN_KEYS: &[&str] = keys_with!("range");

/// A peer. `own`: what holds for all.
pub(super) fn peer(node: &Node<'_>, own: &BgpChoice) -> Result<PeerChoice, ConfigError> {
    let keys = named(node, "name")?.keys(PEER_KEYS)?;
    let name = keys.needed("name", |node| node.string(text::name))?;
    let address = keys.needed("address", |node| node.parsed(text::address))?;
    let mut peer = session(&keys, address, own)?;
    peer.passive = keys.parsed("passive", values::boolean)?.unwrap_or(false);
    let mut tcp = tcp(&keys, &peer, own)?;
    tcp.port = keys
        .parsed("port", text::number(1..=u16::MAX))?
        .unwrap_or(PORT);
    tcp.source = keys.read("source", |node| source(&node, address))?;
    let on = filter(&keys)?;
    Ok(PeerChoice {
        name,
        on,
        tcp,
        peer,
    })
}

/// A range of peers. `own`: what holds for all.
pub(super) fn listen(node: &Node<'_>, own: &BgpChoice) -> Result<ListenChoice, ConfigError> {
    let keys = named(node, "range")?.keys(LISTEN_KEYS)?;
    let range = keys.needed("range", |node| node.parsed(text::prefix))?;
    let mut peer = session(&keys, range.address(), own)?;
    peer.passive = true;
    let tcp = tcp(&keys, &peer, own)?;
    let (on, range) = (filter(&keys)?, ListenRange { range, peer });
    Ok(ListenChoice { on, tcp, range })
}

/// The same table at a place that says its name, where it has one.
fn named<'a>(node: &Node<'a>, key: &str) -> Result<Node<'a>, ConfigError> {
    let name = node.table()?.get(key).and_then(Value::as_str);
    let place = match name {
        Some(name) => node.place.named(name),
        None => node.place.clone(),
    };
    Ok(Node::new(place, node.value))
}

fn filter(keys: &Keys<'_>) -> Result<NodeFilter, ConfigError> {
    let nodes = keys.read("nodes", |list| list.some(|one| one.string(text::filled)))?;
    let labels = keys.read("labels", |node| labels(&node))?;
    Ok(NodeFilter {
        nodes: nodes.unwrap_or_default(),
        labels: labels.unwrap_or_default(),
    })
}

fn labels(node: &Node<'_>) -> Result<BTreeMap<String, String>, ConfigError> {
    let pairs = node.table()?.iter();
    let label = |(key, value): (&String, _)| {
        let value = Node::new(node.place.key(&shown(key, SHOWN)), value)
            .string(|text| Ok(text.to_owned()))?;
        Ok((key.clone(), value))
    };
    pairs.map(label).collect()
}

fn source(node: &Node<'_>, peer: IpAddr) -> Result<IpAddr, ConfigError> {
    let source = node.parsed(text::address)?;
    match source.is_ipv4() == peer.is_ipv4() {
        true => Ok(source),
        false => Err(node.refused(format!(
            "want an address of the family of {peer}, the peer's"
        ))),
    }
}

fn session(keys: &Keys<'_>, address: IpAddr, own: &BgpChoice) -> Result<PeerConfig, ConfigError> {
    let asn = keys.needed("as", |node| node.parsed(text::asn))?;
    let internal = asn == own.asn;
    let import = keys.read("import", |node| policy::import(&node))?;
    let export = keys.read("export", |node| policy::export(&node))?;
    let switch = |key, without| Ok(keys.parsed(key, values::boolean)?.unwrap_or(without));
    Ok(PeerConfig {
        hold_time: keys
            .parsed("hold-time", text::hold_time)?
            .unwrap_or(own.hold_time),
        families: keys
            .read("families", |list| families(&list))?
            .unwrap_or(Families::BOTH),
        graceful_restart: switch("graceful-restart", own.graceful_restart)?,
        enforce_first_as: switch("enforce-first-as", true)?,
        allow_own_as: keys
            .parsed("allow-own-as", text::number(0..=10))?
            .unwrap_or(0),
        import: import.map_or(Import::Unset, Import::Policy),
        export: export.or_else(|| internal.then(Policy::originated)),
        next_hop_self: switch("next-hop-self", false)?,
        max_prefixes: keys.read("max-prefixes", |node| max_prefixes(&node))?,
        shutdown: keys.read("shutdown", |node| shutdown(&node))?.flatten(),
        ..PeerConfig::new(address, asn)
    })
}

fn families(list: &Node<'_>) -> Result<Families, ConfigError> {
    let families = list.some(|one| one.parsed(text::family))?;
    Ok(families.into_iter().collect())
}

/// The reason; `true` is one that says nothing.
fn shutdown(node: &Node<'_>) -> Result<Option<String>, ConfigError> {
    match node.value {
        Value::Boolean(shut) => Ok(shut.then(String::new)),
        Value::String(_) => node.string(text::reason).map(Some),
        _ => Err(node.refused("want a text that the peer is told, true or false")),
    }
}

/// `1000`, or `{ limit = 1000, warn = 800, restart = "5m" }`.
fn max_prefixes(node: &Node<'_>) -> Result<MaxPrefixes, ConfigError> {
    let limit = text::number(1..=u32::MAX as usize);
    if !node.value.is_table() {
        let limit = node.parsed(limit)?;
        return Ok(MaxPrefixes {
            limit,
            warn: usual_warning(limit),
            restart: None,
        });
    }
    let keys = node.keys(&["limit", "warn", "restart"])?;
    let limit = keys.needed("limit", |node| node.parsed(limit))?;
    let below = |text: &str| {
        values::number(text, 0..=limit - 1)
            .map_err(|want| format!("{want}: below the limit, or 0 for no warning"))
    };
    Ok(MaxPrefixes {
        limit,
        warn: keys.parsed("warn", below)?.unwrap_or(usual_warning(limit)),
        restart: keys.parsed("restart", text::duration_up_to(LONGEST_PAUSE))?,
    })
}

/// 80 % of the limit.
fn usual_warning(limit: usize) -> usize {
    limit / 5 * 4 + limit % 5 * 4 / 5
}

/// The connection, with the port and the source of a peer that says nothing of them.
fn tcp(keys: &Keys<'_>, peer: &PeerConfig, own: &BgpChoice) -> Result<TcpChoice, ConfigError> {
    let (key, key_file) = key(keys)?;
    let usual = match peer.asn == own.asn {
        true => TTL_INTERNAL,
        false => TTL_EXTERNAL,
    };
    Ok(TcpChoice {
        port: PORT,
        source: None,
        key,
        key_file,
        ttl: ttl(keys)?.unwrap_or(Ttl::Hops(usual)),
    })
}

fn ttl(keys: &Keys<'_>) -> Result<Option<Ttl>, ConfigError> {
    let security = keys.parsed("ttl-security", text::number(1..=254))?;
    let multihop = keys.parsed("multihop", text::number(1..=255))?;
    match (security, multihop) {
        (Some(hops), Some(_)) => Err(keys.place.key("multihop").refuses(
            "given",
            format!("ttl-security says already that the peer is at most {hops} hops away: want one of the two"),
        )),
        (Some(hops), None) => Ok(Some(Ttl::Security(hops))),
        (None, multihop) => Ok(multihop.map(Ttl::Hops)),
    }
}

/// `password` or `password-file`.
pub(super) fn key(keys: &Keys<'_>) -> Result<(Option<Secret>, Option<PathBuf>), ConfigError> {
    let key = keys.read("password", |node| node.secret().string(text::key))?;
    let file = keys.read("password-file", |node| node.string(text::filled))?;
    match key.is_some() && file.is_some() {
        true => Err(both_keys(&keys.place)),
        false => Ok((key, file.map(PathBuf::from))),
    }
}

fn both_keys(place: &Place<'_>) -> ConfigError {
    let place = place.key("password");
    place.refuses(
        "********",
        "password-file is given, too: want one of the two",
    )
}
