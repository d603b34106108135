//! Packets of an exact size that may not be fragmented.

use super::exchange::{any, udp_socket, unreachable};
use super::sockopt;
use crate::Namespace;
use crate::error::Result;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

const UDP_HEADER: usize = 8;

/// What became of a packet that may not be fragmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrived whole.
    Passed,
    /// The sender's kernel refused it (EMSGSIZE).
    TooBig,
    /// It was sent and did not arrive.
    Lost,
}

impl Fate {
    /// For messages.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Passed => "passes",
            Self::TooBig => "is refused by the sender's kernel (EMSGSIZE)",
            Self::Lost => "is lost on the way",
        }
    }
}

/// Sends one IP packet of exactly `size` bytes with DF from `from` to `to` (an address of `at`).
pub fn send_sized(from: &Namespace, at: &Namespace, to: IpAddr, size: usize) -> Result<Fate> {
    attempt(from, at, to, size).map_err(|source| unreachable("UDP", from, to, &source))
}

fn attempt(from: &Namespace, at: &Namespace, to: IpAddr, size: usize) -> io::Result<Fate> {
    let server = udp_socket(at, SocketAddr::new(to, 0))?;
    let client = udp_socket(from, SocketAddr::new(any(to), 0))?;
    sockopt::forbid_fragments(&client)?;
    client.connect(server.local_addr()?)?;
    let ip_header = if to.is_ipv4() { 20 } else { 40 };
    let payload = vec![0x5a; size.saturating_sub(ip_header + UDP_HEADER)];
    match client.send(&payload) {
        Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => Ok(Fate::TooBig),
        Err(error) => Err(error),
        Ok(_) => arrival(&server, payload.len()),
    }
}

fn arrival(server: &UdpSocket, len: usize) -> io::Result<Fate> {
    let mut buffer = vec![0; len + 1];
    match server.recv(&mut buffer) {
        Ok(received) if received == len => Ok(Fate::Passed),
        Ok(_) => Err(io::ErrorKind::InvalidData.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Fate::Lost),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Shape, Stack, Underlay};

    #[test]
    fn the_mtu_passes_and_one_byte_more_is_refused() {
        let underlay = Underlay::new(Shape::OneSwitch, Stack::Dual).unwrap();
        let (a, b) = (Namespace::new("a").unwrap(), Namespace::new("b").unwrap());
        underlay.attach(&a, 1, 1).unwrap();
        for to in underlay.attach(&b, 1, 2).unwrap().iter() {
            assert_eq!(send_sized(&a, &b, to, 1500).unwrap(), Fate::Passed);
            assert_eq!(send_sized(&a, &b, to, 1501).unwrap(), Fate::TooBig);
        }
    }
}
