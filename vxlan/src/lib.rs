//! VTEPs, MTU, and how a remote VTEP becomes kernel entries. Pure planning: the
//! crate opens no socket and does not know whether a write worked.
//!
//! One packet from a pod of this node to a pod of another:
//!
//! ```text
//! route       10.244.60.0/24 via 10.244.60.0 dev flannel.1 onlink    which VTEP
//! neighbour   10.244.60.0 is at fe:d9:…                              its inner MAC
//! FDB entry   fe:d9:… is behind 10.99.0.2                            its underlay address
//! device      flannel.1: UDP to 10.99.0.2:8472, VNI 1                out of the underlay link
//! ```

mod device;
mod plan;
mod vtep;

pub use device::{DEFAULT_PORT, Options, Side, device, device_name, has_device_name, inner_mtu};
pub use plan::{RemoteVtep, local, remote};
pub use vtep::{BadVni, BadVtep, Vni, Vtep};
