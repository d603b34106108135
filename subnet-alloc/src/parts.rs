//! A listing that is worked on while the rest of it comes in.

use std::pin::Pin;

use tokio::sync::mpsc;

use crate::store::{LeaseStore, Listing, StoreError};

/// The parts of one listing, in their order.
pub struct Parts<'a> {
    parts: mpsc::Receiver<Listing>,
    /// What reads them; nothing when it has read the last one.
    reading: Option<Reading<'a>>,
}

type Reading<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;

impl<'a> Parts<'a> {
    /// Begins to list a store; it is asked when the first part is.
    pub fn of(store: &'a impl LeaseStore) -> Parts<'a> {
        // One is read while another one is worked on.
        let (sender, parts) = mpsc::channel(1);
        let reading = Some(Box::pin(store.list_in_parts(sender)) as _);
        Parts { parts, reading }
    }

    /// The next part; `None` after the last one. Dropping the future loses none.
    pub async fn next(&mut self) -> Result<Option<Listing>, StoreError> {
        while let Some(reading) = &mut self.reading {
            tokio::select! {
                // A part that has just been read is there at once, not after whatever else is ready.
                biased;
                read = reading => {
                    self.reading = None;
                    read?;
                }
                Some(part) = self.parts.recv() => return Ok(Some(part)),
            }
        }
        Ok(self.parts.recv().await)
    }

    /// All of them as one.
    pub async fn gather(mut self) -> Result<Listing, StoreError> {
        let mut all = self.next().await?.unwrap_or_default();
        while let Some(Listing { leases, bad, .. }) = self.next().await? {
            all.leases.extend(leases);
            all.bad.extend(bad);
        }
        Ok(all)
    }
}
