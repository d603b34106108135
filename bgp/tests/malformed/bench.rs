//! The bench that a case is tried on: a speaker with one passive peer, which says only raw bytes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use bgp::peer::ConnId;
use bgp::policy::{Import, OwnHops, Policy};
use bgp::rib::Fate;
use bgp::speaker::{Config, Input, Output, PeerConfig, PeerName, Speaker};
use bgp::{Asn, Prefix, RouterId};

use crate::raw::{
    BASE, INTERNAL_BASE, KEEPALIVE, UPDATE, attribute, message, nets, open, reach, update,
};

/// When the bytes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Instead of the OPEN.
    OpenSent,
    /// After the OPEN, instead of the KEEPALIVE.
    OpenConfirm,
    /// After a route has been announced properly.
    Established,
}

/// What must come of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// NOTIFICATION with these codes, and the end.
    Reset(u8, u8),
    /// The end without a word.
    Close,
    /// The route is taken back, the session goes on.
    Withdraw,
    /// The route is taken, whatever attribute of it is dropped, and the session goes on.
    Accept,
    /// The route stays as it was, and the session goes on.
    Unchanged,
}

/// One case.
#[derive(Debug)]
pub struct Case {
    pub name: &'static str,
    /// The text that asks for it.
    pub source: &'static str,
    pub phase: Phase,
    pub internal: bool,
    /// The route whose fate is looked at.
    pub net: &'static str,
    pub bytes: Vec<u8>,
    pub expected: Expected,
}

/// The speaker is AS 65001 at 10.99.0.1; the peer is AS 65010, or 65001, at 10.99.0.10.
const PEER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 10);
const CONN: ConnId = ConnId(1);
/// The MED of the route that was there before.
const BEFORE: u32 = 777;

pub struct Bench {
    speaker: Speaker,
    now: Instant,
    sent: Vec<u8>,
    closed: bool,
}

impl Bench {
    #[allow(
        clippy::disallowed_methods,
        reason = "tests need some instant to begin with"
    )]
    fn new(internal: bool) -> Bench {
        let now = Instant::now();
        let asn = Asn(if internal { 65001 } else { 65010 });
        let peer = PeerConfig {
            passive: true,
            import: Import::Policy(Policy::everything()),
            ..PeerConfig::new(PEER.into(), asn)
        };
        let config = Config {
            asn: Asn(65001),
            router_id: RouterId(Ipv4Addr::new(10, 99, 0, 1)),
            addresses: OwnHops {
                v4: Some(Ipv4Addr::new(10, 99, 0, 1)),
                v6: None,
            },
            max_paths: 1,
            guard: Default::default(),
            restart: Default::default(),
            peers: [(PeerName("peer".to_owned()), peer)].into(),
            listen: Vec::new(),
        };
        let mut bench = Bench {
            speaker: Speaker::new(config, false, 1, now),
            now,
            sent: Vec::new(),
            closed: false,
        };
        let end = |address: [u8; 4]| SocketAddr::from((address, 179));
        let (local, remote) = (end([10, 99, 0, 1]), end(PEER.octets()));
        bench.speaker.handle_input(
            Input::Accepted {
                conn: CONN,
                local,
                remote,
            },
            now,
        );
        bench
    }

    fn say(&mut self, bytes: &[u8]) {
        self.speaker
            .handle_input(Input::Bytes(CONN, bytes), self.now);
        while let Some(output) = self.speaker.poll_output() {
            match output {
                Output::Send(_, bytes) => self.sent.extend_from_slice(&bytes),
                Output::Close(_) => self.closed = true,
                _ => (),
            }
        }
    }

    /// The MED of the route that is used; `None` inside: it has none.
    fn med(&self, net: &str) -> Option<Option<u32>> {
        let prefix: Prefix = net.parse().expect(net);
        let explained = self.speaker.explain(prefix)?;
        let best = explained
            .paths
            .into_iter()
            .find(|path| matches!(path.fate, Fate::Best(_)))?;
        Some(best.attributes.med)
    }

    fn notified(&self) -> Option<(u8, u8)> {
        let mut rest = &self.sent[..];
        while rest.len() > 20 {
            if rest[18] == 3 {
                return Some((rest[19], rest[20]));
            }
            rest = &rest[usize::from(u16::from_be_bytes([rest[16], rest[17]]))..];
        }
        None
    }
}

fn announcement(net: &str, internal: bool, med: u32) -> Vec<u8> {
    let med = attribute(0x80, 4, &med.to_be_bytes());
    let base = if internal {
        INTERNAL_BASE.concat()
    } else {
        BASE.concat()
    };
    match net.parse::<Prefix>().expect(net).address() {
        IpAddr::V4(_) => update(&[], &[&base, &med], &nets(&[net])),
        IpAddr::V6(_) => update(
            &[],
            &[&attribute(0x80, 14, &reach(net)), BASE[0], BASE[1], &med],
            &[],
        ),
    }
}

/// What came of the bytes.
pub fn outcome(case: &Case) -> Expected {
    let mut bench = Bench::new(case.internal);
    let asn = if case.internal { 65001 } else { 65010 };
    if case.phase != Phase::OpenSent {
        bench.say(&open(asn));
    }
    if case.phase == Phase::Established {
        bench.say(&message(KEEPALIVE, &[]));
        bench.say(&announcement(case.net, case.internal, BEFORE));
        assert_eq!(bench.med(case.net), Some(Some(BEFORE)), "{}", case.name);
    }
    assert!(!bench.closed, "{}", case.name);
    bench.sent.clear();
    bench.say(&case.bytes);
    if let Some((code, subcode)) = bench.notified() {
        assert!(bench.closed, "{}", case.name);
        return Expected::Reset(code, subcode);
    }
    if bench.closed {
        return Expected::Close;
    }
    if case.phase != Phase::Established {
        return if bench.sent.is_empty() {
            Expected::Unchanged
        } else {
            Expected::Accept
        };
    }
    // The session goes on: the next route is taken.
    bench.say(&announcement("10.250.0.0/16", case.internal, 1));
    assert_eq!(bench.med("10.250.0.0/16"), Some(Some(1)), "{}", case.name);
    match bench.med(case.net) {
        None => Expected::Withdraw,
        Some(Some(BEFORE)) => Expected::Unchanged,
        Some(_) => Expected::Accept,
    }
}

/// Cases of UPDATEs in an open session with an external peer.
pub fn case(name: &'static str, source: &'static str, bytes: Vec<u8>, expected: Expected) -> Case {
    assert!(
        bytes.len() < 19 || bytes[18] != UPDATE || bytes.len() <= 4097,
        "{name}"
    );
    Case {
        name,
        source,
        phase: Phase::Established,
        internal: false,
        net: "10.200.1.0/24",
        bytes,
        expected,
    }
}
