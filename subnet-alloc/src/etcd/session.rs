//! Who we say we are: certificates and password as the files had them, and the connections made with these.

use std::os::unix::fs::MetadataExt;

use etcd_client::{Client, ConnectOptions};
use tokio::sync::OnceCell;

use crate::store::StoreError;

use super::error::situation;
use super::options::EtcdOptions;

/// The connections of one reading of the files.
pub(super) struct Session {
    options: ConnectOptions,
    /// By what the files are told from later ones.
    stamps: Vec<Option<Stamp>>,
    clients: Vec<OnceCell<Client>>,
}

/// Inode, size, and when it was last written (seconds, nanoseconds).
type Stamp = (u64, u64, i64, i64);

impl Session {
    /// Reads the files.
    pub(super) fn new(options: &EtcdOptions) -> Result<Session, StoreError> {
        // Before reading: who writes meanwhile makes another stamp.
        let stamps = stamps(options);
        let count = options.endpoints.len();
        Ok(Session {
            options: options.connect_options()?,
            stamps,
            clients: (0..count).map(|_| OnceCell::new()).collect(),
        })
    }

    /// Whether the files are others than those that were read.
    pub(super) fn is_outdated(&self, options: &EtcdOptions) -> bool {
        self.stamps != stamps(options)
    }

    /// The client of an endpoint. With a user it logs in when it is made.
    pub(super) async fn client(&self, index: usize, url: &str) -> Result<Client, StoreError> {
        let connect = || Client::connect([url], Some(self.options.clone()));
        let client = self.clients[index].get_or_try_init(connect).await;
        client.cloned().map_err(|error| situation(&error, url))
    }
}

/// Whether certificates and key belong together, which nobody looks at before the first connection. Sends nothing.
pub(super) async fn check_tls(options: &EtcdOptions, url: &str) -> Result<(), StoreError> {
    let Some(tls) = options.tls()? else {
        return Ok(());
    };
    let lazy = Client::connect([url], Some(ConnectOptions::new().with_tls(tls))).await;
    lazy.map(drop).map_err(|error| {
        let files: Vec<_> = options
            .files()
            .map(|file| file.display().to_string())
            .collect();
        StoreError::Options {
            option: files.join(", "),
            why: situation(&error, url).to_string(),
        }
    })
}

fn stamps(options: &EtcdOptions) -> Vec<Option<Stamp>> {
    let stamp =
        |file: std::fs::Metadata| (file.ino(), file.size(), file.mtime(), file.mtime_nsec());
    let files = options.files().map(std::fs::metadata);
    files.map(|file| file.ok().map(stamp)).collect()
}
