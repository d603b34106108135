//! The first listing: taken in part by part, and judged as a whole at its end.

use std::collections::BTreeMap;

use subnet_alloc::{Block, Lease};

use crate::backend::{Remote, Skipped};

use super::Agent;
use super::leases::News;
use super::rivals::rivals_among;

impl Agent {
    /// Takes in some leases. What they ask for may be put before the others are known.
    pub(super) fn take_part(&mut self, leases: Vec<Lease>) {
        let mut usable = Vec::with_capacity(leases.len());
        for lease in leases {
            if self.local.block.is_none() && self.local.is_mine(&lease) {
                self.namesakes.push(lease);
            } else {
                usable.extend(self.take_in(lease));
            }
        }
        // Tables that grow in order are quick and have no half-full nodes; stores have another one, by text. Blocks are sorted
        // by themselves: with all that is known of their leases, most of the time goes into moving that.
        usable.sort_by_cached_key(|(block, _)| *block);
        let mut usable: BTreeMap<Block, Remote> = usable.into_iter().collect();
        self.plan_for(usable.keys().copied());
        self.remotes.append(&mut usable);
    }

    /// All leases are known, and the own block is: some of them may not be used after all.
    pub(super) fn end_first_listing(&mut self) {
        let namesakes = std::mem::take(&mut self.namesakes);
        self.take_part(namesakes);
        self.listed = true;
        self.counts.lease_events += 1;
        let blocks = self.remotes.keys().copied();
        let off_grid = blocks.filter(|block| !self.local.is_on_grid(block));
        self.off_grid = off_grid.collect();
        let mut released = Vec::new();
        for (block, why) in self.in_the_way_of_this_node() {
            self.replace(block, None, &mut released);
            self.skipped.insert(block, why);
        }
        for (block, why) in rivals_among(&self.remotes, &self.local) {
            let rival = self.remotes.get(&block).cloned();
            self.rivals.extend(rival.map(|remote| (block, remote)));
            self.replace(block, None, &mut released);
            self.skipped.insert(block, why);
        }
        self.release(released);
        let skipped = self.skipped.iter();
        let namesakes = self.remotes.iter();
        let namesakes = namesakes.filter(|(_, remote)| self.is_namesake(remote));
        let news = News {
            skipped: skipped.map(|(block, why)| (*block, why.clone())).collect(),
            namesakes: namesakes.map(|(block, _)| *block).collect(),
            vanished: Vec::new(),
        };
        self.tell(news);
    }

    /// Another node's block, if packets may be sent to it.
    fn take_in(&mut self, lease: Lease) -> Option<(Block, Remote)> {
        let block = lease.block;
        if self.local.block == Some(block) {
            if self.local.is_mine(&lease) {
                self.own.get_or_insert(lease);
            }
            return None;
        }
        match Remote::read(&lease, &self.local) {
            Ok(remote) => Some((block, remote)),
            Err(why) => {
                self.skipped.insert(block, why);
                None
            }
        }
    }

    /// Those that were taken in before the own block and MACs were known.
    fn in_the_way_of_this_node(&self) -> Vec<(Block, Skipped)> {
        let remotes = self.remotes.iter();
        let checked = remotes.filter_map(|(block, remote)| {
            let why = remote.check_against_own(block, &self.local).err()?;
            Some((*block, why))
        });
        checked.collect()
    }
}
