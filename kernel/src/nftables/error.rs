//! What can go wrong between us and nftables.

use std::fmt;
use std::io;

/// Why nftables is not as it was asked to be. Nothing is ever half done: a
/// batch that is refused leaves all that was there.
#[derive(Debug, thiserror::Error)]
pub enum NfTablesError {
    /// The netlink socket could not be set up.
    #[error(
        "cannot open an nftables socket ({step}): {source}; twill needs CAP_NET_ADMIN and a kernel with nf_tables"
    )]
    Open {
        /// What was being done.
        step: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// Sending, receiving or reading failed.
    #[error("nftables {step} failed: {source}; its rules stay as they are")]
    Io {
        /// What was being done.
        step: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The kernel refused one message, and so the whole batch.
    #[error("the kernel refused {what} ({object}): {source}{reason}; its rules stay as they are{advice}", advice = advice(.source))]
    Refused {
        /// What the batch was to do.
        what: String,
        /// Which of its messages was refused.
        object: &'static str,
        /// The errno.
        source: io::Error,
        /// The kernel's own words.
        reason: Reason,
    },
    /// The ruleset changed during every one of several dumps.
    #[error(
        "nftables changed during each of {tries} dumps; another program rewrites it all the time"
    )]
    Unsteady {
        /// How often it was tried.
        tries: u32,
    },
}

impl NfTablesError {
    /// A table, chain, rule or set that the batch needs is not there (or the
    /// kernel lacks one of nftables' modules): somebody removed it.
    pub fn is_not_found(&self) -> bool {
        match self {
            NfTablesError::Io { source, .. } | NfTablesError::Refused { source, .. } => {
                source.raw_os_error() == Some(libc::ENOENT)
            }
            NfTablesError::Open { .. } | NfTablesError::Unsteady { .. } => false,
        }
    }
}

/// The kernel's own words about a refusal, if it has any.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reason(pub Option<String>);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|words| write!(f, " ({words})"))
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EPERM) => "; twill needs CAP_NET_ADMIN",
        Some(libc::ENFILE) => "; the set is full, and replacing the table makes a larger one",
        Some(libc::ENOENT) => {
            "; if it stays so, the kernel may lack nft_masq, nft_nat or nf_tables inet support"
        }
        _ => "",
    }
}
