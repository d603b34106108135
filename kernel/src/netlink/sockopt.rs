//! The socket options that no library of ours can set.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;

/// Makes the receive buffer `bytes` long, whatever `net.core.rmem_max` says
/// (`SO_RCVBUFFORCE`, needs CAP_NET_ADMIN).
pub(crate) fn force_receive_buffer(socket: &impl AsRawFd, bytes: i32) -> io::Result<()> {
    force(socket, libc::SO_RCVBUFFORCE, bytes)
}

/// Makes the send buffer `bytes` long, whatever `net.core.wmem_max` says
/// (`SO_SNDBUFFORCE`, needs CAP_NET_ADMIN): the most that one `sendmsg` takes.
pub(crate) fn force_send_buffer(socket: &impl AsRawFd, bytes: i32) -> io::Result<()> {
    force(socket, libc::SO_SNDBUFFORCE, bytes)
}

fn force(socket: &impl AsRawFd, option: libc::c_int, bytes: i32) -> io::Result<()> {
    // SAFETY: the option takes an int; its address and size are those of a live local.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const bytes).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
