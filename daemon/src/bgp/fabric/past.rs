//! What became of the session with each peer so far.

use std::collections::BTreeMap;
use std::time::Instant;

use bgp::rib::PeerId;
use bgp::speaker::Event;

use crate::bgp::words;

/// What became of the session with a peer so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Past {
    /// When the session came up or went the last time; when the peer came to be known, where there was none yet.
    pub(crate) since: Instant,
    /// How many sessions there have been.
    pub(crate) ups: u32,
    /// Why there was no session, or none any more, and when that was found the last time.
    pub(crate) trouble: Option<(String, Instant)>,
}

/// The same of all peers.
#[derive(Debug, Default)]
pub(super) struct Pasts(BTreeMap<PeerId, Past>);

impl Pasts {
    /// Takes in what the speaker tells.
    pub(super) fn take(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Known(id, _) => drop(self.0.insert(*id, Past::begun(now))),
            Event::Forgotten(id, _) => drop(self.0.remove(id)),
            Event::Up(id) => {
                let past = self.of(*id, now);
                (past.since, past.ups) = (now, past.ups + 1);
            }
            Event::Down { peer, cause, .. } => {
                self.of(*peer, now).since = now;
                self.failed(*peer, words::cause_of(cause), now);
            }
            Event::Failed { peer, cause, .. } => self.failed(*peer, words::cause_of(cause), now),
            _ => {}
        }
    }

    /// An attempt came to nothing.
    pub(super) fn failed(&mut self, id: PeerId, why: String, now: Instant) {
        self.of(id, now).trouble = Some((why, now));
    }

    /// That of one peer.
    pub(super) fn get(&self, id: PeerId) -> Option<&Past> {
        self.0.get(&id)
    }

    fn of(&mut self, id: PeerId, now: Instant) -> &mut Past {
        self.0.entry(id).or_insert_with(|| Past::begun(now))
    }
}

impl Past {
    fn begun(now: Instant) -> Past {
        Past {
            since: now,
            ups: 0,
            trouble: None,
        }
    }
}
