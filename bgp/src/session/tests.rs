use super::*;
use crate::family::Families;
use crate::ident::{Asn, RouterId};
use crate::wire::encode_end_of_rib;

fn terms(local: u32, peer: u32) -> Terms {
    Terms {
        local_asn: Asn(local),
        peer_asn: Asn(peer),
        router_id: RouterId::from_bits(local),
        hold_time: 90,
        families: Families::BOTH,
        enforce_first_as: true,
        graceful_restart: None,
    }
}

/// Time zero of a test; what matters is the difference.
#[allow(
    clippy::disallowed_methods,
    reason = "tests need some instant to begin with"
)]
fn start() -> Instant {
    Instant::now()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn drain(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

/// What the session says on the wire, and the rest.
fn split(outputs: Vec<Output>) -> (Vec<u8>, Vec<Output>) {
    let mut wire = Vec::new();
    let mut rest = Vec::new();
    for output in outputs {
        match output {
            Output::Send(bytes) => wire.extend_from_slice(&bytes),
            other => rest.push(other),
        }
    }
    (wire, rest)
}

/// A session in Established, and what the peer would send.
fn established(now: Instant) -> Session {
    let mut session = Session::new(terms(1, 2), now);
    session.handle_input(Input::Bytes(&encode_open(&terms(2, 1).open())), now);
    session.handle_input(Input::Bytes(&encode_keepalive()), now);
    let (_, told) = split(drain(&mut session));
    assert!(
        matches!(told[..], [Output::Opened(_), Output::Established]),
        "{told:?}"
    );
    session
}

fn ended(session: &mut Session) -> Cause {
    match drain(session).pop() {
        Some(Output::Ended(cause)) => cause,
        other => panic!("{other:?}"),
    }
}

fn refused(session: &mut Session) -> (u8, u8) {
    match ended(session) {
        Cause::WeSaid(why) => (why.code, why.subcode),
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_sessions_find_each_other() {
    let now = start();
    let (mut a, mut b) = (
        Session::new(terms(1, 2), now),
        Session::new(terms(2, 1), now),
    );
    for _ in 0..3 {
        let (to_b, _) = split(drain(&mut a));
        b.handle_input(Input::Bytes(&to_b), now);
        let (to_a, _) = split(drain(&mut b));
        a.handle_input(Input::Bytes(&to_a), now);
    }
    assert_eq!(
        (a.state(), b.state()),
        (State::Established, State::Established)
    );
}

#[test]
fn messages_may_come_one_octet_at_a_time_or_many_at_once() {
    let now = start();
    let mut wire = encode_open(&terms(2, 1).open());
    for _ in 0..3 {
        wire.extend_from_slice(&encode_keepalive());
    }
    wire.extend_from_slice(&encode_end_of_rib(crate::Family::Ipv6));
    let mut whole = Session::new(terms(1, 2), now);
    whole.handle_input(Input::Bytes(&wire), now);
    let mut bit_by_bit = Session::new(terms(1, 2), now);
    wire.iter()
        .for_each(|octet| bit_by_bit.handle_input(Input::Bytes(&[*octet]), now));
    let (whole, bit_by_bit) = (drain(&mut whole), drain(&mut bit_by_bit));
    assert!(matches!(whole.last(), Some(Output::Update(u)) if u.end_of_rib.is_some()));
    assert_eq!(whole, bit_by_bit);
}

#[test]
fn silence_ends_the_session_after_the_hold_time_and_any_message_prolongs_it() {
    let now = start();
    let mut session = established(now);
    let later = now + seconds(89);
    session.handle_timeout(later);
    session.handle_input(Input::Bytes(&encode_keepalive()), later);
    session.handle_timeout(later + seconds(89));
    assert_eq!(session.state(), State::Established);
    session.handle_timeout(later + seconds(90));
    assert_eq!(refused(&mut session), (4, 0));
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn keepalives_go_out_every_third_of_the_hold_time() {
    let now = start();
    let mut session = established(now);
    assert_eq!(session.poll_timeout(), Some(now + seconds(30)));
    session.handle_timeout(now + seconds(30));
    assert_eq!(split(drain(&mut session)).0, encode_keepalive());
    assert_eq!(session.poll_timeout(), Some(now + seconds(60)));
}

#[test]
fn without_a_hold_time_nothing_is_due() {
    let now = start();
    let mut theirs = terms(2, 1).open();
    theirs.hold_time = 0;
    let mut session = Session::new(terms(1, 2), now);
    session.handle_input(Input::Bytes(&encode_open(&theirs)), now);
    session.handle_input(Input::Bytes(&encode_keepalive()), now);
    session.handle_input(Input::Sent(session.unsent()), now);
    assert_eq!(session.poll_timeout(), None);
    assert_eq!(session.state(), State::Established);
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_and_one_that_takes_a_little_is_not() {
    let now = start();
    let mut session = established(now);
    session.handle_input(Input::Sent(session.unsent()), now);
    session.send(Bytes::from(encode_end_of_rib(crate::Family::Ipv4)), now);
    let alive =
        |session: &mut Session, at| session.handle_input(Input::Bytes(&encode_keepalive()), at);
    let mut at = now;
    for _ in 0..7 {
        at += seconds(60);
        alive(&mut session, at);
    }
    session.handle_input(Input::Sent(1), at);
    for _ in 0..8 {
        session.handle_timeout(at);
        assert_eq!(session.state(), State::Established);
        at += seconds(60);
        alive(&mut session, at);
    }
    session.handle_timeout(at);
    assert_eq!(refused(&mut session), (8, 0));
}

#[test]
fn a_notification_is_never_answered() {
    let now = start();
    for wire in [
        encode_notification(&Notification::new(6, 2)),
        encode_notification(&Notification::new(200, 200).with(&[1, 2, 3])),
    ] {
        let mut session = established(now);
        session.handle_input(Input::Bytes(&wire), now);
        let (said, told) = split(drain(&mut session));
        assert_eq!(said, []);
        assert!(matches!(told[..], [Output::Ended(Cause::TheySaid(_))]));
    }
    let mut short = encode_notification(&Notification::new(6, 2));
    short.pop();
    short[17] = 20;
    let mut session = established(now);
    session.handle_input(Input::Bytes(&short), now);
    assert_eq!(drain(&mut session), [Output::Ended(Cause::Unreadable)]);
}

#[test]
fn messages_out_of_place_are_refused_by_the_state_they_came_in() {
    let now = start();
    let open = encode_open(&terms(2, 1).open());
    let out_of_place = [encode_end_of_rib(crate::Family::Ipv4), encode_keepalive()];
    for message in &out_of_place {
        let mut session = Session::new(terms(1, 2), now);
        session.handle_input(Input::Bytes(message), now);
        assert_eq!(refused(&mut session), (5, 1));
    }
    for message in [&open, &out_of_place[0]] {
        let mut session = Session::new(terms(1, 2), now);
        session.handle_input(Input::Bytes(&open), now);
        session.handle_input(Input::Bytes(message), now);
        assert_eq!(refused(&mut session), (5, 2));
    }
    let mut session = established(now);
    session.handle_input(Input::Bytes(&open), now);
    assert_eq!(refused(&mut session), (5, 3));
}

#[test]
fn nothing_is_read_behind_the_end() {
    let now = start();
    let mut session = established(now);
    let mut wire = encode_keepalive();
    wire[0] = 0;
    wire.extend_from_slice(&encode_end_of_rib(crate::Family::Ipv4));
    session.handle_input(Input::Bytes(&wire), now);
    session.handle_input(Input::Bytes(&wire), now);
    session.handle_input(Input::Closed, now);
    session.stop(Notification::new(6, 2), now);
    let (said, told) = split(drain(&mut session));
    assert_eq!(said, encode_notification(&Notification::new(1, 1)));
    assert_eq!(told.len(), 1);
}

#[test]
fn an_open_that_never_comes_is_waited_for_four_minutes() {
    let now = start();
    let mut session = Session::new(terms(1, 2), now);
    session.handle_input(Input::Sent(session.unsent()), now);
    assert_eq!(session.poll_timeout(), Some(now + seconds(240)));
    session.handle_timeout(now + seconds(240));
    assert_eq!(refused(&mut session), (4, 0));
}
