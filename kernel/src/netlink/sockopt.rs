//! The one socket option that no library of ours can set.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;

/// Makes the receive buffer `bytes` long, whatever `net.core.rmem_max` says
/// (`SO_RCVBUFFORCE`, needs CAP_NET_ADMIN).
pub(super) fn force_receive_buffer(socket: &impl AsRawFd, bytes: i32) -> io::Result<()> {
    // SAFETY: the option takes an int; its address and size are those of a live local.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
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
