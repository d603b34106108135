//! What is said to the operator about peers. Of many things of one kind in one second only some are named.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bgp::session::Cause;
use bgp::speaker::{Event, PeerName, SyncedBy};
use tracing::{info, warn};

/// Things of one kind that are named in one second; the rest is counted.
const NAMED: usize = 5;
const SECOND: Duration = Duration::from_secs(1);

/// Says what happens with peers, and not too much of it.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// The second that is counted.
    since: Option<Instant>,
    said: BTreeMap<&'static str, usize>,
}

impl Words {
    /// Something that the speaker told, of the peer of this name.
    pub(crate) fn say(&mut self, event: &Event, name: Option<&PeerName>, now: Instant) {
        self.tick(now);
        let name = name.map_or("?", |name| &name.0);
        let Some((kind, grave, line)) = line(event, name) else {
            return;
        };
        let count = self.said.entry(kind).or_insert(0);
        *count += 1;
        if *count > NAMED {
            return;
        }
        if grave {
            warn!("{line}");
        } else {
            info!("{line}");
        }
    }

    /// When what was not named is counted.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let more = self.said.values().any(|count| *count > NAMED);
        self.since.filter(|_| more).map(|since| since + SECOND)
    }

    /// Names the number of what was not named, once the second is over.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.since.is_some_and(|since| now < since + SECOND) {
            return;
        }
        for (kind, count) in std::mem::take(&mut self.said) {
            if let Some(more @ 1..) = count.checked_sub(NAMED) {
                info!("BGP: {more} more within a second: {kind}; see `twill show peers`");
            }
        }
        self.since = Some(now);
    }
}

/// What kind of thing it is, whether somebody should look at it, and what is said.
fn line(event: &Event, name: &str) -> Option<(&'static str, bool, String)> {
    Some(match event {
        Event::Up(_) => ("sessions up", false, format!("BGP session with {name} up")),
        Event::Down { cause, kept, .. } => {
            let kept = match kept {
                Some(time) => format!("its routes stay for up to {} s", time.as_secs()),
                None => "its routes are gone".to_owned(),
            };
            let why = cause_of(cause);
            (
                "sessions down",
                true,
                format!("BGP session with {name} down: {why}; {kept}, and it is tried again"),
            )
        }
        Event::Failed { cause, .. } => {
            let why = cause_of(cause);
            (
                "sessions refused",
                true,
                format!("no BGP session with {name}: {why}; it is tried again"),
            )
        }
        Event::Stranger(from) => (
            "connections of strangers",
            false,
            format!(
                "{} speaks BGP to us and is no peer: turned away; add it to [bgp] if it should be one",
                from.ip()
            ),
        ),
        Event::Faulty(_, faults) => {
            let first = faults
                .first()
                .map(|fault| fault.to_string())
                .unwrap_or_default();
            (
                "faulty updates",
                true,
                format!(
                    "BGP peer {name} sent an UPDATE with errors, which the session survives: {first}"
                ),
            )
        }
        Event::Synced(_, family, SyncedBy::Timer) => (
            "peers that did not finish",
            true,
            format!(
                "BGP peer {name} has not said in time that it told all its {family} routes; those of before are removed"
            ),
        ),
        Event::ManyPrefixes(_, count) => (
            "peers with many prefixes",
            true,
            format!(
                "BGP peer {name} announces {count} prefixes, nearly as many as max-prefixes allows"
            ),
        ),
        Event::TooManyPrefixes(_, count) => (
            "peers with too many prefixes",
            true,
            format!(
                "BGP peer {name} announces {count} prefixes, more than max-prefixes allows: the session is closed; `twill bgp reset {name}` opens it again"
            ),
        ),
        Event::TooLong(_) => (
            "routes that are too long",
            true,
            "a route is not announced to some peers: its attributes do not fit in a message"
                .to_owned(),
        ),
        Event::Synced(..) | Event::Known(..) | Event::Forgotten(..) => return None,
    })
}

/// Why a session ended, or did not come up.
pub(crate) fn cause_of(cause: &Cause) -> String {
    match cause {
        Cause::WeSaid(why) => format!("we ended it: {why}"),
        Cause::TheySaid(why) => format!("the peer ended it: {why}"),
        Cause::Lost => "the connection was lost".to_owned(),
        Cause::Unreadable => "the peer ended it with words that cannot be read".to_owned(),
    }
}
