//! What can be asked at the control socket, and how it is spelled: on one line the name of the topic, and for some a space and
//! arguments in JSON.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use subnet_alloc::shown;

/// What can be asked of the daemon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Topic {
    Routes,
    Leases,
    Neighbours,
    Status,
    /// Who speaks BGP with this node.
    Peers,
    /// One of them.
    Peer(OfPeer),
    /// How much of what is known a peer told, and is told.
    Tally(OfPeer),
    /// What is known of prefixes.
    Rib(OfRib),
    /// What is not in the kernel as it should be, read anew.
    Drift,
    /// Read the settings anew.
    Reload,
    /// Do something with peers.
    Bgp(Order),
    /// Whether it answers at all, for `/healthz`.
    Alive,
    /// Whether it is ready, for `/readyz`.
    Ready,
    /// Prometheus' text, for `/metrics`.
    Metrics,
}

/// One peer, and where to go on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfPeer {
    /// Its name.
    pub(crate) peer: String,
    /// The last prefix of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
}

/// What of the RIB.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfRib {
    /// From whose side.
    pub(crate) side: Side,
    /// All about this prefix, or the longest that it is a part of; all prefixes, a page at a time, where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
    /// The last prefix of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
}

/// A side of the RIB.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    /// What is used.
    Used,
    /// What this peer told.
    In(String),
    /// What this peer is told.
    Out(String),
}

/// What is to be done with peers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Order {
    /// Routes are told again.
    Refresh {
        /// With whom.
        peer: String,
        /// It is asked for its routes.
        ask: bool,
        /// It is told ours.
        tell: bool,
    },
    /// The session ends, and another begins.
    Reset {
        /// With whom.
        peer: String,
        /// What it is told as the reason, at most [`LONGEST_REASON`] octets.
        reason: String,
    },
    /// All peers are asked to use other paths, or not any more.
    Drain {
        /// Whether.
        on: bool,
    },
}

/// Octets of a reason that a peer is told (RFC 9003).
pub(crate) const LONGEST_REASON: usize = 255;

const PLAIN: [(&str, Topic); 7] = [
    ("routes", Topic::Routes),
    ("leases", Topic::Leases),
    ("neighbours", Topic::Neighbours),
    ("status", Topic::Status),
    ("peers", Topic::Peers),
    ("drift", Topic::Drift),
    ("reload", Topic::Reload),
];

impl Topic {
    /// What a client's line asks for, or why that cannot be asked.
    pub(crate) fn asked(line: &[u8]) -> Result<Topic, String> {
        let line = line.trim_ascii();
        let end = line.iter().position(|octet| *octet == b' ');
        let (name, arguments) = match end {
            Some(end) => (&line[..end], line[end..].trim_ascii()),
            None => (line, &[][..]),
        };
        let plain = PLAIN.iter().find(|(known, _)| known.as_bytes() == name);
        match (name, plain) {
            (_, Some((_, topic))) if arguments.is_empty() => Ok(topic.clone()),
            (_, Some((name, _))) => Err(format!("{name} takes no arguments")),
            (b"peer", _) => read(arguments).map(Topic::Peer),
            (b"tally", _) => read(arguments).map(Topic::Tally),
            (b"rib", _) => read(arguments).map(Topic::Rib),
            (b"bgp", _) => read(arguments).and_then(sound).map(Topic::Bgp),
            _ => Err("unknown topic".to_owned()),
        }
    }

    /// How a client asks for it, without the newline; nothing for what cannot be asked at the socket.
    pub(crate) fn line(&self) -> String {
        let plain = PLAIN.iter().find(|(_, topic)| topic == self);
        match self {
            Topic::Peer(of) => written("peer", of),
            Topic::Tally(of) => written("tally", of),
            Topic::Rib(of) => written("rib", of),
            Topic::Bgp(order) => written("bgp", order),
            _ => plain.map_or("", |(name, _)| name).to_owned(),
        }
    }
}

fn read<A: DeserializeOwned>(arguments: &[u8]) -> Result<A, String> {
    let bad =
        |error: serde_json::Error| format!("bad arguments: {}", shown(&error.to_string(), 160));
    serde_json::from_slice(arguments).map_err(bad)
}

fn sound(order: Order) -> Result<Order, String> {
    match &order {
        Order::Reset { reason, .. } if reason.len() > LONGEST_REASON => Err(format!(
            "the reason has {} octets, and a peer is told at most {LONGEST_REASON} (RFC 9003)",
            reason.len()
        )),
        Order::Refresh {
            ask: false,
            tell: false,
            ..
        } => Err("a refresh needs a direction".to_owned()),
        _ => Ok(order),
    }
}

fn written(name: &str, arguments: &impl Serialize) -> String {
    let arguments = serde_json::to_string(arguments).unwrap_or_default();
    format!("{name} {arguments}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_arguments() -> Vec<Topic> {
        let of = OfPeer {
            peer: "tor \"1\"\n".into(),
            after: Some("10.0.0.0/8".into()),
        };
        let rib = |side| OfRib {
            side,
            prefix: None,
            after: None,
        };
        vec![
            Topic::Peer(of.clone()),
            Topic::Tally(of),
            Topic::Rib(rib(Side::Used)),
            Topic::Rib(rib(Side::In("a".into()))),
            Topic::Rib(OfRib {
                prefix: Some("::/0".into()),
                ..rib(Side::Out("b".into()))
            }),
            Topic::Bgp(Order::Drain { on: true }),
            Topic::Bgp(Order::Reset {
                peer: "a".into(),
                reason: "é".into(),
            }),
            Topic::Bgp(Order::Refresh {
                peer: "a".into(),
                ask: true,
                tell: false,
            }),
        ]
    }

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let plain = PLAIN.into_iter().map(|(_, topic)| topic);
        for topic in plain.chain(with_arguments()) {
            let line = topic.line();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(Topic::asked(format!("{line}\r\n").as_bytes()), Ok(topic));
        }
    }

    #[test]
    fn nothing_else_is_understood() {
        for line in [
            &b""[..],
            b"\n",
            b"ready\n",
            b"routes leases\n",
            b"ROUTES\n",
            b"\xff\n",
            b"peer\n",
            b"peer a\n",
            b"peer {\"peer\":1}\n",
            b"peer {\"peer\":\"a\",\"x\":1}\n",
            b"rib {\"side\":{\"in\":\"\xff\"}}\n",
            b"bgp {\"stop\":{}}\n",
            b"bgp {\"drain\":{\"on\":true}} {}\n",
            b"bgp {\"refresh\":{\"peer\":\"a\",\"ask\":false,\"tell\":false}}\n",
        ] {
            assert!(Topic::asked(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_reason_that_a_peer_cannot_be_told_is_refused() {
        let reset = |octets| {
            let reason = "x".repeat(octets);
            let peer = "a".to_owned();
            Topic::asked(Topic::Bgp(Order::Reset { peer, reason }).line().as_bytes())
        };
        assert!(reset(LONGEST_REASON).is_ok());
        assert!(reset(LONGEST_REASON + 1).unwrap_err().contains("RFC 9003"));
    }
}
