//! The pure core of the BGP backend: the speaker, the mesh that leases make, the ways to next hops, and the wishes to the
//! kernel that come of it all. No socket, no clock.
//!
//! ```text
//!  leases --> mesh.rs --+                                  +--> Connect, Send, Close, Open    transport
//!  settings ------------+--> settings.rs --> bgp::Speaker -+--> Routes --> wishes.rs ------>  agent
//!  TCP bytes ------------------------------------^         +--> Event  --> sync.rs            what stale routes wait for
//!  the kernel's answers --> ways.rs -------------+                         notes              the log
//! ```

mod inspect;
mod mesh;
mod past;
mod prefix;
mod settings;
mod sync;
mod tcp;
mod ways;
mod wishes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bgp::peer::ConnId;
use bgp::policy::Guard;
use bgp::rib::PeerId;
use bgp::speaker::{self, Event, PeerName, PeerView, Speaker};
use bytes::Bytes;
use kernel::Resolved;
use subnet_alloc::Block;

use crate::backend::{Local, Remote};
use crate::bgp::transport::{DialError, Dialing, Door};
use crate::config::BgpChoice;

pub(crate) use inspect::Kind;
pub(crate) use past::Past;
pub(crate) use sync::Held;
pub(crate) use wishes::Wish;

use mesh::Mesh;
use past::Pasts;
use sync::Sync;
use ways::Ways;
use wishes::Wishes;

/// What happens.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// What has become of leases of other nodes; `None`: gone.
    Leases(Vec<(Block, Option<Remote>)>),
    /// This node's side has changed.
    Local(Box<Local>),
    /// The settings have changed.
    Choice(Arc<BgpChoice>),
    /// Something for the speaker: of a connection, or an operator's word.
    Speaker(speaker::Input<'a>),
    /// The kernel's answers to [`Output::Resolve`].
    Resolved(Vec<(IpAddr, Option<Resolved>)>),
    /// The kernel's routes have changed, so that next hops may be elsewhere.
    WaysMoved,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// Listen like this.
    Open(Door),
    /// Connect to this peer.
    Connect(PeerId, Dialing),
    /// It is no peer any more: an attempt to connect to it is for nobody.
    GiveUp(PeerId),
    /// Send this.
    Send(ConnId, Bytes),
    /// Close this when all is sent.
    Close(ConnId),
    /// Ask the kernel for the ways to these.
    Resolve(Vec<IpAddr>),
    /// What the kernel shall hold, in order.
    Wishes(Vec<Wish>),
    /// Which stale routes stay.
    Hold(Held),
    /// Something to tell the operator, and the name of the peer that it is about.
    Note(Event, Option<PeerName>),
}

/// The BGP side of a node.
#[derive(Debug)]
pub(crate) struct Fabric {
    choice: Arc<BgpChoice>,
    local: Local,
    mesh: Mesh,
    speaker: Speaker,
    guard: Guard,
    door: Option<Door>,
    /// Nodes that are peers, by address.
    called: BTreeMap<IpAddr, PeerName>,
    /// Peers by number.
    names: BTreeMap<PeerId, PeerName>,
    ways: Ways,
    wishes: Wishes,
    /// What the speaker chose while the way to a next hop was not known.
    waiting: Vec<speaker::RouteChange>,
    pasts: Pasts,
    sync: Sync,
    /// What is held has changed.
    hold_due: bool,
    outputs: VecDeque<Output>,
}

impl Fabric {
    /// A node that speaks to nobody yet. `restarting`: the kernel holds routes of an earlier run. `seed`: of the pauses between
    /// attempts to connect.
    pub(crate) fn new(
        (choice, local): (Arc<BgpChoice>, Local),
        leases: &[(Block, Option<Remote>)],
        (restarting, seed): (bool, u64),
        now: Instant,
    ) -> Fabric {
        let mut mesh = Mesh::default();
        for (block, remote) in leases {
            mesh.take(*block, remote.as_ref());
        }
        let config = settings::speaker(&choice, &local, &mesh);
        let guard = config.guard.clone();
        let wishes = Wishes::new(choice.metric);
        let mut fabric = Fabric {
            speaker: Speaker::new(config, restarting, seed, now),
            choice,
            local,
            mesh,
            guard,
            door: None,
            called: BTreeMap::new(),
            names: BTreeMap::new(),
            ways: Ways::default(),
            wishes,
            waiting: Vec::new(),
            pasts: Pasts::default(),
            sync: Sync::default(),
            hold_due: true,
            outputs: VecDeque::new(),
        };
        fabric.name_nodes();
        fabric.originate(now);
        fabric.open_door();
        fabric
    }

    /// Something happened.
    pub(crate) fn handle(&mut self, input: Input<'_>, now: Instant) {
        match input {
            Input::Leases(leases) => self.take_leases(leases, now),
            Input::Local(local) => {
                self.local = *local;
                self.reconfigure(now);
                self.originate(now);
            }
            Input::Choice(choice) => self.take_choice(choice, now),
            Input::Speaker(input) => self.tell(input, now),
            Input::Resolved(answers) => self.take_ways(answers, now),
            Input::WaysMoved => self.ways.doubt(),
        }
    }

    /// The next thing to do; to be drained to `None` after each input.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        let questions = self.ways.questions();
        if !questions.is_empty() {
            return Some(Output::Resolve(questions));
        }
        // At last: what was said so far is in the kernel before anything goes because it was not said.
        std::mem::take(&mut self.hold_due).then(|| Output::Hold(self.sync.held()))
    }

    /// When something is due even if nothing happens.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.speaker.poll_timeout()
    }

    /// Something may be due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.speaker.handle_timeout(now);
        self.drain(now);
    }

    /// A connection that was asked for could not be made.
    pub(crate) fn connect_failed(&mut self, peer: PeerId, why: &DialError, now: Instant) {
        self.pasts.failed(peer, why.to_string(), now);
        self.tell(speaker::Input::ConnectFailed(peer), now);
    }

    fn tell(&mut self, input: speaker::Input<'_>, now: Instant) {
        self.speaker.handle_input(input, now);
        self.drain(now);
    }

    fn take_choice(&mut self, choice: Arc<BgpChoice>, now: Instant) {
        let before = std::mem::replace(&mut self.choice, choice);
        let moved = self.peers_connected_otherwise(&before, now);
        self.reconfigure(now);
        self.originate(now);
        for name in moved {
            let why = "settings of the connection have changed".to_owned();
            self.tell(speaker::Input::Reset(name, why), now);
        }
    }

    /// The peers that were connected in another manner under these settings. Those that are to have no session stay alone.
    fn peers_connected_otherwise(&self, before: &BgpChoice, now: Instant) -> Vec<PeerName> {
        let differs = |peer: &PeerView<'_>| {
            tcp::manner_of(before, peer) != tcp::manner_of(&self.choice, peer)
        };
        let peers = self.speaker.peers(now).filter(differs);
        peers.map(|peer| peer.name.clone()).collect()
    }

    fn originate(&mut self, now: Instant) {
        let all = settings::originated(&self.choice, &self.local);
        self.tell(speaker::Input::Originate(all), now);
    }

    /// The whole configuration anew: the speaker touches what differs.
    fn reconfigure(&mut self, now: Instant) {
        let config = settings::speaker(&self.choice, &self.local, &self.mesh);
        self.guard = config.guard.clone();
        self.name_nodes();
        self.tell(speaker::Input::Reconfigure(Box::new(config)), now);
        self.open_door();
    }

    fn take_leases(&mut self, leases: Vec<(Block, Option<Remote>)>, now: Instant) {
        let mut touched = BTreeSet::new();
        for (block, remote) in leases {
            touched.extend(self.mesh.take(block, remote.as_ref()));
        }
        if settings::guard(&self.local, &self.mesh) != self.guard {
            return self.reconfigure(now);
        }
        if self.choice.mesh {
            for address in touched {
                self.follow_node(address, now);
            }
            self.open_door();
        }
    }

    /// A node is new, gone or different.
    fn follow_node(&mut self, address: IpAddr, now: Instant) {
        let node = self
            .mesh
            .node(address)
            .filter(|_| !settings::is_named(&self.choice, address));
        let fresh = node.map(|node| {
            let name = self
                .mesh
                .name(address, node, &settings::names(&self.choice));
            (name, node.peer(address, &self.local, &self.choice))
        });
        let name = fresh.as_ref().map(|(name, _)| name);
        if let Some(old) = self
            .called
            .get(&address)
            .cloned()
            .filter(|old| Some(old) != name)
        {
            self.called.remove(&address);
            self.tell(speaker::Input::RemovePeer(old), now);
        }
        if let Some((name, peer)) = fresh {
            self.called.insert(address, name.clone());
            self.tell(speaker::Input::SetPeer(name, Box::new(peer)), now);
        }
    }

    fn name_nodes(&mut self) {
        let taken = settings::names(&self.choice);
        let nodes = self.mesh.nodes().filter(|_| self.choice.mesh);
        let nodes = nodes.filter(|(address, _)| !settings::is_named(&self.choice, *address));
        self.called = nodes
            .map(|(address, node)| (address, self.mesh.name(address, node, &taken)))
            .collect();
    }

    fn open_door(&mut self) {
        let door = tcp::door(&self.choice, self.called.keys().copied());
        if self.door.as_ref() != Some(&door) {
            self.outputs.push_back(Output::Open(door.clone()));
            self.door = Some(door);
        }
    }

    fn take_ways(&mut self, answers: Vec<(IpAddr, Option<Resolved>)>, now: Instant) {
        let moved = self.ways.answered(answers);
        // What waits may lead to next hops that the speaker is about to give up.
        let is_final = moved.iter().all(|(_, way)| way.is_some());
        if !moved.is_empty() {
            let wishes = self.wishes.moved(&moved);
            self.wish(wishes);
            let reaches = moved.iter().map(|(hop, way)| (*hop, ways::reach(*way)));
            self.speaker
                .handle_input(speaker::Input::NextHops(reaches.collect()), now);
        }
        self.take_in(now);
        if !is_final {
            self.waiting = wishes::folded(std::mem::take(&mut self.waiting));
        }
        self.pass_on();
    }

    fn wish(&mut self, wishes: Vec<Wish>) {
        if !wishes.is_empty() {
            self.outputs.push_back(Output::Wishes(wishes));
        }
    }

    fn drain(&mut self, now: Instant) {
        self.take_in(now);
        self.pass_on();
    }

    /// Takes in what the speaker says.
    fn take_in(&mut self, now: Instant) {
        while let Some(output) = self.speaker.poll_output() {
            match output {
                speaker::Output::Connect(id) => {
                    let peer = self.speaker.peer_config(id).zip(self.names.get(&id));
                    let dialing =
                        peer.map(|(peer, name)| tcp::dialing(&self.choice, name, peer.address));
                    self.outputs
                        .extend(dialing.map(|dialing| Output::Connect(id, dialing)));
                }
                speaker::Output::Send(conn, bytes) => {
                    self.outputs.push_back(Output::Send(conn, bytes))
                }
                speaker::Output::Close(conn) => self.outputs.push_back(Output::Close(conn)),
                speaker::Output::Routes(changes) => self.take_routes(changes),
                speaker::Output::Event(event) => self.take_event(event, now),
            }
        }
    }

    /// Routes go to the kernel once the ways to all their next hops are known.
    fn pass_on(&mut self) {
        if !self.waiting.is_empty() && !self.ways.has_questions() {
            let changes = std::mem::take(&mut self.waiting);
            let wishes = self.wishes.follow(changes, &self.ways);
            self.wish(wishes);
        }
    }

    fn take_routes(&mut self, changes: Vec<speaker::RouteChange>) {
        for change in &changes {
            if let speaker::RouteChange::Install { hops, .. } = change {
                hops.iter()
                    .for_each(|hop| self.ways.need(hop.via.address()));
            }
        }
        self.waiting.extend(changes);
    }

    fn take_event(&mut self, event: Event, now: Instant) {
        self.pasts.take(&event, now);
        if let Event::Known(id, name) = &event {
            self.names.insert(*id, name.clone());
        }
        // When this is told its number may be that of another.
        let name = event.peer().and_then(|id| self.names.get(&id).cloned());
        match &event {
            Event::Known(id, _) => self.begin_sync(*id),
            Event::Forgotten(id, _) => {
                self.names.remove(id);
                self.sync.remove(*id);
                self.outputs.push_back(Output::GiveUp(*id));
            }
            Event::Synced(id, family, _) => self.sync.synced(*id, *family),
            _ => {}
        }
        self.hold_due |= matches!(
            event,
            Event::Known(..) | Event::Forgotten(..) | Event::Synced(..)
        );
        self.outputs.push_back(Output::Note(event, name));
    }

    fn begin_sync(&mut self, id: PeerId) {
        let Some(peer) = self.speaker.peer_config(id) else {
            return;
        };
        let node = self.mesh.node(peer.address);
        let mut addresses: BTreeSet<IpAddr> =
            node.into_iter().flat_map(mesh::Node::addresses).collect();
        addresses.insert(peer.address);
        self.sync.add(id, addresses, peer.families);
    }
}

#[cfg(test)]
mod tests;
