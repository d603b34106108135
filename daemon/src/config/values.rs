//! What the text of a value may be: one small parser per type, whose error says what is allowed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use regex_lite::Regex;
use subnet_alloc::LeaseAttrs;

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The secret itself, for the one call that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// The value of `--store`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreKind {
    Etcd,
    Kube,
    File(PathBuf),
}

pub(super) fn store(text: &str) -> Result<StoreKind, String> {
    match (text, text.strip_prefix("file://")) {
        ("etcd", _) => Ok(StoreKind::Etcd),
        ("kube", _) => Ok(StoreKind::Kube),
        (_, Some(dir)) if Path::new(dir).is_absolute() => Ok(StoreKind::File(dir.into())),
        _ => Err("want etcd, kube, or file:///DIR with an absolute directory".into()),
    }
}

/// `http://HOST:PORT`, `https://HOST:PORT`, or `HOST:PORT` alone.
pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let (scheme, authority) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let authority = authority.trim_end_matches('/');
    let odd = |c: char| c.is_whitespace() || "/?#,".contains(c);
    if authority.is_empty() || authority.contains(odd) {
        return Err("want http://HOST:PORT or https://HOST:PORT".into());
    }
    match scheme {
        None => Ok(authority.into()),
        Some("http" | "https") => Ok(text.trim_end_matches('/').into()),
        Some(_) => Err("want http:// or https://".into()),
    }
}

pub(super) fn etcd_prefix(text: &str) -> Result<String, String> {
    match text.trim_end_matches('/') {
        "" => Err("want a key such as /coreos.com/network".into()),
        prefix => Ok(prefix.into()),
    }
}

pub(super) fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| format!("want a regular expression: {error}"))
}

/// What flannel's flags take as on and off (Go's `strconv.ParseBool`).
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err("want true or false".into()),
    }
}

/// An address family, for the message when an address is not of it.
pub(super) trait Family: FromStr {
    const NAME: &'static str;
}

impl Family for IpAddr {
    const NAME: &'static str = "an IPv4 or IPv6 address";
}

impl Family for Ipv4Addr {
    const NAME: &'static str = "an IPv4 address";
}

impl Family for Ipv6Addr {
    const NAME: &'static str = "an IPv6 address";
}

pub(super) fn ip<F: Family>(text: &str) -> Result<F, String> {
    text.parse().map_err(|_| format!("want {}", F::NAME))
}

/// A network without host bits; an address alone is a network of one address.
pub(super) fn network(text: &str) -> Result<IpNetwork, String> {
    let given: IpNetwork = text
        .parse()
        .map_err(|_| "want a network such as 10.0.0.0/8 or 2001:db8::/32".to_owned())?;
    let network = IpNetwork::new(given.network(), given.prefix()).map_err(|e| e.to_string())?;
    if network.ip() == given.ip() {
        Ok(network)
    } else {
        Err(format!("it has bits beyond its length: want {network}"))
    }
}

/// From the least that every IPv4 link carries (RFC 791, section 3.2) to the most that an IP header
/// can say.
pub(super) fn mtu(text: &str) -> Result<u32, String> {
    number(text, 576..=65_535)
}

/// 0 to 4 are the kernel's: unspec, redirect, kernel, boot and static (`rtnetlink.h`).
pub(super) fn route_protocol(text: &str) -> Result<u8, String> {
    number(text, 5..=255)
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    number(text, 0..=u16::MAX)
}

pub(super) fn node_name(text: &str) -> Result<String, String> {
    match text.trim() {
        name if LeaseAttrs::is_node_name(name) => Ok(name.into()),
        _ => {
            Err("want a name without spaces and invisible characters, of at most 253 bytes".into())
        }
    }
}

/// What is known of a node: `rack=a`. The value may be empty.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let odd = |c: char| c.is_whitespace() || c.is_control();
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !text.contains(odd) => {
            Ok((key.into(), value.into()))
        }
        _ => Err("want KEY=VALUE, such as rack=a, without spaces".into()),
    }
}

/// The most that etcd accepts as a lease's time to live, in seconds.
const LONGEST_TTL: u64 = 9_000_000_000;

/// At least a second, at most what etcd can keep.
pub(super) fn lease_ttl(text: &str) -> Result<Duration, String> {
    let ttl = duration(text)?;
    match ttl.as_secs() {
        1..=LONGEST_TTL => Ok(ttl),
        _ => Err(format!("want 1s to {LONGEST_TTL}s")),
    }
}

/// Seconds, or numbers with the units s, m, h and d: `90`, `90s`, `24h`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().or_else(|| seconds(text));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "want a duration such as 90s, 30m, 24h or 7d".into())
}

/// The sum of `NUMBER UNIT` pairs; `None` for anything else, also for a sum that does not fit.
fn seconds(mut text: &str) -> Option<u64> {
    let mut sum = 0u64;
    loop {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, rest) = text.split_at(digits);
        let mut rest = rest.chars();
        let unit = match rest.next()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        text = rest.as_str();
        if text.is_empty() {
            return Some(sum);
        }
    }
}

/// A number in this range.
pub(super) fn number<N>(text: &str, range: RangeInclusive<N>) -> Result<N, String>
where
    N: FromStr + PartialOrd + fmt::Display,
{
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("want a number from {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_numbers_with_units() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("30m", 1_800),
            ("24h", 86_400),
            ("7d", 604_800),
            ("1h30m", 5_400),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "",
            "h",
            "24x",
            "-1",
            "1.5h",
            "24h!",
            "h24",
            "1h30",
            "1é",
            "99999999999999999999d",
        ] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_lease_lives_for_at_least_a_second() {
        assert!(lease_ttl("0").is_err());
        assert!(lease_ttl("1s").is_ok());
        assert!(lease_ttl("9000000001").is_err());
    }

    #[test]
    fn the_kernels_own_route_protocols_are_refused() {
        for (text, allowed) in [
            ("0", false),
            ("1", false),
            ("4", false),
            ("5", true),
            ("84", true),
            ("255", true),
            ("256", false),
        ] {
            assert_eq!(route_protocol(text).is_ok(), allowed, "{text}");
        }
    }

    #[test]
    fn a_file_store_needs_an_absolute_directory() {
        assert_eq!(store("etcd"), Ok(StoreKind::Etcd));
        assert_eq!(
            store("file:///var/lib/twill"),
            Ok(StoreKind::File("/var/lib/twill".into()))
        );
        for text in [
            "file://var/lib/twill",
            "file://",
            "/var/lib/twill",
            "kubernetes",
            "",
        ] {
            assert!(store(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_port_with_or_without_a_scheme() {
        for text in [
            "http://127.0.0.1:2379",
            "https://etcd-0.etcd:2379",
            "[fd00::1]:2379",
            "10.0.0.1:2379",
        ] {
            assert_eq!(endpoint(text), Ok(text.into()));
        }
        assert_eq!(
            endpoint("http://127.0.0.1:2379/"),
            Ok("http://127.0.0.1:2379".into())
        );
        for text in [
            "",
            "http://",
            "ftp://a:1",
            "http://a b:1",
            "http://a:1/path",
        ] {
            assert!(endpoint(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_network_has_no_host_bits() {
        for text in [
            "10.0.0.0/8",
            "0.0.0.0/0",
            "2001:db8::/32",
            "192.0.2.7",
            "::1",
        ] {
            assert_eq!(network(text), Ok(text.parse().unwrap()), "{text}");
        }
        assert_eq!(
            network("10.1.0.0/8").unwrap_err(),
            "it has bits beyond its length: want 10.0.0.0/8"
        );
        for text in ["", "10.0.0.0/33", "10.0.0/8", "example.org", "10.0.0.0-8"] {
            let error = network(text).unwrap_err();
            assert!(error.starts_with("want a network"), "{text}: {error}");
        }
    }

    #[test]
    fn a_secret_hides_itself() {
        assert_eq!(
            format!("{:?}", Secret::from("hunter2".to_owned())),
            "********"
        );
    }
}
