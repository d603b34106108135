//! A way in for the fuzzer.

use super::{decode, decode_route};

/// Reads a datagram of the kernel as a dump and as notifications.
pub fn netlink(datagram: &[u8]) {
    for message in decode::messages(datagram) {
        let _ = decode::notification(&message);
        let _ = decode_route::object(message.payload);
        let _ = decode_route::resolved(&message, 84);
        let _ = decode::acknowledgement(&message);
    }
}
