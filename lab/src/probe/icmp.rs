//! ICMP and ICMPv6 echo on raw sockets (RFC 792, RFC 4443 section 4).

use crate::error::{LabError, Result};
use crate::{Deadline, Namespace};

use super::sockopt::keep_unread;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;

/// A question is asked again after this long: the first packet may be lost while neighbours are resolved.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Octets of answers that wait for a reader that is late. An answer takes some 700, and the kernel gives twice as much: room for
/// more than 10,000. The usual room is for 300, and who gets no CPU for two seconds would take for lost what came meanwhile.
const UNREAD: i32 = 4 << 20;

/// A raw socket that speaks echo with one address, under an identifier of its own.
#[derive(Debug)]
pub(super) struct EchoSocket {
    socket: UdpSocket,
    target: IpAddr,
    identifier: u16,
}

/// Pings once, asking again until the answer comes or `patience` is over; returns the last question's round-trip time.
pub fn ping(from: &Namespace, to: IpAddr, patience: Duration) -> Result<Duration> {
    let failed = |reason: String| LabError::Unreachable {
        probe: "ping",
        from: from.label().into(),
        to,
        reason,
    };
    let echo = EchoSocket::open(from, to)?;
    echo.set_patience(ASK_AGAIN)
        .map_err(|error| failed(error.to_string()))?;
    let deadline = Deadline::after(patience);
    let mut reason = "timeout".to_owned();
    for number in 0.. {
        let asked = Instant::now();
        match echo.ask(number).and_then(|()| echo.answer_to(number)) {
            Ok(()) => return Ok(asked.elapsed()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => reason = error.to_string(),
        }
        if deadline.has_passed() {
            break;
        }
        std::thread::sleep(ASK_AGAIN.saturating_sub(asked.elapsed()));
    }
    Err(failed(reason))
}

impl EchoSocket {
    pub(super) fn open(from: &Namespace, target: IpAddr) -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let (domain, protocol) = match target {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = from
            .run(|| Socket::new(domain, Type::RAW, Some(protocol)))?
            .map_err(LabError::system(format!(
                "open a raw socket in {}",
                from.label()
            )))?;
        let socket = socket.into();
        keep_unread(&socket, UNREAD).map_err(LabError::system("let answers wait".to_owned()))?;
        Ok(Self {
            socket,
            target,
            identifier: NEXT.fetch_add(1, Ordering::Relaxed),
        })
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
            ..*self
        })
    }

    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(patience))
    }

    /// Sends question `number`.
    pub(super) fn ask(&self, number: u64) -> io::Result<()> {
        let packet = question(self.target, self.identifier, number);
        self.socket
            .send_to(&packet, SocketAddr::new(self.target, 0))
            .map(drop)
    }

    /// The number of the next answer to one of this socket's questions; `WouldBlock` after the socket's patience.
    pub(super) fn next_answer(&self) -> io::Result<u64> {
        let deadline = self.socket.read_timeout()?.map(Deadline::after);
        let mut buffer = [0; 2048];
        loop {
            let (len, sender) = self.socket.recv_from(&mut buffer)?;
            if sender.ip() == self.target
                && let Some(number) = answer(self.target, self.identifier, &buffer[..len])
            {
                return Ok(number);
            }
            if deadline.is_some_and(Deadline::has_passed) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
    }

    fn answer_to(&self, number: u64) -> io::Result<()> {
        while self.next_answer()? != number {}
        Ok(())
    }
}

/// The number travels as payload: a sequence number has only 16 bits.
fn question(target: IpAddr, identifier: u16, number: u64) -> [u8; HEADER + 8] {
    let mut packet = [0; HEADER + 8];
    packet[0] = if target.is_ipv4() { 8 } else { 128 };
    packet[4..6].copy_from_slice(&identifier.to_be_bytes());
    packet[HEADER..].copy_from_slice(&number.to_be_bytes());
    if target.is_ipv4() {
        // The kernel computes this one for ICMPv6 only (RFC 3542 section 3.1).
        let checksum = checksum(&packet);
        packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    packet
}

fn answer(target: IpAddr, identifier: u16, packet: &[u8]) -> Option<u64> {
    // A raw IPv4 socket gives the IP header too.
    let (message, kind) = match target {
        IpAddr::V4(_) => (packet.get(usize::from(packet.first()? & 0x0f) * 4..)?, 0),
        IpAddr::V6(_) => (packet, 129),
    };
    let ours = *message.first()? == kind && message.get(4..6)? == identifier.to_be_bytes();
    let number = message.get(HEADER..HEADER + 8)?.try_into().ok()?;
    ours.then(|| u64::from_be_bytes(number))
}

/// RFC 1071.
fn checksum(packet: &[u8]) -> u16 {
    let sum: u32 = packet
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_answers_in_both_families() {
        let namespace = Namespace::new("alone").unwrap();
        for address in ["127.0.0.1", "::1"] {
            ping(&namespace, address.parse().unwrap(), Duration::from_secs(5)).unwrap();
        }
    }

    #[test]
    fn answers_wait_for_a_reader_that_is_late() {
        let namespace = Namespace::new("alone").unwrap();
        let echo = EchoSocket::open(&namespace, "127.0.0.1".parse().unwrap()).unwrap();
        echo.set_patience(Duration::from_secs(5)).unwrap();
        (0..2_000).for_each(|number| echo.ask(number).unwrap());
        let answers: Vec<u64> = (0..2_000).map(|_| echo.next_answer().unwrap()).collect();
        assert!(answers.into_iter().eq(0..2_000));
    }

    #[test]
    fn an_address_without_a_route_is_reported_with_the_reason() {
        let namespace = Namespace::new("alone").unwrap();
        let error = ping(&namespace, "192.0.2.1".parse().unwrap(), Duration::ZERO)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("ping from alone to 192.0.2.1") && error.contains("unreachable"),
            "{error}"
        );
    }

    #[test]
    fn the_answer_to_somebody_else_is_not_taken() {
        let target = "::1".parse().unwrap();
        let mut packet = question(target, 7, 42);
        packet[0] = 129;
        assert_eq!(answer(target, 7, &packet), Some(42));
        assert_eq!(answer(target, 8, &packet), None);
        assert_eq!(answer(target, 7, &packet[..10]), None);
    }
}
