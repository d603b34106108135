//! UDP and TCP exchanges in which the other end tells which source address it saw.

use crate::Namespace;
use crate::error::{LabError, Result};
use socket2::{Domain, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// A UDP datagram from `from` to `to` (an address of `at`) and its answer back; returns the source address seen at `at`.
pub fn udp_source(from: &Namespace, at: &Namespace, to: IpAddr) -> Result<IpAddr> {
    exchange_udp(from, at, to).map_err(|source| unreachable("UDP", from, to, &source))
}

/// A TCP connection from `from` to `to` (an address of `at`) with bytes in both directions; returns the source address
/// seen at `at`.
pub fn tcp_source(from: &Namespace, at: &Namespace, to: IpAddr) -> Result<IpAddr> {
    exchange_tcp(from, at, to).map_err(|source| unreachable("TCP", from, to, &source))
}

fn exchange_udp(from: &Namespace, at: &Namespace, to: IpAddr) -> io::Result<IpAddr> {
    let server = udp_socket(at, SocketAddr::new(to, 0))?;
    let client = udp_socket(from, SocketAddr::new(any(to), 0))?;
    client.connect(server.local_addr()?)?;
    client.send(b"question")?;
    let mut buffer = [0; 64];
    let (_, seen) = server.recv_from(&mut buffer)?;
    server.send_to(b"answer", seen)?;
    let len = client.recv(&mut buffer)?;
    if &buffer[..len] != b"answer" {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(seen.ip())
}

fn exchange_tcp(from: &Namespace, at: &Namespace, to: IpAddr) -> io::Result<IpAddr> {
    let listener = inside(at, || TcpListener::bind(SocketAddr::new(to, 0)))?;
    let server = listener.local_addr()?;
    let mut client = inside(from, || TcpStream::connect_timeout(&server, PATIENCE))?;
    // The kernel has completed the handshake: accept does not wait.
    let (mut accepted, seen) = listener.accept()?;
    for stream in [&client, &accepted] {
        stream.set_read_timeout(Some(PATIENCE))?;
    }
    let mut buffer = [0; 8];
    client.write_all(b"question")?;
    accepted.read_exact(&mut buffer)?;
    accepted.write_all(&buffer)?;
    client.read_exact(&mut buffer)?;
    Ok(seen.ip())
}

pub(super) fn udp_socket(namespace: &Namespace, local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = inside(namespace, || {
        Socket::new(Domain::for_address(local), Type::DGRAM, None)
    })?;
    socket.bind(&local.into())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

pub(super) fn any(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn inside<T: Send>(
    namespace: &Namespace,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    namespace.run(work).map_err(io::Error::other)?
}

pub(super) fn unreachable(
    probe: &'static str,
    from: &Namespace,
    to: IpAddr,
    source: &io::Error,
) -> LabError {
    let reason = match source.kind() {
        io::ErrorKind::WouldBlock => "timeout".to_owned(),
        _ => source.to_string(),
    };
    LabError::Unreachable {
        probe,
        from: from.label().into(),
        to,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_of_a_loopback_sees_its_address() {
        let namespace = Namespace::new("alone").unwrap();
        for address in ["127.0.0.1", "::1"] {
            let to = address.parse().unwrap();
            assert_eq!(udp_source(&namespace, &namespace, to).unwrap(), to);
            assert_eq!(tcp_source(&namespace, &namespace, to).unwrap(), to);
        }
    }
}
