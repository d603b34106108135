//! One TCP connection's worth of BGP: OPEN to the last byte.

mod fsm;
mod terms;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use fsm::State;
use fsm::{Reaction, Stimulus, react};
pub use terms::{Agreed, Terms};

use crate::wire::{
    Broken, Cease, HEADER, Kind, MAX_MESSAGE, Message, Notification, Open, Refresh, Rules, Update,
    decode_message, encode_keepalive, encode_notification, encode_open, frame,
};

#[cfg(test)]
mod tests;

/// How long we wait for the peer's OPEN (RFC 4271 section 8.2.2: "a large value", four minutes suggested).
const OPEN_WAIT: Duration = Duration::from_secs(240);

/// What happens to a session.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The peer sent this.
    Bytes(&'a [u8]),
    /// The socket took so many octets of what we sent.
    Sent(usize),
    /// TCP is gone.
    Closed,
}

/// What a session wants done or has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Send(Bytes),
    /// The peer's OPEN suits us. A session that is not alone waits for [`Session::confirm`].
    Opened(Agreed),
    /// Routes may be exchanged.
    Established,
    /// Routes.
    Update(Update),
    /// A request for routes, or a mark.
    Refresh(Refresh),
    /// It is over, and why. Nothing comes after it.
    Ended(Cause),
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// We told the peer why.
    WeSaid(Notification),
    /// The peer told us why.
    TheySaid(Notification),
    /// TCP went without a word.
    Lost,
    /// The peer sent a NOTIFICATION that cannot be read; there is no answer to one.
    Unreadable,
}

/// One TCP connection's worth of BGP. Four verbs: `handle_input`, `handle_timeout`, `poll_timeout`, `poll_output`.
#[derive(Debug)]
pub struct Session {
    state: State,
    terms: Terms,
    agreed: Option<Agreed>,
    alone: bool,
    /// Whether our KEEPALIVE has answered their OPEN.
    confirmed: bool,
    /// Whether their KEEPALIVE has answered our OPEN.
    heard: bool,
    /// What has come and is not a whole message yet.
    inbox: Vec<u8>,
    outputs: VecDeque<Output>,
    hold_until: Option<Instant>,
    keepalive_at: Option<Instant>,
    send_hold_until: Option<Instant>,
    unsent: usize,
}

impl Session {
    /// A connection has been made; our OPEN is the first output.
    pub fn new(terms: Terms, now: Instant) -> Session {
        let mut session = Session {
            state: State::OpenSent,
            terms,
            agreed: None,
            alone: true,
            confirmed: false,
            heard: false,
            inbox: Vec::new(),
            outputs: VecDeque::new(),
            hold_until: Some(now + OPEN_WAIT),
            keepalive_at: None,
            send_hold_until: None,
            unsent: 0,
        };
        session.send(encode_open(&session.terms.open()).into(), now);
        session
    }

    /// How far it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// What was agreed on, from OpenConfirm on.
    pub fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    /// Whether it confirms an OPEN that suits us by itself, as there is no other connection to the same peer. So it is at first.
    pub fn set_alone(&mut self, alone: bool) {
        self.alone = alone;
    }

    /// Whether we have told the peer that its OPEN suits us: from here on the session may be up at its end.
    pub fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// What we offered.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Octets given to the socket that it has not taken yet.
    pub fn unsent(&self) -> usize {
        self.unsent
    }

    /// Something happened.
    pub fn handle_input(&mut self, input: Input<'_>, now: Instant) {
        match input {
            Input::Bytes(bytes) => self.receive(bytes, now),
            Input::Sent(octets) => self.note_sent(octets, now),
            Input::Closed => self.apply(Stimulus::Lost, now),
        }
    }

    /// Tells the peer that its OPEN suits us (with a KEEPALIVE, RFC 4271 section 8.2.2). Once; before its OPEN it does nothing.
    pub fn confirm(&mut self, now: Instant) {
        if self.state == State::OpenConfirm && !self.confirmed {
            self.confirmed = true;
            self.send(encode_keepalive().into(), now);
            self.schedule_keepalive(now);
            self.establish();
        }
    }

    /// Sends whole messages to the peer.
    pub fn send(&mut self, messages: Bytes, now: Instant) {
        self.unsent += messages.len();
        if self.send_hold_until.is_none() {
            self.send_hold_until = Some(now + self.send_hold_time());
        }
        self.outputs.push_back(Output::Send(messages));
    }

    /// Ends the session and tells the peer why.
    pub fn stop(&mut self, why: Notification, now: Instant) {
        if self.state != State::Closed {
            self.send(encode_notification(&why).into(), now);
            self.end(Cause::WeSaid(why));
        }
    }

    /// Ends the session as the loser of two. What it wanted to say or tell is dropped, but for its end if that has come
    /// already.
    pub fn lose(&mut self, now: Instant) {
        self.outputs
            .retain(|output| matches!(output, Output::Ended(_)));
        self.stop(Notification::cease(Cease::Collision), now);
    }

    /// Ends the session without a word, as if TCP had gone.
    pub fn abandon(&mut self) {
        if self.state != State::Closed {
            self.end(Cause::Lost);
        }
    }

    /// Something may be due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.hold_until) {
            self.apply(Stimulus::HoldTimer, now);
        }
        if due(self.send_hold_until) {
            self.apply(Stimulus::SendHoldTimer, now);
        }
        if due(self.keepalive_at) {
            self.apply(Stimulus::KeepaliveTimer, now);
        }
    }

    /// When something is due even if nothing happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let all = [self.hold_until, self.keepalive_at, self.send_hold_until];
        all.into_iter().flatten().min()
    }

    /// The next thing to do; to be drained to `None` after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) {
        let mut inbox = std::mem::take(&mut self.inbox);
        let read = if inbox.is_empty() {
            self.read(bytes, now)
        } else {
            inbox.extend_from_slice(bytes);
            self.read(&inbox, now)
        };
        if self.state == State::Closed {
            return;
        }
        // What is left is less than one message, so neither copy grows with what the peer sends.
        if inbox.is_empty() {
            inbox.extend_from_slice(&bytes[read..]);
        } else {
            inbox.drain(..read);
        }
        self.inbox = inbox;
    }

    /// Takes all whole messages in, and says how many octets they had.
    fn read(&mut self, bytes: &[u8], now: Instant) -> usize {
        let mut read = 0;
        while self.state != State::Closed {
            match frame(&bytes[read..], self.max_message()) {
                Ok(Some((kind, length))) => {
                    self.take(kind, &bytes[read + HEADER..read + length], now);
                    read += length;
                }
                Ok(None) => break,
                Err(broken) => self.refuse(broken, now),
            }
        }
        read
    }

    fn max_message(&self) -> usize {
        self.agreed
            .as_ref()
            .map_or(MAX_MESSAGE, |agreed| agreed.rules.max_message)
    }

    fn send_hold_time(&self) -> Duration {
        self.agreed
            .as_ref()
            .map_or(OPEN_WAIT, Agreed::send_hold_time)
    }

    fn take(&mut self, kind: Kind, body: &[u8], now: Instant) {
        match react(self.state, Stimulus::Came(kind)) {
            // What may not come is not even read.
            Reaction::Refuse(why) => self.stop(why, now),
            reaction => match decode_message(kind, body, &self.rules()) {
                Ok(message) => self.accept(message, &reaction, now),
                Err(broken) => self.refuse(broken, now),
            },
        }
    }

    /// Before an agreement only OPEN and NOTIFICATION are read, which need no rules.
    fn rules(&self) -> Rules {
        match &self.agreed {
            Some(agreed) => agreed.rules,
            None => Rules {
                peering: self.terms.peering(),
                peer_asn: self.terms.peer_asn,
                enforce_first_as: self.terms.enforce_first_as,
                four_octet_as: true,
                families: self.terms.families,
                extended_next_hop: false,
                max_message: MAX_MESSAGE,
            },
        }
    }

    fn accept(&mut self, message: Message, reaction: &Reaction, now: Instant) {
        self.hear(now);
        match (message, reaction) {
            (Message::Open(open), Reaction::Negotiate) => self.negotiate(&open, now),
            (Message::Keepalive, Reaction::Establish) => {
                self.heard = true;
                self.establish();
            }
            (Message::Update(update), Reaction::Deliver) => {
                self.outputs.push_back(Output::Update(update))
            }
            (Message::Refresh(Some(refresh)), Reaction::Deliver) => {
                self.outputs.push_back(Output::Refresh(refresh))
            }
            (Message::Notification(why), _) => self.end(Cause::TheySaid(why)),
            _ => (),
        }
    }

    fn negotiate(&mut self, open: &Open, now: Instant) {
        match self.terms.agree(open) {
            Ok(agreed) => {
                self.state = State::OpenConfirm;
                self.outputs.push_back(Output::Opened(agreed.clone()));
                self.agreed = Some(agreed);
                self.hear(now);
                if self.alone {
                    self.confirm(now);
                }
            }
            Err(why) => self.stop(why, now),
        }
    }

    fn establish(&mut self) {
        if self.confirmed && self.heard {
            self.state = State::Established;
            self.outputs.push_back(Output::Established);
        }
    }

    fn apply(&mut self, stimulus: Stimulus, now: Instant) {
        match react(self.state, stimulus) {
            Reaction::Refuse(why) => self.stop(why, now),
            Reaction::Forget => self.end(Cause::Lost),
            Reaction::Keepalive => {
                self.send(encode_keepalive().into(), now);
                self.schedule_keepalive(now);
            }
            _ => (),
        }
    }

    fn refuse(&mut self, broken: Broken, now: Instant) {
        match broken {
            Broken::Notify(why) => self.stop(why, now),
            Broken::Close => self.end(Cause::Unreadable),
        }
    }

    fn hear(&mut self, now: Instant) {
        if let Some(agreed) = &self.agreed {
            self.hold_until = agreed.hold_time.map(|hold| now + hold);
        }
    }

    fn schedule_keepalive(&mut self, now: Instant) {
        let every = self.agreed.as_ref().and_then(Agreed::keepalive_time);
        self.keepalive_at = every.map(|every| now + every);
    }

    fn note_sent(&mut self, octets: usize, now: Instant) {
        self.unsent = self.unsent.saturating_sub(octets);
        let more = self.unsent > 0 && self.state != State::Closed;
        self.send_hold_until = more.then(|| now + self.send_hold_time());
    }

    fn end(&mut self, cause: Cause) {
        self.state = State::Closed;
        (self.hold_until, self.keepalive_at, self.send_hold_until) = (None, None, None);
        self.outputs.push_back(Output::Ended(cause));
    }
}
