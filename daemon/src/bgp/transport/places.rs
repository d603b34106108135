//! How many may be connected to us at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for those who connect to us: a few for all strangers, and a few for each guest, so that no flood of one or the
/// other uses up the file descriptors of the daemon (RFC 4272). A peer needs two, when it makes another connection while
/// we think that the old one lives, and some for those that are being closed.
pub(super) struct Places {
    strangers: Arc<Semaphore>,
    guests: HashMap<IpAddr, Arc<Semaphore>>,
    of_each_guest: usize,
}

impl Places {
    pub(super) fn new(strangers: usize, of_each_guest: usize) -> Places {
        Places {
            strangers: Arc::new(Semaphore::new(strangers)),
            guests: HashMap::new(),
            of_each_guest,
        }
    }

    /// Takes a place, which is free when what is returned is dropped; `None` when there is none left.
    pub(super) fn take(&mut self, guest: Option<IpAddr>) -> Option<OwnedSemaphorePermit> {
        let Some(address) = guest else {
            return self.strangers.clone().try_acquire_owned().ok();
        };
        let all = self.of_each_guest;
        self.guests
            .retain(|_, places| places.available_permits() < all);
        let places = self
            .guests
            .entry(address)
            .or_insert_with(|| Arc::new(Semaphore::new(all)));
        places.clone().try_acquire_owned().ok()
    }
}
