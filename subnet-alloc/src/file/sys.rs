//! The two system calls that the standard library of our oldest supported Rust does not have: flock(2) and inotify(7).
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tokio::io::unix::AsyncFd;

/// Waits for the exclusive lock of an open file. It ends when the file is closed.
pub(super) fn lock(file: &File) -> io::Result<()> {
    loop {
        // SAFETY: flock only takes a descriptor, which `file` keeps open during the call.
        let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) };
        match result {
            0 => return Ok(()),
            _ => match io::Error::last_os_error() {
                why if why.kind() == io::ErrorKind::Interrupted => {}
                why => return Err(why),
            },
        }
    }
}

/// A file that becomes readable when a file in one of these directories is finished, moved or removed.
pub(super) fn notify(directories: &[&Path]) -> io::Result<AsyncFd<File>> {
    // SAFETY: no pointers; the result is checked.
    let fd = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, valid and owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mask = libc::IN_CLOSE_WRITE | libc::IN_MOVED_TO | libc::IN_MOVED_FROM | libc::IN_DELETE;
    for directory in directories {
        let path = CString::new(directory.as_os_str().as_bytes())?;
        // SAFETY: `path` is a C string that lives until after the call.
        let watch = unsafe { libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), mask) };
        if watch < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: a `File` owns its descriptor and always returns the same one.
    Ok(unsafe { AsyncFd::register(File::from(fd)) }?)
}
