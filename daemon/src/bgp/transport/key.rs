//! Keys of TCP MD5 (RFC 2385).

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use super::sockopt::{LONGEST_KEY, set_md5};

/// A secret that we share with a peer: 1 to 80 bytes. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(Arc<[u8]>);

/// The password of a peer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadKey {
    /// An empty one is none.
    #[error("the password is empty; leave it out if the peer has none")]
    Empty,
    /// The kernel takes 80 bytes.
    #[error(
        "the password is {0} bytes long, the kernel takes at most {LONGEST_KEY}; use a shorter one on both sides"
    )]
    TooLong(usize),
}

/// The kernel does not take the key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// Built without CONFIG_TCP_MD5SIG.
    #[error("the password of {0} cannot be used: this kernel has no TCP MD5 (CONFIG_TCP_MD5SIG)")]
    NoMd5(IpNetwork),
    /// The socket's memory for options is full.
    #[error(
        "no room for the password of {0}: too many peers have one; raise the sysctl net.core.optmem_max (136 bytes for each)"
    )]
    TooMany(IpNetwork),
    /// Anything else.
    #[error("the password of {peer} cannot be used: {source}")]
    Refused {
        /// Whose.
        peer: IpNetwork,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Key {
    /// A key of these bytes.
    pub(crate) fn new(bytes: &[u8]) -> Result<Key, BadKey> {
        match bytes.len() {
            0 => Err(BadKey::Empty),
            1..=LONGEST_KEY => Ok(Key(bytes.into())),
            length => Err(BadKey::TooLong(length)),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Segments from and to `peer` are signed with the key; without one, not any longer.
pub(super) fn put(
    socket: &impl AsRawFd,
    peer: IpNetwork,
    key: Option<&Key>,
) -> Result<(), KeyError> {
    let Err(source) = set_md5(socket, peer, key.map(|key| &*key.0)) else {
        return Ok(());
    };
    Err(match source.raw_os_error() {
        Some(libc::ENOENT) if key.is_none() => return Ok(()),
        Some(libc::ENOPROTOOPT) => KeyError::NoMd5(peer),
        Some(libc::ENOMEM) => KeyError::TooMany(peer),
        _ => KeyError::Refused { peer, source },
    })
}
