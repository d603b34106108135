//! Which blocks have been used: so that a freed one goes to another node as late as possible.
//!
//! The store keeps a record per block and family, written with every claim, touched while the block is held, and
//! written with its release. The record's revision is the clock: no machine's time is trusted.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::block::Block;
use crate::family::Prefix;
use crate::json::{self, BadJson};
use crate::lease::{LeaseAttrs, Revision};
use crate::pool::Pool;

/// All blocks that somebody has used, held or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    uses: Vec<Use>,
}

/// A block of one family that somebody has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The block; it has one family.
    pub block: Block,
    /// The node that used it last, if it has a name.
    pub node: Option<String>,
    /// When the record was last written: a free block with a lower one has been free for longer.
    pub revision: Revision,
}

/// Records larger than this are nobody's.
const LARGEST: usize = 4096;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    node_name: Option<&'a str>,
    #[serde(rename = "PublicIP", skip_serializing_if = "Option::is_none")]
    public_ip: Option<Ipv4Addr>,
    #[serde(rename = "PublicIPv6", skip_serializing_if = "Option::is_none")]
    public_ipv6: Option<Ipv6Addr>,
}

impl History {
    /// The history that consists of these records.
    pub fn new(uses: Vec<Use>) -> History {
        History { uses }
    }

    /// The records, in no particular order.
    pub fn uses(&self) -> &[Use] {
        &self.uses
    }

    /// The numbers of a pool's blocks that were used, with the revision.
    pub(crate) fn of<N: Prefix>(
        &self,
        pool: &Pool<N>,
        part: impl Fn(&Block) -> Option<N>,
    ) -> Vec<(u128, Revision)> {
        let fitting = |used: &Use| {
            let part = part(&used.block).filter(|part| pool.fits(*part).is_ok())?;
            Some((pool.index(part.first()), used.revision))
        };
        self.uses.iter().filter_map(fitting).collect()
    }

    /// What a node of this name used, the latest first.
    pub(crate) fn by(&self, node: &str) -> Vec<&Use> {
        let is_its = |used: &&Use| used.node.as_deref() == Some(node);
        let mut its: Vec<_> = self.uses.iter().filter(is_its).collect();
        its.sort_by_key(|used| std::cmp::Reverse(used.revision));
        its
    }
}

impl Use {
    /// A record as a store has it; nothing when it is none.
    pub(crate) fn read(key: &str, value: &[u8], revision: Revision) -> Option<Use> {
        let block = Block::from_key(key).ok()?;
        Some(Use {
            block,
            node: node(value).ok().flatten(),
            revision,
        })
    }
}

/// A record's text: who uses the block.
pub(crate) fn record(attrs: &LeaseAttrs) -> Vec<u8> {
    let written = Written {
        node_name: attrs.node.as_deref(),
        public_ip: attrs.underlay_v4,
        public_ipv6: attrs.underlay_v6,
    };
    serde_json::to_vec(&written).expect("strings and addresses always serialize")
}

/// The keys of the records of some blocks: one per family, so that there are never more than the pools have blocks,
/// however IPv4 and IPv6 blocks are paired.
pub(crate) fn record_keys<'a>(blocks: impl IntoIterator<Item = &'a Block>) -> Vec<String> {
    let parts = |block: &Block| {
        let v4 = block.v4().and_then(|v4| Block::new(Some(v4), None).ok());
        let v6 = block.v6().and_then(|v6| Block::new(None, Some(v6)).ok());
        v4.into_iter().chain(v6)
    };
    let mut keys: Vec<_> = blocks
        .into_iter()
        .flat_map(parts)
        .map(|part| part.key())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// A record that nobody can read still says that the block was used.
fn node(value: &[u8]) -> Result<Option<String>, BadJson> {
    let [node] = json::members(value, LARGEST, &["NodeName"])?;
    json::take("NodeName", node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(key: &str) -> Block {
        Block::from_key(key).expect(key)
    }

    #[test]
    fn a_block_has_a_record_per_family_and_none_twice() {
        let blocks = [block("10.1.1.0-24"), block("10.1.1.0-24&fd00:1::-64")];
        assert_eq!(
            record_keys(&blocks),
            ["0.0.0.0-0&fd00:1::-64", "10.1.1.0-24"]
        );
    }

    #[test]
    fn a_record_names_its_node() {
        let attrs = LeaseAttrs {
            node: Some("node-a".to_owned()),
            underlay_v4: Some([192, 168, 0, 1].into()),
            ..LeaseAttrs::default()
        };
        let text = record(&attrs);
        assert_eq!(text, br#"{"NodeName":"node-a","PublicIP":"192.168.0.1"}"#);
        let read = Use::read("10.1.1.0-24", &text, Revision(3)).expect("a record");
        assert_eq!((read.node, read.revision), (attrs.node, Revision(3)));
    }

    #[test]
    fn a_record_that_nobody_can_read_still_says_that_the_block_was_used() {
        for value in [
            &b"not JSON"[..],
            &[b'['; 10_000],
            br#"{"NodeName":5}"#,
            b"\0",
        ] {
            let read = Use::read("10.1.1.0-24", value, Revision(3)).expect("a record");
            assert_eq!(read.node, None);
        }
        assert_eq!(Use::read("10.1.1.5-24", b"{}", Revision(3)), None);
    }
}
