//! How much of what is known a peer told, and is told: counted a piece at a time, since nothing keeps these numbers.

use bgp::rib::PeerId;
use bgp::{Family, Prefix};
use serde::{Deserialize, Serialize};

use crate::control::{Answer, OfPeer};

use super::json;
use super::rib::InFabric;

/// Prefixes that are looked at for one answer.
const LOOKED_AT: usize = 5_000;

/// Numbers of prefixes, IPv4 and IPv6.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Of which a path of this peer is used.
    pub(crate) used: [usize; 2],
    /// That it is told.
    pub(crate) told: [usize; 2],
    /// What to ask for next: the prefixes behind this one. `None`: there are no more.
    pub(crate) next: Option<String>,
}

impl Tally {
    pub(super) fn of(seen: &InFabric<'_>, id: PeerId, after: Option<Prefix>) -> Tally {
        let speaker = seen.fabric.speaker();
        let mut tally = Tally::default();
        let mut last = None;
        for (looked_at, (prefix, _)) in speaker.rib().after(after).enumerate() {
            if looked_at == LOOKED_AT {
                tally.next = last.map(|prefix: Prefix| prefix.to_string());
                break;
            }
            let family: Family = prefix.family();
            let used = speaker.rib().used(prefix);
            let is_used = used.paths().iter().any(|path| path.from == id);
            tally.used[family as usize] += usize::from(is_used);
            tally.told[family as usize] += usize::from(speaker.told(id, prefix).is_ok());
            last = Some(prefix);
        }
        tally
    }

    /// Both together.
    pub(crate) fn and(self, more: Tally) -> Tally {
        let add = |one: [usize; 2], other: [usize; 2]| [one[0] + other[0], one[1] + other[1]];
        Tally {
            used: add(self.used, more.used),
            told: add(self.told, more.told),
            next: more.next,
        }
    }
}

/// Answers how much that is, in one piece.
pub(super) fn answer(seen: &InFabric<'_>, of: &OfPeer) -> Result<Answer, String> {
    let id = seen.fabric.named(&of.peer)?;
    let after = of.after.as_ref().map(|text| text.parse::<Prefix>());
    let after = after.transpose().map_err(|error| error.to_string())?;
    Ok(json(&Tally::of(seen, id, after)))
}
