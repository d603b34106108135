//! Ctrl-C, SIGTERM and a closed terminal as a flag, so that the lab takes itself down in order.
#![allow(unsafe_code)]

use crate::error::{LabError, Result};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED_TO_STOP: AtomicBool = AtomicBool::new(false);

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// While this value lives, SIGINT, SIGTERM and SIGHUP set a flag instead of ending the process.
#[derive(Debug)]
pub(crate) struct Interrupts {
    before: Vec<(Signal, SigAction)>,
}

impl Interrupts {
    pub(crate) fn catch() -> Result<Self> {
        ASKED_TO_STOP.store(false, Ordering::Relaxed);
        let note = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
        let mut interrupts = Self { before: Vec::new() };
        for signal in SIGNALS {
            // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
            let before = unsafe { sigaction(signal, &note) };
            let before = before.map_err(|errno| LabError::System {
                what: format!("catch {signal}"),
                source: errno.into(),
            })?;
            interrupts.before.push((signal, before));
        }
        Ok(interrupts)
    }

    /// Whether a signal has come.
    pub(crate) fn asked(&self) -> bool {
        ASKED_TO_STOP.load(Ordering::Relaxed)
    }

    /// An error if a signal has come.
    pub(crate) fn check(&self) -> Result<()> {
        if self.asked() {
            Err(LabError::Interrupted)
        } else {
            Ok(())
        }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        for (signal, before) in self.before.drain(..) {
            // SAFETY: puts back an action that the kernel itself returned for this signal.
            let _ = unsafe { sigaction(signal, &before) };
        }
    }
}

extern "C" fn note(_: libc::c_int) {
    ASKED_TO_STOP.store(true, Ordering::Relaxed);
}
