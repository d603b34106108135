//! The store that a Kubernetes cluster is: it gives each Node its block, and Nodes bear in annotations what their daemons say.
//!
//! ```text
//! spec.podCIDRs           the block, given by the cluster for the Node's life; nothing is claimed
//! metadata.annotations    what the lease says, in flannel's keys, so that flannel's daemons and ours understand each other
//! net-conf.json           the network config: a file, from a ConfigMap
//! ```

mod network;
mod node;
mod server;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::fs;

use crate::block::Block;
use crate::history::History;
use crate::lease::{Lease, LeaseAttrs, Revision};
use crate::life::Life;
use crate::store::{Claim, LeaseStore, Listing, Publish, Renewal, Replace, StoreError};

use node::{Node, Reading};
use server::Server;

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
    /// The domain of the annotations; flannel's is `flannel.alpha.coreos.com`.
    pub annotation_prefix: String,
}

/// Leases as a Kubernetes cluster has them. What ends a lease is the end of its Node.
pub struct KubeStore {
    options: KubeOptions,
    server: Server,
}

/// A Node's part of a listing.
enum Read {
    Lease(Lease),
    Bad(crate::store::BadEntry),
}

impl KubeStore {
    /// Reads how the cluster is reached; it is connected to when it is first asked.
    pub fn open(options: KubeOptions) -> Result<KubeStore, StoreError> {
        let server = Server::open(options.kubeconfig.as_deref())?;
        Ok(KubeStore { options, server })
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
        let prefix = self.options.annotation_prefix.clone();
        Reading { prefix, v4, v6 }
    }

    /// What Nodes are read with. Without a network config it does not matter.
    async fn usual_reading(&self) -> Result<Reading, StoreError> {
        Ok(self.reading(&self.network_config().await?.unwrap_or_default()))
    }

    /// The block that the cluster gave to this node.
    fn own_block(&self, own: &Node, reading: &Reading) -> Result<Block, StoreError> {
        let name = &self.options.node;
        match own.block(reading) {
            Ok(Some(block)) => Ok(block),
            Ok(None) => Err(self.server.failed(format!(
                "Node {name} has no podCIDR yet; the cluster's controller manager gives it one when it runs with --allocate-node-cidrs and a --cluster-cidr"
            ))),
            Err(why) => Err(self.server.failed(format!("Node {name}: {why}"))),
        }
    }

    /// This node and its block, if the lease is that.
    async fn own(&self, lease: &Lease) -> Result<Option<(Node, Reading)>, StoreError> {
        let reading = self.usual_reading().await?;
        let node = self.server.node(&self.options.node).await?;
        let is_own = self.own_block(&node, &reading)? == lease.block;
        Ok(is_own.then_some((node, reading)))
    }

    async fn say(
        &self,
        block: Block,
        attrs: &LeaseAttrs,
        reading: &Reading,
    ) -> Result<Lease, StoreError> {
        let patch = node::saying(attrs, reading);
        let node = self.server.patch(&self.options.node, patch).await?;
        Ok(node.own_lease(block, reading))
    }
}

impl LeaseStore for KubeStore {
    type Watch = KubeWatch;

    fn describe(&self) -> String {
        format!("Kubernetes at {}", self.server.endpoint)
    }

    async fn config(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(config) = self.network_config().await? else {
            return Ok(None);
        };
        let own = self.server.node(&self.options.node).await?;
        let block = self.own_block(&own, &self.reading(&config))?;
        Ok(Some(network::with_lengths(&config, &block)))
    }

    /// All Nodes with a daemon, and this one with its block. While this one has none, that is an error.
    async fn list(&self) -> Result<Listing, StoreError> {
        let Some(config) = self.network_config().await? else {
            return Ok(Listing::default());
        };
        let reading = self.reading(&config);
        let own = self.server.node(&self.options.node).await?;
        let block = self.own_block(&own, &reading)?;
        let read = |node: Node| {
            if node.metadata.name == self.options.node {
                return Some(Read::Lease(node.own_lease(block, &reading)));
            }
            match node.lease(&reading) {
                Ok(lease) => lease.map(Read::Lease),
                Err(bad) => Some(Read::Bad(bad)),
            }
        };
        let (all, revision) = self.server.nodes(read).await?;
        let mut listing = Listing {
            revision,
            config: Some(network::with_lengths(&config, &block)),
            ..Listing::default()
        };
        for read in all {
            match read {
                Read::Lease(lease) => listing.leases.push(lease),
                Read::Bad(bad) => listing.bad.push(bad),
            }
        }
        listing.leases.sort_by_cached_key(|lease| lease.block.key());
        Ok(listing)
    }

    async fn watch(&self, after: Revision) -> Result<KubeWatch, StoreError> {
        let reading = self.usual_reading().await?;
        KubeWatch::open(self.server.clone(), reading, after).await
    }

    /// The cluster gives blocks; what can be claimed is the one that it gave.
    async fn claim(
        &self,
        block: &Block,
        attrs: &LeaseAttrs,
        _ttl: Duration,
    ) -> Result<Claim, StoreError> {
        let reading = self.usual_reading().await?;
        let own = self.server.node(&self.options.node).await?;
        let given = self.own_block(&own, &reading)?;
        if given != *block {
            return Err(self.server.failed(format!(
                "the cluster gave Node {} the block {given}, which the network config does not give out; correct Network in {}",
                self.options.node,
                self.options.network_config.display()
            )));
        }
        self.say(*block, attrs, &reading).await.map(Claim::Won)
    }

    async fn publish(
        &self,
        lease: &Lease,
        attrs: &LeaseAttrs,
        _ttl: Duration,
    ) -> Result<Publish, StoreError> {
        match self.own(lease).await? {
            Some((_, reading)) => self
                .say(lease.block, attrs, &reading)
                .await
                .map(Publish::Done),
            None => Ok(Publish::Lost { held: None }),
        }
    }

    async fn replace(
        &self,
        _old: &Lease,
        _block: &Block,
        _attrs: &LeaseAttrs,
        _ttl: Duration,
    ) -> Result<Replace, StoreError> {
        Ok(Replace::Lost)
    }

    async fn renew(&self, lease: &Lease, _ttl: Duration) -> Result<Renewal, StoreError> {
        Ok(match self.own(lease).await? {
            Some(_) => Renewal::Alive { ttl: Duration::MAX },
            None => Renewal::Gone,
        })
    }

    async fn release(&self, lease: &Lease) -> Result<bool, StoreError> {
        let Some((_, reading)) = self.own(lease).await? else {
            return Ok(false);
        };
        let patch = node::silence(&reading);
        self.server
            .patch(&self.options.node, patch)
            .await
            .map(|_| true)
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
        let now = k8s_openapi::jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        let condition = json!({
            "type": "NetworkUnavailable",
            "status": "False",
            "reason": "TwillIsUp",
            "message": "Twill is running on this node",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        });
        let patch = json!({ "status": { "conditions": [condition] } });
        self.server.patch(&self.options.node, patch).await.map(drop)
    }
}
