//! Watching etcd: the config's key and the blocks' prefix on one stream.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use etcd_client::{Error, WatchOptions, WatchResponse, WatchStream};
use tokio::time::timeout;

use crate::lease::Revision;
use crate::store::{StoreError, Watch, WatchEvent};

use super::endpoints::{CALL, Connection, Endpoints, late};
use super::error::{ended_watch, situation};
use super::keys::{Keys, revision};
use super::list::LARGEST_ANSWER;

/// A watch of config and leases. A dead etcd is noticed by HTTP/2 pings within 9 s.
pub struct EtcdWatch {
    stream: WatchStream,
    endpoints: Arc<Endpoints>,
    connection: Connection,
    keys: Arc<Keys>,
    after: Revision,
    ready: Vec<WatchEvent>,
    /// Why the watch is over; told after all events that came before.
    over: Option<StoreError>,
}

/// Messages that are taken together at most, so that one look stays short.
const TOGETHER: usize = 1024;

impl EtcdWatch {
    pub(super) async fn open(
        endpoints: Arc<Endpoints>,
        keys: Arc<Keys>,
        after: Revision,
    ) -> Result<EtcdWatch, StoreError> {
        let in_time = |url: &str| late(url);
        let connection = match timeout(CALL, endpoints.connection()).await {
            Ok(connection) => connection?,
            Err(_) => return Err(in_time(&endpoints.to_string())),
        };
        let opened = timeout(CALL, open_stream(&connection, &keys, after)).await;
        let stream = match opened {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                endpoints.failed(&connection);
                return Err(situation(&error, &connection.url));
            }
            Err(_) => {
                endpoints.failed(&connection);
                return Err(in_time(&connection.url));
            }
        };
        let (ready, over) = (Vec::new(), None);
        Ok(EtcdWatch {
            stream,
            endpoints,
            connection,
            keys,
            after,
            ready,
            over,
        })
    }

    fn take(&mut self, message: Result<Option<WatchResponse>, Error>) {
        let url = &self.connection.url;
        match message {
            Ok(Some(message)) if message.canceled() => self.over = Some(self.cancelled(&message)),
            Ok(Some(message)) => {
                let events = message.events().iter();
                self.ready
                    .extend(events.filter_map(|event| self.keys.event(event)));
            }
            Ok(None) => self.over = Some(ended_watch("", url)),
            Err(error) => self.over = Some(situation(&error, url)),
        }
        if let Some(StoreError::Unreachable { .. }) = self.over {
            self.endpoints.failed(&self.connection);
        }
    }

    fn cancelled(&self, message: &WatchResponse) -> StoreError {
        let endpoint = &self.connection.url;
        match message.compact_revision() {
            0 => ended_watch(message.cancel_reason(), endpoint),
            at => StoreError::Compacted {
                endpoint: endpoint.clone(),
                asked: self.after,
                at: revision(at),
            },
        }
    }

    /// Takes what has arrived already, without waiting.
    async fn drain(&mut self) {
        for _ in 0..TOGETHER {
            let message = {
                let mut next = pin!(self.stream.message());
                poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await
            };
            match message {
                Poll::Ready(message) => self.take(message),
                Poll::Pending => return,
            }
            if self.over.is_some() {
                return;
            }
        }
    }
}

impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        loop {
            if self.over.is_none() {
                self.drain().await;
            }
            if !self.ready.is_empty() {
                return Ok(std::mem::take(&mut self.ready));
            }
            if let Some(error) = &self.over {
                return Err(error.clone());
            }
            let message = self.stream.message().await;
            self.take(message);
        }
    }
}

/// Both watches. etcd sends its headers with the confirmation of the first, so a dead one is noticed here.
async fn open_stream(
    connection: &Connection,
    keys: &Keys,
    after: Revision,
) -> Result<WatchStream, Error> {
    let from = i64::try_from(after.0).unwrap_or(0) + 1;
    let options = || {
        WatchOptions::new()
            .with_start_revision(from)
            .with_fragment()
    };
    let mut client = connection
        .client
        .watch_client()
        .max_decoding_message_size(LARGEST_ANSWER);
    let mut stream = client.watch(keys.config(), Some(options())).await?;
    stream
        .watch(keys.subnets(), Some(options().with_prefix()))
        .await?;
    Ok(stream)
}
