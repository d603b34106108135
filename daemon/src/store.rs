//! The store that the configuration names. One type for all of them: what is written for any store is compiled once.

use std::time::Duration;

use subnet_alloc::{
    Block, Claim, EtcdOptions, EtcdStore, EtcdWatch, FileStore, FileWatch, History, KubeStore,
    KubeWatch, Lease, LeaseAttrs, LeaseStore, Life, Listing, Publish, Renewal, Replace, Revision,
    StoreError, Watch, WatchEvent,
};
use tokio::sync::mpsc;

use crate::config::{Config, EtcdFlags, StoreChoice};

/// A store of any kind.
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
pub(crate) enum Store {
    Etcd(EtcdStore),
    Kube(KubeStore),
    File(FileStore),
}

/// What changes in it.
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
pub(crate) enum StoreWatch {
    Etcd(EtcdWatch),
    Kube(KubeWatch),
    File(FileWatch),
}

impl Store {
    /// Opens the store; it connects when it is first used.
    pub(crate) fn open(config: &Config) -> Result<Store, StoreError> {
        Ok(match &config.store {
            StoreChoice::Etcd(flags) => Store::Etcd(EtcdStore::open(&options(flags))?),
            StoreChoice::Kube(options) => Store::Kube(KubeStore::open(options.clone())?),
            StoreChoice::File(directory) => Store::File(FileStore::open(directory)?),
        })
    }
}

fn options(flags: &EtcdFlags) -> EtcdOptions {
    EtcdOptions {
        endpoints: flags.endpoints.clone(),
        prefix: flags.prefix.clone(),
        ca: flags.ca.clone(),
        cert: flags.cert.clone(),
        key: flags.key.clone(),
        username: flags.username.clone(),
        password_file: flags.password_file.clone(),
        password: flags
            .password
            .as_ref()
            .map(|secret| secret.expose().to_owned()),
    }
}

/// Asks whichever it is.
macro_rules! ask {
    ($any:ident: $Any:ident, $store:ident => $answer:expr) => {
        match $any {
            $Any::Etcd($store) => $answer,
            $Any::Kube($store) => $answer,
            $Any::File($store) => $answer,
        }
    };
}

impl LeaseStore for Store {
    type Watch = StoreWatch;

    fn describe(&self) -> String {
        ask!(self: Store, store => store.describe())
    }

    fn listing_patience(&self) -> Duration {
        ask!(self: Store, store => store.listing_patience())
    }

    async fn config(&self) -> Result<Option<Vec<u8>>, StoreError> {
        ask!(self: Store, store => store.config().await)
    }

    async fn list(&self) -> Result<Listing, StoreError> {
        ask!(self: Store, store => store.list().await)
    }

    async fn list_in_parts(&self, parts: mpsc::Sender<Listing>) -> Result<(), StoreError> {
        ask!(self: Store, store => store.list_in_parts(parts).await)
    }

    async fn watch(&self, after: Revision) -> Result<StoreWatch, StoreError> {
        Ok(match self {
            Store::Etcd(store) => StoreWatch::Etcd(store.watch(after).await?),
            Store::Kube(store) => StoreWatch::Kube(store.watch(after).await?),
            Store::File(store) => StoreWatch::File(store.watch(after).await?),
        })
    }

    async fn claim(
        &self,
        block: &Block,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Result<Claim, StoreError> {
        ask!(self: Store, store => store.claim(block, attrs, ttl).await)
    }

    async fn publish(
        &self,
        lease: &Lease,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Result<Publish, StoreError> {
        ask!(self: Store, store => store.publish(lease, attrs, ttl).await)
    }

    async fn replace(
        &self,
        old: &Lease,
        block: &Block,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Result<Replace, StoreError> {
        ask!(self: Store, store => store.replace(old, block, attrs, ttl).await)
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<Renewal, StoreError> {
        ask!(self: Store, store => store.renew(lease, ttl).await)
    }

    async fn release(&self, lease: &Lease) -> Result<bool, StoreError> {
        ask!(self: Store, store => store.release(lease).await)
    }

    async fn history(&self) -> Result<History, StoreError> {
        ask!(self: Store, store => store.history().await)
    }

    async fn touch(&self, lease: &Lease) -> Result<(), StoreError> {
        ask!(self: Store, store => store.touch(lease).await)
    }

    async fn life(&self, lease: &Lease) -> Result<Life, StoreError> {
        ask!(self: Store, store => store.life(lease).await)
    }

    async fn serving(&self) -> Result<(), StoreError> {
        ask!(self: Store, store => store.serving().await)
    }
}

impl Watch for StoreWatch {
    fn silence(&self) -> Duration {
        ask!(self: StoreWatch, watch => watch.silence())
    }

    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        ask!(self: StoreWatch, watch => watch.next().await)
    }
}
