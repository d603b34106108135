//! Giving up this node's lease on purpose.

use std::time::Duration;

use kernel::{Kernel, Netlink, NetlinkOptions};
use subnet_alloc::{AcquireError, AllocError, Hold, Lease, LeaseStore, own_lease};
use tokio::time::timeout;

use crate::config::Config;
use crate::start;
use crate::store::Store;

use super::{runtime, say};

/// A store that needs longer is not going to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Finds this node's lease as the daemon would and releases it; says what it
/// was, if there was one. A reservation is the operator's: it stays.
pub(super) fn release(config: &Config, dry_run: bool) -> anyhow::Result<Option<String>> {
    runtime()?.block_on(async {
        let store = Store::open(config)?;
        let done = timeout(PATIENCE, release_from(&store, config, dry_run)).await;
        done.map_err(|_| anyhow::anyhow!("{} does not answer", store.describe()))?
    })
}

async fn release_from(
    store: &Store,
    config: &Config,
    dry_run: bool,
) -> anyhow::Result<Option<String>> {
    let name = start::describe_store(config);
    let Some(lease) = own(config, store).await? else {
        say(&format!(
            "this node ({}) holds no lease in {name}",
            config.node_name
        ));
        return Ok(None);
    };
    let block = lease.block;
    if lease.hold == Hold::Reserved {
        say(&format!(
            "the reservation of {block} stays in {name}: delete its key {} if this node is not to have it again",
            block.key()
        ));
        return Ok(None);
    }
    if !dry_run && !store.release(&lease).await? {
        anyhow::bail!(
            "the lease on {block} in {name} has just changed hands: look with `twill show leases`, and try again if it is still this node's"
        );
    }
    Ok(Some(format!("lease on {block} from {name}")))
}

async fn own(config: &Config, store: &Store) -> anyhow::Result<Option<Lease>> {
    let listing = store.list().await?;
    let Some(document) = listing.config.clone() else {
        return Ok(None);
    };
    let options = NetlinkOptions {
        protocol: config.route_protocol,
        nexthop_objects: true,
    };
    let (links, addresses) = Netlink::open(options)?.links()?;
    let plan = start::plan(config, &document, (&links, &addresses))?;
    let macs = plan.macs(config, &links, &listing.leases, start::new_macs());
    let claimant = plan.claimant(config, macs);
    match own_lease(store, &claimant, claimant.holders(&listing)).await {
        Err(AcquireError::Alloc(AllocError::Rival(rival))) => {
            say(&rival.to_string());
            Ok(None)
        }
        own => Ok(own?),
    }
}
