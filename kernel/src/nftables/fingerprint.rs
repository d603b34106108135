//! A short word for a whole ruleset, kept as the table's comment: a restart
//! tells by it whether the table is as wanted, without reading rules.

use std::collections::BTreeSet;

use super::batch::Batch;
use super::firewall::{Firewall, TableName, TunnelGuard};

/// Of all that [`NfTables::replace`](super::NfTables::replace) writes, but for
/// the known VTEPs, which change without it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fingerprint(u64);

const COMMENT: &str = "written by twill, which puts it back when changed: ";

impl Fingerprint {
    pub(super) fn of(firewall: &Firewall, table: &TableName) -> Fingerprint {
        let without_vteps = Firewall {
            masquerade: firewall.masquerade.clone(),
            tunnel: firewall.tunnel.as_ref().map(|tunnel| TunnelGuard {
                vteps: BTreeSet::new(),
                ..*tunnel
            }),
        };
        let mut batch = Batch::starting_at(0);
        without_vteps
            .ruleset()
            .write_replacement(&mut batch, table, COMMENT);
        Fingerprint(fnv1a(batch.bytes()))
    }

    /// The table's comment.
    pub(super) fn comment(self) -> String {
        format!("{COMMENT}{:016x}", self.0)
    }

    pub(super) fn from_comment(comment: &str) -> Option<Fingerprint> {
        let digits = comment.strip_prefix(COMMENT)?;
        u64::from_str_radix(digits, 16).ok().map(Fingerprint)
    }
}

/// FNV-1a: the same in every version of the program, unlike the standard
/// library's hashes.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
