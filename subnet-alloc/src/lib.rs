//! Pools, blocks and leases: a pure allocator and its stores.

mod allocator;
mod backend;
mod block;
mod claim;
mod config;
mod entry;
mod etcd;
mod family;
mod file;
mod follow;
mod history;
mod holders;
mod json;
mod kube;
mod lease;
mod life;
mod memory;
mod parts;
mod pool;
mod rules;
mod store;

pub use self::kube::{
    Annotations, BadPrefix, KubeOptions, KubeStore, KubeWatch, NoBlock, NodeObject, Overwrites,
    Reading,
};
pub use allocator::{
    AllocError, Decision, Identity, Knowledge, Question, Rival, Shared, Step, decide, shared_with,
};
pub use backend::{BackendConfig, BadOption};
pub use block::{BadBlock, BadKey, Block};
pub use claim::{AcquireError, Acquired, Claimant, How, acquire, own_lease};
pub use config::{ConfigError, NetworkConfig};
pub use etcd::{EtcdOptions, EtcdStore, EtcdWatch};
pub use family::{Family, Prefix};
pub use file::{FileStore, FileWatch};
pub use follow::{BadEvent, Follower, LeaseEvent, Outage, StoreEvent};
pub use history::{History, Use};
pub use holders::Holders;
pub use json::{BadJson, shown};
pub use lease::{BadLease, Hold, Lease, LeaseAttrs, LeaseId, Revision};
pub use life::Life;
pub use memory::{MemoryStore, MemoryWatch};
pub use parts::Parts;
pub use pool::{Misfit, Pool};
pub use store::{
    BadEntry, Claim, LeaseStore, Listing, Publish, Renewal, Replace, StoreError, Watch, WatchEvent,
};
