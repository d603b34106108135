//! Pools, blocks and leases: a pure allocator and its stores.

mod allocator;
mod backend;
mod block;
mod config;
mod entry;
mod family;
mod json;
mod lease;
mod memory;
mod pool;
mod store;

pub use allocator::{AllocError, Decision, Identity, Step, decide};
pub use backend::{BackendConfig, BadOption};
pub use block::{BadBlock, BadKey, Block};
pub use config::{ConfigError, NetworkConfig};
pub use family::{Family, Prefix};
pub use json::BadJson;
pub use lease::{BadLease, Hold, Lease, LeaseAttrs, LeaseId, Revision};
pub use memory::{MemoryStore, MemoryWatch};
pub use pool::{Misfit, Pool};
pub use store::{
    BadEntry, Claim, LeaseStore, Listing, Publish, Renewal, Replace, StoreError, Watch, WatchEvent,
};
