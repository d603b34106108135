//! What the text of a value may be: one parser per kind, whose error says what is wanted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use bgp::policy::{AnyCommunity, PrefixRule};
use bgp::wire::{Community, ExtendedCommunity, LargeCommunity};
use bgp::{Asn, Family, Prefix, RouterId};

use super::super::Secret;
use super::super::values;

/// The number behind the last AS (RFC 7300).
const LAST_ASN: u32 = u32::MAX;

/// What a prefix looks like, for errors.
const PREFIX: &str = "want a prefix such as 10.0.0.0/8 or 2001:db8::/32";

/// The longest key that the kernel takes for TCP MD5, in octets (`TCP_MD5SIG_MAXKEYLEN`).
const LONGEST_KEY: usize = 80;

/// Octets of a shutdown message (RFC 9003).
const LONGEST_REASON: usize = 255;

pub(super) fn asn(text: &str) -> Result<Asn, String> {
    let asn = text.parse().ok().map(Asn);
    asn.filter(|asn| !matches!(asn.0, 0 | LAST_ASN) && *asn != Asn::TRANS)
        .ok_or_else(|| {
            "want the number of an AS, 1 to 4294967294, without dots; 23456 stands for others (RFC 6793)".into()
        })
}

pub(super) fn router_id(text: &str) -> Result<RouterId, String> {
    let id = text.parse().ok().filter(|id| *id != Ipv4Addr::UNSPECIFIED);
    id.map(RouterId)
        .ok_or_else(|| "want four numbers as of an IPv4 address, not 0.0.0.0".into())
}

/// The address of one machine, without a scope.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    let scoped = text.contains('%');
    let bare = text.split('%').next().unwrap_or_default();
    let address: IpAddr = bare
        .parse()
        .map_err(|_| "want an IPv4 or IPv6 address".to_owned())?;
    if scoped || matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        return Err(
            "link-local addresses are not supported: want a global or unique local one of the peer"
                .into(),
        );
    }
    match address.to_canonical() {
        canonical if canonical != address => Err(format!("want it as {canonical}")),
        IpAddr::V4(v4) if v4.is_broadcast() => Err("want the address of one machine".into()),
        _ if address.is_unspecified() || address.is_multicast() => {
            Err("want the address of one machine".into())
        }
        _ => Ok(address),
    }
}

/// A prefix without host bits.
pub(super) fn prefix(text: &str) -> Result<Prefix, String> {
    let (address, length) = text.split_once('/').ok_or_else(|| without_length(text))?;
    let address: IpAddr = address.parse().map_err(|_| PREFIX.to_owned())?;
    let length = decimal(length).ok_or_else(|| PREFIX.to_owned())?;
    match Prefix::new(address, length) {
        Some(prefix) if prefix.address() == address => Ok(prefix),
        Some(prefix) => Err(format!("it has bits beyond its length: want {prefix}")),
        None => Err(format!("the length is more than {}", bits(address))),
    }
}

fn without_length(text: &str) -> String {
    match text.parse::<IpAddr>() {
        Ok(address) => format!("{PREFIX}; {address}/{} for this one address", bits(address)),
        Err(_) => PREFIX.into(),
    }
}

fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// `10.0.0.0/8`, `10.0.0.0/8 le 24`, `10.0.0.0/8 ge 16`, `10.0.0.0/8 ge 16 le 24`.
pub(super) fn prefix_rule(text: &str) -> Result<PrefixRule, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (of, min, max) = match words[..] {
        [of] => (of, None, None),
        [of, "le", le] => (of, None, Some(le)),
        [of, "ge", ge] => (of, Some(ge), None),
        [of, "ge", ge, "le", le] | [of, "le", le, "ge", ge] => (of, Some(ge), Some(le)),
        _ => {
            return Err(
                "want a prefix, alone or with lengths: 10.0.0.0/8, 10.0.0.0/8 ge 16 le 24".into(),
            );
        }
    };
    let prefix = prefix(of)?;
    let (own, all) = (prefix.length(), bits(prefix.address()));
    let length = |word: Option<&str>, without: u8| word.map_or(Some(without), decimal);
    let rule = match (min, max) {
        (None, None) => Some(PrefixRule::exact(prefix)),
        _ => length(min, own)
            .zip(length(max, all))
            .map(|(min, max)| PrefixRule { prefix, min, max }),
    };
    rule.filter(|rule| own <= rule.min && rule.min <= rule.max && rule.max <= all)
        .ok_or_else(|| format!("want {own} <= ge <= le <= {all}"))
}

/// A length in plain digits.
fn decimal(text: &str) -> Option<u8> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// `64512:7`, `64512:1:2`, `rt:64512:5`, `soo:10.0.0.1:5`, or a well-known name.
pub(super) fn community(text: &str) -> Result<AnyCommunity, String> {
    if let Some((kind, rest)) = extended_kind(text) {
        return extended(kind, rest)
            .map(AnyCommunity::Extended)
            .ok_or_else(|| {
                "want AS:NUMBER or IPV4:NUMBER behind rt: or soo:; six octets hold both".into()
            });
    }
    let well_known = (text == "blackhole").then_some(BLACKHOLE);
    let standard = || text.parse().ok();
    let large = || text.parse::<LargeCommunity>().ok().map(AnyCommunity::Large);
    let hexadecimal = || {
        text.parse::<ExtendedCommunity>()
            .ok()
            .map(AnyCommunity::Extended)
    };
    let known = well_known.or_else(standard).map(AnyCommunity::Standard);
    known.or_else(large).or_else(hexadecimal).ok_or_else(|| {
        "want 64512:7, 64512:1:2, rt:64512:5, soo:64512:5, no-export, no-advertise, no-export-subconfed, \
         graceful-shutdown or blackhole"
            .into()
    })
}

/// RFC 7999.
const BLACKHOLE: Community = Community(0xffff_029a);

/// Sub-type of route targets and origins (RFC 4360, sections 4 and 5), and what is behind the name.
fn extended_kind(text: &str) -> Option<(u8, &str)> {
    let kinds = [("rt:", 0x02), ("soo:", 0x03)];
    kinds
        .into_iter()
        .find_map(|(name, kind)| Some((kind, text.strip_prefix(name)?)))
}

/// The types with two octets of AS, with IPv4 (RFC 4360, section 3), with four octets of AS (RFC 5668).
fn extended(kind: u8, text: &str) -> Option<ExtendedCommunity> {
    let (of, number) = text.split_once(':')?;
    let small = |of: [u8; 4], kind_of: u8| {
        let [a, b, c, d] = of;
        let [y, z] = number.parse::<u16>().ok()?.to_be_bytes();
        Some([kind_of, kind, a, b, c, d, y, z])
    };
    let octets = match (of.parse::<u16>(), of.parse::<u32>(), of.parse::<Ipv4Addr>()) {
        (Ok(asn), ..) => {
            let ([a, b], [w, x, y, z]) =
                (asn.to_be_bytes(), number.parse::<u32>().ok()?.to_be_bytes());
            Some([0x00, kind, a, b, w, x, y, z])
        }
        (_, Ok(asn), _) => small(asn.to_be_bytes(), 0x02),
        (.., Ok(address)) => small(address.octets(), 0x01),
        _ => None,
    };
    octets.map(ExtendedCommunity)
}

pub(super) fn family(text: &str) -> Result<Family, String> {
    match text {
        "ipv4" => Ok(Family::Ipv4),
        "ipv6" => Ok(Family::Ipv6),
        _ => Err("want ipv4 or ipv6".into()),
    }
}

/// Seconds: 0 turns keepalives off, and 1 and 2 are not allowed (RFC 4271, section 4.2).
pub(super) fn hold_time(text: &str) -> Result<u16, String> {
    let seconds = values::duration(text)
        .ok()
        .and_then(|time| u16::try_from(time.as_secs()).ok());
    seconds
        .filter(|seconds| !matches!(seconds, 1 | 2))
        .ok_or_else(|| "want 0, or 3s to 65535s".into())
}

/// A duration of at least a second and at most that many.
pub(super) fn duration_up_to(most: u64) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let time = values::duration(text).ok();
        time.filter(|time| (1..=most).contains(&time.as_secs()))
            .ok_or_else(|| format!("want 1s to {most}s"))
    }
}

/// A number within a range.
pub(super) fn number<N>(range: RangeInclusive<N>) -> impl Fn(&str) -> Result<N, String>
where
    N: FromStr + PartialOrd + fmt::Display + Clone,
{
    move |text| values::number(text, range.clone())
}

/// A name that fits into a line of a log and a word of a command.
pub(super) fn name(text: &str) -> Result<String, String> {
    match values::node_name(text) {
        Ok(name) if name == text => Ok(name),
        Ok(_) => Err("want it without spaces".into()),
        Err(allowed) => Err(allowed),
    }
}

/// A text that is not empty.
pub(super) fn filled(text: &str) -> Result<String, String> {
    match text {
        "" => Err("want a text that is not empty".into()),
        text => Ok(text.into()),
    }
}

/// A key of TCP MD5.
pub(super) fn key(text: &str) -> Result<Secret, String> {
    match text.len() {
        1..=LONGEST_KEY => Ok(Secret::from(text.to_owned())),
        octets => Err(format!("it has {octets} octets: want 1 to {LONGEST_KEY}")),
    }
}

/// Why there is no session, as the peer's operator reads it.
pub(super) fn reason(text: &str) -> Result<String, String> {
    match text.len() <= LONGEST_REASON && !text.contains(char::is_control) {
        true => Ok(text.into()),
        false => Err(format!(
            "want one line of at most {LONGEST_REASON} octets (RFC 9003)"
        )),
    }
}
