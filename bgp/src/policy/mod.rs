//! What is taken from a peer and what it is told. Pure: a route and what is configured in, a verdict out.
//!
//! Nothing is the default: an import policy takes what it names, an export policy announces what it names (RFC 8212), a node of
//! the mesh may announce what its lease gives it, and there are things that no policy can let in.

mod clause;
mod export;
mod import;
mod prefixes;

pub use clause::{Actions, AnyCommunity, Clause, Learned, Match, Policy};
pub use export::{Exporter, OwnHops, Plan, Untold};
pub use import::{Guard, Import, Judge, MeshImport};
pub use prefixes::{PrefixList, PrefixRule, PrefixSet};
