//! The socket options of netlink that no library of ours can set.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;

/// Turns an option of `SOL_NETLINK` on.
pub(super) fn turn_on(socket: &impl AsRawFd, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option takes an int; its address and size are those of a live local.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
