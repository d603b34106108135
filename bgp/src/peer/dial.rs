//! When to connect: at once, then less and less often (RFC 4271 section 8.1.1: IdleHoldTime, ConnectRetryTime, jitter).

use std::time::{Duration, Instant};

/// The first pause, and what it doubles from.
const SHORTEST: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);
/// A session that lived that long was no failure.
const LONG_LIVED: Duration = Duration::from_secs(60);

/// A stream of numbers from a seed (splitmix64): the only chance in the speaker, and it is an argument.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    /// Three quarters of the time to all of it (RFC 4271 section 10).
    pub fn shorten(&mut self, time: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let quarter = ((mixed ^ (mixed >> 31)) % 1024) as u32;
        time - time / 4 * quarter / 1024
    }
}

/// Whether we are about to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not at all: the peer is passive, shut down, or there is a session.
    Off,
    /// At that time.
    At(Instant),
    /// The driver is on it.
    Connecting,
}

/// When to connect to one peer.
#[derive(Debug, Clone)]
pub(super) struct Dial {
    state: State,
    failures: u32,
    jitter: Jitter,
}

impl Dial {
    pub(super) fn new(jitter: Jitter) -> Dial {
        Dial {
            state: State::Off,
            failures: 0,
            jitter,
        }
    }

    /// Stops trying.
    pub(super) fn off(&mut self) {
        self.state = State::Off;
    }

    /// Tries as soon as it is asked.
    pub(super) fn at_once(&mut self, now: Instant) {
        self.failures = 0;
        self.state = State::At(now);
    }

    /// Tries at that time.
    pub(super) fn at(&mut self, time: Instant) {
        self.state = State::At(time);
    }

    /// Not before that time.
    pub(super) fn postpone(&mut self, time: Instant) {
        if let State::At(at) = &mut self.state {
            *at = time.max(*at);
        }
    }

    /// An attempt or a session is over; `lived` is how long it was Established.
    pub(super) fn again(&mut self, lived: Duration, now: Instant) {
        self.failures = if lived >= LONG_LIVED {
            0
        } else {
            self.failures.saturating_add(1)
        };
        let doublings = self.failures.saturating_sub(1).min(10);
        let pause = (SHORTEST * 2_u32.pow(doublings)).min(LONGEST);
        self.state = State::At(now + self.jitter.shorten(pause));
    }

    /// Whether it is time; then the driver is on it.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        let due = matches!(self.state, State::At(at) if at <= now);
        if due {
            self.state = State::Connecting;
        }
        due
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.state == State::Connecting
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::At(at) => Some(at),
            State::Off | State::Connecting => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_takes_off_at_most_a_quarter_and_differs_by_seed() {
        let time = Duration::from_secs(8);
        let shortened = |seed| Jitter::new(seed).shorten(time);
        for seed in 0..100 {
            assert!(shortened(seed) <= time && shortened(seed) >= Duration::from_secs(6));
        }
        assert_eq!(shortened(7), shortened(7));
        assert_ne!(shortened(7), shortened(8));
    }

    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "tests need some instant to begin with"
    )]
    fn pauses_double_up_to_half_a_minute_and_a_long_session_starts_over() {
        let now = Instant::now();
        let mut dial = Dial::new(Jitter::new(1));
        let mut pause = |lived| {
            dial.again(lived, now);
            dial.poll_timeout().unwrap() - now
        };
        let mut longest = Duration::ZERO;
        for _ in 0..12 {
            let next = pause(Duration::ZERO);
            assert!(next <= LONGEST && next * 2 > longest);
            longest = longest.max(next);
        }
        assert!(longest > Duration::from_secs(20));
        assert!(pause(LONG_LIVED) <= SHORTEST);
    }
}
