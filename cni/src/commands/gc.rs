//! GC: what the runtime no longer knows of is removed: links, and with them routes and neighbours, then addresses.

use std::collections::BTreeSet;

use crate::attachment::{Attachment, host_link_prefix};
use crate::ledger::{Claim, Held, Ledger, Store, seconds_since_boot};
use crate::link::{forget, remove, stray_links};
use crate::netlink::Socket;
use crate::spec::{CniError, Config, ValidAttachment};

/// Removes all that belongs to no valid attachment of this network.
pub(super) fn gc(config: &Config) -> Result<(), CniError> {
    let missing = || {
        let why = "GC without cni.dev/valid-attachments would remove every pod's network: nothing is removed";
        CniError::Config(why.into())
    };
    let valid = config.valid_attachments.as_ref().ok_or_else(missing)?;
    let mut host = Socket::open()?;
    let mut failures = Vec::new();
    let mut kept: BTreeSet<String> = valid
        .iter()
        .map(|valid| key(config, valid).host_link())
        .collect();
    if let Some(store) = Store::open_existing(&config.state_dir)? {
        let sorted = sort(&store, config, valid)?;
        kept.extend(sorted.kept);
        for (held, _claim) in sorted.stale {
            let gone = remove(&mut host, &held.attachment.host_link())
                .and_then(|()| forget(&held.addresses, &mut host));
            let released = gone.and_then(|()| {
                store
                    .lock()?
                    .carry_out(&Ledger::release(&held, seconds_since_boot()))
            });
            failures.extend(released.err().map(|error| error.to_string()));
        }
    }
    // Links without a record: the state was lost.
    for stray in stray_links(&mut host, &host_link_prefix(&config.name))?.difference(&kept) {
        failures.extend(
            remove(&mut host, stray)
                .err()
                .map(|error| error.to_string()),
        );
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(CniError::LeftBehind(failures))
    }
}

/// What to do with the records.
#[derive(Default)]
struct Sorted {
    /// To remove.
    stale: Vec<(Held, Claim)>,
    /// Links of records that stay: of other networks, and of calls that still run.
    kept: Vec<String>,
}

fn sort(store: &Store, config: &Config, valid: &[ValidAttachment]) -> Result<Sorted, CniError> {
    let locked = store.lock()?;
    let mut sorted = Sorted::default();
    for held in locked.ledger()?.held {
        let is_valid = valid
            .iter()
            .any(|valid| key(config, valid) == held.attachment);
        let claim = if is_valid || held.attachment.network != config.name {
            None
        } else {
            locked.take_over(&held)?
        };
        match claim {
            Some(claim) => sorted.stale.push((held, claim)),
            None => sorted.kept.push(held.attachment.host_link()),
        }
    }
    Ok(sorted)
}

fn key(config: &Config, valid: &ValidAttachment) -> Attachment {
    Attachment {
        network: config.name.clone(),
        container: valid.container.clone(),
        ifname: valid.ifname.clone(),
    }
}
