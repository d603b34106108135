//! The socket options that no library of ours can set.
#![allow(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::ptr;

use ipnetwork::IpNetwork;
use libc::c_int;
use socket2::SockAddr;

/// The longest key that the kernel takes (`TCP_MD5SIG_MAXKEYLEN`).
pub(super) const LONGEST_KEY: usize = 80;

/// Headers of IP and TCP with all options; more of them than this nobody needs.
const LONGEST_SYN: usize = 256;

/// Only the prefix of the address counts (`TCP_MD5SIG_FLAG_PREFIX`, linux/tcp.h).
const PREFIX_COUNTS: u8 = 1;

/// `struct tcp_md5sig` of linux/tcp.h.
#[repr(C)]
struct Md5Signature {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: c_int,
    key: [u8; LONGEST_KEY],
}

/// Signs and checks what is exchanged with `peer` with the key (RFC 2385); no key: takes back what was set for it.
/// A single address needs no more than `TCP_MD5SIG`, a prefix `TCP_MD5SIG_EXT` (Linux 4.13).
pub(super) fn set_md5(
    socket: &impl AsRawFd,
    peer: IpNetwork,
    key: Option<&[u8]>,
) -> io::Result<()> {
    let key = key.unwrap_or_default();
    // SAFETY: all fields are integers, or structs of such, for which zero is a value.
    let mut signature: Md5Signature = unsafe { std::mem::zeroed() };
    let room = signature.key.get_mut(..key.len());
    room.ok_or(io::ErrorKind::InvalidInput)?
        .copy_from_slice(key);
    signature.key_length = key.len() as u16;
    let address = SockAddr::from(SocketAddr::new(peer.network(), 0));
    // SAFETY: `address` is that many bytes long, and a sockaddr_storage has room for any address.
    unsafe {
        ptr::copy_nonoverlapping(
            address.as_ptr().cast::<u8>(),
            (&raw mut signature.address).cast(),
            address.len() as usize,
        );
    }
    if is_single(peer) {
        return set(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG, &signature);
    }
    signature.flags = PREFIX_COUNTS;
    signature.prefix_length = peer.prefix();
    set(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG_EXT, &signature)
}

/// Segments that come with a lower TTL (hop limit) are not heard (`IP_MINTTL`, `IPV6_MINHOPCOUNT`).
pub(super) fn set_least_ttl(socket: &impl AsRawFd, ipv6: bool, least: u8) -> io::Result<()> {
    let least = c_int::from(least);
    if ipv6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, &least)
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_MINTTL, &least)
    }
}

/// Those who connect to this socket leave their first packet with the connection, for [`syn_ttl`] (`TCP_SAVE_SYN`).
pub(super) fn keep_syn(socket: &impl AsRawFd) -> io::Result<()> {
    let yes: c_int = 1;
    set(socket, libc::IPPROTO_TCP, libc::TCP_SAVE_SYN, &yes)
}

/// The TTL (hop limit) with which the first packet of an accepted connection came; `None` where the kernel has not kept it,
/// as when it answers a flood with SYN cookies. It is there only once (`TCP_SAVED_SYN`).
pub(super) fn syn_ttl(socket: &impl AsRawFd) -> io::Result<Option<u8>> {
    let mut packet = [0_u8; LONGEST_SYN];
    let mut length = packet.len() as libc::socklen_t;
    // SAFETY: address and length are those of a live buffer.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_SAVED_SYN,
            packet.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(match packet.get(..length as usize) {
        Some([0x40..=0x4f, rest @ ..]) => rest.get(7).copied(),
        Some([0x60..=0x6f, rest @ ..]) => rest.get(6).copied(),
        _ => None,
    })
}

/// Binding to an address and port 0 chooses the port when the other end is known, so that the same port can be used
/// towards several peers (`IP_BIND_ADDRESS_NO_PORT`; good for IPv6, too).
pub(super) fn choose_port_late(socket: &impl AsRawFd) -> io::Result<()> {
    let yes: c_int = 1;
    set(
        socket,
        libc::IPPROTO_IP,
        libc::IP_BIND_ADDRESS_NO_PORT,
        &yes,
    )
}

fn is_single(network: IpNetwork) -> bool {
    let bits = if network.is_ipv6() { 128 } else { 32 };
    network.prefix() == bits
}

fn set<T>(socket: &impl AsRawFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    // SAFETY: address and size are those of a live value, of the type that the callers know the option to take.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
