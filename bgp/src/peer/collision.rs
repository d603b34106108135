//! Which of two connections to the same peer is kept (RFC 4271 section 6.8, RFC 4724 section 4.2).

use std::time::Duration;

use crate::peer::Direction;
use crate::session::State;

/// A second connection this soon after the session came up is the other half of both ends connecting at once, and not a peer
/// that restarted: nobody reboots that fast, and a process that dies closes its connection.
const SETTLING: Duration = Duration::from_secs(5);

/// What becomes of two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is too early to tell, or the peer's to say.
    KeepBoth,
    /// The one whose OPEN has just come goes.
    DropNew,
    /// The other goes.
    DropOld,
    /// The other is dead: the peer has restarted and its routes are kept meanwhile.
    PeerRestarted,
}

/// The connection that was there when the OPEN of another came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Old {
    /// How far it is.
    pub(super) state: State,
    /// Whether we have confirmed it: it may be up at the peer's end.
    pub(super) confirmed: bool,
    /// How long it has been up, if the peer may restart gracefully.
    pub(super) restartable_up_for: Option<Duration>,
}

/// Judges when the OPEN of a new connection has come. `we_are_higher`: our identifier is. `direction`: who made the new one.
///
/// By RFC 4271 the loser of two in OpenConfirm is dropped. One that we have confirmed may be up at the peer's end already, where
/// the new one is dropped then; so the peer decides, who knows.
pub(super) fn judge(we_are_higher: bool, direction: Direction, old: Old) -> Verdict {
    let new_is_by_the_higher = match direction {
        Direction::Active => we_are_higher,
        Direction::Passive => !we_are_higher,
    };
    match (old.state, old.restartable_up_for) {
        (State::OpenSent | State::Closed, _) => Verdict::KeepBoth,
        (State::OpenConfirm, _) if !new_is_by_the_higher => Verdict::DropNew,
        (State::OpenConfirm, _) if old.confirmed => Verdict::KeepBoth,
        (State::OpenConfirm, _) => Verdict::DropOld,
        (State::Established, Some(up_for)) if up_for >= SETTLING => Verdict::PeerRestarted,
        (State::Established, _) => Verdict::DropNew,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(state: State, confirmed: bool, restartable_up_for: Option<Duration>) -> Old {
        Old {
            state,
            confirmed,
            restartable_up_for,
        }
    }

    #[test]
    fn the_connection_that_the_higher_identifier_made_is_kept() {
        for (higher, direction, expected) in [
            (true, Direction::Active, Verdict::DropOld),
            (true, Direction::Passive, Verdict::DropNew),
            (false, Direction::Active, Verdict::DropNew),
            (false, Direction::Passive, Verdict::DropOld),
        ] {
            let unconfirmed = old(State::OpenConfirm, false, None);
            assert_eq!(judge(higher, direction, unconfirmed), expected);
        }
    }

    #[test]
    fn what_may_be_up_at_the_other_end_is_the_peers_to_drop() {
        let confirmed = old(State::OpenConfirm, true, None);
        let verdict = judge(true, Direction::Active, confirmed);
        assert_eq!(verdict, Verdict::KeepBoth);
        let verdict = judge(true, Direction::Passive, confirmed);
        assert_eq!(verdict, Verdict::DropNew);
    }

    #[test]
    fn an_open_session_is_kept_unless_the_peer_may_have_restarted() {
        let judge = |up_for| {
            judge(
                true,
                Direction::Passive,
                old(State::Established, true, up_for),
            )
        };
        assert_eq!(judge(None), Verdict::DropNew);
        assert_eq!(judge(Some(Duration::from_secs(1))), Verdict::DropNew);
        assert_eq!(judge(Some(Duration::from_secs(60))), Verdict::PeerRestarted);
    }

    #[test]
    fn nothing_is_decided_before_both_opens_are_there() {
        let waiting = old(State::OpenSent, false, None);
        assert_eq!(judge(true, Direction::Active, waiting), Verdict::KeepBoth);
    }
}
