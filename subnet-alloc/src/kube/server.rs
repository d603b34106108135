//! The API server: its answers, and its refusals in our words.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::json::{LONGEST, shown};
use crate::lease::Revision;
use crate::store::{Listing, StoreError};

use super::access::Access;
use super::connection::{Asked, Connection, Idle, Lines, Refused};
use super::kubeconfig;
use super::leases::NodeLeases;
use super::node::{NodeObject, Reading, revision};

/// An API server that needs longer for one answer is taken for dead.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Nodes in one page: a Node has some 10 KiB, and most of it is thrown away.
const PAGE: u32 = 50;
/// Attempts to list to the end before the history of the first page is gone.
const ATTEMPTS: u32 = 3;
/// Where Nodes are.
const NODES: &str = "/api/v1/nodes";

/// An API server, and as whom it is asked.
#[derive(Clone)]
pub(super) struct Server {
    access: Arc<Access>,
    idle: Arc<Idle>,
    pub(super) endpoint: String,
}

/// What is sent in the place of an answer.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    message: String,
    #[serde(default)]
    code: u16,
}

#[derive(Deserialize)]
struct Page {
    metadata: PageMeta,
    items: Vec<NodeObject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(rename = "continue", default)]
    next: String,
}

impl Server {
    /// The server of this kubeconfig; without one, that of the cluster whose pod this is. It is connected to when it is first
    /// asked.
    pub(super) fn open(kubeconfig: Option<&Path>) -> Result<Server, StoreError> {
        let wrong = |why| {
            let option = "kubeconfig-file".to_owned();
            StoreError::Options { option, why }
        };
        let access = match kubeconfig {
            Some(path) => {
                kubeconfig::read(path).map_err(|why| wrong(format!("{}: {why}", path.display())))?
            }
            None => Access::of_pod().map_err(wrong)?,
        };
        let endpoint = access.url.to_string();
        let server = Server {
            access: Arc::new(access),
            idle: Arc::default(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
        };
        Ok(server)
    }

    /// The leases of all Nodes at one revision, read a page at a time, and what to know for the watch that goes on from there.
    pub(super) async fn nodes(
        &self,
        reading: &Reading,
    ) -> Result<(Listing, NodeLeases), StoreError> {
        let mut attempt = 1;
        loop {
            match self.pages(reading).await {
                Err(StoreError::Compacted { .. }) if attempt < ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    async fn pages(&self, reading: &Reading) -> Result<(Listing, NodeLeases), StoreError> {
        let (mut listing, mut known) = (Listing::default(), NodeLeases::new(reading.clone()));
        let first = format!("{NODES}?limit={PAGE}");
        let mut path = first.clone();
        loop {
            let page: Page = self.ask(Asked::get(path)).await?;
            for node in &page.items {
                known.list(node, &mut listing);
            }
            if page.metadata.next.is_empty() {
                listing.revision = revision(&page.metadata.resource_version);
                return Ok((listing, known));
            }
            path = format!("{first}&continue={}", escaped(&page.metadata.next));
        }
    }

    /// Where the server is. The smallest listing says it.
    pub(super) async fn revision(&self) -> Result<Revision, StoreError> {
        let page: Page = self.ask(Asked::get(format!("{NODES}?limit=1"))).await?;
        Ok(revision(&page.metadata.resource_version))
    }

    /// This Node.
    pub(super) async fn node(&self, name: &str) -> Result<NodeObject, StoreError> {
        self.ask(Asked::get(format!("{NODES}/{}", escaped(name))))
            .await
    }

    /// Changes what a Node says about itself, which is part of its status.
    pub(super) async fn patch(&self, name: &str, patch: Value) -> Result<NodeObject, StoreError> {
        let path = format!("{NODES}/{}/status", escaped(name));
        self.ask(Asked::patch(path, patch.to_string())).await
    }

    /// The changes of Nodes after a revision, for so many seconds.
    pub(super) async fn watch(&self, after: Revision, seconds: u32) -> Result<Lines, StoreError> {
        let path = format!(
            "{NODES}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={after}"
        );
        let watch = async {
            let connection = Connection::open(&self.access).await?;
            connection.watch(Asked::get(path)).await
        };
        self.in_time(watch).await
    }

    async fn ask<T: DeserializeOwned>(&self, asked: Asked) -> Result<T, StoreError> {
        let answer = self.in_time(self.idle.ask(&self.access, asked)).await?;
        serde_json::from_slice(&answer).map_err(|why| self.failed(unreadable("answer", &why)))
    }

    /// The answer, if it comes in time.
    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, StoreError> {
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(refused)) => Err(self.refused(refused)),
            Err(_) => Err(self.unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    pub(super) fn refused(&self, refused: Refused) -> StoreError {
        match refused {
            Refused::Status(code, text) => {
                let said = serde_json::from_slice(&text);
                let status = said.unwrap_or_else(|_| Status {
                    message: String::from_utf8_lossy(&text).trim().to_owned(),
                    code,
                });
                self.refusal(&Status { code, ..status })
            }
            Refused::Access(why) => self.failed(why),
            Refused::Lost(why) => self.unreachable(why),
        }
    }

    /// What the server says instead of an answer.
    pub(super) fn refusal(&self, status: &Status) -> StoreError {
        let why = shown(&status.message, LONGEST);
        let endpoint = self.endpoint.clone();
        match status.code {
            401 | 403 => StoreError::Refused { endpoint, why },
            410 => StoreError::Compacted {
                endpoint,
                asked: Revision(0),
                at: oldest_in(&why),
            },
            429 | 500.. => self.unreachable(why),
            _ => self.failed(why),
        }
    }

    pub(super) fn unreachable(&self, why: String) -> StoreError {
        let endpoint = self.endpoint.clone();
        StoreError::Unreachable { endpoint, why }
    }

    pub(super) fn failed(&self, why: String) -> StoreError {
        let endpoint = self.endpoint.clone();
        StoreError::Failed { endpoint, why }
    }
}

/// What somebody sent that cannot be read, as much of it as anybody wants to see.
pub(super) fn unreadable(what: &str, why: &serde_json::Error) -> String {
    let why = shown(&why.to_string(), LONGEST);
    format!("an {what} of the API server cannot be read: {why}")
}

/// `too old resource version: 12 (345)`: the API server goes back to 345.
fn oldest_in(why: &str) -> Revision {
    let inside = why
        .rsplit_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    revision(inside.map_or("", |(number, _)| number))
}

/// As a part of a path or of a query (RFC 3986, section 2.1).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(byte.into());
            }
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_could_misread_is_escaped() {
        assert_eq!(escaped("node-1.example.org"), "node-1.example.org");
        assert_eq!(escaped("a/b?c=\u{e9}"), "a%2Fb%3Fc%3D%C3%A9");
    }

    #[test]
    fn the_oldest_revision_stands_in_the_refusal() {
        let oldest = |text| oldest_in(text).0;
        assert_eq!(oldest("too old resource version: 12 (345)"), 345);
        assert_eq!(
            oldest("The resourceVersion for the provided watch is too old."),
            0
        );
    }
}
