//! A machine of a cluster: namespaces of all kinds, with a disk and with daemons of its own.

use super::kubernetes_program;
use lab::{Addresses, LabError, Namespace, Process, Underlay, eventually, output};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a machine may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What makes machines of namespaces.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kubernetes/machine");

/// A machine that runs. It is switched off, and all that ran on it with it, when this value is dropped; its disk is a
/// directory, and outlives it.
#[derive(Debug)]
pub struct Machine {
    first: Process,
    daemons: Vec<Process>,
    name: String,
    cgroup: String,
    namespace: Namespace,
    addresses: Addresses,
    disk: PathBuf,
}

impl Machine {
    /// Boots a machine from this disk, as host number `host` on the first switch of the underlay.
    ///
    /// # Panics
    ///
    /// When the disk cannot be written.
    pub fn boot(underlay: &Underlay, host: u8, name: &str, disk: &Path) -> Result<Self, LabError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("twill-test-{}-{count}", std::process::id());
        let namespace = Namespace::new(name)?;
        namespace.set_sysctls(&[
            ("net/ipv4/ip_forward", "1"),
            ("net/ipv6/conf/all/forwarding", "1"),
            ("net/ipv6/conf/default/accept_dad", "0"),
        ])?;
        let addresses = underlay.attach(&namespace, 1, host)?;
        let up = disk.join("up");
        let _ = fs::remove_file(&up);
        fs::create_dir_all(disk).expect("the disk is writable");
        let mut command = namespace.command(SCRIPT);
        let pause = kubernetes_program("pause");
        command.args(["boot", &cgroup, name]).arg(disk).arg(pause);
        let mut machine = Self {
            first: Process::start(name, command, &disk.join("boot.log"))?,
            daemons: Vec::new(),
            name: name.into(),
            cgroup,
            namespace,
            addresses,
            disk: disk.into(),
        };
        let is_up = eventually(&format!("{name} is up"), PATIENCE, || {
            up.exists() || machine.first.must_run().is_err()
        });
        machine.first.must_run().and(is_up).map(|()| machine)
    }

    /// Its name: `node1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its network namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its underlay addresses.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Where its disk is.
    pub fn disk(&self) -> &Path {
        &self.disk
    }

    /// A path of its file system, for who is outside: `path("/etc/cni/net.d")`.
    pub fn path(&self, inside: &str) -> PathBuf {
        format!("/proc/{}/root{inside}", self.pid()).into()
    }

    /// A command on it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.namespace.command(SCRIPT);
        command.args(["enter", &self.cgroup, &self.pid().to_string()]);
        command.arg(program);
        command
    }

    /// Runs a command on it to its end, and returns what it printed.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String, LabError> {
        output(&self.namespace, self.command(program).args(args))
    }

    /// Starts a daemon on it, which ends with it; its log is `NAME.log` on the disk.
    pub fn start(&mut self, program: &Path, args: &[String]) -> Result<(), LabError> {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let mut command = self.command(program);
        command.args(args);
        let log = self.disk.join(format!("{name}.log"));
        let daemon = Process::start(&format!("{name} of {}", self.name), command, &log)?;
        self.daemons.push(daemon);
        Ok(())
    }

    /// The network namespace of the pod that has this address.
    pub fn pod(&self, address: std::net::IpAddr) -> Result<Namespace, LabError> {
        let names = fs::read_dir(self.path("/run/netns"))
            .into_iter()
            .flatten()
            .flatten();
        let mut pods = names.filter_map(|name| Namespace::open(&name.path()).ok());
        let held = format!(" {address}/");
        let holds = |pod: &Namespace| {
            lab::ip(pod, &["-oneline", "address"]).is_ok_and(|text| text.contains(&held))
        };
        pods.find(holds).ok_or_else(|| LabError::Malformed {
            what: format!("the pods of {}", self.name),
            text: format!("none has the address {address}"),
        })
    }

    /// The first process inside; the one that we have started is its parent.
    fn pid(&self) -> u32 {
        let parent = self.first.pid();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let first = children.unwrap_or_default();
        first.trim().parse().unwrap_or_default()
    }
}

/// Removes the cgroups of machines whose test was killed; all else of them ended with it.
pub(super) fn sweep() {
    // What cannot be removed is in nobody's way.
    let _ = Command::new(SCRIPT).arg("sweep").output();
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With the first process all others of the machine end, and its mounts; a little later they are gone.
        let _ = self.first.kill();
        let _ = eventually("the cgroups are gone", PATIENCE, || {
            let mut remove = Command::new(SCRIPT);
            let done = remove.args(["remove", &self.cgroup]).output();
            done.is_ok_and(|done| done.status.success())
        });
    }
}
