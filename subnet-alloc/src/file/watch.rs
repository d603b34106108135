//! Watching the directory: the kernel says when to look.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use crate::lease::Revision;
use crate::store::{LeaseStore, StoreError, Watch, WatchEvent};

use super::directory::failed;
use super::{FileStore, sys};

/// A watch of a [`FileStore`].
#[derive(Debug)]
pub struct FileWatch {
    store: FileStore,
    notify: AsyncFd<File>,
    after: Revision,
    /// Whether something may have changed since the last look.
    is_stale: bool,
    next_expiry: Option<Duration>,
}

impl FileWatch {
    pub(super) async fn open(store: FileStore, after: Revision) -> Result<FileWatch, StoreError> {
        let path = &store.path;
        let notify = sys::notify(&[path, &path.join("subnets")]);
        let notify = notify.map_err(|why| failed(path, "watch", &why))?;
        store
            .locked(move |directory| directory.since(after).map(drop))
            .await?;
        Ok(FileWatch {
            store,
            notify,
            after,
            is_stale: true,
            next_expiry: None,
        })
    }

    async fn look(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        let after = self.after;
        let look = move |directory: &mut super::Directory| {
            Ok((
                directory.since(after)?,
                directory.revision(),
                directory.next_expiry(),
            ))
        };
        let (events, revision, next_expiry) = self.store.locked(look).await?;
        (self.after, self.next_expiry) = (revision, next_expiry);
        self.is_stale = false;
        Ok(events)
    }

    async fn changed(&self) -> io::Result<()> {
        let mut ready = self.notify.readable().await?;
        let mut buffer = [0_u8; 4096];
        // Only that there are events counts, not which.
        while ready.get_inner().read(&mut buffer).is_ok() {}
        ready.clear_ready();
        Ok(())
    }
}

impl Watch for FileWatch {
    fn silence(&self) -> Duration {
        Duration::ZERO
    }

    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        loop {
            if self.is_stale {
                let events = self.look().await?;
                if !events.is_empty() {
                    return Ok(events);
                }
            }
            tokio::select! {
                changed = self.changed() => changed.map_err(|why| StoreError::Failed {
                    endpoint: self.store.describe(),
                    why: format!("cannot watch: {why}"),
                })?,
                () = sleep(self.next_expiry.unwrap_or(Duration::MAX)) => {}
            }
            self.is_stale = true;
        }
    }
}
