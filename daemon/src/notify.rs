//! What systemd is told (`Type=notify`); without it nobody listens.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The first complete listing is in the kernel.
pub(crate) fn ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// The daemon ends.
pub(crate) fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// Tells systemd that the driver's loop goes round (`WatchdogSec=`).
pub(crate) struct Watchdog {
    /// Half of the time after which systemd ends the daemon; nothing when it does not watch.
    every: Option<Duration>,
    due: Instant,
}

impl Watchdog {
    /// As the environment says, `WATCHDOG_USEC` and `WATCHDOG_PID` (sd_watchdog_enabled(3)).
    pub(crate) fn from_environment() -> Watchdog {
        Watchdog {
            every: sd_notify::watchdog_enabled().map(|time| time / 2),
            due: Instant::now(),
        }
    }

    /// When [`Watchdog::tend`] has to be called at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.every.map(|_| self.due)
    }

    /// Tells when it is time.
    pub(crate) fn tend(&mut self, now: Instant) {
        let Some(every) = self.every.filter(|_| self.due <= now) else {
            return;
        };
        let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        self.due = now + every;
    }
}
