//! The store in etcd v3, in flannel's layout: `<prefix>/config` and `<prefix>/subnets/<key>`; and of our own
//! `<prefix>/used/<key>`.

mod endpoints;
mod error;
mod guard;
mod keys;
mod list;
mod options;
mod overlap;
mod session;
mod used;
mod watch;
mod write;

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{LeaseTimeToLiveOptions, LeaseTimeToLiveResponse};
use tokio::sync::mpsc;

use crate::block::Block;
use crate::history::History;
use crate::lease::{Hold, Lease, LeaseAttrs, LeaseId, Revision};
use crate::life::Life;
use crate::parts::Parts;
use crate::store::{Claim, LeaseStore, Listing, Publish, Renewal, Replace, StoreError, serves};

use endpoints::Endpoints;
use keys::Keys;

pub use options::EtcdOptions;
pub use watch::EtcdWatch;

/// Leases in etcd. One connection to one endpoint at a time; another endpoint when that one fails.
#[derive(Clone)]
pub struct EtcdStore {
    endpoints: Arc<Endpoints>,
    keys: Arc<Keys>,
}

impl EtcdStore {
    /// Checks the options and reads the certificates. Connects when it is first used.
    pub fn open(options: &EtcdOptions) -> Result<EtcdStore, StoreError> {
        Ok(EtcdStore {
            keys: Arc::new(Keys::new(&options.prefix)?),
            endpoints: Arc::new(Endpoints::new(options)?),
        })
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX).max(1);
        let granted = self
            .endpoints
            .call(|mut client| async move { client.lease_grant(seconds, None).await })
            .await?;
        Ok(LeaseId(granted.id()))
    }

    /// Gives a lease back that is not needed; if that fails it ends by itself.
    async fn revoke(&self, id: LeaseId) {
        let revoked = self
            .endpoints
            .call(|mut client| async move { client.lease_revoke(id.0).await })
            .await;
        if let Err(why) = revoked {
            tracing::debug!(lease = %id, %why, "an unused etcd lease is left to expire");
        }
    }

    /// The lease to write an own key with: the same one if it lives and serves, else a new one.
    async fn hold_for(&self, hold: Hold, ttl: Duration) -> Result<Hold, StoreError> {
        let Hold::Leased(id) = hold else {
            return Ok(Hold::Reserved);
        };
        match self.keep_alive(id).await? {
            Renewal::Alive { ttl: granted } if serves(granted, ttl) => Ok(hold),
            _ => self.grant(ttl).await.map(Hold::Leased),
        }
    }

    async fn time_to_live(&self, id: LeaseId) -> Result<Life, StoreError> {
        let call = |mut client: etcd_client::Client| async move {
            client.lease_time_to_live(id.0, None).await
        };
        let answer = self.endpoints.call(call).await?;
        Ok(match u64::try_from(answer.ttl()) {
            Ok(left @ 1..) => Life::Ends {
                granted: granted(&answer),
                left: Duration::from_secs(left),
            },
            _ => Life::Over,
        })
    }

    async fn keep_alive(&self, id: LeaseId) -> Result<Renewal, StoreError> {
        Ok(match self.kept_alive(id).await? {
            Some(alive) => Renewal::Alive {
                ttl: granted(&alive),
            },
            None => Renewal::Gone,
        })
    }

    /// The etcd lease after its renewal, with the keys that it holds; `None` when it is no more.
    async fn kept_alive(&self, id: LeaseId) -> Result<Option<LeaseTimeToLiveResponse>, StoreError> {
        let call = |client: etcd_client::Client| async move {
            let (mut first, mut second) = (client.lease_client(), client.lease_client());
            let with_keys = LeaseTimeToLiveOptions::new().with_keys();
            match first.keep_alive(id.0).await {
                Ok(_) => second.time_to_live(id.0, Some(with_keys)).await.map(Some),
                Err(etcd_client::Error::LeaseKeepAliveError(_)) => Ok(None),
                Err(other) => Err(other),
            }
        };
        let alive = self.endpoints.call(call).await?;
        Ok(alive.filter(|alive| alive.ttl() > 0))
    }
}

fn granted(alive: &LeaseTimeToLiveResponse) -> Duration {
    Duration::from_secs(u64::try_from(alive.granted_ttl()).unwrap_or(0))
}

impl LeaseStore for EtcdStore {
    type Watch = EtcdWatch;

    fn describe(&self) -> String {
        format!("etcd {} prefix {}", self.endpoints, self.keys.prefix())
    }

    async fn config(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let key = self.keys.config().to_owned();
        let call = |mut client: etcd_client::Client| {
            let key = key.clone();
            async move { client.get(key, None).await }
        };
        let mut found = self.endpoints.call(call).await?;
        Ok(found.take_kvs().pop().map(|kv| kv.into_key_value().1))
    }

    async fn list(&self) -> Result<Listing, StoreError> {
        Parts::of(self).gather().await
    }

    async fn list_in_parts(&self, parts: mpsc::Sender<Listing>) -> Result<(), StoreError> {
        list::list(&self.endpoints, &self.keys, &parts).await
    }

    async fn watch(&self, after: Revision) -> Result<EtcdWatch, StoreError> {
        EtcdWatch::open(self.endpoints.clone(), self.keys.clone(), after).await
    }

    async fn claim(
        &self,
        block: &Block,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Result<Claim, StoreError> {
        write::claim(self, block, attrs, ttl).await
    }

    async fn publish(
        &self,
        lease: &Lease,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Result<Publish, StoreError> {
        write::publish(self, lease, attrs, ttl).await
    }

    async fn replace(
        &self,
        old: &Lease,
        block: &Block,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Result<Replace, StoreError> {
        let new = write::New { block, attrs };
        write::replace(self, old, &new, ttl).await
    }

    async fn renew(&self, lease: &Lease, _ttl: Duration) -> Result<Renewal, StoreError> {
        match lease.hold {
            Hold::Reserved | Hold::Given => Ok(Renewal::Alive { ttl: Duration::MAX }),
            // An etcd lease outlives its key: who deletes or overwrites that one leaves an empty lease.
            Hold::Leased(id) => {
                let key = self.keys.block(&lease.block).into_bytes();
                let alive = self.kept_alive(id).await?;
                let alive = alive.filter(|alive| alive.keys().contains(&key));
                Ok(alive.map_or(Renewal::Gone, |alive| Renewal::Alive {
                    ttl: granted(&alive),
                }))
            }
        }
    }

    async fn release(&self, lease: &Lease) -> Result<bool, StoreError> {
        write::release(self, lease).await
    }

    async fn history(&self) -> Result<History, StoreError> {
        used::history(&self.endpoints, &self.keys).await
    }

    async fn touch(&self, lease: &Lease) -> Result<(), StoreError> {
        used::touch(&self.endpoints, &self.keys, (&lease.block, &lease.attrs)).await
    }

    async fn life(&self, lease: &Lease) -> Result<Life, StoreError> {
        match lease.hold {
            Hold::Reserved | Hold::Given => Ok(Life::Endless),
            Hold::Leased(id) => self.time_to_live(id).await,
        }
    }
}
