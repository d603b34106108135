//! A BGP speaker across from us: when to connect, up to two connections at a time, and which of two is kept.

mod collision;
mod dial;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use collision::{Old, Verdict, judge};
use dial::Dial;
pub use dial::Jitter;

use crate::session::{self, Agreed, Cause, Session, State, Terms};
use crate::wire::{Cease, Notification, Refresh, Update, encode_notification};

#[cfg(test)]
mod tests;

/// Who has just connected to us speaks soon, and we do not connect as well meanwhile: a second connection that comes when the
/// first is up looks like a restart (RFC 4724 section 4.2).
const EXPECTED: Duration = Duration::from_secs(5);

/// An OPEN comes in milliseconds where there is somebody.
const UNDECIDED: Duration = Duration::from_secs(1);

/// A TCP connection, as the driver numbers it. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// Who made a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// We did.
    Active,
    /// The peer did.
    Passive,
}

/// A connection that has been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Its number.
    pub conn: ConnId,
    /// Who made it.
    pub direction: Direction,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
}

/// What a peer wants done or has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Connect to it; answer with `connected` or `connect_failed`.
    Connect,
    /// Send this; answer with `session::Input::Sent`.
    Send(ConnId, Bytes),
    /// Close this connection once what was sent before is out.
    Close(ConnId),
    /// Routes may be exchanged.
    Up(Connection, Agreed),
    /// Routes.
    Update(Update),
    /// A request for routes, or a mark.
    Refresh(Refresh),
    /// The session in which routes were exchanged is over.
    Down(Cause, Agreed),
    /// A connection came to nothing.
    Failed(Direction, Cause),
}

/// What has to happen for a session to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// An operator has to want one.
    Wanted,
    /// That time has to come, and with `None` an operator: there were too many prefixes.
    Released(Option<Instant>),
    /// Nothing: there is a connection.
    Connected,
    /// We connect at that time.
    Connect(Instant),
    /// We are connecting.
    Connecting,
    /// The peer has to connect.
    Awaited,
}

/// Why there may be no session.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    /// There may be one.
    No,
    /// An operator wants it so.
    Shut,
    /// Until then; `None`: until an operator resets the peer.
    Down(Option<Instant>),
}

/// One connection with its session.
#[derive(Debug)]
struct Link {
    connection: Connection,
    session: Session,
    /// When it is confirmed at the latest although another connection is undecided.
    confirm_by: Option<Instant>,
    up_since: Option<Instant>,
}

/// A BGP speaker across from us.
#[derive(Debug)]
pub struct Peer {
    terms: Terms,
    passive: bool,
    /// How long a connection waits for another one to be decided on.
    patience: Duration,
    held: Held,
    dial: Dial,
    links: Vec<Link>,
    outputs: VecDeque<Output>,
}

impl Peer {
    /// A peer that nobody has spoken to. `passive`: we wait for it to connect.
    pub fn new(terms: Terms, passive: bool, jitter: Jitter) -> Peer {
        Peer {
            terms,
            passive,
            patience: UNDECIDED,
            held: Held::Shut,
            dial: Dial::new(jitter),
            links: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// There may be a session from here on, and we connect at once unless the peer is passive.
    pub fn start(&mut self, now: Instant) {
        self.held = Held::No;
        if !self.passive && self.links.is_empty() && !self.dial.is_connecting() {
            self.dial.at_once(now);
        }
    }

    /// Ends all there is with this reason. No session until [`Peer::start`].
    pub fn shut(&mut self, why: &Notification, now: Instant) {
        self.held = Held::Shut;
        self.drop_all(why, now);
    }

    /// Ends all there is with this reason; a session again at that time, or with `None` when it is started.
    pub fn hold_down(&mut self, why: &Notification, until: Option<Instant>, now: Instant) {
        self.held = Held::Down(until);
        self.drop_all(why, now);
        if let (Some(until), false) = (until, self.passive) {
            self.dial.at(until);
        }
    }

    /// Ends all there is with this reason, and connects again.
    pub fn reset(&mut self, why: &Notification, now: Instant) {
        self.drop_all(why, now);
        self.start(now);
    }

    /// What the next session offers and asks; the present one stays as it is.
    pub fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// Whether we wait for the peer to connect; decides about the next connection.
    pub fn set_passive(&mut self, passive: bool, now: Instant) {
        self.passive = passive;
        if passive {
            self.dial.off();
        } else if self.held == Held::No && self.links.is_empty() && !self.dial.is_connecting() {
            self.dial.at_once(now);
        }
    }

    /// How far the furthest session is; `None` without a connection.
    pub fn state(&self) -> Option<State> {
        self.links.iter().map(|link| link.session.state()).max()
    }

    /// Whether there may be no session: an operator's doing, or a limit that was passed.
    pub fn is_held(&self) -> bool {
        self.held != Held::No
    }

    /// What has to happen for a session to come.
    pub fn next(&self) -> Next {
        match (&self.held, self.dial.poll_timeout()) {
            (Held::Shut, _) => Next::Wanted,
            (Held::Down(until), _) => Next::Released(*until),
            _ if !self.links.is_empty() => Next::Connected,
            (Held::No, Some(at)) => Next::Connect(at),
            (Held::No, None) if self.dial.is_connecting() => Next::Connecting,
            (Held::No, None) => Next::Awaited,
        }
    }

    /// When the session came up.
    pub fn up_since(&self) -> Option<Instant> {
        self.links.iter().find_map(|link| link.up_since)
    }

    /// What the session in which routes are exchanged agreed on.
    pub fn agreed(&self) -> Option<&Agreed> {
        self.up().and_then(|link| link.session.agreed())
    }

    /// Octets that the socket of the session has not taken yet.
    pub fn unsent(&self) -> usize {
        self.up().map_or(0, |link| link.session.unsent())
    }

    /// Sends whole messages in the session; dropped where there is none.
    pub fn send(&mut self, messages: Bytes, now: Instant) {
        if let Some(at) = self.links.iter().position(|link| link.up_since.is_some()) {
            self.links[at].session.send(messages, now);
            self.pump(now);
        }
    }

    /// A connection has been made.
    pub fn connected(&mut self, connection: Connection, now: Instant) {
        if connection.direction == Direction::Active {
            self.dial.off();
        }
        if self.is_held_at(now) {
            self.turn_away(connection.conn, Cease::Rejected);
        } else if connection.direction == Direction::Active && self.is_settled() {
            self.outputs.push_back(Output::Close(connection.conn));
        } else {
            if connection.direction == Direction::Passive {
                self.dial.postpone(now + EXPECTED);
            }
            self.replace_stuck(connection.direction, now);
            let session = Session::new(self.terms.clone(), now);
            self.links.push(Link {
                connection,
                session,
                confirm_by: None,
                up_since: None,
            });
            self.pump(now);
        }
    }

    /// No connection could be made.
    pub fn connect_failed(&mut self, now: Instant) {
        if self.dial.is_connecting() {
            self.dial.off();
            self.dial_again(Duration::ZERO, now);
            self.pump(now);
        }
    }

    /// Something happened to one of the connections. What is about another is ignored: it is closed already.
    pub fn handle_input(&mut self, conn: ConnId, input: session::Input<'_>, now: Instant) {
        let alone = self.is_decided();
        if let Some(link) = self
            .links
            .iter_mut()
            .find(|link| link.connection.conn == conn)
        {
            link.session.set_alone(alone);
            link.session.handle_input(input, now);
            self.pump(now);
        }
    }

    /// Something may be due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.links
            .iter_mut()
            .for_each(|link| link.session.handle_timeout(now));
        self.pump(now);
        if self.dial.poll_timeout().is_some() && !self.is_held_at(now) && self.dial.take_due(now) {
            self.outputs.push_back(Output::Connect);
        }
    }

    /// When something is due even if nothing happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let links = self
            .links
            .iter()
            .flat_map(|link| [link.session.poll_timeout(), link.confirm_by]);
        links.chain([self.dial.poll_timeout()]).flatten().min()
    }

    /// The next thing to do; to be drained to `None` after each call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn up(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.up_since.is_some())
    }

    /// Whether a connection is up, at the peer's end at least.
    fn is_settled(&self) -> bool {
        let mut links = self.links.iter();
        links.any(|link| link.session.is_confirmed())
    }

    fn is_held_at(&mut self, now: Instant) -> bool {
        if matches!(self.held, Held::Down(Some(until)) if until <= now) {
            self.held = Held::No;
        }
        self.held != Held::No
    }

    fn turn_away(&mut self, conn: ConnId, why: Cease) {
        let message = encode_notification(&Notification::cease(why));
        self.outputs.push_back(Output::Send(conn, message.into()));
        self.outputs.push_back(Output::Close(conn));
    }

    /// Who connects again has given up an older attempt of the same direction.
    fn replace_stuck(&mut self, direction: Direction, now: Instant) {
        for link in &mut self.links {
            if link.connection.direction == direction && link.up_since.is_none() {
                link.session.lose(now);
            }
        }
        self.pump(now);
    }

    fn drop_all(&mut self, why: &Notification, now: Instant) {
        self.links
            .iter_mut()
            .for_each(|link| link.session.stop(why.clone(), now));
        self.pump(now);
        self.stop_dialing();
    }

    /// Passes on what the sessions say, until none has anything more to say and all that may be confirmed are.
    fn pump(&mut self, now: Instant) {
        self.pass_all_on(now);
        let may_go = |peer: &Peer, link: &Link| {
            let by = link.confirm_by;
            by.is_some_and(|by| peer.is_decided() || by <= now)
        };
        while let Some(at) = self.links.iter().position(|link| may_go(self, link)) {
            self.confirm(at, now);
            self.pass_all_on(now);
        }
    }

    /// Whether there is no other connection that may be kept instead of the one that there is. Were that one confirmed before,
    /// it could be up at the peer's end when it has to go.
    fn is_decided(&self) -> bool {
        self.links.len() == 1 && !self.dial.is_connecting()
    }

    fn confirm(&mut self, at: usize, now: Instant) {
        let kept = self.links[at].connection.conn;
        for link in &mut self.links {
            if link.connection.conn == kept {
                link.confirm_by = None;
                link.session.confirm(now);
            } else if link.session.state() == State::OpenConfirm {
                link.session.lose(now);
            }
        }
        self.stop_dialing();
    }

    fn pass_all_on(&mut self, now: Instant) {
        let mut at = 0;
        while at < self.links.len() {
            match self.links[at].session.poll_output() {
                Some(output) => self.pass_on(at, output, now),
                None => {
                    at += 1;
                    continue;
                }
            }
            at = 0;
        }
    }

    fn pass_on(&mut self, at: usize, output: session::Output, now: Instant) {
        let connection = self.links[at].connection;
        match output {
            session::Output::Send(bytes) => {
                self.outputs.push_back(Output::Send(connection.conn, bytes))
            }
            session::Output::Opened(agreed) => {
                if self.links[at].session.is_confirmed() {
                    self.stop_dialing();
                } else {
                    self.links[at].confirm_by = Some(now + self.patience);
                }
                self.resolve_collision(at, &agreed, now);
            }
            session::Output::Established => self.come_up(at, now),
            session::Output::Update(update) => self.outputs.push_back(Output::Update(update)),
            session::Output::Refresh(refresh) => self.outputs.push_back(Output::Refresh(refresh)),
            session::Output::Ended(cause) => self.end(at, cause, now),
        }
    }

    fn come_up(&mut self, at: usize, now: Instant) {
        let link = &mut self.links[at];
        link.up_since = Some(now);
        if let Some(agreed) = link.session.agreed() {
            self.outputs
                .push_back(Output::Up(link.connection, agreed.clone()));
        }
        let conn = link.connection.conn;
        for other in self
            .links
            .iter_mut()
            .filter(|link| link.connection.conn != conn)
        {
            other.session.lose(now);
        }
    }

    /// There is a connection that is kept. What is on its way cannot be called back.
    fn stop_dialing(&mut self) {
        if !self.dial.is_connecting() {
            self.dial.off();
        }
    }

    /// RFC 4271 section 6.8, when the OPEN of a connection has come and there is another one.
    fn resolve_collision(&mut self, at: usize, agreed: &Agreed, now: Instant) {
        let ours = (self.terms.router_id, self.terms.local_asn);
        let theirs = (agreed.router_id, agreed.rules.peer_asn);
        let direction = self.links[at].connection.direction;
        let other = self
            .links
            .iter()
            .position(|l| l.connection.conn != self.links[at].connection.conn);
        let Some(other) = other else { return };
        let other_link = &self.links[other];
        let restartable = other_link
            .session
            .agreed()
            .is_some_and(|agreed| agreed.graceful_restart.is_some());
        let old = Old {
            state: other_link.session.state(),
            confirmed: other_link.session.is_confirmed(),
            restartable_up_for: other_link
                .up_since
                .filter(|_| restartable)
                .map(|since| now.duration_since(since)),
        };
        match judge(ours > theirs, direction, old) {
            Verdict::KeepBoth => (),
            Verdict::DropNew => self.links[at].session.lose(now),
            Verdict::DropOld => self.links[other].session.lose(now),
            Verdict::PeerRestarted => self.links[other].session.abandon(),
        }
    }

    fn end(&mut self, at: usize, cause: Cause, now: Instant) {
        let link = self.links.remove(at);
        self.outputs.push_back(Output::Close(link.connection.conn));
        let lived = link.up_since.map(|since| now.duration_since(since));
        match (lived, link.session.agreed()) {
            (Some(_), Some(agreed)) => self.outputs.push_back(Output::Down(cause, agreed.clone())),
            _ => self
                .outputs
                .push_back(Output::Failed(link.connection.direction, cause)),
        }
        if self.links.is_empty() {
            self.dial_again(lived.unwrap_or_default(), now);
        }
    }

    fn dial_again(&mut self, lived: Duration, now: Instant) {
        if self.held == Held::No
            && !self.passive
            && !self.dial.is_connecting()
            && self.links.is_empty()
        {
            self.dial.again(lived, now);
        }
    }
}
