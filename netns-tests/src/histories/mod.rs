//! Random histories: daemons that are killed, frozen and cut off while their etcd is restarted and frozen, and what the
//! store went through meanwhile.
//!
//! ```text
//! plan.rs    from a seed: who fails when, how, for how long
//! heat.rs    carries out the plans of many runs at once, on one etcd
//! record.rs  all that etcd remembers, from its first revision
//! check.rs   which invariants that breaks (pure)
//! ```

mod check;
mod heat;
mod plan;
mod record;

pub use check::{Rules, Violation, violations};
pub use heat::{Arena, Verdict};
pub use plan::{NODES, RUNS_AT_ONCE};
pub use record::{Change, Event, Store};
