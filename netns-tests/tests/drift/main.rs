//! What somebody changes in the kernel is put right at once, without waiting for the dump that comes each ten minutes.
//!
//! - `entries`: routes, nexthops, neighbours, FDB entries, addresses; one at a time and flushed.
//! - `devices`: the VTEP device deleted, down, with another MTU or MAC.
//! - `links`: the underlay link down and up, and networking restarted.
//! - `nodes`: this node itself changed between two starts.
//! - `peers`: leases that change while somebody meddles.
//! - `sysctls`: forwarding and router advertisements.
//! - `fights`: a program that insists.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod devices;
mod entries;
mod fights;
mod links;
mod nodes;
mod peers;
mod sysctls;

use lab::{Daemon, DaemonCommand, Node, Plan, Shape, Stack, eventually};
use netns_tests::{PodNetwork, READY, block_routes, config, data_plane, metric, subnet_key};
use std::collections::BTreeSet;
use std::time::Duration;

/// The bar is one second; a machine that does ten other things gets more. The next dump by itself is minutes away.
const SOON: Duration = Duration::from_secs(8);

const VXLAN: &str = r#"{"Type":"vxlan"}"#;
const HOST_GW: &str = r#"{"Type":"host-gw"}"#;

const VXLAN_PEER: &str = r#"{"PublicIP":"10.99.0.2","PublicIPv6":"fd99::2","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"fe:d9:bd:bd:f9:6d"},"BackendV6Data":{"VNI":1,"VtepMAC":"8e:0b:ad:ce:b3:2c"}}"#;
const HOST_GW_PEER: &str =
    r#"{"PublicIP":"10.99.0.2","PublicIPv6":"fd99::2","BackendType":"host-gw"}"#;
const PEER_BLOCK: &str = "10.244.60.0-24&fd00:244:0:22::-64";

/// One node of both families with a ready daemon, and one other node that is a key in etcd alone.
struct Scene {
    daemon: Daemon,
    command: DaemonCommand,
    network: PodNetwork,
    /// What has to be there again.
    whole: BTreeSet<String>,
}

impl Scene {
    fn new(backend: &str) -> Self {
        let plan = Plan {
            nodes: 1,
            shape: Shape::OneSwitch,
            stack: Stack::Dual,
        };
        let network = PodNetwork::new(plan, 1, &config(Stack::Dual, backend)).unwrap();
        let peer = match backend {
            VXLAN => VXLAN_PEER,
            _ => HOST_GW_PEER,
        };
        network.etcd.put(&subnet_key(PEER_BLOCK), peer).unwrap();
        // A vanished lease is believed at once: what is asked here is what the kernel then holds.
        let command = network.command().args(&["--vanished-grace", "0s"]);
        let mut daemon = network.node().start(&command).unwrap();
        daemon.wait_ready(READY).unwrap();
        let routes = || block_routes(network.node()).unwrap().len();
        eventually("both routes are there", READY, || routes() == 2).unwrap();
        let whole = data_plane(network.node()).unwrap();
        Self {
            daemon,
            command,
            network,
            whole,
        }
    }

    fn node(&self) -> &Node {
        self.network.node()
    }

    fn changes(&self) -> u64 {
        metric(self.node(), "twill_kernel_changes_total").unwrap()
    }

    /// Runs these commands (`ip ...`, `bridge ...`), one after the other.
    fn run(&self, commands: &[&str]) {
        for command in commands {
            let mut words = command.split(' ');
            let mut program = self.node().namespace().command(words.next().unwrap());
            program.args(words);
            lab::output(self.node().namespace(), &mut program).unwrap();
        }
    }

    /// Runs these commands while the daemon is frozen, so that it finds all of their work at once.
    fn run_behind_its_back(&mut self, commands: &[&str]) {
        self.daemon.process().freeze().unwrap();
        self.run(commands);
        self.daemon.process().thaw().unwrap();
    }

    /// After each of these commands the daemon has had to do something, and all is as it was.
    fn comes_back_after_each(&self, commands: &[&str]) {
        for command in commands {
            self.comes_back(&[command]);
        }
    }

    /// The same after all of them together.
    fn comes_back(&self, commands: &[&str]) {
        let before = self.changes();
        self.run(commands);
        self.is_whole(&commands.join("; "));
        let repaired = self.changes() > before;
        assert!(repaired, "{commands:?} did no harm: the test shows nothing");
    }

    /// Waits until all is as it was.
    fn is_whole(&self, after: &str) {
        let mut have = BTreeSet::new();
        let whole = eventually("all is as it was", SOON, || {
            have = data_plane(self.node()).unwrap_or_default();
            have == self.whole
        });
        assert!(
            whole.is_ok(),
            "after {after}:\nmissing {:#?}\nbesides {:#?}",
            self.whole.difference(&have).collect::<Vec<_>>(),
            have.difference(&self.whole).collect::<Vec<_>>()
        );
    }
}
