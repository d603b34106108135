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
    /// Connections: who made it, and whether it is still there at each end.
    made_by: Vec<usize>,
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
            told: [Vec::new(), Vec::new()],
        }
    }

    fn connect(&mut self, by: usize) -> ConnId {
        let conn = ConnId(self.made_by.len() as u64);
        self.made_by.push(by);
        for end in [by, 1 - by] {
            let direction = if end == by {
                Direction::Active
            } else {
                Direction::Passive
            };
            let address = |n| SocketAddr::from(([10, 99, 0, n], 179));
            let (local, remote) = (address(end as u8 + 1), address(2 - end as u8));
            self.ends[end].connected(
                Connection {
                    conn,
                    direction,
                    local,
                    remote,
                },
                self.now,
            );
        }
        conn
    }

    /// Delivers everything until both are quiet.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 2 {
            quiet = 0;
            for end in 0..2 {
                match self.ends[end].poll_output() {
                    None => quiet += 1,
                    Some(output) => self.deliver(end, output),
                }
            }
        }
    }

    /// The same, but on each connection and in each direction messages overtake those on others.
    fn settle_shuffled(&mut self, dice: &mut Jitter) {
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
            if wires.is_empty() {
                return;
            }
            let spread = dice.shorten(Duration::from_nanos(4_000)).as_nanos() as usize;
            let at = spread % wires.len();
            let end = wires[at].0.0;
            if let Some(output) = wires[at].1.pop_front() {
                self.deliver(end, output);
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

/// RFC 4271 keeps a session that is up, and its loser's rule counts before that: where messages cross badly, each end can drop
/// the one that the other keeps. Then both try again.
#[test]
fn both_ends_agree_in_the_end_whatever_the_order_in_which_messages_arrive() {
    let mut crossed = 0;
    for seed in 0..500 {
        let mut pair = Pair::new([false, false]);
        let mut dice = Jitter::new(seed);
        pair.connect(0);
        pair.connect(1);
        pair.settle_shuffled(&mut dice);
        let is_up = |pair: &Pair, end: usize| pair.ends[end].state() == Some(State::Established);
        for _ in 0..20 {
            if is_up(&pair, 0) && is_up(&pair, 1) {
                break;
            }
            crossed += 1;
            pair.reconnect();
            pair.settle_shuffled(&mut dice);
        }
        assert!(is_up(&pair, 0) && is_up(&pair, 1), "seed {seed}");
        assert_eq!(pair.ups(0).last(), pair.ups(1).last(), "seed {seed}");
    }
    assert!(crossed < 250, "{crossed} of 500");
}
