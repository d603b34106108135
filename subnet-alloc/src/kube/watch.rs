//! Changes of Nodes as changes of leases.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use kube::core::WatchEvent as NodeEvent;
use kube::core::params::WatchParams;
use tokio::time::timeout;

use crate::block::Block;
use crate::lease::{LeaseAttrs, Revision};
use crate::store::{StoreError, Watch, WatchEvent};

use super::node::{Node, Reading, revision};
use super::server::{Server, nodes_path};

/// How long the server shall watch for us. Then we go on from where we are.
const LONGEST: u32 = 290;
/// The most events that are told at once.
const BATCH: usize = 1000;
/// A server that has nothing to tell sends a bookmark once a minute.
const SILENCE: Duration = Duration::from_secs(75);

type Events = Pin<Box<dyn Stream<Item = Result<NodeEvent<Node>, kube::Error>> + Send>>;

/// The Nodes after a revision.
pub struct KubeWatch {
    server: Server,
    reading: Reading,
    /// Where it is; `None` after the server has ended a watch in peace.
    events: Option<Events>,
    after: Revision,
    /// What was told of each Node: they report their health far more often than anything changes here.
    told: BTreeMap<String, Told>,
    /// Why the watch is over; told after all events that came before.
    over: Option<StoreError>,
}

/// What was told of a Node.
#[derive(Debug, PartialEq)]
enum Told {
    /// This lease.
    Lease(Block, LeaseAttrs),
    /// That it cannot be read, and why.
    Bad(String),
}

impl KubeWatch {
    pub(super) async fn open(
        server: Server,
        reading: Reading,
        after: Revision,
    ) -> Result<KubeWatch, StoreError> {
        let mut watch = KubeWatch {
            server,
            reading,
            events: None,
            after,
            told: BTreeMap::new(),
            over: None,
        };
        watch.connect().await?;
        Ok(watch)
    }

    async fn connect(&mut self) -> Result<(), StoreError> {
        let params = WatchParams::default().timeout(LONGEST);
        let request = nodes_path().watch(&params, &self.after.to_string());
        let request = request.map_err(|why| self.server.failed(why.to_string()))?;
        let events = self.server.client.request_events::<Node>(request);
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
        event: Option<Result<NodeEvent<Node>, kube::Error>>,
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
                self.changed(&node, out);
            }
            Some(Ok(NodeEvent::Deleted(node))) => {
                self.after = node.revision();
                self.gone(&node, out);
            }
        }
    }

    fn changed(&mut self, node: &Node, out: &mut Vec<WatchEvent>) {
        let (told, event) = match node.lease(&self.reading) {
            Ok(None) => return self.gone(node, out),
            Ok(Some(lease)) => (
                Told::Lease(lease.block, lease.attrs.clone()),
                WatchEvent::Put(lease),
            ),
            Err(bad) => (Told::Bad(bad.why.clone()), WatchEvent::Bad(bad)),
        };
        let name = &node.metadata.name;
        if self.told.get(name) == Some(&told) {
            return;
        }
        // A Node that was made again may have another block.
        if let Some(Told::Lease(old, _)) = self.told.get(name)
            && !matches!(&told, Told::Lease(block, _) if block == old)
        {
            out.push(WatchEvent::Gone(*old, self.after));
        }
        self.told.insert(name.clone(), told);
        out.push(event);
    }

    fn gone(&mut self, node: &Node, out: &mut Vec<WatchEvent>) {
        match self.told.remove(&node.metadata.name) {
            Some(Told::Lease(block, _)) => out.push(WatchEvent::Gone(block, self.after)),
            Some(Told::Bad(_)) => out.push(WatchEvent::BadGone(node.metadata.name.clone())),
            // What the listing said of it.
            None => {
                let block = node.block(&self.reading).ok().flatten();
                out.extend(block.map(|block| WatchEvent::Gone(block, self.after)));
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

    async fn event(&mut self) -> Result<Option<Result<NodeEvent<Node>, kube::Error>>, StoreError> {
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
    const SILENCE: Duration = SILENCE;

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
