//! A node: one machine of the cluster, in a namespace of its own.

use crate::error::Result;
use crate::underlay::no_dad;
use crate::{
    Addresses, Daemon, DaemonCommand, Namespace, Pod, SubnetEnv, Underlay, ip_batch, output,
};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One machine: a namespace with `eth0` on the underlay, and a directory for what its daemon keeps.
#[derive(Debug)]
pub struct Node {
    name: String,
    namespace: Namespace,
    addresses: Addresses,
    directory: PathBuf,
}

impl Node {
    /// A node on switch `subnet` of the underlay, as host number `host`.
    pub fn new(underlay: &Underlay, (subnet, host): (u8, u8), directory: &Path) -> Result<Self> {
        let name = format!("node{host}");
        let namespace = Namespace::new(&name)?;
        namespace.set_sysctls(&[
            ("net/ipv4/ip_forward", "1"),
            ("net/ipv6/conf/all/forwarding", "1"),
            ("net/ipv6/conf/default/accept_dad", "0"),
        ])?;
        let addresses = underlay.attach(&namespace, subnet, host)?;
        let directory = directory.join(&name);
        std::fs::create_dir_all(&directory).map_err(crate::LabError::system(format!(
            "make the directory {}",
            directory.display()
        )))?;
        Ok(Self {
            name,
            namespace,
            addresses,
            directory,
        })
    }

    /// `node1`, `node2`, ...
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its underlay addresses.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Where its daemon keeps its files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The daemon's run directory (`--run-dir`).
    pub fn run_directory(&self) -> PathBuf {
        self.directory.join("run")
    }

    /// The daemon's subnet file (`--subnet-file`).
    pub fn subnet_file(&self) -> PathBuf {
        self.directory.join("subnet.env")
    }

    /// What the daemon wrote into its subnet file.
    pub fn subnet_env(&self) -> Result<SubnetEnv> {
        SubnetEnv::read(&self.subnet_file())
    }

    /// Starts a daemon here; it need not be ready when this returns.
    pub fn start(&self, command: &DaemonCommand) -> Result<Daemon> {
        Daemon::start(self, command)
    }

    /// A command of twill inside this node, with the settings of its daemon: `node.twill(&daemon, &["show", "routes"])`.
    pub fn twill(&self, daemon: &DaemonCommand, words: &[&str]) -> Command {
        let mut command = self.namespace.command(&daemon.binary);
        command
            .args(words)
            .args(daemon.settings(self))
            .envs(daemon.env.iter().cloned());
        command
    }

    /// What such a command prints; a failure is an error.
    pub fn twill_says(&self, daemon: &DaemonCommand, words: &[&str]) -> Result<String> {
        output(&self.namespace, &mut self.twill(daemon, words))
    }

    /// Makes the pods' bridge `cni0` as the CNI bridge plugin does: with the gateway's addresses and the pods' MTU.
    pub fn add_bridge(&self, env: &SubnetEnv) -> Result<()> {
        let mut lines = vec![format!(
            "link add cni0 up mtu {} type bridge forward_delay 0 mcast_snooping 0",
            env.mtu
        )];
        lines.extend(
            env.gateways()
                .map(|gateway| format!("addr add {gateway} dev cni0{}", no_dad(gateway.address))),
        );
        ip_batch(&self.namespace, &lines)
    }

    /// Adds pod number `number` (from 1) to the bridge `cni0`.
    pub fn add_pod(&self, env: &SubnetEnv, number: u32) -> Result<Pod> {
        Pod::new(self, env, number)
    }
}
