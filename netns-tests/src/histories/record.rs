//! All that etcd remembers.

use etcd_client::{Client, Error, EventType, GetOptions, KeyValue, ResponseHeader, WatchOptions};
use lab::{LabError, Namespace};
use std::fmt;
use tokio::runtime::{Builder, Runtime};

/// One key, at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The store's revision.
    pub revision: i64,
    /// The key below `subnets/`: `10.244.7.0-24`.
    pub key: String,
    /// What became of it.
    pub change: Change,
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was written.
    Put {
        /// The node that the value names.
        owner: String,
        /// The etcd lease; 0 is none.
        lease: i64,
    },
    /// It was deleted, or its lease ended.
    Gone,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7} {:<18} ", self.revision, self.key)?;
        match &self.change {
            Change::Put { owner, lease } => write!(f, "{owner}, lease {lease:x}"),
            Change::Gone => f.write_str("gone"),
        }
    }
}

/// A client of the etcd. Its sockets are where the namespace is.
pub struct Store {
    runtime: Runtime,
    client: Client,
}

/// Written last, so that whoever reads the history knows its end.
const END: &str = "end";

impl Store {
    /// Does `work` from within `namespace`.
    pub fn within<T: Send>(
        (namespace, url): (&Namespace, &str),
        work: impl FnOnce(&mut Self) -> Result<T, Error> + Send,
    ) -> Result<T, LabError> {
        let done = namespace.run(|| Self::connect(url).and_then(|mut store| work(&mut store)))?;
        done.map_err(|error| LabError::System {
            what: format!("use etcd at {url}"),
            source: std::io::Error::other(error),
        })
    }

    fn connect(url: &str) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(Client::connect([url], None))?;
        Ok(Self { runtime, client })
    }

    /// Writes a key without a lease; returns the revision.
    pub fn put(&mut self, key: &str, value: &str) -> Result<i64, Error> {
        let put = self.client.put(key, value, None);
        let done = self.runtime.block_on(put)?;
        Ok(done.header().map_or(0, ResponseHeader::revision))
    }

    /// Who holds which block in which run: all of `<prefix>/RUN/subnets/`.
    pub fn holders(&mut self, prefix: &str) -> Result<Vec<(String, String)>, Error> {
        let all = Some(GetOptions::new().with_prefix());
        let found = self.runtime.block_on(self.client.get(prefix, all))?;
        let held = found.kvs().iter();
        let held = held.filter(|kv| kv.key_str().is_ok_and(|key| key.contains("/subnets/")));
        held.map(|kv| Ok((kv.key_str()?.to_owned(), owner(kv))))
            .collect()
    }

    /// Everything that has happened to the leases below `prefix`, from the first revision on.
    pub fn history(&mut self, prefix: &str) -> Result<Vec<Event>, Error> {
        let subnets = format!("{prefix}/subnets/");
        let end = self.put(&format!("{prefix}/{END}"), "")?;
        let Self { runtime, client } = self;
        runtime.block_on(async {
            let all = WatchOptions::new().with_prefix().with_start_revision(1);
            let mut watch = client.watch(prefix, Some(all)).await?;
            let mut events = Vec::new();
            while let Some(message) = watch.message().await? {
                for event in message.events() {
                    let Some(kv) = event.kv() else { continue };
                    if kv.mod_revision() >= end {
                        return Ok(events);
                    }
                    if let Some(key) = kv.key_str()?.strip_prefix(&subnets) {
                        events.push(read(key, kv, event.event_type()));
                    }
                }
            }
            Err(Error::WatchError("it ended before the history did".into()))
        })
    }
}

fn read(key: &str, kv: &KeyValue, kind: EventType) -> Event {
    let change = match kind {
        EventType::Put => Change::Put {
            owner: owner(kv),
            lease: kv.lease(),
        },
        EventType::Delete => Change::Gone,
    };
    Event {
        revision: kv.mod_revision(),
        key: key.to_owned(),
        change,
    }
}

/// The node that a value names, in Twill's way or in flannel's.
fn owner(kv: &KeyValue) -> String {
    let value: serde_json::Value = serde_json::from_slice(kv.value()).unwrap_or_default();
    let name = value["NodeName"].as_str().or(value["PublicIP"].as_str());
    name.unwrap_or("nobody").to_owned()
}
