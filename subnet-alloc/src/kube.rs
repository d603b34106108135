//! The store that a Kubernetes cluster is: it gives each Node its block, and Nodes bear in annotations what their daemons say.
//!
//! ```text
//! spec.podCIDRs           the block, given by the cluster for the Node's life; nothing is claimed
//! metadata.annotations    what the lease says, in flannel's keys, so that flannel's daemons and ours understand each other
//! net-conf.json           the network config: a file, from a ConfigMap
//! ```

mod access;
mod annotations;
mod clock;
mod connection;
mod exec;
mod kubeconfig;
mod leases;
mod network;
mod node;
mod patch;
mod server;
mod watch;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::fs;

use crate::block::Block;
use crate::history::History;
use crate::lease::{Lease, LeaseAttrs, Revision};
use crate::life::Life;
use crate::store::{Claim, LeaseStore, Listing, Publish, Renewal, Replace, StoreError};

use server::Server;

pub use annotations::{Annotations, BadPrefix};
use leases::NodeLeases;
pub use node::{NoBlock, NodeObject, Overwrites, Reading};
pub use watch::KubeWatch;

/// How a cluster is reached, and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeOptions {
    /// A kubeconfig file; `None` in a pod: its service account.
    pub kubeconfig: Option<PathBuf>,
    /// The name of this machine's Node.
    pub node: String,
    /// The file with the network config (flannel's `net-conf.json`).
    pub network_config: PathBuf,
    /// In which annotations Nodes say how they are reached.
    pub annotations: Annotations,
}

/// Leases as a Kubernetes cluster has them. What ends a lease is the end of its Node.
pub struct KubeStore {
    options: KubeOptions,
    server: Server,
    /// What the last listing said, for the watch that goes on from it.
    listed: Mutex<Option<(Revision, NodeLeases)>>,
}

impl KubeStore {
    /// Reads how the cluster is reached; it is connected to when it is first asked.
    pub fn open(options: KubeOptions) -> Result<KubeStore, StoreError> {
        let server = Server::open(options.kubeconfig.as_deref())?;
        let listed = Mutex::default();
        Ok(KubeStore {
            options,
            server,
            listed,
        })
    }

    async fn network_config(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let path = &self.options.network_config;
        match fs::read(path).await {
            Ok(text) => Ok(Some(text)),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(StoreError::Failed {
                endpoint: path.display().to_string(),
                why: why.to_string(),
            }),
        }
    }

    fn reading(&self, config: &[u8]) -> Reading {
        let (v4, v6) = network::families(config);
        let names = self.options.annotations.clone();
        Reading { names, v4, v6 }
    }

    /// What Nodes are read with. Without a network config it does not matter.
    async fn usual_reading(&self) -> Result<Reading, StoreError> {
        Ok(self.reading(&self.network_config().await?.unwrap_or_default()))
    }

    async fn own_node(&self) -> Result<NodeObject, StoreError> {
        self.server.node(&self.options.node).await
    }

    /// The lease that the cluster has given to this node.
    fn own_lease(&self, node: &NodeObject, reading: &Reading) -> Result<Lease, StoreError> {
        let block = node.block(reading);
        let block = block.map_err(|why| self.server.failed(why.to_string()))?;
        Ok(node.own_lease(block, reading))
    }

    /// Why this node can have no block, which only the cluster could change: another is wanted than the one that it gave.
    fn unfit(&self, given: Block) -> StoreError {
        self.server.failed(format!(
            "the cluster gave Node {} the block {given}, which is not what the network config gives out; correct Network, IPv6Network or EnableIPv6 in {}",
            self.options.node,
            self.options.network_config.display()
        ))
    }

    fn listed(&self) -> MutexGuard<'_, Option<(Revision, NodeLeases)>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn publish_on(
        &self,
        node: &NodeObject,
        attrs: &LeaseAttrs,
        reading: &Reading,
    ) -> Result<Lease, StoreError> {
        let overwrites = node.overwrites(&reading.names);
        let overwrites = overwrites.map_err(|bad| {
            let why = format!("Node {}: {}", bad.key, bad.why);
            self.server.failed(why)
        })?;
        let patch = reading.names.publish(attrs, overwrites);
        let node = self.server.patch(&self.options.node, patch).await?;
        self.own_lease(&node, reading)
    }
}

impl LeaseStore for KubeStore {
    type Watch = KubeWatch;

    /// Each page has its own time; the API server forgets the revision of the first one after five minutes.
    fn listing_patience(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn describe(&self) -> String {
        format!("Kubernetes at {}", self.server.endpoint)
    }

    async fn config(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(config) = self.network_config().await? else {
            return Ok(None);
        };
        let own = self.own_lease(&self.own_node().await?, &self.reading(&config))?;
        Ok(Some(network::with_lengths(&config, &own.block)))
    }

    /// All Nodes with a daemon, and this one with its block. While this one has none, that is an error.
    async fn list(&self) -> Result<Listing, StoreError> {
        let Some(config) = self.network_config().await? else {
            return Ok(Listing::default());
        };
        let reading = self.reading(&config);
        let own = self.own_lease(&self.own_node().await?, &reading)?;
        let (mut listing, known) = self.server.nodes(&reading).await?;
        *self.listed() = Some((listing.revision, known));
        listing.config = Some(network::with_lengths(&config, &own.block));
        listing.leases.retain(|lease| lease.block != own.block);
        listing.leases.push(own);
        listing.leases.sort_by_cached_key(|lease| lease.block.key());
        Ok(listing)
    }

    /// Goes on from the last listing; from another revision, what Nodes were is not known.
    async fn watch(&self, after: Revision) -> Result<KubeWatch, StoreError> {
        let listed = self.listed().take();
        match listed.filter(|(revision, _)| *revision == after) {
            Some((_, leases)) => KubeWatch::open(self.server.clone(), leases, after).await,
            None => Err(StoreError::Compacted {
                endpoint: self.server.endpoint.clone(),
                asked: after,
                at: after,
            }),
        }
    }

    /// The cluster gives blocks; what can be claimed is the one that it gave.
    async fn claim(
        &self,
        block: &Block,
        attrs: &LeaseAttrs,
        _ttl: Duration,
    ) -> Result<Claim, StoreError> {
        let reading = self.usual_reading().await?;
        let node = self.own_node().await?;
        let given = self.own_lease(&node, &reading)?.block;
        if given != *block {
            return Err(self.unfit(given));
        }
        self.publish_on(&node, attrs, &reading)
            .await
            .map(Claim::Won)
    }

    async fn publish(
        &self,
        lease: &Lease,
        attrs: &LeaseAttrs,
        _ttl: Duration,
    ) -> Result<Publish, StoreError> {
        let reading = self.usual_reading().await?;
        let node = self.own_node().await?;
        if self.own_lease(&node, &reading)?.block != lease.block {
            return Ok(Publish::Lost { held: None });
        }
        let published = self.publish_on(&node, attrs, &reading).await?;
        Ok(Publish::Done(published))
    }

    async fn replace(
        &self,
        old: &Lease,
        _block: &Block,
        _attrs: &LeaseAttrs,
        _ttl: Duration,
    ) -> Result<Replace, StoreError> {
        let reading = self.usual_reading().await?;
        let given = self.own_lease(&self.own_node().await?, &reading)?.block;
        if given != old.block {
            return Ok(Replace::Lost);
        }
        Err(self.unfit(given))
    }

    /// Nothing ends by itself here. A lease is gone when the Node says something else, whoever wrote that.
    async fn renew(&self, lease: &Lease, _ttl: Duration) -> Result<Renewal, StoreError> {
        let reading = self.usual_reading().await?;
        let own = self.own_lease(&self.own_node().await?, &reading)?;
        let stands = (own.block, &own.attrs) == (lease.block, &lease.attrs);
        Ok(if stands {
            Renewal::Alive { ttl: Duration::MAX }
        } else {
            Renewal::Gone
        })
    }

    async fn release(&self, lease: &Lease) -> Result<bool, StoreError> {
        let reading = self.usual_reading().await?;
        let own = self.own_lease(&self.own_node().await?, &reading)?;
        if own.block != lease.block {
            return Ok(false);
        }
        let patch = reading.names.release();
        self.server.patch(&self.options.node, patch).await?;
        Ok(true)
    }

    async fn history(&self) -> Result<History, StoreError> {
        Ok(History::default())
    }

    async fn touch(&self, _lease: &Lease) -> Result<(), StoreError> {
        Ok(())
    }

    /// A Node of this name is this one, whatever address it had; others live as long as they are there.
    async fn life(&self, lease: &Lease) -> Result<Life, StoreError> {
        let is_own = lease.attrs.node.as_deref() == Some(&self.options.node);
        Ok(if is_own { Life::Over } else { Life::Endless })
    }

    /// Says on the Node that pods may come: its condition `NetworkUnavailable` is false.
    async fn serving(&self) -> Result<(), StoreError> {
        let patch = patch::network_available(&clock::now());
        self.server.patch(&self.options.node, patch).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
