//! A kubelet, as far as a container runtime sees one: it speaks CRI (runtime.v1) to a containerd of its own.

mod containerd;
mod image;
mod kubelet;
mod messages;

pub use containerd::Containerd;
pub use kubelet::{PodPort, Sandbox};
