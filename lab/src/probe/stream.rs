//! A paced stream of numbered pings: what was lost, and for how long.

use super::icmp::EchoSocket;
use crate::Namespace;
use crate::error::{LabError, Result};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long answers may be late at the end.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// A stream that runs until [`PingStream::finish`].
#[derive(Debug)]
pub struct PingStream {
    interval: Duration,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    sender: Option<JoinHandle<()>>,
    receiver: Option<JoinHandle<BTreeSet<u64>>>,
}

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Pings sent, those refused by the sender's own kernel included.
    pub sent: u64,
    /// Pings without an answer.
    pub lost: u64,
    /// The longest run of lost pings, times the interval.
    pub longest_gap: Duration,
}

impl PingStream {
    /// Sends a numbered ping every `interval` from `from` to `to`.
    pub fn start(from: &Namespace, to: IpAddr, interval: Duration) -> Result<Self> {
        let prepared = LabError::system(format!("prepare a stream of pings to {to}"));
        let echo = EchoSocket::open(from, to)?;
        let asking = echo
            .set_patience(Duration::from_millis(20))
            .and_then(|()| echo.try_clone())
            .map_err(prepared)?;
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let sender = thread::spawn({
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            move || send(&asking, interval, &stop, &sent)
        });
        let receiver = thread::spawn({
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            move || receive(&echo, &stop, &sent)
        });
        Ok(Self {
            interval,
            stop,
            sent,
            sender: Some(sender),
            receiver: Some(receiver),
        })
    }

    /// How many have been sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Stops sending, waits for late answers, and counts.
    pub fn finish(mut self) -> Loss {
        let answered = self.stop();
        count(self.sent(), &answered, self.interval)
    }

    fn stop(&mut self) -> BTreeSet<u64> {
        self.stop.store(true, Ordering::Release);
        self.sender.take().map(JoinHandle::join);
        self.receiver
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    }
}

impl Drop for PingStream {
    fn drop(&mut self) {
        self.stop();
    }
}

fn send(echo: &EchoSocket, interval: Duration, stop: &AtomicBool, sent: &AtomicU64) {
    let start = Instant::now();
    for number in 0_u32.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        // A ping that the kernel refuses (no route) is a lost one: nobody will answer it.
        let _ = echo.ask(number.into());
        sent.store(u64::from(number) + 1, Ordering::Release);
        thread::sleep((start + interval * (number + 1)).saturating_duration_since(Instant::now()));
    }
}

fn receive(echo: &EchoSocket, stop: &AtomicBool, sent: &AtomicU64) -> BTreeSet<u64> {
    let mut answered = BTreeSet::new();
    let mut stopped: Option<Instant> = None;
    loop {
        match echo.next_answer() {
            Ok(number) => drop(answered.insert(number)),
            // An ICMP error arrives here as an error of the socket; the ping that caused it is lost, no more.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {}
            Err(_) => {}
        }
        if stop.load(Ordering::Acquire) {
            let since = *stopped.get_or_insert_with(Instant::now);
            let complete = answered.len() as u64 == sent.load(Ordering::Acquire);
            if complete || since.elapsed() > STRAGGLERS {
                return answered;
            }
        }
    }
}

fn count(sent: u64, answered: &BTreeSet<u64>, interval: Duration) -> Loss {
    let (mut lost, mut run, mut longest) = (0, 0_u32, 0_u32);
    for number in 0..sent {
        run = if answered.contains(&number) {
            0
        } else {
            run + 1
        };
        lost += u64::from(run > 0);
        longest = longest.max(run);
    }
    Loss {
        sent,
        lost,
        longest_gap: interval * longest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{eventually, ip};

    #[test]
    fn the_longest_gap_is_the_longest_run_of_lost_pings() {
        let answered = [0, 1, 4, 5, 7].into();
        let loss = count(8, &answered, Duration::from_millis(5));
        assert_eq!(
            loss,
            Loss {
                sent: 8,
                lost: 3,
                longest_gap: Duration::from_millis(10)
            }
        );
    }

    #[test]
    fn a_quiet_loopback_loses_nothing() {
        let namespace = Namespace::new("alone").unwrap();
        let stream = PingStream::start(
            &namespace,
            "127.0.0.1".parse().unwrap(),
            Duration::from_millis(1),
        )
        .unwrap();
        eventually("100 are sent", Duration::from_secs(10), || {
            stream.sent() >= 100
        })
        .unwrap();
        let loss = stream.finish();
        assert!(loss.sent >= 100);
        assert_eq!((loss.lost, loss.longest_gap), (0, Duration::ZERO));
    }

    #[test]
    fn a_link_that_goes_down_is_seen_as_loss() {
        let namespace = Namespace::new("alone").unwrap();
        let stream = PingStream::start(
            &namespace,
            "127.0.0.1".parse().unwrap(),
            Duration::from_millis(1),
        )
        .unwrap();
        eventually("20 are sent", Duration::from_secs(10), || {
            stream.sent() >= 20
        })
        .unwrap();
        ip(&namespace, &["link", "set", "lo", "down"]).unwrap();
        let so_far = stream.sent();
        eventually("20 more are sent", Duration::from_secs(10), || {
            stream.sent() >= so_far + 20
        })
        .unwrap();
        assert!(stream.finish().lost >= 20);
    }
}
