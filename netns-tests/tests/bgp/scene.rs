//! One Twill node on a link, with peers from its settings.

use crate::SOON;
use lab::kernel_view::{Family, Route, routes};
use lab::{
    Cidr, Daemon, DaemonCommand, LabError, Namespace, Node, Process, Shape, Stack, Store, Underlay,
    eventually, ip, output,
};
use netns_tests::peers::{Brand, Machine, Neighbour, PeerSetup, Speaker, machine};
use netns_tests::raw_bgp::{RawPeer, RawSetup};
use netns_tests::{READY, config, twill};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use tempfile::TempDir;

/// Twill's AS where a test names no other.
pub(crate) const TWILL_AS: u32 = 64_512;
/// Twill is machine 1.
pub(crate) const TWILL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
pub(crate) const TWILL6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1));

/// A node of both families with a store of its own. Its parts end in this order.
pub(crate) struct Scene {
    pub(crate) daemon: Daemon,
    pub(crate) node: Node,
    pub(crate) underlay: Underlay,
    command: DaemonCommand,
    directory: TempDir,
}

impl Scene {
    /// A daemon that has its block, with this table `[bgp]`, without a mesh.
    pub(crate) fn new(bgp: &str) -> Self {
        let underlay = Underlay::new(Shape::OneSwitch, Stack::Dual).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let node = Node::new(&underlay, (1, 1), directory.path()).unwrap();
        // With a default route every next hop could be reached.
        for family in ["-4", "-6"] {
            ip(node.namespace(), &[family, "route", "flush", "default"]).unwrap();
        }
        let store = directory.path().join("store");
        std::fs::create_dir(&store).unwrap();
        std::fs::write(
            store.join("config"),
            config(Stack::Dual, r#"{"Type":"bgp"}"#),
        )
        .unwrap();
        write_settings(&directory, bgp);
        let file = settings(&directory).display().to_string();
        let command = DaemonCommand::new(twill(), Store::File(store)).args(&["--config", &file]);
        let scene = Self {
            daemon: node.start(&command).unwrap(),
            node,
            underlay,
            command,
            directory,
        };
        scene.has_a_block();
        scene
    }

    /// Waits until the daemon answers and has its block. Ready it is later: its peers have some seconds to say what they know.
    fn has_a_block(&self) {
        eventually("Twill has a block", READY, || self.block().is_some()).unwrap();
    }

    /// What `show status` says of the block: `10.244.7.0/24 + fd00:244:0:7::/64`.
    fn block(&self) -> Option<String> {
        let words = ["show", "status", "--json"];
        let said = self.node.twill_says(&self.command, &words).ok()?;
        let status: Value = serde_json::from_str(&said).ok()?;
        Some(status["block"].as_str()?.to_owned())
    }

    /// Another machine on the link.
    pub(crate) fn machine(&self, number: u8) -> Machine {
        machine(&self.underlay, number).unwrap()
    }

    /// A raw session with Twill from machine `number`.
    pub(crate) fn raw(&self, number: u8, asn: u32) -> RawPeer {
        self.raw_with(number, asn, |_| ())
    }

    /// The same, with changes to the setup.
    pub(crate) fn raw_with(&self, number: u8, asn: u32, tweak: impl Fn(&mut RawSetup)) -> RawPeer {
        self.raw_on(&self.machine(number), asn, tweak)
    }

    /// The same from a machine that is there: it can come again.
    pub(crate) fn raw_on(
        &self,
        machine: &Machine,
        asn: u32,
        tweak: impl Fn(&mut RawSetup),
    ) -> RawPeer {
        let mut setup = RawSetup::new(machine.addresses.v4.unwrap().into(), TWILL, asn);
        setup.families = Stack::Dual;
        tweak(&mut setup);
        RawPeer::open(&machine.namespace, &setup, SOON).unwrap()
    }

    /// What a command of twill prints.
    pub(crate) fn says(&self, words: &[&str]) -> String {
        self.node.twill_says(&self.command, words).unwrap()
    }

    /// Other settings, taken over by a running daemon, which says how.
    pub(crate) fn reload(&self, bgp: &str) -> String {
        write_settings(&self.directory, bgp);
        self.says(&["reload"])
    }

    /// Kills the daemon.
    pub(crate) fn kill(&mut self) {
        self.daemon.kill().unwrap();
    }

    /// Ends the daemon as its service would.
    pub(crate) fn terminate(&mut self) {
        assert!(self.daemon.terminate().unwrap().success());
    }

    /// Starts it again.
    pub(crate) fn start(&mut self) {
        self.daemon = self.node.start(&self.command).unwrap();
        self.has_a_block();
    }

    /// Waits until the daemon is ready.
    pub(crate) fn is_ready(&mut self) {
        self.daemon.wait_ready(READY).unwrap();
    }

    /// The peer of this name in `show peers --json`.
    pub(crate) fn peer(&self, name: &str) -> Result<Value, LabError> {
        let said = self
            .node
            .twill_says(&self.command, &["show", "peers", "--json"])?;
        let all: Value = serde_json::from_str(&said).unwrap_or_default();
        let found = all.as_array().into_iter().flatten();
        let mut found = found.filter(|peer| peer["name"] == name);
        Ok(found.next().cloned().unwrap_or_default())
    }

    /// Notes what changes in a namespace's routes, nexthops and neighbours, and when: shown where the test fails.
    pub(crate) fn watch(&self, namespace: &Namespace) -> Process {
        let name = format!("routes-of-{}", namespace.label());
        let mut command = namespace.command("ip");
        command.args(["-tshort", "monitor", "route", "nexthop", "neigh"]);
        let log = self.directory.path().join(&name);
        Process::start(&name, command, &log).unwrap()
    }

    /// Whether its session is established.
    pub(crate) fn is_up(&self, name: &str) -> bool {
        self.peer(name)
            .is_ok_and(|peer| peer["state"] == "established")
    }

    /// A command of nft on the switch.
    fn on_the_switch(&self, line: &str) {
        let switch = self.underlay.namespace();
        output(switch, switch.command("nft").arg(line)).unwrap();
    }

    /// The node's own blocks, IPv4 first.
    pub(crate) fn blocks(&self) -> [Cidr; 2] {
        let both = self.block().unwrap();
        let (v4, v6) = both.split_once(" + ").unwrap();
        [v4.parse().unwrap(), v6.parse().unwrap()]
    }

    /// Twill's route to this prefix in the kernel.
    pub(crate) fn route(&self, prefix: &str) -> Option<Route> {
        let family = if prefix.contains(':') {
            Family::V6
        } else {
            Family::V4
        };
        let all = routes(self.node.namespace(), family).unwrap();
        all.into_iter()
            .find(|route| route.dst == prefix && route.protocol.as_deref() == Some("84"))
    }

    /// Waits until the kernel has Twill's route to this prefix through this gateway.
    pub(crate) fn has(&self, prefix: &str, gateway: &str) {
        let so = eventually("the route is there", SOON, || {
            self.route(prefix)
                .is_some_and(|route| route.gateway.as_deref() == Some(gateway))
        });
        assert!(
            so.is_ok(),
            "{prefix} through {gateway}, but {:?}",
            self.route(prefix)
        );
    }

    /// Waits until the kernel has no route of Twill's to this prefix.
    pub(crate) fn has_not(&self, prefix: &str) {
        eventually(&format!("there is no route to {prefix}"), SOON, || {
            self.route(prefix).is_none()
        })
        .unwrap();
    }
}

fn settings(directory: &TempDir) -> PathBuf {
    directory.path().join("twill.toml")
}

fn write_settings(directory: &TempDir, bgp: &str) {
    let text = format!("backend = \"bgp\"\n[bgp]\nmesh = false\n{bgp}");
    std::fs::write(settings(directory), text).unwrap();
}

/// A peer's table: everything is taken, what is ours is told.
pub(crate) fn peer(name: &str, address: &str, asn: u32, more: &str) -> String {
    format!(
        "[[bgp.peer]]\nname = \"{name}\"\naddress = \"{address}\"\nas = {asn}\nimport = \"all\"\nexport = \"own\"\n{more}\n"
    )
}

/// How Twill and one other daemon peer.
pub(crate) struct Between {
    /// Twill's AS.
    pub(crate) own_as: u32,
    /// The other's AS.
    pub(crate) asn: u32,
    /// Whether the session is over IPv6, for IPv6 alone.
    pub(crate) over_ipv6: bool,
    /// More lines of Twill's table for the peer.
    pub(crate) lines: String,
    /// Whether the switch holds all of TCP back until [`Pair::let_go`].
    pub(crate) held: bool,
}

impl Default for Between {
    fn default() -> Self {
        Self {
            own_as: TWILL_AS,
            asn: 65_002,
            over_ipv6: false,
            lines: String::new(),
            held: false,
        }
    }
}

/// Twill, and one other daemon as machine 2 with 10.2.0.0/16 and fd02::/48; Twill calls it `other`.
pub(crate) struct Pair {
    pub(crate) speaker: Speaker,
    pub(crate) scene: Scene,
    /// Twill's address.
    pub(crate) twill: IpAddr,
    pub(crate) other: Machine,
    over_ipv6: bool,
}

/// What nft is told to let no TCP over IPv4 through the switch.
const HOLD: [&str; 3] = [
    "add table bridge hold",
    "add chain bridge hold forwarded { type filter hook forward priority 0; }",
    "add rule bridge hold forwarded ip protocol tcp drop",
];

pub(crate) const ROUTE: &str = "10.2.0.0/16";
pub(crate) const ROUTE6: &str = "fd02::/48";

impl Pair {
    pub(crate) fn new(brand: Brand, between: &Between, tweak: impl Fn(&mut Neighbour)) -> Self {
        let address = if between.over_ipv6 {
            "fd99::2"
        } else {
            "10.99.0.2"
        };
        let families = if between.over_ipv6 {
            "families = [\"ipv6\"]\n"
        } else {
            ""
        };
        let table = peer(
            "other",
            address,
            between.asn,
            &format!("{families}{}", between.lines),
        );
        let scene = Scene::new(&format!("as = {}\n{table}", between.own_as));
        if between.held {
            HOLD.iter().for_each(|line| scene.on_the_switch(line));
        }
        let twill = if between.over_ipv6 { TWILL6 } else { TWILL };
        let mut neighbour = Neighbour::new(twill, between.own_as);
        neighbour.families = if between.over_ipv6 {
            Stack::V6
        } else {
            Stack::Dual
        };
        tweak(&mut neighbour);
        let other = scene.machine(2);
        let setup = PeerSetup::new(between.asn, other.addresses).neighbour(neighbour);
        let setup = setup.routes(&[ROUTE, ROUTE6]).installing();
        let speaker = brand.start(&other.namespace, setup).unwrap();
        Self {
            speaker,
            scene,
            twill,
            other,
            over_ipv6: between.over_ipv6,
        }
    }

    /// TCP gets through again.
    pub(crate) fn let_go(&self) {
        self.scene.on_the_switch("delete table bridge hold");
    }

    /// Waits for the session on both ends.
    pub(crate) fn is_up(&mut self) {
        self.speaker.wait_up(self.twill, SOON).unwrap();
        let up = eventually("Twill has the session", SOON, || self.scene.is_up("other"));
        assert!(up.is_ok(), "{up:?}: {:?}", self.scene.peer("other"));
    }

    /// Waits until Twill has been told again all that it keeps. Of a peer that goes before that nothing is kept a second time
    /// (RFC 4724 section 4.2).
    pub(crate) fn has_told_all(&self) {
        eventually("nothing of before is kept", SOON, || {
            let said = self.scene.says(&["show", "peer", "other", "--json"]);
            let peer: Value = serde_json::from_str(&said).unwrap();
            let mut families = peer["routes"].as_array().unwrap().iter();
            families.all(|family| family["stale"] == 0)
        })
        .unwrap();
    }

    /// Waits until each has the other's routes, Twill in its kernel.
    pub(crate) fn routes_go_both_ways(&self) {
        let [block, block6] = self.scene.blocks();
        if !self.over_ipv6 {
            self.scene.has(ROUTE, "10.99.0.2");
            self.told(block);
        }
        self.scene.has(ROUTE6, "fd99::2");
        self.told(block6);
    }

    /// Waits until the other has this of Twill.
    pub(crate) fn told(&self, prefix: Cidr) {
        let what = format!("{} has {prefix}", self.speaker.brand());
        eventually(&what, SOON, || self.knows(prefix)).unwrap();
    }

    pub(crate) fn knows(&self, prefix: Cidr) -> bool {
        self.speaker
            .routes_from(self.twill)
            .is_ok_and(|routes| routes.contains(&prefix))
    }
}
