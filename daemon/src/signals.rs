//! What signals tell the daemon.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that mean something to a daemon.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// From here on they do not end the process by themselves.
    pub(crate) fn catch() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.hang_up.recv() => Told::HangUp,
        }
    }

    /// Waits for one that means the end.
    pub(crate) async fn end(&mut self) {
        while self.next().await == Told::HangUp {}
    }
}

/// What a signal means.
#[derive(PartialEq, Eq)]
pub(crate) enum Told {
    /// Stop.
    End,
    /// Look again.
    HangUp,
}
