//! The store in a directory of one machine: for one host, labs and tests. No server, no polling.
//!
//! ```text
//! config                    the network config; put it there with an editor or `cp`
//! subnets/10.244.60.0-24    one lease, the same JSON as in etcd; a file put there by hand is a reservation
//! index.json                what the texts do not say: revisions, which lease ends when, which blocks were used
//! lock                      held (flock) by whoever looks or changes
//! ```

mod directory;
mod index;
mod sys;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::block::Block;
use crate::history::History;
use crate::lease::{Lease, LeaseAttrs, Revision};
use crate::life::Life;
use crate::rules::{self, New};
use crate::store::{Claim, LeaseStore, Listing, Publish, Renewal, Replace, StoreError};

use directory::Directory;

pub use watch::FileWatch;

/// Leases in a directory. Several processes may use it at once.
#[derive(Debug, Clone)]
pub struct FileStore {
    path: PathBuf,
}

impl FileStore {
    /// Opens the directory and creates what is missing in it.
    pub fn open(path: impl AsRef<Path>) -> Result<FileStore, StoreError> {
        let path = path.as_ref().to_path_buf();
        directory::create(&path)?;
        Ok(FileStore { path })
    }

    /// Does something while nobody else looks or changes, without holding up the caller's other tasks.
    async fn locked<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Directory) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path = self.path.clone();
        let work = tokio::task::spawn_blocking(move || action(&mut Directory::lock(&path)?));
        work.await.unwrap_or_else(|why| {
            Err(StoreError::Failed {
                endpoint: self.describe(),
                why: why.to_string(),
            })
        })
    }
}

impl LeaseStore for FileStore {
    type Watch = FileWatch;

    fn describe(&self) -> String {
        format!("file://{}", self.path.display())
    }

    async fn config(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.locked(|directory| directory.config()).await
    }

    async fn list(&self) -> Result<Listing, StoreError> {
        self.locked(|directory| directory.list()).await
    }

    async fn watch(&self, after: Revision) -> Result<FileWatch, StoreError> {
        FileWatch::open(self.clone(), after).await
    }

    async fn claim(
        &self,
        block: &Block,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Result<Claim, StoreError> {
        let (block, attrs) = (*block, attrs.clone());
        self.locked(move |directory| {
            let (block, attrs) = (&block, &attrs);
            rules::claim(directory, &New { block, attrs, ttl })
        })
        .await
    }

    async fn publish(
        &self,
        lease: &Lease,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Result<Publish, StoreError> {
        let (lease, attrs) = (lease.clone(), attrs.clone());
        self.locked(move |directory| {
            let (block, attrs) = (&lease.block, &attrs);
            rules::publish(directory, &lease, &New { block, attrs, ttl })
        })
        .await
    }

    async fn replace(
        &self,
        old: &Lease,
        block: &Block,
        attrs: &LeaseAttrs,
        ttl: Duration,
    ) -> Result<Replace, StoreError> {
        let (old, block, attrs) = (old.clone(), *block, attrs.clone());
        self.locked(move |directory| {
            let (block, attrs) = (&block, &attrs);
            rules::replace(directory, &old, &New { block, attrs, ttl })
        })
        .await
    }

    async fn renew(&self, lease: &Lease, _ttl: Duration) -> Result<Renewal, StoreError> {
        let lease = lease.clone();
        self.locked(move |directory| {
            let renewal = rules::renew(directory, &lease);
            directory.save().map(|()| renewal)
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<bool, StoreError> {
        let lease = lease.clone();
        self.locked(move |directory| rules::release(directory, &lease))
            .await
    }

    async fn history(&self) -> Result<History, StoreError> {
        self.locked(|directory| Ok(rules::history(directory))).await
    }

    async fn touch(&self, lease: &Lease) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.locked(move |directory| {
            rules::touch(directory, &lease);
            directory.save()
        })
        .await
    }

    async fn life(&self, lease: &Lease) -> Result<Life, StoreError> {
        let lease = lease.clone();
        self.locked(move |directory| Ok(rules::life(directory, &lease)))
            .await
    }
}
