//! Packets, made here and not by external programs: echo, paced streams, UDP, TCP and packets of an exact size.

mod exchange;
mod icmp;
mod pairs;
mod size;
mod sockopt;
mod stream;

pub use exchange::{tcp_source, udp_source};
pub use icmp::ping;
pub use pairs::{all_pairs, mtu_is_exact, ping_between, source_is_kept};
pub use size::{Fate, send_sized};
pub use stream::{Loss, PingStream};
