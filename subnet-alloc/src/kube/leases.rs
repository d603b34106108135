//! What Nodes were when they were last looked at: a Node is written every few minutes, and its lease hardly ever. There are
//! thousands of them, so that of each lease only its block and a digest are kept.

use std::hash::{DefaultHasher, Hash, Hasher};

use dense::DenseMap;

use super::node::{NodeObject, Reading};
use crate::block::Block;
use crate::json::shown;
use crate::lease::{Lease, Revision};
use crate::store::{Listing, WatchEvent};

/// What is known of all Nodes that have a lease, by their names.
#[derive(Debug)]
pub(super) struct NodeLeases {
    reading: Reading,
    known: DenseMap<Box<str>, Known>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// A lease on this block, that says this.
    Lease(Block, u64),
    /// One that cannot be read, for this reason.
    Bad(u64),
}

/// Two Nodes had this block, by somebody's mistake, and one of them has it no more: what the other says is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shared(pub(super) Block);

impl NodeLeases {
    /// None yet.
    pub(super) fn new(reading: Reading) -> NodeLeases {
        NodeLeases {
            reading,
            known: DenseMap::default(),
        }
    }

    /// A Node of a listing, which goes into it if it says anything.
    pub(super) fn list(&mut self, node: &NodeObject, listing: &mut Listing) {
        let known = match node.lease(&self.reading) {
            Ok(None) => return,
            Ok(Some(lease)) => {
                let known = of(&lease);
                listing.leases.push(lease);
                known
            }
            Err(bad) => {
                let known = Known::Bad(digest(&bad.why));
                listing.bad.push(bad);
                known
            }
        };
        self.known.insert(node.name().into(), known);
    }

    /// A Node was written. Most often nothing follows from it.
    pub(super) fn put(&mut self, node: &NodeObject) -> Result<Vec<WatchEvent>, Shared> {
        let (now, event) = match node.lease(&self.reading) {
            Ok(None) => return self.gone(node.name(), node.revision()),
            Ok(Some(lease)) => (of(&lease), WatchEvent::Put(lease)),
            Err(bad) => (Known::Bad(digest(&bad.why)), WatchEvent::Bad(bad)),
        };
        let before = self.known.insert(node.name().into(), now);
        if before == Some(now) {
            return Ok(Vec::new());
        }
        let ended = before.filter(|before| !is_replaced(*before, now));
        let ended = ended.map(|before| self.end(before, node.name(), node.revision()));
        Ok(ended.transpose()?.into_iter().chain([event]).collect())
    }

    /// A Node of this name was deleted, or says nothing any more.
    pub(super) fn gone(
        &mut self,
        name: &str,
        revision: Revision,
    ) -> Result<Vec<WatchEvent>, Shared> {
        let before = self.known.remove(&name.into());
        let ended = before.map(|before| self.end(before, name, revision));
        Ok(ended.transpose()?.into_iter().collect())
    }

    fn end(&self, before: Known, name: &str, revision: Revision) -> Result<WatchEvent, Shared> {
        let Known::Lease(block, _) = before else {
            return Ok(WatchEvent::BadGone(shown(name, 253)));
        };
        let mut all = self.known.values();
        let has_it = |known: &Known| matches!(known, Known::Lease(other, _) if *other == block);
        if all.any(has_it) {
            return Err(Shared(block));
        }
        Ok(WatchEvent::Gone(block, revision))
    }
}

fn of(lease: &Lease) -> Known {
    Known::Lease(lease.block, digest(&lease.attrs.to_json()))
}

/// The same for the same, in one process.
fn digest(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Whether what a Node is from then on takes the place of what it was, without a moment between in which it is gone.
fn is_replaced(before: Known, now: Known) -> bool {
    match (before, now) {
        (Known::Lease(old, _), Known::Lease(new, _)) => old == new,
        (Known::Bad(_), Known::Bad(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::Annotations;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    /// What a Node of this number says: nothing, a lease of this version, or nonsense.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Says {
        Nothing,
        Address(u8),
        OtherBlock,
        Nonsense,
    }

    fn node(number: u8, says: Says, revision: u64) -> NodeObject {
        let (public_ip, block) = match says {
            Says::Address(last) => (format!("10.99.0.{last}"), number),
            Says::OtherBlock => (format!("10.99.0.{number}"), number + 100),
            Says::Nothing | Says::Nonsense => ("nonsense".to_owned(), number),
        };
        let managed = if says == Says::Nothing {
            "false"
        } else {
            "true"
        };
        let object = json!({
            "metadata": {
                "name": format!("node-{number}"),
                "resourceVersion": revision.to_string(),
                "annotations": {
                    "flannel.alpha.coreos.com/kube-subnet-manager": managed,
                    "flannel.alpha.coreos.com/public-ip": public_ip,
                },
            },
            "spec": { "podCIDR": format!("10.244.{block}.0/24") },
        });
        NodeObject::read(object.to_string().as_bytes()).expect("it is a Node")
    }

    fn leases(nodes: impl IntoIterator<Item = NodeObject>) -> (NodeLeases, Listing) {
        let mut leases = NodeLeases::new(Reading {
            names: Annotations::default(),
            v4: true,
            v6: false,
        });
        let mut listing = Listing::default();
        for node in nodes {
            leases.list(&node, &mut listing);
        }
        (leases, listing)
    }

    fn keys(events: &[WatchEvent]) -> Vec<String> {
        let key = |event: &WatchEvent| match event {
            WatchEvent::Put(lease) => format!("put {}", lease.block.key()),
            WatchEvent::Gone(block, revision) => format!("gone {} {revision}", block.key()),
            WatchEvent::Bad(bad) => format!("bad {}", bad.key),
            WatchEvent::BadGone(key) => format!("bad gone {key}"),
            WatchEvent::Config(_) => "config".to_owned(),
        };
        events.iter().map(key).collect()
    }

    #[test]
    fn a_listing_has_the_leases_and_names_what_is_none() {
        let all = [
            Says::Address(1),
            Says::Nothing,
            Says::Nonsense,
            Says::Address(4),
        ];
        let nodes = (1..).zip(all).map(|(number, says)| node(number, says, 5));
        let (_, listing) = leases(nodes);
        assert_eq!((listing.leases.len(), listing.bad.len()), (2, 1));
    }

    #[test]
    fn a_node_that_says_the_same_again_is_no_event() {
        let (mut leases, _) = leases([node(1, Says::Address(1), 5)]);
        assert_eq!(leases.put(&node(1, Says::Address(1), 6)), Ok(vec![]));
        assert_eq!(leases.put(&node(2, Says::Nothing, 7)), Ok(vec![]));
    }

    #[test]
    fn each_change_of_a_node_is_told_as_what_it_means_for_its_block() {
        let (mut leases, _) = leases([]);
        for (says, expected) in [
            (Says::Address(1), vec!["put 10.244.1.0-24"]),
            (Says::Address(2), vec!["put 10.244.1.0-24"]),
            (
                Says::OtherBlock,
                vec!["gone 10.244.1.0-24 9", "put 10.244.101.0-24"],
            ),
            (Says::Nonsense, vec!["gone 10.244.101.0-24 9", "bad node-1"]),
            (
                Says::Address(1),
                vec!["bad gone node-1", "put 10.244.1.0-24"],
            ),
            (Says::Nothing, vec!["gone 10.244.1.0-24 9"]),
            (Says::Address(1), vec!["put 10.244.1.0-24"]),
        ] {
            assert_eq!(
                keys(&leases.put(&node(1, says, 9)).unwrap()),
                expected,
                "{says:?}"
            );
        }
        assert_eq!(
            keys(&leases.gone("node-1", Revision(10)).unwrap()),
            ["gone 10.244.1.0-24 10"]
        );
        assert_eq!(leases.gone("node-1", Revision(10)), Ok(vec![]));
    }

    #[test]
    fn a_block_that_two_nodes_had_is_not_gone_with_one_of_them() {
        let (mut leases, _) =
            leases([node(1, Says::OtherBlock, 5), node(101, Says::Address(9), 5)]);
        let block = Block::from_key("10.244.101.0-24").unwrap();
        assert_eq!(leases.gone("node-1", Revision(6)), Err(Shared(block)));
    }

    fn says() -> impl Strategy<Value = Option<Says>> {
        prop_oneof![
            Just(None),
            Just(Some(Says::Nothing)),
            Just(Some(Says::OtherBlock)),
            Just(Some(Says::Nonsense)),
            (1..4_u8).prop_map(|last| Some(Says::Address(last))),
        ]
    }

    proptest! {
        /// Who follows the events has what a new listing has.
        #[test]
        fn events_lead_to_what_a_new_listing_says(changes in prop::collection::vec((1..5_u8, says()), 0..40)) {
            let (mut leases, _) = leases([]);
            let (mut nodes, mut followed) = (BTreeMap::new(), BTreeMap::new());
            for (number, says) in changes {
                let events = match says {
                    Some(says) => {
                        nodes.insert(number, node(number, says, 9));
                        leases.put(&nodes[&number]).unwrap()
                    }
                    None => {
                        nodes.remove(&number);
                        leases.gone(&format!("node-{number}"), Revision(9)).unwrap()
                    }
                };
                for event in events {
                    match event {
                        WatchEvent::Put(lease) => drop(followed.insert(lease.block.key(), lease)),
                        WatchEvent::Gone(block, _) => drop(followed.remove(&block.key())),
                        _ => {}
                    }
                }
            }
            let (_, mut listing) = super::tests::leases(nodes.into_values());
            listing.leases.sort_by_key(|lease| lease.block.key());
            prop_assert_eq!(followed.into_values().collect::<Vec<_>>(), listing.leases);
        }
    }
}
