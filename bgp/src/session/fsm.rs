//! What a session does next: RFC 4271 section 8.2.2 from the moment that TCP is connected, every pair named.
//!
//! ```text
//!              OPEN             KEEPALIVE
//!  OpenSent ----------> OpenConfirm ----------> Established
//!      \____________________|________________________|____> Closed
//! ```
//!
//! Idle, Connect and Active are about having no connection yet: `peer::Dial` has them.

use crate::wire::{Kind, Notification};

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Connected; our OPEN is on its way, theirs has not come.
    OpenSent,
    /// Their OPEN suits us; their KEEPALIVE has not come, or ours waits until it is clear that this connection is kept.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
    /// Over.
    Closed,
}

/// What happens to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stimulus {
    /// A message with a sound header has come.
    Came(Kind),
    /// Nothing has come for the hold time.
    HoldTimer,
    /// It is time for a KEEPALIVE of ours.
    KeepaliveTimer,
    /// The peer has taken nothing for the send hold time (RFC 9687).
    SendHoldTimer,
    /// TCP is gone.
    Lost,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Nothing.
    Ignore,
    /// Compare their OPEN with what we offer.
    Negotiate,
    /// The session is up, once our KEEPALIVE is out as well.
    Establish,
    /// Note that the peer lives.
    Hear,
    /// Note that the peer lives, and take the routes or the request in.
    Deliver,
    /// Send a KEEPALIVE.
    Keepalive,
    /// Close with this NOTIFICATION.
    Refuse(Notification),
    /// Close; the peer said why.
    Obey,
    /// Forget the connection.
    Forget,
}

/// The subcodes of "Finite State Machine Error" (RFC 6608).
const IN_OPEN_SENT: Notification = Notification::new(5, 1);
const IN_OPEN_CONFIRM: Notification = Notification::new(5, 2);
const IN_ESTABLISHED: Notification = Notification::new(5, 3);

/// The table.
pub(crate) fn react(state: State, stimulus: Stimulus) -> Reaction {
    use Kind::{Keepalive, Notification as Told, Open, RouteRefresh, Update};
    use State::{Closed, Established, OpenConfirm, OpenSent};
    use Stimulus::{Came, HoldTimer, KeepaliveTimer, Lost, SendHoldTimer};
    match (state, stimulus) {
        (OpenSent, Came(Open)) => Reaction::Negotiate,
        (OpenSent, Came(Update | Keepalive | RouteRefresh)) => Reaction::Refuse(IN_OPEN_SENT),
        (OpenSent, KeepaliveTimer) => Reaction::Ignore,

        (OpenConfirm, Came(Keepalive)) => Reaction::Establish,
        (OpenConfirm, Came(Open | Update | RouteRefresh)) => Reaction::Refuse(IN_OPEN_CONFIRM),
        (OpenConfirm, KeepaliveTimer) => Reaction::Keepalive,

        (Established, Came(Update | RouteRefresh)) => Reaction::Deliver,
        (Established, Came(Keepalive)) => Reaction::Hear,
        (Established, Came(Open)) => Reaction::Refuse(IN_ESTABLISHED),
        (Established, KeepaliveTimer) => Reaction::Keepalive,

        (OpenSent | OpenConfirm | Established, Came(Told)) => Reaction::Obey,
        (OpenSent | OpenConfirm | Established, HoldTimer) => {
            Reaction::Refuse(Notification::HOLD_TIMER)
        }
        (OpenSent | OpenConfirm | Established, SendHoldTimer) => {
            Reaction::Refuse(Notification::SEND_HOLD_TIMER)
        }
        (OpenSent | OpenConfirm | Established, Lost) => Reaction::Forget,

        (
            Closed,
            Came(Open | Update | Told | Keepalive | RouteRefresh)
            | HoldTimer
            | KeepaliveTimer
            | SendHoldTimer
            | Lost,
        ) => Reaction::Ignore,
    }
}
