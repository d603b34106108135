//! The socket options that no safe library offers.
#![allow(unsafe_code)]

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// Sets DF on every packet, and refuses those above the path's MTU (ip(7), ipv6(7): `IP_PMTUDISC_DO`).
pub(super) fn forbid_fragments(socket: &UdpSocket) -> io::Result<()> {
    if socket.local_addr()?.is_ipv4() {
        return set(
            socket,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_DO,
        );
    }
    set(
        socket,
        libc::IPPROTO_IPV6,
        libc::IPV6_MTU_DISCOVER,
        libc::IPV6_PMTUDISC_DO,
    )?;
    set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 1)
}

/// Keeps so many octets for a reader that is late, whatever `net.core.rmem_max` says (socket(7): `SO_RCVBUFFORCE`).
pub(super) fn keep_unread(socket: &UdpSocket, octets: libc::c_int) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, octets)
}

fn set(
    socket: &UdpSocket,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the descriptor is open for the whole call, and the pointer and the length describe one c_int on the stack.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            len,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
