//! What systemd is told (`Type=notify`); without it nobody listens.

use sd_notify::NotifyState;

/// The first complete listing is in the kernel.
pub(crate) fn ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// The daemon ends.
pub(crate) fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}
