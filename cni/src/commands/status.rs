//! STATUS: whether an ADD can work. A daemon that restarts and a store that is away are no reason against it.

use crate::ledger::Store;
use crate::spec::{CniError, Config};
use crate::subnet_env::SubnetEnv;

/// Fails with 50 when pods cannot be added, and with 51 when there are pods beside that.
pub(super) fn status(config: &Config) -> Result<(), CniError> {
    let store =
        Store::open(&config.state_dir).map_err(|error| CniError::Unavailable(error.to_string()))?;
    let ledger = store.lock().and_then(|locked| locked.ledger());
    let ledger = ledger.map_err(|error| CniError::Unavailable(error.to_string()))?;
    match SubnetEnv::read(&config.subnet_file) {
        Ok(_) => Ok(()),
        Err(why) if ledger.held.is_empty() => Err(CniError::Unavailable(why)),
        Err(why) => Err(CniError::UnavailableWithPods {
            pods: ledger.held.len(),
            why,
        }),
    }
}
