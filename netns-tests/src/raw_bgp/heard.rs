//! What a peer has told us.

use super::codec::{Announced, HEADER, Said, is_end_of_rib, read, read_update};
use lab::Cidr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// One bit for each /24 of IPv4.
const WORDS: usize = (1 << 24) / 64;

/// How closely a peer listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ear {
    /// Every route with its attributes.
    Every,
    /// Only how many IPv4 prefixes of length 24 are announced: a million costs nothing to speak of.
    Count,
}

/// Why a peer ended a session (RFC 4271 section 4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its code: 6 is Cease.
    pub code: u8,
    /// Its subcode.
    pub subcode: u8,
    /// What comes with it.
    pub data: Vec<u8>,
}

/// All that a peer has told so far.
#[derive(Debug)]
pub struct Heard {
    /// What it announces, if we listen to everything.
    pub routes: BTreeMap<Cidr, Announced>,
    /// Every announcement and withdrawal in the order in which it came: whether it was an announcement.
    pub order: Vec<(Cidr, bool)>,
    /// UPDATE messages, each End-of-RIB among them.
    pub updates: u64,
    /// Requests to announce everything again.
    pub refreshes: u64,
    /// The ends of the RIB: `true` is that of IPv6.
    pub ends_of_rib: BTreeSet<bool>,
    /// Messages that could not be read.
    pub nonsense: Vec<String>,
    /// Why it ended the session, if it said so.
    pub notification: Option<Notification>,
    /// Whether the connection is over.
    pub closed: bool,
    /// When it last announced or withdrew something.
    pub last: Instant,
    counted: Option<Counted>,
}

impl Heard {
    pub(super) fn new(ear: Ear) -> Self {
        Self {
            routes: BTreeMap::new(),
            order: Vec::new(),
            updates: 0,
            refreshes: 0,
            ends_of_rib: BTreeSet::new(),
            nonsense: Vec::new(),
            notification: None,
            closed: false,
            last: Instant::now(),
            counted: (ear == Ear::Count).then(Counted::default),
        }
    }

    /// How many prefixes it announces at this moment.
    pub fn count(&self) -> usize {
        let counted = self.counted.as_ref().map(|counted| counted.set);
        counted.unwrap_or(self.routes.len())
    }

    /// Whether it announces this prefix; only of a peer that listens to everything.
    pub fn has(&self, prefix: &str) -> bool {
        prefix
            .parse()
            .is_ok_and(|prefix: Cidr| self.routes.contains_key(&prefix))
    }

    /// The text of a shutdown (RFC 9003), if the session ended with one.
    pub fn shutdown_text(&self) -> Option<String> {
        let ended = self.notification.as_ref()?;
        let (&length, text) = ended.data.split_first()?;
        let text = text.get(..usize::from(length))?;
        (ended.code == 6).then(|| String::from_utf8_lossy(text).into_owned())
    }

    /// Takes in a whole message.
    pub(super) fn message(&mut self, message: &[u8]) {
        match read(message) {
            Said::Update => self.update(&message[HEADER..]),
            Said::RouteRefresh => self.refreshes += 1,
            Said::Notification {
                code,
                subcode,
                data,
            } => {
                self.notification = Some(Notification {
                    code,
                    subcode,
                    data,
                });
            }
            Said::Keepalive => {}
            said => self.nonsense.push(format!("{said:?}: {message:02x?}")),
        }
    }

    fn update(&mut self, body: &[u8]) {
        self.updates += 1;
        if let Some(ipv6) = is_end_of_rib(body) {
            self.ends_of_rib.insert(ipv6);
        } else if let Some(counted) = &mut self.counted {
            counted.update(body);
            self.last = Instant::now();
        } else {
            self.routes_of(body);
            self.last = Instant::now();
        }
    }

    fn routes_of(&mut self, body: &[u8]) {
        let update = match read_update(body) {
            Ok(update) => update,
            Err(error) => return self.nonsense.push(error.to_string()),
        };
        for prefix in update.withdrawn {
            self.routes.remove(&prefix);
            self.order.push((prefix, false));
        }
        if let Some((prefixes, route)) = update.announced {
            for prefix in prefixes {
                self.routes.insert(prefix, route.clone());
                self.order.push((prefix, true));
            }
        }
    }
}

#[derive(Debug)]
struct Counted {
    bits: Vec<u64>,
    set: usize,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            bits: vec![0; WORDS],
            set: 0,
        }
    }
}

impl Counted {
    /// Withdrawn routes, attributes, prefixes (RFC 4271 section 4.3).
    fn update(&mut self, body: &[u8]) {
        let Some((withdrawn, rest)) = part(body) else {
            return;
        };
        let Some((_, announced)) = part(rest) else {
            return;
        };
        self.mark(withdrawn, false);
        self.mark(announced, true);
    }

    fn mark(&mut self, mut prefixes: &[u8], present: bool) {
        while let [length, rest @ ..] = prefixes {
            if let (24, [a, b, c, ..]) = (length, rest) {
                self.put(
                    usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c),
                    present,
                );
            }
            prefixes = rest
                .get(usize::from(*length).div_ceil(8)..)
                .unwrap_or_default();
        }
    }

    fn put(&mut self, number: usize, present: bool) {
        let (word, bit) = (&mut self.bits[number / 64], 1 << (number % 64));
        match (*word & bit != 0, present) {
            (false, true) => self.set += 1,
            (true, false) => self.set -= 1,
            _ => return,
        }
        *word ^= bit;
    }
}

/// A part that begins with its length in two octets, and what comes after it.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(2)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes([length[0], length[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw_bgp::codec::{announce, end_of_rib, withdraw};

    #[test]
    fn a_counting_ear_counts_what_the_other_hears() {
        let all: Vec<Cidr> = ["1.0.0.0/24", "1.0.1.0/24", "9.9.9.0/24"]
            .map(|prefix| prefix.parse().unwrap())
            .into();
        let route = Announced::new("10.99.0.1".parse().unwrap(), [65001]);
        for ear in [Ear::Every, Ear::Count] {
            let mut heard = Heard::new(ear);
            heard.message(&announce(&all, &route));
            heard.message(&announce(&all[..1], &route));
            assert_eq!(heard.count(), 3);
            heard.message(&withdraw(&all[1..]));
            heard.message(&end_of_rib(false));
            assert_eq!((heard.count(), heard.updates), (1, 4));
            assert_eq!(heard.ends_of_rib, [false].into());
            assert_eq!(heard.nonsense, Vec::<String>::new());
        }
    }
}
