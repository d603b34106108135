//! The one place where a child process is prepared between fork and exec: the namespace, and how long it may live.
#![allow(unsafe_code)]

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigSet, Signal};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes `command` start inside the network namespace behind `namespace`, die with the thread that starts it, and have
/// no signal blocked.
pub(crate) fn on_start<F>(command: &mut Command, namespace: F)
where
    F: AsFd + Send + Sync + 'static,
{
    let enter = move || {
        setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        SigSet::empty().thread_set_mask()?;
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe functions may run. The closure makes three system calls
    // (setns, prctl, rt_sigprocmask), turns an errno into an io::Error without allocating, and locks nothing.
    unsafe {
        command.pre_exec(enter);
    }
}
