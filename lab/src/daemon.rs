//! A twill daemon in a node.

use crate::error::{LabError, Result};
use crate::{HttpResponse, Namespace, Node, Process, get, wait};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Where each daemon answers `/readyz`: on 127.0.0.1 of its own namespace.
pub const HEALTH_PORT: u16 = 8081;

/// The store that a daemon is pointed at.
#[derive(Debug, Clone)]
pub enum Store {
    /// A directory (`--store file://DIR`).
    File(PathBuf),
    /// The client URLs of an etcd cluster (`--etcd-endpoints`).
    Etcd(Vec<String>),
    /// A Kubernetes cluster (`--store kube`).
    Kube {
        /// How it is reached (`--kubeconfig-file`).
        kubeconfig: PathBuf,
        /// The file with the network config (`--net-config-path`).
        network_config: PathBuf,
    },
    /// What a file of settings names (`--config`).
    Named(PathBuf),
}

/// How to start a daemon in any node.
#[derive(Debug, Clone)]
pub struct DaemonCommand {
    /// The twill binary.
    pub binary: PathBuf,
    /// Its store.
    pub store: Store,
    /// `--backend`, if it is not to be taken from the network config.
    pub backend: Option<String>,
    /// Further arguments.
    pub args: Vec<String>,
    /// Further environment.
    pub env: Vec<(String, String)>,
}

/// A daemon that runs in a node; killed when this value is dropped.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    namespace: Namespace,
    node: String,
}

impl DaemonCommand {
    /// A daemon with this binary and store, and nothing else out of the ordinary.
    pub fn new(binary: impl Into<PathBuf>, store: Store) -> Self {
        Self {
            binary: binary.into(),
            store,
            backend: None,
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// With `--backend`.
    #[must_use]
    pub fn backend(mut self, backend: &str) -> Self {
        self.backend = Some(backend.into());
        self
    }

    /// With further arguments.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// With a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With another binary: an upgrade.
    #[must_use]
    pub fn binary(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = binary.into();
        self
    }

    /// The settings of every command of twill in `node`, as flags.
    pub fn settings(&self, node: &Node) -> Vec<String> {
        let mut args = self.store.arguments();
        args.extend(
            self.backend
                .iter()
                .flat_map(|backend| ["--backend".to_owned(), backend.clone()]),
        );
        let flags = [
            ("--iface", "eth0".to_owned()),
            ("--subnet-file", node.subnet_file().display().to_string()),
            ("--run-dir", node.run_directory().display().to_string()),
            (
                "--state-dir",
                node.directory().join("state").display().to_string(),
            ),
            ("--node-name", node.name().to_owned()),
            ("--healthz-ip", Ipv4Addr::LOCALHOST.to_string()),
            ("--healthz-port", HEALTH_PORT.to_string()),
        ];
        args.extend(
            flags
                .into_iter()
                .flat_map(|(flag, value)| [flag.to_owned(), value]),
        );
        args.extend(self.args.iter().cloned());
        args
    }
}

impl Store {
    /// The flags that point a command of twill at this store.
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Self::File(directory) => {
                vec!["--store".into(), format!("file://{}", directory.display())]
            }
            Self::Named(file) => vec!["--config".into(), file.display().to_string()],
            Self::Etcd(endpoints) => vec!["--etcd-endpoints".into(), endpoints.join(",")],
            Self::Kube {
                kubeconfig,
                network_config,
            } => vec![
                "--store=kube".into(),
                format!("--kubeconfig-file={}", kubeconfig.display()),
                format!("--net-config-path={}", network_config.display()),
            ],
        }
    }
}

impl Daemon {
    /// Starts it; [`Daemon::wait_ready`] tells when it has done its work.
    pub fn start(node: &Node, command: &DaemonCommand) -> Result<Self> {
        let program = node.twill(command, &["run"]);
        let log = node.directory().join("twill.log");
        let process = Process::start(&format!("twill in {}", node.name()), program, &log)?;
        Ok(Self {
            process,
            namespace: node.namespace().clone(),
            node: node.name().into(),
        })
    }

    /// The process, for signals and its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether `/readyz` says that the first complete listing is in the kernel.
    pub fn is_ready(&self) -> bool {
        self.get("/readyz")
            .is_ok_and(|response| response.status == 200)
    }

    /// What it answers to `/readyz` or `/metrics`.
    pub fn get(&self, path: &str) -> Result<HttpResponse> {
        let health = SocketAddr::from((Ipv4Addr::LOCALHOST, HEALTH_PORT));
        get(&self.namespace, health, path)
    }

    /// Waits until it is ready; fails at once if it ends.
    pub fn wait_ready(&mut self, patience: Duration) -> Result<()> {
        let mut ended = None;
        let ready = wait::eventually(&format!("{} is ready", self.node), patience, || {
            ended = self.process.must_run().err();
            ended.is_some() || self.is_ready()
        });
        if let Some(error) = ended {
            return Err(error);
        }
        ready.map_err(|error| match error {
            LabError::TimedOut { what, waited, .. } => LabError::TimedOut {
                what,
                waited,
                detail: self.process.log_hint(),
            },
            other => other,
        })
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.terminate()
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.process.kill()
    }
}
