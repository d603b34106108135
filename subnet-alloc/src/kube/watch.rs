//! Changes of Nodes as changes of leases.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::lease::Revision;
use crate::store::{StoreError, Watch, WatchEvent};

use super::connection::Lines;
use super::leases::{NodeLeases, Shared};
use super::node::{NodeObject, revision};
use super::server::{PATIENCE, Server, Status, unreadable};

/// How long the server shall watch for us. Then we go on from where we are.
const LONGEST: u32 = 290;
/// The most events that are told at once.
const BATCH: usize = 1000;
/// A watch that the server ends sooner is no watch: something between us and the server breaks it, and would again.
const SHORTEST: Duration = Duration::from_secs(5);
/// A server sends a bookmark once a minute, but none before anything has changed since the watch began: one that is silent for
/// longer may have nothing to tell, or be dead, and is asked.
const SILENCE: Duration = Duration::from_secs(75);

/// One event, as it stands on a line.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// A Node of which only the revision is there: the server has come so far.
#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMeta {
    resource_version: String,
}

/// The Nodes after a revision.
pub struct KubeWatch {
    server: Server,
    /// What was told of Nodes.
    leases: NodeLeases,
    /// Where it is; `None` after the server has ended a watch in peace.
    lines: Option<Lines>,
    /// Since when it is there.
    since: Instant,
    after: Revision,
    /// How long nothing may come before the server is asked.
    pub(super) patience: Duration,
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
            lines: None,
            since: Instant::now(),
            after,
            patience: SILENCE,
            over: None,
        };
        watch.connect().await?;
        Ok(watch)
    }

    async fn connect(&mut self) -> Result<(), StoreError> {
        let lines = self.server.watch(self.after, LONGEST).await;
        self.lines = Some(lines.map_err(|error| self.placed(error))?);
        self.since = Instant::now();
        Ok(())
    }

    /// Nothing has come for long: begins again where it was. A server that was restored from a backup would take every change for
    /// one of before that, and stay silent.
    async fn begin_again(&mut self) -> Result<(), StoreError> {
        let at = self.server.revision().await?;
        if at < self.after {
            return Err(StoreError::WentBack {
                endpoint: self.server.endpoint.clone(),
                known: self.after,
                at,
            });
        }
        self.connect().await
    }

    /// Takes in one event.
    fn take(&mut self, line: &[u8], out: &mut Vec<WatchEvent>) {
        if let Err(why) = self.read(line, out) {
            self.over = Some(self.server.failed(unreadable("event", &why)));
        }
    }

    fn read(&mut self, line: &[u8], out: &mut Vec<WatchEvent>) -> Result<(), serde_json::Error> {
        let event: Event<'_> = serde_json::from_slice(line)?;
        let object = event.object.get();
        match event.kind {
            "BOOKMARK" => {
                let bookmark: Bookmark = serde_json::from_str(object)?;
                self.after = revision(&bookmark.metadata.resource_version);
            }
            "ERROR" => {
                let status: Status = serde_json::from_str(object)?;
                self.over = Some(self.placed(self.server.refusal(&status)));
            }
            kind => {
                let node = NodeObject::read(object.as_bytes())?;
                self.after = node.revision();
                let events = if kind == "DELETED" {
                    self.leases.gone(node.name(), self.after)
                } else {
                    self.leases.put(&node)
                };
                self.tell(events, out);
            }
        }
        Ok(())
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

    /// The server has ended the watch; the next one goes on from there.
    fn ended(&mut self) {
        self.lines = None;
        if self.since.elapsed() < SHORTEST {
            let why = "it ends a watch as soon as it begins".to_owned();
            self.over = Some(self.server.unreachable(why));
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

    /// The next event; `None`: the server has ended the watch in peace.
    async fn line(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        loop {
            let Some(lines) = &mut self.lines else {
                self.connect().await?;
                continue;
            };
            match timeout(self.patience, lines.next()).await {
                Ok(Ok(line)) => return Ok(line.map(<[u8]>::to_vec)),
                Ok(Err(refused)) => return Err(self.server.refused(refused)),
                Err(_) => self.begin_again().await?,
            }
        }
    }
}

impl Watch for KubeWatch {
    fn silence(&self) -> Duration {
        self.patience + 2 * PATIENCE
    }

    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        let mut out = Vec::new();
        while out.is_empty() {
            if let Some(error) = self.over.take() {
                return Err(error);
            }
            let Some(first) = self.line().await? else {
                self.ended();
                continue;
            };
            self.take(&first, &mut out);
            for _ in 0..BATCH {
                if self.over.is_some() {
                    break;
                }
                match self.line().now_or_never() {
                    Some(Ok(Some(line))) => self.take(&line, &mut out),
                    Some(Err(error)) => self.over = Some(error),
                    Some(Ok(None)) => {
                        self.ended();
                        break;
                    }
                    None => break,
                }
            }
        }
        Ok(out)
    }
}
