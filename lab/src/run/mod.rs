//! `twill lab`: a whole pod network on one machine, built, probed, shown and taken down.

mod options;
mod progress;

pub use options::{Backend, Hold, Options, Report};

use crate::error::{LabError, Result};
use crate::interrupt::Interrupts;
use crate::{
    Cluster, Daemon, DaemonCommand, Plan, Pod, PublishedName, Stack, Store, leftovers, probe,
};
use progress::Progress;
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

const PODS_PER_NODE: u32 = 2;

/// How long all daemons together may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of each daemon's log is shown when the lab fails.
const LOG_LINES: usize = 5;

/// How long Ctrl-C may go unnoticed meanwhile.
const SHORT_WAIT: Duration = Duration::from_millis(100);

/// Builds the lab, probes it, shows it, holds it as long as asked, and takes it down whatever happens.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<Report> {
    if !nix::unistd::geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    options.check()?;
    leftovers::sweep();
    let interrupts = Interrupts::catch()?;
    let mut progress = Progress::new(out, interrupts);
    progress.say(&options.headline());
    let mut lab = Lab::build(options, &mut progress)?;
    let result = lab.exercise(options, &mut progress);
    lab.keep_logs(options, &result, &mut progress);
    progress.step("taken down", |_| {
        drop(lab);
        Ok(String::new())
    })?;
    result
}

/// In the order in which it is taken down: daemons before the nodes that they run in.
struct Lab {
    daemons: Vec<Daemon>,
    pods: Vec<Pod>,
    names: Vec<PublishedName>,
    cluster: Cluster,
}

impl Lab {
    fn build(options: &Options, progress: &mut Progress<'_>) -> Result<Self> {
        progress.step("nodes", |_| {
            let plan = Plan {
                nodes: options.nodes,
                shape: options.backend.shape(),
                stack: options.stack,
            };
            let cluster = Cluster::build(plan)?;
            let names = cluster
                .nodes
                .iter()
                .map(|node| node.namespace().publish(&leftovers::own_name(node.name())));
            let names = names.collect::<Result<_>>()?;
            Ok((
                Self {
                    daemons: Vec::new(),
                    pods: Vec::new(),
                    names,
                    cluster,
                },
                options.underlay(),
            ))
        })
    }

    fn exercise(&mut self, options: &Options, progress: &mut Progress<'_>) -> Result<Report> {
        let start = Instant::now();
        progress.step("daemons", |progress| self.start_daemons(options, progress))?;
        progress.step("pods", |_| self.add_pods())?;
        progress.step("ping", |progress| {
            self.each_pair(progress, probe::ping_between)
        })?;
        progress.step("source address", |progress| {
            let pairs = self.each_pair(progress, probe::source_is_kept)?;
            Ok(format!("{pairs}, unchanged over UDP and TCP"))
        })?;
        progress.step("full MTU", |progress| {
            let mtu = self.cluster.nodes[0].subnet_env()?.mtu;
            let pairs = self.each_pair(progress, |from, to| probe::mtu_is_exact(from, to, mtu))?;
            Ok(format!("{pairs}, {mtu} bytes with DF"))
        })?;
        self.show(options, progress)?;
        let report = Report {
            nodes: self.cluster.nodes.len(),
            pods: self.pods.len(),
            took: start.elapsed(),
        };
        self.hold(options, progress);
        Ok(report)
    }

    fn start_daemons(&mut self, options: &Options, progress: &Progress<'_>) -> Result<String> {
        let store = self.store();
        std::fs::create_dir_all(&store)
            .and_then(|()| std::fs::write(store.join("config"), options.network_config()))
            .map_err(LabError::system(format!(
                "write the network config into {}",
                store.display()
            )))?;
        let command = self.daemon_command(options);
        for node in &self.cluster.nodes {
            self.daemons.push(node.start(&command)?);
        }
        for daemon in &mut self.daemons {
            wait_ready(daemon, progress)?;
        }
        Ok(format!("{} ready", self.daemons.len()))
    }

    fn store(&self) -> PathBuf {
        self.cluster.directory().join("store")
    }

    fn daemon_command(&self, options: &Options) -> DaemonCommand {
        DaemonCommand::new(&options.binary, Store::File(self.store()))
            .backend(options.backend.name())
    }

    fn add_pods(&mut self) -> Result<String> {
        for node in &self.cluster.nodes {
            let env = node.subnet_env()?;
            node.add_bridge(&env)?;
            for number in 1..=PODS_PER_NODE {
                let pod = node.add_pod(&env, number)?;
                self.names
                    .push(pod.namespace().publish(&leftovers::own_name(pod.name()))?);
                self.pods.push(pod);
            }
        }
        Ok(format!(
            "{} on {} nodes",
            self.pods.len(),
            self.cluster.nodes.len()
        ))
    }

    fn each_pair(
        &self,
        progress: &Progress<'_>,
        probe: impl Fn(&Pod, &Pod) -> Result<()>,
    ) -> Result<String> {
        let mut pairs = 0;
        for (from, to) in probe::all_pairs(&self.pods) {
            progress.check()?;
            probe(from, to)?;
            pairs += 1;
        }
        Ok(format!("{pairs} of {pairs} pairs"))
    }

    fn show(&self, options: &Options, progress: &mut Progress<'_>) -> Result<()> {
        let node = &self.cluster.nodes[0];
        let routes = node.twill_says(&self.daemon_command(options), &["show", "routes"])?;
        progress.say(&format!("\n{}: twill show routes\n{routes}", node.name()));
        progress.say("pod           node    addresses");
        for pod in &self.pods {
            let node = pod.name().split('-').next().unwrap_or_default();
            let addresses: Vec<String> = pod
                .addresses()
                .iter()
                .map(|address| address.to_string())
                .collect();
            progress.say(&format!(
                "{:<13} {node:<7} {}",
                pod.name(),
                addresses.join("  ")
            ));
        }
        progress.say("");
        Ok(())
    }

    fn keep_logs(
        &mut self,
        options: &Options,
        result: &Result<Report>,
        progress: &mut Progress<'_>,
    ) {
        let failed = matches!(result, Err(error) if !matches!(error, LabError::Interrupted));
        if failed {
            for daemon in &mut self.daemons {
                progress.say(&daemon.process().log_ending(LOG_LINES));
            }
        }
        if failed || options.keep_logs {
            self.cluster.keep_directory();
            progress.say(&format!(
                "logs kept in {}: remove them when read",
                self.cluster.directory().display()
            ));
        }
    }

    fn hold(&self, options: &Options, progress: &mut Progress<'_>) {
        let Some(hold) = options.hold else { return };
        let there = self.pods.last().and_then(|pod| pod.addresses().first());
        let here = leftovers::own_name("node1-pod1");
        let node = leftovers::own_name("node1");
        progress.say(&format!("up {hold}; Ctrl-C takes it down. Look inside:"));
        if let Some(there) = there {
            progress.say(&format!("  ip netns exec {here} ping {there}"));
        }
        progress.say(&format!("  ip netns exec {node} ip route"));
        let run_directory = self.cluster.nodes[0].run_directory();
        progress.say(&format!(
            "  ip netns exec {node} {} show status --run-dir {}",
            options.binary.display(),
            run_directory.display()
        ));
        let end = hold.duration().map(crate::Deadline::after);
        while !progress.interrupted() && !end.is_some_and(crate::Deadline::has_passed) {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// In short waits, so that Ctrl-C is felt.
fn wait_ready(daemon: &mut Daemon, progress: &Progress<'_>) -> Result<()> {
    let deadline = crate::Deadline::after(PATIENCE);
    loop {
        progress.check()?;
        match daemon.wait_ready(SHORT_WAIT) {
            Err(LabError::TimedOut { .. }) if !deadline.has_passed() => {}
            Err(LabError::TimedOut { what, detail, .. }) => {
                return Err(LabError::TimedOut {
                    what,
                    waited: PATIENCE,
                    detail,
                });
            }
            answer => return answer,
        }
    }
}

impl Stack {
    /// The pod ranges of a lab, as flannel's network config names them.
    fn pod_networks(self) -> &'static str {
        match self {
            Self::V4 => r#""Network":"10.244.0.0/16""#,
            Self::V6 => r#""EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:244::/48""#,
            Self::Dual => {
                r#""Network":"10.244.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:244::/48""#
            }
        }
    }
}
