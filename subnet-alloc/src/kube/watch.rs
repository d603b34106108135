//! Changes of Nodes as changes of leases.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use kube::core::WatchEvent as NodeEvent;
use kube::core::params::WatchParams;
use tokio::time::timeout;

use crate::lease::Revision;
use crate::store::{StoreError, Watch, WatchEvent};

use super::leases::{NodeLeases, Shared};
use super::node::NodeObject;
use super::server::{Server, nodes_path, revision};

/// How long the server shall watch for us. Then we go on from where we are.
const LONGEST: u32 = 290;
/// The most events that are told at once.
const BATCH: usize = 1000;
/// A server that has nothing to tell sends a bookmark once a minute.
const SILENCE: Duration = Duration::from_secs(75);

type Events = Pin<Box<dyn Stream<Item = Result<NodeEvent<NodeObject>, kube::Error>> + Send>>;

/// The Nodes after a revision.
pub struct KubeWatch {
    server: Server,
    /// What was told of Nodes.
    leases: NodeLeases,
    /// Where it is; `None` after the server has ended a watch in peace.
    events: Option<Events>,
    after: Revision,
    /// Why the watch is over; told after all events that came before.
    over: Option<StoreError>,
}

impl KubeWatch {
    pub(super) async fn open(
        server: Server,
        leases: NodeLeases,
        after: Revision,
    ) -> Result<KubeWatch, StoreError> {
        let mut watch = KubeWatch {
            server,
            leases,
            events: None,
            after,
            over: None,
        };
        watch.connect().await?;
        Ok(watch)
    }

    async fn connect(&mut self) -> Result<(), StoreError> {
        let params = WatchParams::default().timeout(LONGEST);
        let request = nodes_path().watch(&params, &self.after.to_string());
        let request = request.map_err(|why| self.server.failed(why.to_string()))?;
        let events = self.server.client.request_events::<NodeObject>(request);
        let events = self
            .server
            .in_time(events)
            .await
            .map_err(|error| self.placed(error))?;
        self.events = Some(Box::pin(events));
        Ok(())
    }

    /// Takes in one event; `None`: the server has ended the watch in peace.
    fn take(
        &mut self,
        event: Option<Result<NodeEvent<NodeObject>, kube::Error>>,
        out: &mut Vec<WatchEvent>,
    ) {
        match event {
            None => self.events = None,
            Some(Err(error)) => self.over = Some(self.placed(self.server.error(&error))),
            Some(Ok(NodeEvent::Error(status))) => {
                self.over = Some(self.placed(self.server.refusal(&status)));
            }
            Some(Ok(NodeEvent::Bookmark(bookmark))) => {
                self.after = revision(&bookmark.metadata.resource_version);
            }
            Some(Ok(NodeEvent::Added(node) | NodeEvent::Modified(node))) => {
                self.after = node.revision();
                let events = self.leases.put(&node);
                self.tell(events, out);
            }
            Some(Ok(NodeEvent::Deleted(node))) => {
                self.after = node.revision();
                let events = self.leases.gone(node.name(), self.after);
                self.tell(events, out);
            }
        }
    }

    fn tell(&mut self, events: Result<Vec<WatchEvent>, Shared>, out: &mut Vec<WatchEvent>) {
        match events {
            Ok(events) => out.extend(events),
            Err(Shared(block)) => {
                let why = format!("two Nodes had the block {block}; listing again");
                self.over = Some(self.server.failed(why));
            }
        }
    }

    /// The same with the revision that was asked for.
    fn placed(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Compacted { endpoint, at, .. } => StoreError::Compacted {
                endpoint,
                asked: self.after,
                at,
            },
            error => error,
        }
    }

    async fn event(
        &mut self,
    ) -> Result<Option<Result<NodeEvent<NodeObject>, kube::Error>>, StoreError> {
        if self.events.is_none() {
            self.connect().await?;
        }
        let Some(events) = &mut self.events else {
            return Ok(None);
        };
        timeout(SILENCE, events.next()).await.map_err(|_| {
            self.server
                .unreachable(format!("it was silent for {} s", SILENCE.as_secs()))
        })
    }
}

impl Watch for KubeWatch {
    fn silence(&self) -> Duration {
        SILENCE
    }

    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        let mut out = Vec::new();
        while out.is_empty() {
            if let Some(error) = self.over.take() {
                return Err(error);
            }
            let first = self.event().await?;
            self.take(first, &mut out);
            for _ in 0..BATCH {
                let ready = self
                    .events
                    .as_mut()
                    .and_then(|events| events.next().now_or_never());
                let Some(event) = ready.filter(|_| self.over.is_none()) else {
                    break;
                };
                self.take(event, &mut out);
            }
        }
        Ok(out)
    }
}
