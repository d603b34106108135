//! The same view as the daemon's, built from the store and the kernel by a
//! command while no daemon runs. Nothing is changed.

use std::time::{Duration, Instant};

use kernel::{Kernel, Netlink, NetlinkOptions, Ownership};
use subnet_alloc::{LeaseStore, Listing, own_lease};
use tokio::time::timeout;

use crate::agent::{Agent, Grace, Input, Output};
use crate::config::Config;
use crate::start;
use crate::store::Store;

use super::runtime;

/// A store that needs longer is not going to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the daemon would know if it ran.
pub(super) fn agent(config: &Config) -> anyhow::Result<Agent> {
    runtime()?.block_on(async {
        let store = Store::open(config)?;
        let listing = timeout(PATIENCE, store.list())
            .await
            .map_err(|_| anyhow::anyhow!("{} does not answer", store.describe()))??;
        let options = NetlinkOptions {
            protocol: config.route_protocol,
            nexthop_objects: true,
        };
        look(config, (&store, listing), &mut Netlink::open(options)?).await
    })
}

async fn look(
    config: &Config,
    (store, listing): (&Store, Listing),
    kernel: &mut Netlink,
) -> anyhow::Result<Agent> {
    let name = start::describe_store(config);
    let document = listing.config.as_deref();
    let document = document.ok_or_else(|| anyhow::anyhow!("{name} has no network config"))?;
    let (links, addresses) = kernel.links()?;
    let plan = start::plan(config, document, (&links, &addresses))?;
    let macs = plan.macs(config, &links, &listing.leases, start::new_macs());
    let claimant = plan.claimant(config, macs);
    let holders = claimant.holders(&listing);
    let own = timeout(PATIENCE, own_lease(store, &claimant, holders)).await??;
    let own = own.filter(|lease| plan.network.fits(&lease.block).is_ok());
    let Some(own) = own else {
        anyhow::bail!(
            "this node ({}) holds no lease in {name}: nothing is wanted here",
            config.node_name
        );
    };
    let local = plan.local(Some(own.block), macs, &config.node_name);
    let ownership = Ownership {
        protocol: config.route_protocol,
        adopt_boot_routes: true,
    };
    let mut agent = Agent::new(local, ownership, Grace(config.vanished_grace));
    let now = Instant::now();
    agent.handle(Input::Own(own), now);
    agent.handle(Input::Part(listing.leases), now);
    agent.handle(Input::Listed, now);
    agent.handle(Input::Links(links, addresses), now);
    read_only(&mut agent, kernel, now)?;
    Ok(agent)
}

/// Does what the agent asks for as long as it asks to read.
fn read_only(agent: &mut Agent, kernel: &mut Netlink, now: Instant) -> anyhow::Result<()> {
    while let Some(output) = agent.poll_output(now) {
        let input = match output {
            Output::ReadLinks => {
                let (links, addresses) = kernel.links()?;
                Input::Links(links, addresses)
            }
            Output::Dump(interest) => {
                agent.handle(Input::Dump(kernel.dump(&interest)?), now);
                agent.plan_to_the_end(now);
                continue;
            }
            Output::Notice(_) | Output::Nodes(_) => continue,
            Output::Apply(_) | Output::Refused(_) => return Ok(()),
        };
        agent.handle(input, now);
    }
    Ok(())
}
