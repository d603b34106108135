//! Several endpoints, one at a time: stay with one as long as it answers, then go on to the next.
//!
//! etcd-client itself spreads calls over all its endpoints and never avoids a dead one, so each endpoint has a
//! client of its own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Client, Error};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::store::StoreError;

use super::error::situation;
use super::options::EtcdOptions;
use super::session::{Session, check_tls};

/// The longest that one call to one endpoint may take.
pub(super) const CALL: Duration = Duration::from_secs(5);

pub(super) struct Endpoints {
    urls: Vec<String>,
    current: AtomicUsize,
    options: EtcdOptions,
    session: watch::Sender<Arc<Session>>,
}

/// A client, and where it leads.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) url: String,
    index: usize,
}

impl Endpoints {
    pub(super) fn new(options: &EtcdOptions) -> Result<Endpoints, StoreError> {
        Ok(Endpoints {
            urls: options.urls()?,
            current: AtomicUsize::new(0),
            options: options.clone(),
            session: watch::Sender::new(Arc::new(Session::new(options)?)),
        })
    }

    /// Makes a call to the endpoint that answered last; when that does not, to the next, each at most once. (A single
    /// one is asked twice, because its connection may have broken unnoticed.)
    pub(super) async fn call<T, F, Fut>(&self, call: F) -> Result<T, StoreError>
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let (began, count) = (Instant::now(), self.urls.len());
        let (mut attempts, mut renewed) = (count.max(2), false);
        loop {
            attempts -= 1;
            let (index, session) = (self.current(), self.session.borrow().clone());
            let error = match self.call_one(index, &session, &call).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let is_dead = matches!(error, StoreError::Unreachable { .. });
            if !is_dead && !matches!(error, StoreError::Refused { .. }) {
                return Err(error);
            }
            let error = match self.renew(&session).await {
                Ok(true) if !std::mem::replace(&mut renewed, true) => {
                    attempts += 1;
                    continue;
                }
                Ok(_) => error,
                Err(why) => error.and(&why),
            };
            if is_dead {
                self.give_up(index);
            }
            let is_late = began.elapsed() >= CALL * u32::try_from(count).unwrap_or(u32::MAX);
            if attempts == 0 || is_late || !is_dead {
                return Err(error);
            }
        }
    }

    /// Reads certificates and password again if their files have changed, and connects anew; `false` when they are as
    /// they were. Files that cannot be used change nothing.
    async fn renew(&self, failed: &Arc<Session>) -> Result<bool, StoreError> {
        if !Arc::ptr_eq(failed, &self.session.borrow()) {
            return Ok(true);
        }
        if !failed.is_outdated(&self.options) {
            return Ok(false);
        }
        let session = Session::new(&self.options)?;
        check_tls(&self.options, &self.urls[self.current()]).await?;
        self.session.send_replace(Arc::new(session));
        tracing::info!("certificates and password for etcd were read again: their files changed");
        Ok(true)
    }

    /// A client of the endpoint that answered last, for a stream.
    pub(super) async fn connection(&self) -> Result<Connection, StoreError> {
        let (index, session) = (self.current(), self.session.borrow().clone());
        let url = self.urls[index].clone();
        let client = session.client(index, &url).await;
        let client = client.inspect_err(|_| self.give_up(index))?;
        Ok(Connection { client, url, index })
    }

    /// The endpoint of this connection does not answer; go on to the next unless somebody did so already.
    pub(super) fn failed(&self, connection: &Connection) {
        self.give_up(connection.index);
    }

    async fn call_one<T, F, Fut>(
        &self,
        index: usize,
        session: &Session,
        call: &F,
    ) -> Result<T, StoreError>
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let url = &self.urls[index];
        let answer = timeout(CALL, async {
            let client = session.client(index, url).await?;
            call(client).await.map_err(|error| situation(&error, url))
        });
        answer.await.unwrap_or_else(|_| Err(late(url)))
    }

    fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed) % self.urls.len()
    }

    fn give_up(&self, index: usize) {
        let next = (index + 1) % self.urls.len();
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
        f.write_str(&self.urls.join(","))
    }
}
