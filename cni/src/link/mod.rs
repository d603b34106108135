//! One pod's link: what is made for it, as messages, and whether it still is as it was made.
//!
//! ```text
//!   node                                      pod
//!   twXXXXXXXXXXXXX ---------- veth --------- eth0
//!   10.244.72.2 dev tw… proto 85              10.244.72.2/32
//!   10.244.72.2 is at the pod's MAC           default via 169.254.1.1, which is at the MAC of tw…
//! ```
//!
//! All neighbours are permanent: nobody asks for a MAC address, and nobody waits for duplicates of an address.

mod bridges;
mod inspect;
mod make;
mod plan;

pub(crate) use bridges::{answer_for, forget};
pub(crate) use inspect::{Seen, drift, look};
pub(crate) use make::{Unmade, host_addresses, make, remove, stray_links};
pub(crate) use plan::{PodLink, gateway};
