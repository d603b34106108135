use super::*;
use crate::family::Families;
use crate::ident::{Asn, RouterId};
use crate::session::Input;
use crate::wire::GracefulRestart;

#[allow(
    clippy::disallowed_methods,
    reason = "tests need some instant to begin with"
)]
fn start() -> Instant {
    Instant::now()
}

fn terms(local: u32, peer: u32) -> Terms {
    Terms {
        local_asn: Asn(local),
        peer_asn: Asn(peer),
        router_id: RouterId::from_bits(local),
        hold_time: 90,
        families: Families::IPV4,
        enforce_first_as: true,
        graceful_restart: Some(GracefulRestart::default()),
    }
}

fn started(local: u32, peer: u32, passive: bool, now: Instant) -> Peer {
    let mut peer = Peer::new(terms(local, peer), passive, Jitter::new(7));
    peer.start(now);
    peer.handle_timeout(now);
    peer
}

/// Two peers and the wires between them, delivered in the order that a test says.
struct Pair {
    now: Instant,
    ends: [Peer; 2],
    /// Connections: who made it.
    made_by: Vec<usize>,
    /// How many attempts to connect came to nothing at each end.
    failed: [usize; 2],
    told: [Vec<Output>; 2],
}

impl Pair {
    fn new(passive: [bool; 2]) -> Pair {
        let now = start();
        let ends = [
            started(1, 2, passive[0], now),
            started(2, 1, passive[1], now),
        ];
        Pair {
            now,
            ends,
            made_by: Vec::new(),
            failed: [0; 2],
            told: [Vec::new(), Vec::new()],
        }
    }

    fn connect(&mut self, by: usize) -> ConnId {
        let conn = ConnId(self.made_by.len() as u64);
        self.made_by.push(by);
        self.is_connected(by, conn);
        self.is_connected(1 - by, conn);
        conn
    }

    /// One end hears of a connection.
    fn is_connected(&mut self, end: usize, conn: ConnId) {
        let direction = if self.made_by[conn.0 as usize] == end {
            Direction::Active
        } else {
            Direction::Passive
        };
        let address = |n| SocketAddr::from(([10, 99, 0, n], 179));
        let (local, remote) = (address(end as u8 + 1), address(2 - end as u8));
        let connection = Connection {
            conn,
            direction,
            local,
            remote,
        };
        self.ends[end].connected(connection, self.now);
    }

    /// Delivers everything until both are quiet. Attempts to connect come to nothing, but for those that a test made.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 2 {
            quiet = 0;
            for end in 0..2 {
                match self.ends[end].poll_output() {
                    None if self.give_up_connecting(end) => (),
                    None => quiet += 1,
                    Some(output) => self.deliver(end, output),
                }
            }
        }
    }

    fn give_up_connecting(&mut self, end: usize) -> bool {
        let asked = |output: &&Output| **output == Output::Connect;
        let asked = self.told[end].iter().filter(asked).count();
        let made = self.made_by.iter().filter(|by| **by == end).count();
        let waits = asked > made + self.failed[end];
        if waits {
            self.failed[end] += 1;
            self.ends[end].connect_failed(self.now);
        }
        waits
    }

    /// The same, but on each connection and in each direction messages overtake those on others, those in `connects` connect when
    /// it falls to them, and the other ends hear of it later.
    fn settle_shuffled(&mut self, connects: &[usize], dice: &mut Jitter) {
        let mut connects = connects.to_vec();
        let mut unknown: Vec<ConnId> = Vec::new();
        let mut wires: Vec<((usize, ConnId), VecDeque<Output>)> = Vec::new();
        loop {
            for end in 0..2 {
                while let Some(output) = self.ends[end].poll_output() {
                    let conn = match &output {
                        Output::Send(conn, _) | Output::Close(conn) => *conn,
                        _ => {
                            self.told[end].push(output);
                            continue;
                        }
                    };
                    match wires.iter_mut().find(|(wire, _)| *wire == (end, conn)) {
                        Some((_, queue)) => queue.push_back(output),
                        None => wires.push(((end, conn), VecDeque::from([output]))),
                    }
                }
            }
            wires.retain(|(_, queue)| !queue.is_empty());
            let whole = wires.len() + connects.len() + unknown.len();
            if whole == 0 {
                return;
            }
            let spread = dice.shorten(Duration::from_nanos(4_000)).as_nanos() as usize;
            let at = spread % whole;
            if let Some(((end, conn), queue)) = wires.get_mut(at) {
                let (end, conn) = (*end, *conn);
                if unknown.contains(&conn) {
                    continue;
                }
                if let Some(output) = queue.pop_front() {
                    self.deliver(end, output);
                }
            } else if let Some(at) = (at - wires.len()).checked_sub(connects.len()) {
                let conn = unknown.remove(at);
                let by = self.made_by[conn.0 as usize];
                self.is_connected(1 - by, conn);
            } else {
                let by = connects.remove(at - wires.len());
                let conn = ConnId(self.made_by.len() as u64);
                self.made_by.push(by);
                self.is_connected(by, conn);
                unknown.push(conn);
            }
        }
    }

    /// Whoever wants to connect and has no connection does.
    fn reconnect(&mut self) {
        self.now += Duration::from_secs(40);
        for end in 0..2 {
            self.ends[end].handle_timeout(self.now);
            let mut wants = false;
            while let Some(output) = self.ends[end].poll_output() {
                wants |= output == Output::Connect;
                if output != Output::Connect {
                    self.deliver(end, output);
                }
            }
            if wants {
                self.connect(end);
            }
        }
    }

    fn deliver(&mut self, from: usize, output: Output) {
        let now = self.now;
        match &output {
            Output::Send(conn, bytes) => {
                self.ends[from].handle_input(*conn, Input::Sent(bytes.len()), now);
                self.ends[1 - from].handle_input(*conn, Input::Bytes(bytes), now);
            }
            Output::Close(conn) => self.ends[1 - from].handle_input(*conn, Input::Closed, now),
            _ => (),
        }
        self.told[from].push(output);
    }

    fn ups(&self, end: usize) -> Vec<ConnId> {
        let up = |output: &Output| match output {
            Output::Up(connection, _) => Some(connection.conn),
            _ => None,
        };
        self.told[end].iter().filter_map(up).collect()
    }

    fn downs(&self, end: usize) -> usize {
        self.told[end]
            .iter()
            .filter(|o| matches!(o, Output::Down(..)))
            .count()
    }
}

#[test]
fn a_peer_is_connected_to_at_once_and_a_passive_one_never() {
    let now = start();
    assert_eq!(
        started(1, 2, false, now).poll_output(),
        Some(Output::Connect)
    );
    let mut passive = started(1, 2, true, now);
    assert_eq!(
        (passive.poll_output(), passive.poll_timeout()),
        (None, None)
    );
}

#[test]
fn a_failed_attempt_is_made_again_later_and_only_then() {
    let now = start();
    let mut peer = started(1, 2, false, now);
    peer.poll_output();
    peer.connect_failed(now);
    let again = peer.poll_timeout().unwrap();
    assert!(again > now);
    peer.handle_timeout(now);
    assert_eq!(peer.poll_output(), None);
    peer.handle_timeout(again);
    assert_eq!(peer.poll_output(), Some(Output::Connect));
}

#[test]
fn both_ends_connecting_at_once_keep_the_same_connection_and_none_goes_down() {
    let mut pair = Pair::new([false, false]);
    pair.connect(0);
    let by_the_higher = pair.connect(1);
    pair.settle();
    for end in 0..2 {
        assert_eq!(pair.ups(end), [by_the_higher]);
        assert_eq!(pair.downs(end), 0);
        assert_eq!(pair.ends[end].state(), Some(State::Established));
    }
}

#[test]
fn a_second_connection_right_after_the_first_is_up_changes_nothing() {
    let mut pair = Pair::new([false, false]);
    let first = pair.connect(0);
    pair.settle();
    pair.connect(1);
    pair.settle();
    for end in 0..2 {
        assert_eq!((pair.ups(end), pair.downs(end)), (vec![first], 0));
    }
}

/// Its OPEN and the NOTIFICATION that gives it up come in one segment, as those of BIRD do.
#[test]
fn a_second_connection_that_ends_in_the_same_breath_leaves_nothing_behind() {
    let mut pair = Pair::new([false, false]);
    let first = pair.connect(0);
    pair.settle();
    pair.ends[1] = started(2, 1, false, pair.now);
    let second = pair.connect(1);
    let mut said = std::iter::from_fn(|| pair.ends[1].poll_output());
    let open = said.find_map(|output| match output {
        Output::Send(_, bytes) => Some(bytes),
        _ => None,
    });
    let gives_up = encode_notification(&Notification::cease(Cease::Collision));
    let both = [open.unwrap().as_ref(), &gives_up].concat();
    pair.ends[0].handle_input(second, Input::Bytes(&both), pair.now);
    assert_eq!(pair.ends[0].state(), Some(State::Established));
    pair.ends[0].handle_input(first, Input::Closed, pair.now);
    assert_eq!(pair.ends[0].state(), None);
    assert!(pair.ends[0].poll_timeout().is_some(), "it tries again");
}

#[test]
fn a_peer_that_comes_back_while_its_old_session_looks_alive_is_taken_as_restarted() {
    let mut pair = Pair::new([true, false]);
    pair.connect(1);
    pair.settle();
    pair.now += Duration::from_secs(60);
    pair.ends[1] = started(2, 1, false, pair.now);
    let second = pair.connect(1);
    pair.settle();
    assert_eq!(pair.ups(0).last(), Some(&second));
    let down = pair.told[0].iter().find(|o| matches!(o, Output::Down(..)));
    assert!(
        matches!(down, Some(Output::Down(Cause::Lost, _))),
        "{down:?}"
    );
    assert!(
        !pair.told[0]
            .iter()
            .any(|o| matches!(o, Output::Send(ConnId(0), b) if b[18] == 3))
    );
}

#[test]
fn a_peer_that_is_shut_tells_why_and_turns_connections_away() {
    let mut pair = Pair::new([false, true]);
    pair.connect(0);
    pair.settle();
    let why = Notification::administrative(Cease::Shutdown, "maintenance");
    pair.ends[0].shut(&why, pair.now);
    pair.settle();
    assert!(pair.told[1].contains(&Output::Down(Cause::TheySaid(why), pair_agreed(&pair))));
    pair.connect(1);
    pair.settle();
    let turned_away = Output::Failed(
        Direction::Active,
        Cause::TheySaid(Notification::cease(Cease::Rejected)),
    );
    assert!(pair.told[1].contains(&turned_away));
    assert_eq!(pair.ends[0].poll_timeout(), None);
}

fn pair_agreed(pair: &Pair) -> Agreed {
    let agreed = pair.told[1].iter().find_map(|output| match output {
        Output::Up(_, agreed) => Some(agreed.clone()),
        _ => None,
    });
    agreed.unwrap()
}

#[test]
fn a_peer_that_is_held_down_comes_back_at_its_time() {
    let mut pair = Pair::new([false, true]);
    pair.connect(0);
    pair.settle();
    let until = pair.now + Duration::from_secs(300);
    pair.ends[0].hold_down(
        &Notification::cease(Cease::MaxPrefixes),
        Some(until),
        pair.now,
    );
    pair.settle();
    assert_eq!(pair.ends[0].poll_timeout(), Some(until));
    pair.ends[0].handle_timeout(until);
    assert_eq!(pair.ends[0].poll_output(), Some(Output::Connect));
}

#[test]
fn a_reset_connects_again_at_once() {
    let mut pair = Pair::new([false, true]);
    pair.connect(0);
    pair.settle();
    pair.ends[0].reset(&Notification::cease(Cease::Reset), pair.now);
    pair.settle();
    assert_eq!(pair.ends[0].poll_timeout(), Some(pair.now));
}

fn is_up(pair: &Pair) -> bool {
    let up = Some(State::Established);
    pair.ends.iter().all(|end| end.state() == up)
}

/// Both connect at once, again and again until they agree; how often that took more than once.
fn agree(mut pair: Pair, seed: u64) -> (Pair, usize) {
    let mut dice = Jitter::new(seed);
    pair.settle_shuffled(&[0, 1], &mut dice);
    let mut crossed = 0;
    while !is_up(&pair) {
        crossed += 1;
        assert!(crossed < 20, "seed {seed}");
        pair.reconnect();
        pair.settle_shuffled(&[], &mut dice);
    }
    assert_eq!(pair.ups(0).last(), pair.ups(1).last(), "seed {seed}");
    (pair, crossed)
}

#[test]
fn both_ends_agree_at_once_whatever_the_order_in_which_messages_arrive() {
    for seed in 0..1_000 {
        let (pair, crossed) = agree(Pair::new([false, false]), seed);
        assert_eq!((pair.downs(0), pair.downs(1)), (0, 0), "seed {seed}");
        assert_eq!(crossed, 0, "seed {seed}");
    }
}

/// Others confirm each OPEN at once (RFC 4271 section 6.8). What is up at their end must not be ended: those that restart would
/// take it for the end of their graceful restart, and their kernel's routes away.
#[test]
fn a_session_that_is_up_at_the_end_of_one_that_does_not_wait_is_never_dropped() {
    let mut crossed = 0;
    for seed in 0..2_000 {
        let mut pair = Pair::new([false, false]);
        let hasty = (seed % 2) as usize;
        pair.ends[hasty].patience = Duration::ZERO;
        let (pair, times) = agree(pair, seed);
        assert_eq!(pair.downs(hasty), 0, "seed {seed}");
        crossed += times;
    }
    assert!(crossed < 100, "{crossed} of 2,000");
}

fn kinds_sent(peer: &mut Peer) -> Vec<(u64, u8)> {
    let outputs = std::iter::from_fn(|| peer.poll_output());
    let sent = outputs.filter_map(|output| match output {
        Output::Send(conn, bytes) => Some((conn.0, bytes[18])),
        _ => None,
    });
    sent.collect()
}

const OPEN: u8 = 1;
const KEEPALIVE: u8 = 4;
const NOTIFICATION: u8 = 3;

fn open_of(asn: u32, peer: u32) -> Vec<u8> {
    crate::wire::encode_open(&terms(asn, peer).open())
}

#[test]
fn a_connection_is_not_confirmed_while_another_one_may_be_kept_instead() {
    let mut pair = Pair::new([false, false]);
    let (ours, theirs) = (pair.connect(0), pair.connect(1));
    let (now, peer) = (pair.now, &mut pair.ends[0]);
    assert_eq!(kinds_sent(peer), [(0, OPEN), (1, OPEN)]);
    peer.handle_input(ours, Input::Bytes(&open_of(2, 1)), now);
    assert_eq!(kinds_sent(peer), []);
    peer.handle_input(theirs, Input::Bytes(&open_of(2, 1)), now);
    assert_eq!(kinds_sent(peer), [(0, NOTIFICATION), (1, KEEPALIVE)]);
}

#[test]
fn a_connection_waits_for_our_own_attempt_to_connect_and_at_most_a_second() {
    for answered in [true, false] {
        let mut pair = Pair::new([false, false]);
        let theirs = pair.connect(1);
        let (now, peer) = (pair.now, &mut pair.ends[0]);
        assert_eq!(kinds_sent(peer), [(0, OPEN)]);
        peer.handle_input(theirs, Input::Bytes(&open_of(2, 1)), now);
        assert_eq!(kinds_sent(peer), []);
        if answered {
            peer.connect_failed(now);
        } else {
            assert_eq!(peer.poll_timeout(), Some(now + UNDECIDED));
            peer.handle_timeout(now + UNDECIDED);
        }
        assert_eq!(kinds_sent(peer), [(0, KEEPALIVE)]);
    }
}

#[test]
fn who_has_just_connected_is_not_connected_to() {
    let now = start();
    let mut peer = started(1, 2, false, now);
    peer.connect_failed(now);
    let mut pair = Pair::new([false, false]);
    pair.ends[0] = peer;
    pair.connect(1);
    let due = pair.ends[0].poll_timeout().unwrap();
    assert_eq!(due, pair.now + EXPECTED);
    pair.ends[0].handle_timeout(due);
    assert!(connects(&mut pair.ends[0]));
}

#[test]
fn whose_open_has_been_confirmed_is_not_connected_to() {
    let mut pair = Pair::new([false, false]);
    pair.ends[0].connect_failed(pair.now);
    let theirs = pair.connect(1);
    let (now, peer) = (pair.now, &mut pair.ends[0]);
    kinds_sent(peer);
    peer.handle_input(theirs, Input::Bytes(&open_of(2, 1)), now);
    assert_eq!(kinds_sent(peer), [(0, KEEPALIVE)]);
    peer.handle_timeout(now + EXPECTED);
    assert!(!connects(peer));
    peer.handle_input(theirs, Input::Closed, now + EXPECTED);
    peer.handle_timeout(peer.poll_timeout().unwrap());
    assert!(connects(peer));
}

fn connects(peer: &mut Peer) -> bool {
    let mut outputs = std::iter::from_fn(|| peer.poll_output());
    outputs.any(|output| output == Output::Connect)
}
