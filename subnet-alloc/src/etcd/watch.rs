//! Watching etcd: the config's key and the blocks' prefix on one stream.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use etcd_client::{
    Client, Error, GetOptions, GetResponse, ResponseHeader, WatchOptions, WatchResponse,
    WatchStream,
};
use tokio::time::timeout;

use crate::lease::Revision;
use crate::store::{StoreError, Watch, WatchEvent};

use super::endpoints::{CALL, Connection, Endpoints, late};
use super::error::{ended_watch, situation};
use super::keys::{Keys, revision};
use super::list::LARGEST_ANSWER;
use super::options::SILENCE;

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
        let mut watch = EtcdWatch {
            stream,
            endpoints,
            connection,
            keys,
            after,
            ready,
            over,
        };
        match timeout(CALL, watch.confirm()).await {
            Ok(confirmed) => confirmed.map(|()| watch),
            Err(_) => Err(late(&watch.connection.url)),
        }
    }

    /// Waits for the confirmation. It has the member's revision: from one of the future etcd would wait without a
    /// word, for ever if it was emptied. A member may just be behind the others, which reading through the leader tells.
    async fn confirm(&mut self) -> Result<(), StoreError> {
        let first = self.stream.message().await;
        let header = match &first {
            Ok(Some(message)) => message.header().map(ResponseHeader::revision),
            _ => None,
        };
        self.take(first);
        if let Some(error) = &self.over {
            return Err(error.clone());
        }
        if header.is_some_and(|at| revision(at) >= self.after) {
            return Ok(());
        }
        let key = self.keys.config();
        let call = |mut client: Client| async move {
            client
                .get(key, Some(GetOptions::new().with_keys_only()))
                .await
        };
        let answer: GetResponse = self.endpoints.call(call).await?;
        match answer.header().map(|header| revision(header.revision())) {
            Some(at) if at < self.after => Err(StoreError::WentBack {
                endpoint: self.connection.url.clone(),
                known: self.after,
                at,
            }),
            _ => Ok(()),
        }
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
    fn silence(&self) -> Duration {
        SILENCE
    }

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
