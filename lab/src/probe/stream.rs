//! A paced stream of numbered pings: what was lost, and for how long.

use super::icmp::EchoSocket;
use crate::Namespace;
use crate::error::{LabError, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long answers may be late at the end.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// A stream that runs until [`PingStream::finish`].
#[derive(Debug)]
pub struct PingStream {
    interval: Duration,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    sender: Option<JoinHandle<Vec<SystemTime>>>,
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
    /// When the first and the last ping of that run were sent.
    pub between: Option<(SystemTime, SystemTime)>,
}

/// With times of day in UTC, as logs have them.
impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} pings lost", self.lost, self.sent)?;
        let Some((first, last)) = self.between else {
            return Ok(());
        };
        let (first, last) = (time_of_day(first), time_of_day(last));
        let gap = self.longest_gap.as_secs_f64();
        write!(
            f,
            "; the longest gap is {gap:.3} s: those sent from {first} to {last}"
        )
    }
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
        let (sent, answered) = self.stop();
        count(&sent, &answered, self.interval)
    }

    fn stop(&mut self) -> (Vec<SystemTime>, BTreeSet<u64>) {
        self.stop.store(true, Ordering::Release);
        (joined(self.sender.take()), joined(self.receiver.take()))
    }
}

impl Drop for PingStream {
    fn drop(&mut self) {
        self.stop();
    }
}

fn joined<T: Default>(thread: Option<JoinHandle<T>>) -> T {
    thread
        .and_then(|thread| thread.join().ok())
        .unwrap_or_default()
}

/// Returns when each was sent.
fn send(
    echo: &EchoSocket,
    interval: Duration,
    stop: &AtomicBool,
    sent: &AtomicU64,
) -> Vec<SystemTime> {
    let start = Instant::now();
    let mut times = Vec::new();
    for number in 0_u32.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        times.push(SystemTime::now());
        // A ping that the kernel refuses (no route) is a lost one: nobody will answer it.
        let _ = echo.ask(number.into());
        sent.store(u64::from(number) + 1, Ordering::Release);
        thread::sleep((start + interval * (number + 1)).saturating_duration_since(Instant::now()));
    }
    times
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

fn count(sent: &[SystemTime], answered: &BTreeSet<u64>, interval: Duration) -> Loss {
    let mut loss = Loss {
        sent: sent.len() as u64,
        lost: 0,
        longest_gap: Duration::ZERO,
        between: None,
    };
    let mut since = None;
    for (number, time) in (0..).zip(sent) {
        if answered.contains(&number) {
            since = None;
            continue;
        }
        let (first, first_time) = *since.get_or_insert((number, *time));
        loss.lost += 1;
        let gap = interval * (number - first + 1) as u32;
        if gap > loss.longest_gap {
            loss.longest_gap = gap;
            loss.between = Some((first_time, *time));
        }
    }
    loss
}

fn time_of_day(time: SystemTime) -> String {
    let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, milliseconds) = (time.as_secs() % 86_400, time.subsec_millis());
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!(
        "{hours:02}:{minutes:02}:{:02}.{milliseconds:03}",
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{eventually, ip};

    #[test]
    fn the_longest_gap_is_the_longest_run_of_lost_pings() {
        let answered = [0, 1, 4, 5, 7].into();
        let interval = Duration::from_millis(5);
        let start = UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + 69_514);
        let sent: Vec<SystemTime> = (0..8).map(|number| start + interval * number).collect();
        let loss = count(&sent, &answered, interval);
        assert_eq!(
            loss,
            Loss {
                sent: 8,
                lost: 3,
                longest_gap: Duration::from_millis(10),
                between: Some((sent[2], sent[3])),
            }
        );
        let said = "3 of 8 pings lost; the longest gap is 0.010 s: those sent from 19:18:34.010 to 19:18:34.015";
        assert_eq!(loss.to_string(), said);
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
