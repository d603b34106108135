//! DEL: the link goes, then the addresses. It needs neither the pod's namespace nor the daemon, and what is not there
//! is as good as removed.

use super::host_local;
use crate::attachment::Attachment;
use crate::ledger::{Ledger, Store, seconds_since_boot};
use crate::link::{forget, remove};
use crate::netlink::Socket;
use crate::spec::{CniError, Config};

/// Ends an attachment.
pub(super) fn del(config: &Config, attachment: &Attachment) -> Result<(), CniError> {
    let mut host = Socket::open()?;
    host_local::release(&config.host_local_dir, &attachment.container);
    let Some(store) = Store::open_existing(&config.state_dir)? else {
        return remove(&mut host, &attachment.host_link());
    };
    let held = store.lock()?.ledger()?.held_by(attachment).cloned();
    // An ADD that still runs would make a link for which nobody asks.
    let _claim = held.as_ref().map(|held| store.wait_for(held)).transpose()?;
    remove(&mut host, &attachment.host_link())?;
    match held {
        Some(held) => {
            forget(&held.addresses, &mut host)?;
            release(&store, &held)
        }
        None => Ok(()),
    }
}

fn release(store: &Store, held: &crate::ledger::Held) -> Result<(), CniError> {
    let locked = store.lock()?;
    if locked.ledger()?.held_by(&held.attachment) != Some(held) {
        return Ok(());
    }
    locked.carry_out(&Ledger::release(held, seconds_since_boot()))
}
