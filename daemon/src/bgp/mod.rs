//! The BGP backend's life in the daemon: what the pure speaker in the crate `bgp` wants of sockets, time and the kernel.
#![cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "no backend uses it yet")
)]

pub(crate) mod transport;
