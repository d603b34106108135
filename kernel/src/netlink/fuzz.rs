//! A way in for the fuzzer.

use super::{decode, decode_route};

/// Reads a datagram of the kernel as a dump and as notifications.
pub fn netlink(datagram: &[u8]) {
    for message in decode::messages(datagram) {
        let _ = decode::notification(&message);
        let _ = decode_route::object(message.payload);
        let address = std::net::IpAddr::from([10, 0, 0, 1]);
        let _ = decode_route::resolved(message.payload, address, 84);
        let _ = decode::acknowledgement(&message);
    }
}
