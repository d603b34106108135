//! The API server: its answers, and its refusals in our words.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::params::{GetParams, ListParams, Patch, PatchParams};
use kube::core::{Request, Status};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::lease::Revision;
use crate::store::{Listing, StoreError};

use super::leases::NodeLeases;
use super::node::{NodeObject, Reading};

/// An API server that needs longer for one answer is taken for dead.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nodes in one page: a Node has some 10 KiB, and most of it is thrown away.
const PAGE: u32 = 100;
/// Attempts to list to the end before the history of the first page is gone.
const ATTEMPTS: u32 = 3;

/// An API server, and as whom it is asked.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) endpoint: String,
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
        let mut config = match kubeconfig {
            Some(path) => from_file(path)?,
            None => Config::incluster().map_err(|why| {
                options(format!(
                    "this is no pod of a cluster ({why}); name a kubeconfig file"
                ))
            })?,
        };
        config.default_retry = false;
        config.connect_timeout = Some(PATIENCE / 2);
        let endpoint = config.cluster_url.to_string();
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let client = Client::try_from(config).map_err(|why| options(why.to_string()))?;
        Ok(Server { client, endpoint })
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
        let mut wanted = ListParams::default().limit(PAGE);
        loop {
            let page: Page = self.ask(nodes_path().list(&wanted)).await?;
            for node in &page.items {
                known.list(node, &mut listing);
            }
            if page.metadata.next.is_empty() {
                listing.revision = revision(&page.metadata.resource_version);
                return Ok((listing, known));
            }
            wanted = wanted.continue_token(&page.metadata.next);
        }
    }

    /// This Node.
    pub(super) async fn node(&self, name: &str) -> Result<NodeObject, StoreError> {
        self.ask(nodes_path().get(name, &GetParams::default()))
            .await
    }

    /// Changes what a Node says about itself, which is part of its status.
    pub(super) async fn patch(&self, name: &str, patch: Value) -> Result<NodeObject, StoreError> {
        let (params, patch) = (PatchParams::default(), Patch::Strategic(patch));
        let request = nodes_path().patch_subresource("status", name, &params, &patch);
        self.ask(request).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, StoreError> {
        let request = request.map_err(|why| self.failed(why.to_string()))?;
        self.in_time(self.client.request(request)).await
    }

    /// The answer, if it comes in time.
    pub(super) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, StoreError> {
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.error(&error)),
            Err(_) => Err(self.unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    pub(super) fn error(&self, error: &kube::Error) -> StoreError {
        match error {
            kube::Error::Api(status) => self.refusal(status),
            kube::Error::SerdeError(why) => self.failed(format!("an answer cannot be read: {why}")),
            error => self.unreachable(root_of(error)),
        }
    }

    /// What the server says instead of an answer.
    pub(super) fn refusal(&self, status: &Status) -> StoreError {
        let why = status.message.clone();
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

/// `too old resource version: 12 (345)`: the API server goes back to 345.
fn oldest_in(why: &str) -> Revision {
    let inside = why
        .rsplit_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    revision(inside.map_or("", |(number, _)| number))
}

/// A resource version. Kubernetes calls it opaque; that of every API server is etcd's revision.
pub(super) fn revision(text: &str) -> Revision {
    Revision(text.parse().unwrap_or(0))
}

pub(super) fn nodes_path() -> Request {
    Request::new("/api/v1/nodes")
}

fn from_file(path: &Path) -> Result<Config, StoreError> {
    let wrong = |why: String| options(format!("{}: {why}", path.display()));
    let file = Kubeconfig::read_from(path).map_err(|why| wrong(why.to_string()))?;
    let options = KubeConfigOptions::default();
    // It reads files and waits for nothing.
    match Config::from_custom_kubeconfig(file, &options).now_or_never() {
        Some(config) => config.map_err(|why| wrong(why.to_string())),
        None => Err(wrong(
            "it asks for something that has to be waited for".to_owned(),
        )),
    }
}

fn options(why: String) -> StoreError {
    let option = "kubeconfig-file".to_owned();
    StoreError::Options { option, why }
}

/// The last of the reasons; those before it say only who passed it on.
fn root_of(error: &kube::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
