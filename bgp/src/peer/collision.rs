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
    /// It is too early to tell.
    KeepBoth,
    /// The one whose OPEN has just come goes.
    DropNew,
    /// The other goes.
    DropOld,
    /// The other is dead: the peer has restarted and its routes are kept meanwhile.
    PeerRestarted,
}

/// Judges when the OPEN of a new connection has come. `we_are_higher`: our identifier is. `direction`: who made the new one.
/// `old`: how far the other is. `restartable_up_for`: how long the other has been up, if the peer may restart gracefully.
pub(super) fn judge(
    we_are_higher: bool,
    direction: Direction,
    old: State,
    restartable_up_for: Option<Duration>,
) -> Verdict {
    let new_is_by_the_higher = match direction {
        Direction::Active => we_are_higher,
        Direction::Passive => !we_are_higher,
    };
    match (old, restartable_up_for) {
        (State::OpenSent | State::Closed, _) => Verdict::KeepBoth,
        (State::OpenConfirm, _) if new_is_by_the_higher => Verdict::DropOld,
        (State::OpenConfirm, _) => Verdict::DropNew,
        (State::Established, Some(up_for)) if up_for >= SETTLING => Verdict::PeerRestarted,
        (State::Established, _) => Verdict::DropNew,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_that_the_higher_identifier_made_is_kept() {
        for (higher, direction, expected) in [
            (true, Direction::Active, Verdict::DropOld),
            (true, Direction::Passive, Verdict::DropNew),
            (false, Direction::Active, Verdict::DropNew),
            (false, Direction::Passive, Verdict::DropOld),
        ] {
            assert_eq!(judge(higher, direction, State::OpenConfirm, None), expected);
        }
    }

    #[test]
    fn an_open_session_is_kept_unless_the_peer_may_have_restarted() {
        let judge = |up_for| judge(true, Direction::Passive, State::Established, up_for);
        assert_eq!(judge(None), Verdict::DropNew);
        assert_eq!(judge(Some(Duration::from_secs(1))), Verdict::DropNew);
        assert_eq!(judge(Some(Duration::from_secs(60))), Verdict::PeerRestarted);
    }

    #[test]
    fn nothing_is_decided_before_both_opens_are_there() {
        assert_eq!(
            judge(true, Direction::Active, State::OpenSent, None),
            Verdict::KeepBoth
        );
    }
}
