//! Kubernetes as a store, as far as it needs no connection: a Node object as a lease, a lease as a patch of the own Node, and
//! what changes of Nodes mean.

mod annotations;
mod leases;
mod node;
mod patch;

pub use annotations::{Annotations, BadPrefix};
pub use leases::NodeLeases;
pub use node::{BadNode, NoBlock, NodeObject, Overwrites};
pub use patch::network_available;
