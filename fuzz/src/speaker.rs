//! Bytes of a BGP peer: each parser by itself, and a whole speaker that is told anything at all.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bgp::peer::ConnId;
use bgp::policy::{Import, OwnHops, Policy};
use bgp::speaker::{Config, Input, Output, PeerConfig, PeerName, Speaker};
use bgp::wire::{
    Announced, Attributes, Capabilities, HEADER, Kind, MAX_EXTENDED, MAX_MESSAGE, Notification,
    Open, Prefixes, Rules, Update, decode_update, encode_announce, encode_keepalive,
    encode_notification, encode_open, frame,
};
use bgp::{Asn, Families, Net, Peering, RouterId};

use crate::targets::is_short;

const OURS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 10);
const CONN: ConnId = ConnId(1);
/// What may be answered to one input: an OPEN, a NOTIFICATION, End-of-RIB and a few refreshes.
const LONGEST_ANSWER: usize = 4 * MAX_EXTENDED;

/// The body of an OPEN. What was read means the same when it is written and read again; an OPEN of ours has a family.
pub fn bgp_open(data: &[u8]) {
    match Open::decode(data) {
        Ok(open) if open.capabilities.families == Families::NONE => {}
        Ok(open) => {
            let written = encode_open(&open);
            assert_eq!(Open::decode(&written[HEADER..]), Ok(open));
        }
        Err(refused) => is_short(&refused.to_string()),
    }
}

/// The body of a NOTIFICATION, whose text ends up in a log.
pub fn bgp_notification(data: &[u8]) {
    if let Some(notification) = Notification::decode(data) {
        is_short(&notification.to_string());
        is_short(&notification.text().unwrap_or_default());
        let written = encode_notification(&notification);
        assert_eq!(Notification::decode(&written[HEADER..]), Some(notification));
    }
}

/// The body of an UPDATE; the first octet says what the session agreed on. There are no more routes than octets, and what is
/// taken can be told to the next.
pub fn bgp_update(data: &[u8]) {
    let Some((&agreed, body)) = data.split_first() else {
        return;
    };
    let rules = rules(agreed);
    match decode_update(body, &rules) {
        Ok(update) => is_taken(&update, body.len(), &rules),
        Err(refused) => is_short(&refused.to_string()),
    }
}

fn rules(agreed: u8) -> Rules {
    let is = |bit: u8| agreed & (1 << bit) != 0;
    Rules {
        peering: if is(0) {
            Peering::Internal
        } else {
            Peering::External
        },
        peer_asn: Asn(65010),
        enforce_first_as: is(1),
        four_octet_as: !is(2),
        families: if is(3) {
            Families::IPV4
        } else {
            Families::BOTH
        },
        extended_next_hop: is(4),
        max_message: MAX_EXTENDED,
    }
}

fn is_taken(update: &Update, octets: usize, rules: &Rules) {
    let announced = update.announced.iter().map(|a| &a.prefixes);
    let routes: usize = announced.chain(&update.withdrawn).map(Prefixes::len).sum();
    assert!(routes <= octets && update.faults.len() <= 9);
    for fault in &update.faults {
        is_short(&fault.to_string());
    }
    for Announced {
        attributes,
        prefixes,
    } in &update.announced
    {
        match prefixes {
            Prefixes::V4(nets) => reads_back(attributes, nets, rules),
            Prefixes::V6(nets) => reads_back(attributes, nets, rules),
        }
    }
}

fn reads_back<P: Net>(attributes: &Attributes, nets: &[P], rules: &Rules) {
    let mut written = Vec::new();
    if encode_announce(attributes, nets, rules, &mut written).is_err() {
        return;
    }
    let mut rest = &written[..];
    while let Ok(Some((kind, length))) = frame(rest, rules.max_message) {
        assert_eq!(kind, Kind::Update);
        let update = decode_update(&rest[HEADER..length], rules).expect("we read what we write");
        assert_eq!(update.announced.len(), 1, "{update:?}");
        let mut read = update.announced[0].attributes.clone();
        // Internal peers are always told a preference.
        read.local_pref = attributes.local_pref.and(read.local_pref);
        assert_eq!(&read, attributes);
        rest = &rest[length..];
    }
    assert!(rest.is_empty());
}

/// Anything from a connection that was just accepted. It is one stream: how it is cut into pieces changes nothing.
pub fn bgp_stream(data: &[u8]) {
    let mut whole = Conversation::begin();
    whole.say(data);
    let mut pieces = Conversation::begin();
    for piece in data.chunks(1 + data.len() / 7) {
        pieces.say(piece);
    }
    assert_eq!(whole.answers, pieces.answers);
    assert_eq!(whole.closed, pieces.closed);
}

/// Messages of an open session: for each one octet with its type, two with the length of its body, and the body.
pub fn bgp_session(data: &[u8]) {
    let mut conversation = Conversation::begin();
    conversation.say(&encode_open(&their_open()));
    conversation.say(&encode_keepalive());
    assert!(!conversation.closed);
    let mut rest = data;
    while let [kind, high, low, body @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(body.len());
        let length = length.min(MAX_MESSAGE - HEADER);
        conversation.say(&framed(*kind, &body[..length]));
        rest = &body[length..];
    }
    conversation.pass(Duration::from_secs(600));
    assert!(conversation.closed, "the hold time is long over");
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend_from_slice(&((HEADER + body.len()) as u16).to_be_bytes());
    message.push(kind);
    message.extend_from_slice(body);
    message
}

fn their_open() -> Open {
    Open {
        asn: Asn(65010),
        hold_time: 90,
        router_id: RouterId(THEIRS),
        capabilities: Capabilities {
            families: Families::BOTH,
            four_octet_as: Some(Asn(65010)),
            route_refresh: true,
            enhanced_refresh: true,
            ..Capabilities::default()
        },
    }
}

/// A speaker with one peer, which connects to it and says what it likes.
struct Conversation {
    speaker: Speaker,
    now: Instant,
    answers: Vec<u8>,
    closed: bool,
}

impl Conversation {
    fn begin() -> Conversation {
        let now = Instant::now();
        let peer = PeerConfig {
            passive: true,
            import: Import::Policy(Policy::everything()),
            ..PeerConfig::new(THEIRS.into(), Asn(65010))
        };
        let config = Config {
            asn: Asn(65001),
            router_id: RouterId(OURS),
            addresses: OwnHops {
                v4: Some(OURS),
                v6: None,
            },
            max_paths: 1,
            guard: Default::default(),
            restart: Default::default(),
            peers: [(PeerName("peer".to_owned()), peer)].into(),
            listen: Vec::new(),
        };
        let mut conversation = Conversation {
            speaker: Speaker::new(config, false, 1, now),
            now,
            answers: Vec::new(),
            closed: false,
        };
        let end = |address: Ipv4Addr| SocketAddr::from((address, 179));
        let (local, remote) = (end(OURS), end(THEIRS));
        let accepted = Input::Accepted {
            conn: CONN,
            local,
            remote,
        };
        conversation.speaker.handle_input(accepted, now);
        conversation.listen();
        conversation
    }

    fn say(&mut self, bytes: &[u8]) {
        self.speaker
            .handle_input(Input::Bytes(CONN, bytes), self.now);
        self.listen();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.speaker.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.speaker.handle_timeout(self.now);
            self.listen();
        }
    }

    fn listen(&mut self) {
        while let Some(output) = self.speaker.poll_output() {
            match output {
                Output::Send(_, bytes) => self.answers.extend_from_slice(&bytes),
                Output::Close(_) => self.closed = true,
                _ => {}
            }
        }
        assert!(self.answers.len() <= LONGEST_ANSWER);
    }
}
