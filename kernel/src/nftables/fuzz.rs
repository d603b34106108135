//! A way in for the fuzzer.

use super::decode;
use crate::netlink::decode::messages;

/// Reads a datagram of nf_tables as every kind of object.
pub fn nftables(datagram: &[u8]) {
    for message in messages(datagram) {
        let _ = (decode::table(&message), decode::table_comment(&message));
        let _ = (decode::chain(&message), decode::rule(&message));
        let _ = decode::elements(&message);
    }
}
