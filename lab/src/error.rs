//! What can go wrong while a lab is built, probed or taken down.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A situation in which the lab cannot go on.
#[derive(thiserror::Error)]
pub enum LabError {
    /// Network namespaces need root.
    #[error("the lab makes network namespaces and must run as root: run it again with sudo")]
    NotRoot,

    /// A program that the lab runs is not installed.
    #[error(
        "the program `{program}` is not installed or not in PATH: on Debian install it with `apt-get install {package}`"
    )]
    ProgramMissing {
        /// The program's name.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
    },

    /// A program ran and failed.
    #[error("`{command}` failed in {namespace}: {stderr}")]
    CommandFailed {
        /// The command line.
        command: String,
        /// The namespace that it ran in.
        namespace: String,
        /// What it said.
        stderr: String,
    },

    /// The operating system refused something.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried, on which object.
        what: String,
        /// The system's answer.
        source: io::Error,
    },

    /// A file or an answer does not have the form that it should have.
    #[error("{what} is not as expected: {text}")]
    Malformed {
        /// Which file or answer.
        what: String,
        /// The offending text.
        text: String,
    },

    /// A process that must keep running has ended.
    #[error("{name} ended ({status}); its log is {log}, which ends with:\n{tail}")]
    Ended {
        /// The process and its node.
        name: String,
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },

    /// Something did not become true in time.
    #[error("{what}: not so after {waited:.1?}{detail}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// What helps to find out why; starts with its own separator.
        detail: String,
    },

    /// A probe's packet or its answer did not arrive.
    #[error("{probe} from {from} to {to} got no answer: {reason}")]
    Unreachable {
        /// Which probe.
        probe: &'static str,
        /// The namespace that asked.
        from: String,
        /// The address that was asked.
        to: IpAddr,
        /// Timeout or the error of the system.
        reason: String,
    },

    /// The other end saw another source address than the sender's own.
    #[error(
        "{probe} from {from} ({sent}) reached {to} as {seen}: something on the way rewrote the source address"
    )]
    SourceChanged {
        /// Which probe.
        probe: &'static str,
        /// The namespace that asked.
        from: String,
        /// The sender's own address.
        sent: IpAddr,
        /// The address that was asked.
        to: IpAddr,
        /// The address that the other end saw.
        seen: IpAddr,
    },

    /// A packet of the pods' MTU does not get through, or a bigger one is not refused.
    #[error(
        "a packet of {size} bytes with DF from {from} to {to} {outcome}; the pods' MTU is {mtu}"
    )]
    WrongMtu {
        /// Size of the IP packet in bytes.
        size: usize,
        /// The pods' MTU in bytes.
        mtu: usize,
        /// The namespace that sent it.
        from: String,
        /// The address that it was sent to.
        to: IpAddr,
        /// What happened to it.
        outcome: &'static str,
    },

    /// The user asked to stop.
    #[error("interrupted; everything that the lab made is taken down")]
    Interrupted,
}

impl LabError {
    /// For `map_err`: the system refused `what`.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}

/// A test that unwraps should fail with the sentence that an operator would read.
impl fmt::Debug for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Results of this crate.
pub(crate) type Result<T, E = LabError> = std::result::Result<T, E>;
