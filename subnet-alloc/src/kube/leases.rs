//! What Nodes were when they were last looked at: a Node is written every few minutes, and its lease hardly ever.

use std::collections::BTreeMap;

use super::node::{NodeObject, Reading};
use crate::block::Block;
use crate::lease::{Lease, Revision};
use crate::store::{BadEntry, Listing, WatchEvent};

/// The leases of all Nodes, by the names of these.
#[derive(Debug)]
pub(super) struct NodeLeases {
    reading: Reading,
    known: BTreeMap<String, Known>,
}

#[derive(Debug)]
enum Known {
    Lease(Lease),
    Bad(BadEntry),
}

impl NodeLeases {
    /// None yet.
    pub(super) fn new(reading: Reading) -> NodeLeases {
        NodeLeases {
            reading,
            known: BTreeMap::new(),
        }
    }

    /// All that are known, at this revision.
    pub(super) fn listing(&self, revision: Revision) -> Listing {
        let mut listing = Listing {
            revision,
            ..Listing::default()
        };
        for known in self.known.values() {
            match known {
                Known::Lease(lease) => listing.leases.push(lease.clone()),
                Known::Bad(bad) => listing.bad.push(bad.clone()),
            }
        }
        listing.leases.sort_by_cached_key(|lease| lease.block.key());
        listing
    }

    /// A Node was written. Most often nothing follows from it.
    pub(super) fn put(&mut self, node: &NodeObject) -> Vec<WatchEvent> {
        let now = self.look(node);
        let before = self.known.get(node.name());
        if is_same(before, now.as_ref()) {
            return Vec::new();
        }
        let mut events = self.gone(node.name(), node.revision());
        if let Some(now) = now {
            let stays = |event: &WatchEvent| !replaces(&now, event);
            events.retain(stays);
            events.push(match &now {
                Known::Lease(lease) => WatchEvent::Put(lease.clone()),
                Known::Bad(bad) => WatchEvent::Bad(bad.clone()),
            });
            self.known.insert(node.name().to_owned(), now);
        }
        events
    }

    /// A Node of this name was deleted.
    pub(super) fn gone(&mut self, name: &str, revision: Revision) -> Vec<WatchEvent> {
        match self.known.remove(name) {
            Some(Known::Lease(lease)) => vec![self.without(lease.block, revision)],
            Some(Known::Bad(bad)) => vec![WatchEvent::BadGone(bad.key)],
            None => Vec::new(),
        }
    }

    /// What is left of a block that a Node has no more: two can have had the same, by somebody's mistake.
    fn without(&self, block: Block, revision: Revision) -> WatchEvent {
        let mut leases = self.known.values().filter_map(|known| match known {
            Known::Lease(lease) => Some(lease),
            Known::Bad(_) => None,
        });
        let other = leases.find(|lease| lease.block == block);
        other.map_or(WatchEvent::Gone(block, revision), |lease| {
            WatchEvent::Put(lease.clone())
        })
    }

    fn look(&self, node: &NodeObject) -> Option<Known> {
        match node.lease(&self.reading) {
            Ok(lease) => lease.map(Known::Lease),
            Err(bad) => Some(Known::Bad(bad)),
        }
    }
}

/// Whether they say the same, whenever it was written.
fn is_same(before: Option<&Known>, now: Option<&Known>) -> bool {
    match (before, now) {
        (None, None) => true,
        (Some(Known::Lease(a)), Some(Known::Lease(b))) => {
            (a.block, &a.attrs, a.hold) == (b.block, &b.attrs, b.hold)
        }
        (Some(Known::Bad(a)), Some(Known::Bad(b))) => (a.block, &a.why) == (b.block, &b.why),
        _ => false,
    }
}

/// Whether what a Node is from then on takes the place of what it was, without a moment between in which it is gone.
fn replaces(now: &Known, gone: &WatchEvent) -> bool {
    match (now, gone) {
        (Known::Lease(lease), WatchEvent::Gone(block, _)) => lease.block == *block,
        (Known::Bad(bad), WatchEvent::BadGone(key)) => bad.key == *key,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::Annotations;
    use proptest::prelude::*;
    use serde_json::json;

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

    fn leases(nodes: impl IntoIterator<Item = NodeObject>) -> NodeLeases {
        let mut leases = NodeLeases::new(Reading {
            names: Annotations::default(),
            v4: true,
            v6: false,
        });
        for node in nodes {
            leases.put(&node);
        }
        leases
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
        let listing = leases(nodes).listing(Revision(1));
        assert_eq!((listing.leases.len(), listing.bad.len()), (2, 1));
        assert_eq!((listing.revision, listing.config), (Revision(1), None));
    }

    #[test]
    fn a_node_that_says_the_same_again_is_no_event() {
        let mut leases = leases([node(1, Says::Address(1), 5)]);
        assert_eq!(leases.put(&node(1, Says::Address(1), 6)), []);
        assert_eq!(leases.put(&node(2, Says::Nothing, 7)), []);
    }

    #[test]
    fn each_change_of_a_node_is_told_as_what_it_means_for_its_block() {
        let mut leases = leases([]);
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
            assert_eq!(keys(&leases.put(&node(1, says, 9))), expected, "{says:?}");
        }
        assert_eq!(
            keys(&leases.gone("node-1", Revision(10))),
            ["gone 10.244.1.0-24 10"]
        );
        assert_eq!(leases.gone("node-1", Revision(10)), []);
    }

    #[test]
    fn a_block_that_two_nodes_had_is_not_gone_with_one_of_them() {
        let mut leases = leases([node(1, Says::OtherBlock, 5), node(101, Says::Address(9), 5)]);
        let events = leases.gone("node-1", Revision(6));
        assert_eq!(keys(&events), ["put 10.244.101.0-24"]);
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
            let mut leases = leases([]);
            let (mut nodes, mut followed) = (BTreeMap::new(), BTreeMap::new());
            for (number, says) in changes {
                let events = match says {
                    Some(says) => {
                        nodes.insert(number, node(number, says, 9));
                        leases.put(&nodes[&number])
                    }
                    None => {
                        nodes.remove(&number);
                        leases.gone(&format!("node-{number}"), Revision(9))
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
            let listing = super::tests::leases(nodes.into_values()).listing(Revision(9));
            prop_assert_eq!(followed.into_values().collect::<Vec<_>>(), listing.leases);
        }
    }
}
