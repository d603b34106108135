//! The agent: the pure core that runs for one node.
//!
//! It takes in what the store and the kernel say, and says what is to be done.
//! It does no I/O and reads no clock. The driver speaks to it like this:
//!
//! ```text
//! agent.handle(input, now);                    // one thing at a time
//! while let Some(output) = agent.poll_output(now) { … }   // then drain
//! wait until agent.poll_timeout(), or the next input
//! ```

mod leases;
mod listing;
mod planning;
mod rivals;
mod vanished;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use kernel::{
    Address, Change, Dump, Entry, Fight, Interest, Key, Link, Notification, Ownership, Reconciler,
    Refusal, Scope,
};
use subnet_alloc::{Block, Lease, LeaseEvent};

use crate::backend::{Backend, Devices, Local, Remote, Skipped};
use crate::bgp::fabric::{Held, Wish};

use planning::Planning;
use vanished::Vanished;

pub(crate) use vanished::Grace;
pub(crate) use view::{Counts, LeaseView, RemoteView};

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// All links and addresses of the kernel, as [`Output::ReadLinks`] asked.
    Links(Vec<Link>, Vec<Address>),
    /// The dump that [`Output::Dump`] asked for.
    Dump(Dump),
    /// What the kernel told of its own accord.
    Kernel(Vec<Notification>),
    /// Some leases of the first listing, in any order.
    Part(Vec<Lease>),
    /// The first listing is complete, and this node's block is known.
    Listed,
    /// What the store told.
    Leases(Vec<LeaseEvent>),
    /// How the changes of [`Output::Apply`] went.
    Applied(Vec<Change>, Vec<Refusal>),
    /// The own lease as it stands in the store. The first one tells the own block.
    Own(Lease),
    /// This node's side has changed: underlay, backend or block.
    Local(Box<Local>),
    /// The entries of vanished leases stay for another time.
    Grace(Grace),
    /// What peers announce shall be in the kernel like this.
    Learned(Vec<Wish>),
    /// These stale routes stay.
    Hold(Held),
    /// Somebody doubts that the view of the kernel is right.
    Doubt,
}

/// Something to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// Read all links and addresses.
    ReadLinks,
    /// Dump what is of interest.
    Dump(Interest),
    /// Carry out these changes in order, behind those that are on their way,
    /// and tell how they went with [`Input::Applied`].
    Apply(Vec<Change>),
    /// Tell the operator what the kernel refused for the first time.
    Refused(Vec<(Change, Refusal)>),
    /// Tell the operator something.
    Notice(Notice),
    /// What has become of other nodes' leases, for whoever speaks BGP with them.
    Nodes(Vec<(Block, Option<Remote>)>),
}

/// What an operator should know: never one for each lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Notice {
    /// So many leases of so many have vanished; their entries stay for so long.
    Vanished {
        count: usize,
        known: usize,
        /// One of them.
        example: Block,
        grace: Duration,
    },
    /// So many did not come back, and their entries are taken away.
    Forgotten {
        count: usize,
        /// One of them.
        example: Block,
    },
    /// The kernel has so many routes of ours that the store has no lease for;
    /// they stay for so long.
    MostAreStale {
        stale: usize,
        known: usize,
        grace: Duration,
    },
    /// Somebody changes these entries again and again.
    Fights(Vec<Fight>),
    /// Another node has this node's name, and this block.
    Namesake(Block),
    /// No packets are sent to these leases either.
    Skipped(Vec<(Block, Skipped)>),
}

/// Changes in one [`Output::Apply`]: some milliseconds of work, so that
/// notifications are taken in between.
const CHANGES_AT_ONCE: usize = 1024;
/// Dumps on demand are at least this far apart: a flapping link must not keep
/// the daemon busy.
const DUMP_PAUSE: Duration = Duration::from_millis(100);
/// A dead peer keeps the daemon from being ready for no longer than this.
const PEERS_PATIENCE: Duration = Duration::from_secs(5);
/// However quiet the kernel is, it is read again after this long.
const DUMP_PERIOD: Duration = Duration::from_secs(600);

/// All that one node knows and wants.
#[derive(Debug)]
pub(crate) struct Agent {
    local: Local,
    devices: Devices,
    own: Option<Lease>,
    remotes: BTreeMap<Block, Remote>,
    skipped: BTreeMap<Block, Skipped>,
    /// Those of `skipped` that are used as soon as another one is gone.
    rivals: BTreeMap<Block, Remote>,
    /// Those of the first listing that name this node: which of them is its own is not known yet.
    namesakes: Vec<Lease>,
    /// Those of `remotes` that have another length than the own block.
    off_grid: BTreeSet<Block>,
    /// Those of `remotes` that the store has no more.
    vanished: Vanished,
    grace: Grace,
    /// What is stale stays until then: it is doubted that so much of it is.
    removals_wait: Option<Instant>,
    /// Keys that more than one lease wants.
    contested: BTreeSet<Key>,
    reconciler: Reconciler,
    /// Not all that is known is planned for yet.
    planning: Option<Planning>,
    /// The own side has been planned for once.
    planned: bool,
    links_due: bool,
    /// A first dump has been taken in.
    dumped: bool,
    /// A first complete listing has been taken in.
    listed: bool,
    /// What flannel left was taken over.
    adopted: bool,
    /// Routes of ours that the kernel had when it was first read.
    routes_found: usize,
    /// It had neither these nor a device of ours.
    found_nothing: bool,
    /// All that the first listing asks for is in the kernel.
    ready: bool,
    last_dump: Option<Instant>,
    /// Leases of other nodes that have changed, with the backend that speaks to
    /// them.
    changed: BTreeSet<Block>,
    /// Which stale routes stay.
    held: Held,
    /// Peers have said what they have to say, or there was time enough.
    heard: bool,
    /// Until then they have time.
    patience: Option<Instant>,
    refused: Vec<(Change, Refusal)>,
    notices: VecDeque<Notice>,
    counts: Counts,
}

impl Agent {
    /// Knows this node's side and nothing of the kernel and the store. What is
    /// wanted for leases that vanish stays for `grace`.
    pub(crate) fn new(local: Local, ownership: Ownership, grace: Grace) -> Agent {
        Agent {
            local,
            devices: Devices::default(),
            own: None,
            remotes: BTreeMap::new(),
            skipped: BTreeMap::new(),
            rivals: BTreeMap::new(),
            namesakes: Vec::new(),
            off_grid: BTreeSet::new(),
            vanished: Vanished::default(),
            grace,
            removals_wait: None,
            contested: BTreeSet::new(),
            reconciler: Reconciler::new(ownership),
            planning: None,
            planned: false,
            links_due: true,
            dumped: false,
            listed: false,
            adopted: false,
            routes_found: 0,
            found_nothing: false,
            ready: false,
            last_dump: None,
            changed: BTreeSet::new(),
            held: Held::default(),
            heard: false,
            patience: None,
            refused: Vec::new(),
            notices: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Takes in something that happened.
    pub(crate) fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Links(links, addresses) => self.handle_links(links, addresses),
            Input::Dump(dump) => self.handle_dump(dump, now),
            Input::Kernel(notifications) => self.handle_kernel(notifications),
            Input::Part(leases) => self.take_part(leases),
            Input::Listed => self.end_first_listing(),
            Input::Leases(events) => self.handle_leases(events, now),
            Input::Applied(changes, refusals) => self.handle_applied(&changes, &refusals, now),
            Input::Own(lease) => self.handle_own(lease),
            Input::Local(local) => self.handle_local(*local),
            Input::Grace(grace) => self.grace = grace,
            Input::Learned(wishes) => self.handle_learned(wishes),
            Input::Hold(held) => self.handle_hold(held, now),
            Input::Doubt => {
                self.links_due = true;
                self.reconciler.doubt();
            }
        }
    }

    /// What is to be done next; `None` when there is nothing until the next
    /// input or [`poll_timeout`](Self::poll_timeout).
    pub(crate) fn poll_output(&mut self, now: Instant) -> Option<Output> {
        if !self.refused.is_empty() {
            return Some(Output::Refused(std::mem::take(&mut self.refused)));
        }
        let fights = self.reconciler.fights();
        if !fights.is_empty() {
            self.notices.push_back(Notice::Fights(fights));
        }
        if let Some(notice) = self.notices.pop_front() {
            return Some(Output::Notice(notice));
        }
        if self.dumped && !self.changed.is_empty() {
            return Some(Output::Nodes(self.changes_of_nodes()));
        }
        if std::mem::take(&mut self.links_due) {
            return Some(Output::ReadLinks);
        }
        if self.is_dump_due(now) {
            return Some(Output::Dump(self.reconciler.interest(!self.dumped)));
        }
        if !self.dumped || self.reconciler.on_their_way() >= self.room() {
            return None;
        }
        loop {
            let has_planned = self.plan_on(now);
            let changes = self.pending(now);
            if !changes.is_empty() {
                return Some(Output::Apply(changes));
            }
            if !has_planned {
                break;
            }
        }
        self.ready |= self.reconciler.on_their_way() == 0
            && self.listed
            && !self.reconciler.needs_dump()
            && self.reconciler.has_its_devices();
        None
    }

    /// When something has to be done even if nothing happens.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let periodic = self.last_dump.map(|last| last + DUMP_PERIOD);
        let wants_dump = self.reconciler.on_their_way() == 0 && self.reconciler.needs_dump();
        let dump = self.next_dump().filter(|_| wants_dump);
        let patience = self.patience.filter(|_| self.waits_for_peers());
        let vanished = self.vanished.next_due(self.grace_of_each());
        [
            dump,
            patience,
            self.reconciler.next_due(),
            periodic,
            vanished,
            self.removals_wait,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has come for what [`poll_timeout`](Self::poll_timeout) named.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.last_dump.is_some_and(|last| last + DUMP_PERIOD <= now) {
            self.handle(Input::Doubt, now);
        }
        self.forget_vanished(now);
        if self.removals_wait.is_some_and(|until| until <= now) {
            self.removals_wait = None;
        }
        self.heard |= self.patience.is_some_and(|until| until <= now);
    }

    /// All that the first complete listing asks for is in the kernel, and what
    /// peers told in their first seconds.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready && !self.waits_for_peers()
    }

    /// Peers have still time to say what they have to say.
    pub(crate) fn waits_for_peers(&self) -> bool {
        self.local.backend == Backend::Bgp && !self.heard
    }

    /// This node's side of the data plane.
    pub(crate) fn local(&self) -> &Local {
        &self.local
    }

    /// Want against have.
    pub(crate) fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    fn pending(&mut self, now: Instant) -> Vec<Change> {
        // Before it is known who the peers are, all that is stale may be theirs.
        let knows_peers = self.local.backend != Backend::Bgp || self.patience.is_some();
        let knows_all = self.listed && knows_peers && self.planning.is_none();
        let scope = if !knows_all || self.removals_wait.is_some() {
            Scope::PutsOnly
        } else if self.held.is_over() {
            Scope::All
        } else {
            Scope::Held(&self.held)
        };
        self.reconciler.pending(now, scope, CHANGES_AT_ONCE)
    }

    /// What is on its way is not in a dump for sure.
    fn is_dump_due(&self, now: Instant) -> bool {
        self.reconciler.on_their_way() == 0
            && self.reconciler.needs_dump()
            && self.next_dump().is_none_or(|due| due <= now)
    }

    /// How many batches may be on their way at once. During the first load the
    /// next one is found out while the kernel works on one; later, and as long
    /// as devices are made, each change is decided on with all that came before
    /// it known.
    fn room(&self) -> usize {
        if self.ready || !self.reconciler.has_its_devices() {
            1
        } else {
            2
        }
    }

    /// The earliest time of the next dump; `None` before the first one.
    fn next_dump(&self) -> Option<Instant> {
        self.last_dump.map(|last| last + DUMP_PAUSE)
    }

    fn handle_links(&mut self, links: Vec<Link>, addresses: Vec<Address>) {
        self.links_due = false;
        self.reconciler.observe_links(links, addresses);
        self.follow_devices();
    }

    fn handle_dump(&mut self, dump: Dump, now: Instant) {
        self.reconciler.resync(dump);
        self.last_dump = Some(now);
        self.counts.dumps += 1;
        if !std::mem::replace(&mut self.dumped, true) {
            self.routes_found = self.reconciler.stale_routes().1;
            self.found_nothing = self.routes_found == 0 && self.devices == Devices::default();
            self.plan_all();
        }
    }

    fn handle_kernel(&mut self, notifications: Vec<Notification>) {
        for notification in notifications {
            self.links_due |= matches!(notification, Notification::Overrun);
            self.counts.overruns += u64::from(matches!(notification, Notification::Overrun));
            self.reconciler.observe(notification);
        }
        self.follow_devices();
    }

    fn handle_applied(&mut self, changes: &[Change], refusals: &[Refusal], now: Instant) {
        let devices = |change: &Change| {
            matches!(
                change,
                Change::PutDevice { .. } | Change::RemoveDevice { .. }
            )
        };
        self.links_due |= changes.iter().any(devices);
        self.counts.changes += changes.len() as u64 - refusals.len() as u64;
        self.counts.refusals += refusals.len() as u64;
        self.refused = self.reconciler.settle(changes, refusals, now);
    }

    fn handle_learned(&mut self, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Want(entry) => {
                    self.reconciler.want(entry);
                }
                Wish::Unwant(key) => self.reconciler.take_back(&key),
            }
        }
    }

    fn handle_hold(&mut self, held: Held, now: Instant) {
        self.heard |= held.is_over();
        self.patience.get_or_insert(now + PEERS_PATIENCE);
        self.held = held;
    }

    fn changes_of_nodes(&mut self) -> Vec<(Block, Option<Remote>)> {
        let blocks = std::mem::take(&mut self.changed).into_iter();
        blocks
            .map(|block| (block, self.remotes.get(&block).cloned()))
            .collect()
    }

    fn handle_own(&mut self, lease: Lease) {
        if self.local.block.is_none() {
            self.local.block = Some(lease.block);
            for entry in self.own_entries() {
                self.reconciler.want(entry);
            }
        }
        self.own = Some(lease);
    }

    fn handle_local(&mut self, local: Local) {
        if self.local == local {
            return;
        }
        self.local = local;
        self.devices = self.devices_there();
        self.plan_all();
    }

    /// Plans again when a device of ours has come, gone, or been made again.
    fn follow_devices(&mut self) {
        let devices = self.devices_there();
        if devices == self.devices && self.planned {
            return;
        }
        self.planned = true;
        let before = std::mem::replace(&mut self.devices, devices);
        if before
            .0
            .iter()
            .zip(&devices.0)
            .any(|(before, after)| before.is_some() && before != after)
        {
            self.reconciler.doubt();
        }
        self.plan_all();
    }

    fn devices_there(&self) -> Devices {
        let index = |name: &Option<String>| {
            let link = self.reconciler.link_named(name.as_deref()?)?;
            link.vxlan.is_some().then_some(link.index)
        };
        let names = self.local.device_names();
        Devices([index(&names[0]), index(&names[1])])
    }

    /// What is wanted whatever other nodes there are.
    fn own_entries(&self) -> Vec<Entry> {
        let mut entries = self.local.devices();
        entries.extend(self.local.own_entries(self.devices));
        entries
    }

    /// Takes over what flannel left, once all wishes are known.
    fn adopt(&mut self, now: Instant) {
        let knows_all = self.dumped && self.listed && self.planning.is_none();
        if knows_all && !std::mem::replace(&mut self.adopted, true) {
            let (_, before) = self.reconciler.stale_routes();
            self.reconciler.adopt_leftovers();
            let (stale, after) = self.reconciler.stale_routes();
            self.doubt_a_first_listing((stale, self.routes_found + after - before), now);
        }
    }

    /// A first listing that would take most routes away tells rather of a store
    /// that lost its leases than of nodes that all left meanwhile.
    fn doubt_a_first_listing(&mut self, (stale, known): (usize, usize), now: Instant) {
        if self.local.backend == Backend::Bgp || self.found_nothing {
            // Routes come from peers, and what is stale waits for them; or it was put by ourselves just before.
            return;
        }
        let grace = self.grace.of(stale, known);
        if vanished::is_most(stale, known) && !grace.is_zero() {
            self.removals_wait = Some(now + grace);
            self.notices.push_back(Notice::MostAreStale {
                stale,
                known,
                grace,
            });
        }
    }
}

#[cfg(test)]
mod tests;
