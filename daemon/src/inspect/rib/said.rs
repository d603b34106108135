//! Path attributes in words.

use std::net::Ipv4Addr;

use bgp::RouterId;
use bgp::wire::{Attributes, ExtendedCommunity, Origin};
use serde::{Deserialize, Serialize};

/// What is said about a route.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Said {
    /// Where packets go next.
    pub(crate) next_hop: String,
    /// The systems that it came through, the nearest first; empty for a route of this AS.
    pub(crate) as_path: String,
    /// `igp`, `egp` or `incomplete`.
    pub(crate) origin: String,
    /// LOCAL_PREF.
    pub(crate) local_pref: Option<u32>,
    /// MED.
    pub(crate) med: Option<u32>,
    /// Communities of any size, as the settings have them.
    pub(crate) communities: Vec<String>,
    /// What is rarer: aggregation, reflectors, attributes that nobody here knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) more: Vec<String>,
}

impl Said {
    pub(super) fn of(said: &Attributes) -> Said {
        Said {
            next_hop: said.next_hop.to_string(),
            as_path: said.as_path.to_string(),
            origin: match said.origin {
                Origin::Igp => "igp",
                Origin::Egp => "egp",
                Origin::Incomplete => "incomplete",
            }
            .to_owned(),
            local_pref: said.local_pref,
            med: said.med,
            communities: communities(said),
            more: more(said),
        }
    }

    /// The same on lines with names, for people. `way`: what is to be said behind the next hop.
    pub(super) fn lines(&self, way: &str) -> Vec<(&'static str, String)> {
        let path = match &*self.as_path {
            "" => "empty: it is of this AS",
            path => path,
        };
        let mut lines = vec![
            ("next hop", format!("{}{way}", self.next_hop)),
            ("AS path", format!("{path}; origin {}", self.origin)),
        ];
        let number = |name: &str, value: Option<u32>| value.map(|value| format!("{name} {value}"));
        let preference = [
            number("local-pref", self.local_pref),
            number("MED", self.med),
        ];
        let preference: Vec<String> = preference.into_iter().flatten().collect();
        for (name, parts) in [
            ("preference", &preference),
            ("communities", &self.communities),
            ("more", &self.more),
        ] {
            if !parts.is_empty() {
                lines.push((name, parts.join(", ")));
            }
        }
        lines
    }

    /// The same on one line.
    pub(super) fn line(&self) -> String {
        let parts = self.lines("").into_iter();
        let parts: Vec<String> = parts
            .map(|(name, value)| match name {
                "preference" | "more" => value,
                _ => format!("{name} {value}"),
            })
            .collect();
        parts.join("; ")
    }
}

fn communities(said: &Attributes) -> Vec<String> {
    let standard = said.communities.iter().map(ToString::to_string);
    let large = said.large_communities.iter().map(ToString::to_string);
    let extended = said.extended_communities.iter().map(|one| extended(*one));
    standard.chain(large).chain(extended).collect()
}

/// Route targets and origins as the settings have them (RFC 4360, RFC 5668), others in hexadecimal.
pub(crate) fn extended(community: ExtendedCommunity) -> String {
    let [kind, sub, a, b, c, d, y, z] = community.0;
    let name = match sub {
        0x02 => "rt",
        0x03 => "soo",
        _ => return community.to_string(),
    };
    let last = u16::from_be_bytes([y, z]);
    match kind {
        0x00 => {
            let (asn, number) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, y, z]));
            format!("{name}:{asn}:{number}")
        }
        0x01 => format!("{name}:{}:{last}", Ipv4Addr::from([a, b, c, d])),
        0x02 => format!("{name}:{}:{last}", u32::from_be_bytes([a, b, c, d])),
        _ => community.to_string(),
    }
}

fn more(said: &Attributes) -> Vec<String> {
    let atomic = said.atomic_aggregate.then(|| "atomic aggregate".to_owned());
    let aggregator = said
        .aggregator
        .map(|one| format!("aggregated by {} in AS {}", one.router_id, one.asn));
    let originator = said.originator_id.map(|id| format!("originator {id}"));
    let clusters = said.cluster_list.iter();
    let clusters: Vec<String> = clusters
        .map(|id| RouterId::from_bits(*id).to_string())
        .collect();
    let clusters = (!clusters.is_empty()).then(|| format!("clusters {}", clusters.join(" ")));
    let unknown = said.unknown.iter();
    let unknown = unknown.map(|one| {
        let octets = one.value.len();
        format!("attribute {} ({octets} octets)", one.code)
    });
    [atomic, aggregator, originator, clusters]
        .into_iter()
        .flatten()
        .chain(unknown)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgp::wire::NextHop;

    #[test]
    fn extended_communities_are_written_as_the_settings_have_them() {
        for (octets, text) in [
            ([0x00, 2, 0xfc, 0, 0, 0, 0, 5], "rt:64512:5"),
            ([0x01, 3, 10, 0, 0, 1, 0, 5], "soo:10.0.0.1:5"),
            ([0x02, 2, 0xfa, 0x56, 0xea, 0, 0, 1], "rt:4200000000:1"),
            ([0x03, 0x0c, 0, 0, 0, 0, 0, 8], "0x030c000000000008"),
        ] {
            assert_eq!(extended(ExtendedCommunity(octets)), text);
        }
    }

    #[test]
    fn what_is_not_said_has_no_line() {
        let said = Attributes::originated(NextHop::V4([10, 0, 0, 1].into()));
        let said = Said::of(&said);
        assert_eq!(
            said.line(),
            "next hop 10.0.0.1; AS path empty: it is of this AS; origin igp"
        );
    }
}
