//! What `twill show peer` says to people.

use super::words::span;
use super::{FamilyRoutes, PeerDetail};

impl PeerDetail {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let lines = self.session().into_iter().chain(self.settings());
        let mut text: String = lines.map(|(name, value)| line(name, &value)).collect();
        for family in &self.routes {
            text += &line("routes", &family.text());
        }
        if self.prefixes_waiting > 0 || self.octets_waiting > 0 {
            let (prefixes, octets) = (self.prefixes_waiting, self.octets_waiting);
            text += &line(
                "waiting",
                &format!("{octets} octets and {prefixes} prefixes that it has not taken yet"),
            );
        }
        text
    }

    fn session(&self) -> Vec<(&'static str, String)> {
        let row = &self.row;
        let relation = if self.own_as == row.asn {
            "internal: our own AS".to_owned()
        } else {
            format!("external: we are AS {}", self.own_as)
        };
        let since = self.since.map(|seconds| format!(" for {}", span(seconds)));
        let sessions = match self.sessions {
            0 => "no session so far".to_owned(),
            1 => "one session so far".to_owned(),
            many => format!("{many} sessions so far"),
        };
        let mut lines = vec![
            ("peer", format!("{}: {}", row.name, self.kind)),
            (
                "address",
                format!("{}, AS {} ({relation})", row.address, row.asn),
            ),
            (
                "state",
                format!("{}{}; {sessions}", row.state, since.unwrap_or_default()),
            ),
        ];
        if let Some((why, seconds)) = &self.trouble {
            lines.push(("last error", format!("{} ago: {why}", span(*seconds))));
        }
        lines.extend(self.next.clone().map(|next| ("next", next)));
        if let Some(ends) = &self.connection {
            let (local, remote, by) = (&ends.local, &ends.remote, &ends.made_by);
            let id = self.router_id.as_deref().unwrap_or("-");
            lines.push((
                "connection",
                format!("{local} to {remote}, made by {by}; identifier {id}"),
            ));
        } else if let Some(port) = self.port {
            lines.push(("port", port.to_string()));
        }
        if row.draining {
            let draining = "this node drains: the peer is asked to use other paths (RFC 8326)";
            lines.push(("drain", draining.to_owned()));
        }
        lines
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let proposed = format!("hold time {} s proposed", self.hold_time);
        let timers = match (self.agreed_times, self.connection.is_some()) {
            (Some((hold, keepalive)), _) => {
                format!("{proposed}, {hold} s agreed; a keepalive each {keepalive} s")
            }
            (None, true) => format!("{proposed}; no keepalives agreed"),
            (None, false) => proposed,
        };
        let wanted = self.families.join(", ");
        let families = match (self.connection.is_some(), self.agreed_families.join(", ")) {
            (true, agreed) if agreed != wanted => format!("{agreed} (of {wanted} wanted)"),
            _ => wanted,
        };
        let mut lines = vec![("timers", timers), ("families", families)];
        if !self.capabilities.is_empty() {
            lines.push(("both can", self.capabilities.join(", ")));
        }
        lines.push(("restart", self.graceful_restart.clone()));
        lines.push(("protection", self.protection.join("; ")));
        for (name, rules) in [("import", &self.import), ("export", &self.export)] {
            let many = rules.len() > 1;
            let numbered = rules.iter().enumerate().map(|(n, rule)| match many {
                true => (name, format!("{}. {rule}", n + 1)),
                false => (name, rule.clone()),
            });
            lines.extend(numbered);
        }
        lines.extend(self.max_prefixes.clone().map(|max| ("max-prefixes", max)));
        lines
    }
}

impl FamilyRoutes {
    fn text(&self) -> String {
        let mut text = format!(
            "{}: {} received, {} refused",
            self.family, self.received, self.refused
        );
        for (count, word) in [(self.used, "used"), (self.told, "told")] {
            if let Some(count) = count {
                text += &format!(", {count} {word}");
            }
        }
        if let Some(seconds) = self.stale_for {
            text += &match self.stale {
                0 => format!(
                    "; its last word on them is waited for, {} more",
                    span(seconds)
                ),
                stale => format!("; {stale} stale, kept for {} more", span(seconds)),
            };
        }
        text
    }
}

fn line(name: &str, value: &str) -> String {
    format!("{name:<14}{value}\n")
}
