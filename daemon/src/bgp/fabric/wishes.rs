//! From routes that the speaker chose to what the kernel shall hold.
//!
//! A next hop is one nexthop object, however many routes go through it, and so is each set of next hops that share the load:
//! both are wanted as long as a route goes through them. What is counted is what the speaker told, old and new, so that
//! nothing has to be kept for each route.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bgp::Prefix;
use bgp::speaker::{Hop as Told, RouteChange};
use kernel::{Entry, GroupName, HopName, Key, Resolved, RouteKey, To};

use super::prefix::network_of;
use super::ways::Ways;

/// The next hops of a route, as the speaker tells them.
type Hops = Arc<[Told]>;

/// A change of what the kernel shall hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wish {
    /// It shall hold this.
    Want(Entry),
    /// It need not hold this.
    Unwant(Key),
}

/// What routes go through.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// The metric of routes; 0: the kernel's default.
    metric: u32,
    /// Next hops and how much leads through them.
    hops: BTreeMap<IpAddr, usize>,
    /// Sets of next hops, and what is known of each.
    groups: BTreeMap<Box<[IpAddr]>, Group>,
    /// Names of groups that are no more. With those in use they are all numbers from 0 on.
    spare: Vec<GroupName>,
    /// The sets of successive routes are mostly the same.
    last: Option<(Hops, Box<[IpAddr]>)>,
}

#[derive(Debug)]
struct Group {
    name: GroupName,
    routes: usize,
}

impl Wishes {
    pub(super) fn new(metric: u32) -> Wishes {
        Wishes {
            metric,
            ..Wishes::default()
        }
    }

    /// What the kernel shall hold after these changes. The ways to all next hops are known.
    pub(super) fn follow(&mut self, changes: Vec<RouteChange>, ways: &Ways) -> Vec<Wish> {
        let mut wishes = Vec::with_capacity(changes.len() + 4);
        let mut free = Vec::new();
        for change in changes {
            match change {
                RouteChange::Install { prefix, hops, was } => {
                    let to = self.join(&hops, ways, &mut wishes);
                    let key = self.key(prefix);
                    wishes.push(Wish::Want(Entry::Route(key, to)));
                    was.iter().for_each(|was| self.leave(was, &mut free));
                }
                RouteChange::Remove { prefix, was } => {
                    let key = self.key(prefix);
                    wishes.push(Wish::Unwant(Key::Route(key)));
                    self.leave(&was, &mut free);
                }
            }
        }
        self.let_go(free, &mut wishes);
        wishes
    }

    /// These next hops are reached in another way, or not any more.
    pub(super) fn moved(&self, ways: &[(IpAddr, Option<Resolved>)]) -> Vec<Wish> {
        let used = ways.iter().filter(|(hop, _)| self.hops.contains_key(hop));
        used.filter_map(|(hop, way)| Some(Wish::Want(hop_entry(*hop, (*way)?))))
            .collect()
    }

    /// What the route to a prefix is called.
    pub(super) fn key(&self, prefix: Prefix) -> RouteKey {
        RouteKey::with_metric(network_of(prefix), self.metric)
    }

    /// One more route goes through these next hops.
    fn join(&mut self, hops: &Hops, ways: &Ways, wishes: &mut Vec<Wish>) -> To {
        let set = self.set(hops);
        if let [hop] = *set {
            self.use_hop(hop, ways, wishes);
            return To::Via(HopName(hop));
        }
        if let Some(group) = self.groups.get_mut(&set) {
            group.routes += 1;
            return To::Over(group.name);
        }
        for hop in &set {
            self.use_hop(*hop, ways, wishes);
        }
        let next = GroupName(self.groups.len() as u32);
        let name = self.spare.pop().unwrap_or(next);
        let members = set.iter().map(|hop| HopName(*hop)).collect();
        wishes.push(Wish::Want(Entry::Group(name, members)));
        self.groups.insert(set, Group { name, routes: 1 });
        To::Over(name)
    }

    fn use_hop(&mut self, hop: IpAddr, ways: &Ways, wishes: &mut Vec<Wish>) {
        let uses = self.hops.entry(hop).or_insert(0);
        *uses += 1;
        if let (1, Some(way)) = (*uses, ways.to(hop)) {
            wishes.push(Wish::Want(hop_entry(hop, way)));
        }
    }

    /// One route less goes through these next hops. Those that nothing may go through any more come to `free`.
    fn leave(&mut self, hops: &Hops, free: &mut Vec<Box<[IpAddr]>>) {
        let set = self.set(hops);
        let uses = match *set {
            [hop] => self.hops.get_mut(&hop),
            _ => self.groups.get_mut(&set).map(|group| &mut group.routes),
        };
        if let Some(uses) = uses {
            *uses -= 1;
            if *uses == 0 {
                free.push(set);
            }
        }
    }

    /// What came to have no route may have got one again in the same breath.
    fn let_go(&mut self, mut free: Vec<Box<[IpAddr]>>, wishes: &mut Vec<Wish>) {
        free.sort_unstable_by_key(|set| std::cmp::Reverse(set.len()));
        for set in free {
            if let [hop] = *set {
                self.free_hop(hop, wishes);
            } else if self.groups.get(&set).is_some_and(|group| group.routes == 0)
                && let Some(group) = self.groups.remove(&set)
            {
                wishes.push(Wish::Unwant(Key::Group(group.name)));
                self.spare.push(group.name);
                for hop in set {
                    if let Some(uses) = self.hops.get_mut(&hop) {
                        *uses -= 1;
                    }
                    self.free_hop(hop, wishes);
                }
            }
        }
    }

    fn free_hop(&mut self, hop: IpAddr, wishes: &mut Vec<Wish>) {
        if self.hops.get(&hop) == Some(&0) {
            self.hops.remove(&hop);
            wishes.push(Wish::Unwant(Key::Hop(HopName(hop))));
        }
    }

    /// The addresses of these next hops, in order.
    fn set(&mut self, hops: &Hops) -> Box<[IpAddr]> {
        if let Some((last, set)) = &self.last
            && Arc::ptr_eq(last, hops)
        {
            return set.clone();
        }
        let mut set: Vec<IpAddr> = hops.iter().map(|hop| hop.via.address()).collect();
        set.sort_unstable();
        set.dedup();
        let set: Box<[IpAddr]> = set.into();
        self.last = Some((hops.clone(), set.clone()));
        set
    }
}

/// The same with one change for each prefix: from what was there at first to what is there at last.
pub(super) fn folded(changes: Vec<RouteChange>) -> Vec<RouteChange> {
    let mut by_prefix: BTreeMap<Prefix, (Option<Hops>, Option<Hops>)> = BTreeMap::new();
    for change in changes {
        let (prefix, new, was) = match change {
            RouteChange::Install { prefix, hops, was } => (prefix, Some(hops), was),
            RouteChange::Remove { prefix, was } => (prefix, None, Some(was)),
        };
        by_prefix.entry(prefix).or_insert((None, was)).0 = new;
    }
    let change = |(prefix, (new, was))| match (new, was) {
        (Some(hops), was) => Some(RouteChange::Install { prefix, hops, was }),
        (None, Some(was)) => Some(RouteChange::Remove { prefix, was }),
        (None, None) => None,
    };
    by_prefix.into_iter().filter_map(change).collect()
}

fn hop_entry(name: IpAddr, way: Resolved) -> Entry {
    Entry::Hop(HopName(name), way.hop)
}
