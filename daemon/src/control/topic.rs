//! What can be asked at the control socket, and how it is spelled.

/// What can be asked of the daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Topic {
    Routes,
    Leases,
    Neighbours,
    Status,
    /// Who speaks BGP with this node.
    Peers,
    /// What is not in the kernel as it should be, read anew.
    Drift,
    /// Read the settings anew.
    Reload,
    /// Whether it is ready, for `/readyz`.
    Ready,
    /// Prometheus' text, for `/metrics`.
    Metrics,
}

impl Topic {
    const NAMED: [(&'static str, Topic); 7] = [
        ("routes", Topic::Routes),
        ("leases", Topic::Leases),
        ("neighbours", Topic::Neighbours),
        ("status", Topic::Status),
        ("peers", Topic::Peers),
        ("drift", Topic::Drift),
        ("reload", Topic::Reload),
    ];

    /// What a client's line asks for, if that can be asked.
    pub(crate) fn asked(line: &[u8]) -> Option<Topic> {
        let name = line.trim_ascii();
        Topic::NAMED
            .iter()
            .find(|(known, _)| known.as_bytes() == name)
            .map(|(_, topic)| *topic)
    }

    /// How a client asks for it.
    pub(crate) fn name(self) -> &'static str {
        Topic::NAMED
            .iter()
            .find(|(_, topic)| *topic == self)
            .map_or("", |(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_by_name_is_understood_and_nothing_else() {
        for (name, topic) in Topic::NAMED {
            assert_eq!(Topic::asked(format!("{name}\r\n").as_bytes()), Some(topic));
            assert_eq!(topic.name(), name);
        }
        for line in [
            &b""[..],
            b"\n",
            b"ready\n",
            b"routes leases\n",
            b"ROUTES\n",
            b"\xff\n",
        ] {
            assert_eq!(Topic::asked(line), None);
        }
    }
}
