//! The conditions under which a block's key may be created: nobody holds it, nor another key with the same IPv4 part.

use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, TxnOp};

use crate::block::Block;
use crate::lease::{Hold, Lease, LeaseAttrs, Revision};

use super::keys::Keys;

/// What must be true when a block's key is created.
///
/// A dual-stack block has the IPv6 part behind the IPv4 part in its key, so all keys with the same IPv4 part are one
/// range, and one comparison covers them. For the same IPv6 part behind another IPv4 part see [`conflict`].
pub(super) struct Guard<'a> {
    keys: &'a Keys,
    block: &'a Block,
    /// A key that may be there because the same transaction deletes it.
    except: Option<String>,
}

impl<'a> Guard<'a> {
    pub(super) fn new(keys: &'a Keys, block: &'a Block) -> Self {
        let except = None;
        Guard {
            keys,
            block,
            except,
        }
    }

    pub(super) fn except(self, key: String) -> Self {
        Guard {
            except: Some(key),
            ..self
        }
    }

    pub(super) fn conditions(&self) -> Vec<Compare> {
        let (first, end) = self.range();
        let ranges = match &self.except {
            Some(key) if (&first..&end).contains(&key) => {
                vec![(first, key.clone()), (format!("{key}\0"), end)]
            }
            _ => vec![(first, end)],
        };
        ranges
            .into_iter()
            .filter(|(first, end)| first < end)
            .map(|(first, end)| Compare::version(first, CompareOp::Equal, 0).with_range(end))
            .collect()
    }

    /// Asks who stands in the way.
    pub(super) fn holders(&self) -> TxnOp {
        let (first, end) = self.range();
        TxnOp::get(first, Some(GetOptions::new().with_range(end)))
    }

    /// The lease that stands in the way, among what [`Guard::holders`] has found.
    pub(super) fn holder(&self, found: &[KeyValue]) -> Lease {
        let others = found
            .iter()
            .filter(|kv| Some(kv.key()) != self.except.as_deref().map(str::as_bytes));
        let mut leases = others.filter_map(|kv| self.keys.entry(kv).into_lease());
        leases.next().unwrap_or_else(|| unknown_holder(*self.block))
    }

    /// From the IPv4 part of the key up to, but not including, what could follow `&`.
    fn range(&self) -> (String, String) {
        let v4_part = Block::new(self.block.v4(), None);
        let first = self.keys.block(v4_part.as_ref().unwrap_or(self.block));
        let end = if v4_part.is_ok() {
            format!("{first}'")
        } else {
            format!("{first}\0")
        };
        (first, end)
    }
}

/// Asks for the keys of all blocks, if another one could overlap this one and no [`Guard`] would have noticed.
pub(super) fn ask_for_conflicts(keys: &Keys, block: &Block) -> Option<TxnOp> {
    let is_dual = block.v4().is_some() && block.v6().is_some();
    let options = GetOptions::new().with_prefix().with_keys_only();
    is_dual.then(|| TxnOp::get(keys.subnets(), Some(options)))
}

/// Another block that overlaps this one, among all keys. They are all older, so this one has to yield.
pub(super) fn conflict(keys: &Keys, block: &Block, all: &[KeyValue]) -> Option<Lease> {
    let key = |kv: &KeyValue| {
        let key = kv.key().strip_prefix(keys.subnets().as_bytes())?;
        Block::from_key(std::str::from_utf8(key).ok()?).ok()
    };
    let mut others = all.iter().filter_map(key).filter(|other| other != block);
    others
        .find(|other| other.overlaps(block) && !other.dwarfs(block))
        .map(unknown_holder)
}

fn unknown_holder(block: Block) -> Lease {
    Lease {
        block,
        attrs: LeaseAttrs::default(),
        hold: Hold::Reserved,
        revision: Revision(0),
    }
}
