//! The conditions under which a block's key may be created: nobody holds it, nor another one whose IPv4 part overlaps.

use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, TxnOp};

use crate::block::Block;
use crate::lease::{Hold, Lease, LeaseAttrs, Revision};

use super::keys::Keys;
use super::overlap::{Range, overlapping};

/// What must be true when a block's key is created.
///
/// A dual-stack block has the IPv6 part behind the IPv4 part in its key, so all keys whose IPv4 parts overlap are a few
/// ranges, with one comparison each. For the same IPv6 part behind another IPv4 part see [`conflict`].
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
        let mut conditions = Vec::new();
        for (first, end) in self.ranges() {
            let parts = match &self.except {
                Some(key) if (&first..&end).contains(&key) => {
                    vec![(first, key.clone()), (format!("{key}\0"), end)]
                }
                _ => vec![(first, end)],
            };
            let parts = parts.into_iter().filter(|(first, end)| first < end);
            conditions.extend(
                parts.map(|(first, end)| {
                    Compare::version(first, CompareOp::Equal, 0).with_range(end)
                }),
            );
        }
        conditions
    }

    /// Asks who stands in the way.
    pub(super) fn holders(&self) -> impl Iterator<Item = TxnOp> {
        self.ranges()
            .into_iter()
            .map(|(first, end)| TxnOp::get(first, Some(GetOptions::new().with_range(end))))
    }

    /// The lease that stands in the way, among what [`Guard::holders`] has found.
    pub(super) fn holder(&self, found: &[KeyValue]) -> Lease {
        let others = found
            .iter()
            .filter(|kv| Some(kv.key()) != self.except.as_deref().map(str::as_bytes));
        let mut leases = others.filter_map(|kv| self.keys.entry(kv).into_lease());
        leases.next().unwrap_or_else(|| unknown_holder(*self.block))
    }

    fn ranges(&self) -> Vec<Range> {
        let Some(part) = self.block.v4() else {
            let key = self.keys.block(self.block);
            return vec![(key.clone(), key + "\0")];
        };
        let below = |text| format!("{}{text}", self.keys.subnets());
        overlapping(part)
            .into_iter()
            .map(|(first, end)| (below(first), below(end)))
            .collect()
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
