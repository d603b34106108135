//! One file of the state, whose name is all that it says.
//!
//! ```text
//! held:cbr0:0123abcd:eth0:10.244.72.2,fd00:244:0:50::2     a network's container has these addresses at eth0
//! freed:4711:10.244.72.3                                   released 4711 s after the boot
//! ```

use std::net::IpAddr;

use crate::attachment::Attachment;

/// What one file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Record {
    Held(Held),
    Freed(Freed),
}

/// An attachment and its addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    pub(crate) attachment: Attachment,
    pub(crate) addresses: Vec<IpAddr>,
}

/// An address that was released.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Freed {
    /// Seconds since the boot.
    pub(crate) at: u64,
    pub(crate) address: IpAddr,
}

impl Held {
    /// The file's name.
    pub(crate) fn name(&self) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(IpAddr::to_string).collect();
        let Attachment {
            network,
            container,
            ifname,
        } = &self.attachment;
        format!(
            "held:{network}:{container}:{ifname}:{}",
            addresses.join(",")
        )
    }
}

impl Freed {
    /// The file's name.
    pub(crate) fn name(&self) -> String {
        format!("freed:{}:{}", self.at, self.address)
    }
}

impl Record {
    /// Reads a name; `None` when it is none of ours.
    pub(crate) fn parse(name: &str) -> Option<Record> {
        let (kind, rest) = name.split_once(':')?;
        match kind {
            "held" => held(rest).map(Record::Held),
            "freed" => freed(rest).map(Record::Freed),
            _ => None,
        }
    }
}

fn held(rest: &str) -> Option<Held> {
    let mut parts = rest.splitn(4, ':');
    let mut part = || {
        parts
            .next()
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
    };
    let attachment = Attachment {
        network: part()?,
        container: part()?,
        ifname: part()?,
    };
    let addresses = part()?
        .split(',')
        .map(|address| address.parse().ok())
        .collect::<Option<_>>()?;
    Some(Held {
        attachment,
        addresses,
    })
}

fn freed(rest: &str) -> Option<Freed> {
    let (at, address) = rest.split_once(':')?;
    Some(Freed {
        at: at.parse().ok()?,
        address: address.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in [
            "held:cbr0:0123abcd:eth0:10.244.72.2",
            "held:cbr0:0123abcd:eth0:10.244.72.2,fd00::2",
            "held:cbr0:0123abcd:eth0:fd00::2",
            "freed:4711:10.244.72.3",
            "freed:0:fd00::3",
        ] {
            let again = match Record::parse(name).unwrap() {
                Record::Held(held) => held.name(),
                Record::Freed(freed) => freed.name(),
            };
            assert_eq!(again, name);
        }
    }

    #[test]
    fn other_peoples_files_are_no_records() {
        for name in [
            "",
            "lock",
            "held",
            "held:a:b:c",
            "held:a:b:c:",
            "held:::eth0:10.0.0.1",
            "freed:x:10.0.0.1",
            "freed:1:x",
            ".held:a:b:c:10.0.0.1.swp",
        ] {
            assert_eq!(Record::parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_longest_name_fits_a_file() {
        let attachment = Attachment {
            network: "n".repeat(100),
            container: "c".repeat(70),
            ifname: "i".repeat(15),
        };
        assert!(attachment.is_short_enough());
        let longest = ["255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
        let addresses = longest.map(|address| address.parse().unwrap()).into();
        assert!(
            Held {
                attachment,
                addresses
            }
            .name()
            .len()
                <= 255
        );
    }
}
