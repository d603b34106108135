//! An attachment: one interface of one container in one network, and the names that follow from it.

use std::fmt;
use std::str::FromStr;

/// The key of the specification.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Attachment {
    pub(crate) network: String,
    pub(crate) container: String,
    pub(crate) ifname: String,
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mac(pub(crate) [u8; 6]);

impl Mac {
    /// Whether frames can be sent to this one station.
    pub(crate) fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

/// With both addresses it has to fit into a file name of 255 bytes.
const LONGEST: usize = 170;

/// The base32 alphabet of RFC 4648 in lower case.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl Attachment {
    /// Whether the state can hold it.
    pub(crate) fn is_short_enough(&self) -> bool {
        self.network.len() + self.container.len() <= LONGEST
    }

    /// The name of its link on the node: the same in every call, so that DEL and GC find it without a note. 15 bytes.
    pub(crate) fn host_link(&self) -> String {
        let own = digits(hash(&format!("{}\0{}", self.container, self.ifname)), 10);
        format!("{}{own}", host_link_prefix(&self.network))
    }

    /// The MAC address of its link on the node. Given by us, so that udev does not give another one later.
    pub(crate) fn host_mac(&self) -> Mac {
        self.mac("node")
    }

    /// The MAC address of its interface in the pod, unless the runtime wishes another one.
    pub(crate) fn pod_mac(&self) -> Mac {
        self.mac("pod")
    }

    fn mac(&self, side: &str) -> Mac {
        let text = format!(
            "{side}\0{}\0{}\0{}",
            self.network, self.container, self.ifname
        );
        let [a, b, c, d, e, f, ..] = hash(&text).to_be_bytes();
        // Unicast, locally administered.
        Mac([(a & 0xfc) | 2, b, c, d, e, f])
    }
}

/// How the names of all links of a network on the node start.
pub(crate) fn host_link_prefix(network: &str) -> String {
    format!("tw{}", digits(hash(network), 3))
}

/// FNV-1a, with the mixing of MurmurHash3 at its end: all bits depend on all bytes.
fn hash(text: &str) -> u64 {
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

fn digits(hash: u64, count: u32) -> String {
    let digit = |at: u32| char::from(DIGITS[(hash >> (5 * at)) as usize % 32]);
    (0..count).map(digit).collect()
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of container {} in network {}",
            self.ifname, self.container, self.network
        )
    }
}

impl FromStr for Mac {
    type Err = ();

    /// Six octets with colons between them.
    fn from_str(text: &str) -> Result<Mac, ()> {
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut mac {
            *octet = u8::from_str_radix(parts.next().ok_or(())?, 16).map_err(drop)?;
        }
        parts.next().is_none().then_some(Mac(mac)).ok_or(())
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn attachment(container: String) -> Attachment {
        Attachment {
            network: "cbr0".into(),
            container,
            ifname: "eth0".into(),
        }
    }

    #[test]
    fn names_of_links_fit_the_kernel_and_differ() {
        let names: BTreeSet<String> = (0..100_000)
            .map(|n| attachment(format!("{n:064x}")).host_link())
            .collect();
        assert_eq!(names.len(), 100_000);
        let prefix = host_link_prefix("cbr0");
        assert!(
            names
                .iter()
                .all(|name| name.len() == 15 && name.starts_with(&prefix))
        );
    }

    #[test]
    fn the_name_of_a_link_is_for_ever() {
        assert_eq!(attachment("0123abcd".into()).host_link(), "twwrbl2zbayftba");
    }

    #[test]
    fn the_two_ends_have_local_unicast_macs_that_differ() {
        let attachment = attachment("a".into());
        assert_ne!(attachment.host_mac(), attachment.pod_mac());
        for mac in [attachment.host_mac(), attachment.pod_mac()] {
            assert_eq!(mac.0[0] & 3, 2);
        }
    }
}
