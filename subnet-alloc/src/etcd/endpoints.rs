//! Several endpoints, one at a time: stay with one as long as it answers, then go on to the next.
//!
//! etcd-client itself spreads calls over all its endpoints and never avoids a dead one, so each endpoint has a
//! client of its own.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, Error};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use crate::store::StoreError;

use super::error::situation;
use super::options::EtcdOptions;

/// The longest that one call to one endpoint may take.
pub(super) const CALL: Duration = Duration::from_secs(5);

pub(super) struct Endpoints {
    all: Vec<Endpoint>,
    current: AtomicUsize,
    options: ConnectOptions,
}

struct Endpoint {
    url: String,
    client: OnceCell<Client>,
}

/// A client, and where it leads.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) url: String,
    index: usize,
}

impl Endpoints {
    pub(super) fn new(options: &EtcdOptions) -> Result<Endpoints, StoreError> {
        let urls = options.urls()?;
        let endpoint = |url| Endpoint {
            url,
            client: OnceCell::new(),
        };
        Ok(Endpoints {
            all: urls.into_iter().map(endpoint).collect(),
            current: AtomicUsize::new(0),
            options: options.connect_options()?,
        })
    }

    /// Makes a call to the endpoint that answered last; when that does not, to the next, each at most once. (A single
    /// one is asked twice, because its connection may have broken unnoticed.)
    pub(super) async fn call<T, F, Fut>(&self, call: F) -> Result<T, StoreError>
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let (began, count) = (Instant::now(), self.all.len());
        let mut attempts = count.max(2);
        loop {
            attempts -= 1;
            let index = self.current();
            let error = match self.call_one(index, &call).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let StoreError::Unreachable { .. } = error else {
                return Err(error);
            };
            self.give_up(index);
            let is_late = began.elapsed() >= CALL * u32::try_from(count).unwrap_or(u32::MAX);
            if attempts == 0 || is_late {
                return Err(error);
            }
        }
    }

    /// A client of the endpoint that answered last, for a stream.
    pub(super) async fn connection(&self) -> Result<Connection, StoreError> {
        let index = self.current();
        let client = self
            .client(index)
            .await
            .inspect_err(|_| self.give_up(index))?;
        let url = self.all[index].url.clone();
        Ok(Connection { client, url, index })
    }

    /// The endpoint of this connection does not answer; go on to the next unless somebody did so already.
    pub(super) fn failed(&self, connection: &Connection) {
        self.give_up(connection.index);
    }

    async fn call_one<T, F, Fut>(&self, index: usize, call: &F) -> Result<T, StoreError>
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let url = &self.all[index].url;
        let answer = timeout(CALL, async {
            let client = self.client(index).await?;
            call(client).await.map_err(|error| situation(&error, url))
        });
        answer.await.unwrap_or_else(|_| Err(late(url)))
    }

    async fn client(&self, index: usize) -> Result<Client, StoreError> {
        let Endpoint { url, client } = &self.all[index];
        let connect = || Client::connect([url], Some(self.options.clone()));
        let client = client.get_or_try_init(connect).await;
        client.cloned().map_err(|error| situation(&error, url))
    }

    fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed) % self.all.len()
    }

    fn give_up(&self, index: usize) {
        let next = (index + 1) % self.all.len();
        let _ = self
            .current
            .compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

pub(super) fn late(url: &str) -> StoreError {
    StoreError::Unreachable {
        endpoint: url.to_owned(),
        why: format!("no answer within {} s", CALL.as_secs()),
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<_> = self
            .all
            .iter()
            .map(|endpoint| endpoint.url.as_str())
            .collect();
        f.write_str(&urls.join(","))
    }
}
