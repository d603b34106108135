//! A whole cluster: the control plane, and machines with containerd, kubelet and kube-proxy on each.

use super::api_server::service_ranges;
use super::machine::sweep;
use super::turn::Turn;
use super::{ApiServer, Machine, kubernetes_program};
use lab::{LabError, Process, Shape, Stack, Underlay, eventually, ip};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// How long the cluster may take for any one thing.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The host number of the control plane; machines have theirs from 1.
const CONTROL: u8 = 250;

/// The cluster's DNS.
const COREDNS: &str = include_str!("../../kubernetes/coredns.yaml");

/// What to build.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many machines: 1 to 200.
    pub machines: u8,
    /// The families of underlay, pods and services.
    pub stack: Stack,
    /// Images for every machine, as archives, beside those that `netns-tests/kubernetes/images` makes.
    pub images: Vec<PathBuf>,
}

/// A Kubernetes cluster without a pod network: its nodes are not ready until one comes. All of it is gone when this value
/// is dropped.
///
/// Pods have addresses in [`POD_RANGES`], services in 10.96.0.0/16 and fd96::/108.
#[derive(Debug)]
pub struct Cluster {
    /// The machines, `node1` first. None for one that is off.
    machines: Vec<Option<Machine>>,
    controllers: Vec<Process>,
    /// The API server, and kubectl.
    pub server: ApiServer,
    /// The machines' own network.
    pub underlay: Underlay,
    pub(super) plan: Plan,
    /// The kubeconfig of all kube-proxies.
    pub(super) proxy: PathBuf,
    directory: TempDir,
    _turn: Turn,
}

/// The ranges of the pods' addresses. Each node has a /24 and a /64 of them.
pub const POD_RANGES: [&str; 2] = ["10.244.0.0/16", "fd44::/48"];

impl Cluster {
    /// Starts the control plane and all machines.
    ///
    /// # Panics
    ///
    /// When a program is missing or the temporary directory cannot be written.
    pub fn build(plan: Plan) -> Result<Self, LabError> {
        let turn = Turn::wait();
        sweep();
        let directory = tempfile::tempdir().expect("there is a place for temporary files");
        let underlay = Underlay::new(Shape::OneSwitch, plan.stack)?;
        let server = ApiServer::start(&underlay, CONTROL, &[])?;
        let proxy = server.user("system:kube-proxy", "system:proxies");
        let mut cluster = Self {
            machines: Vec::new(),
            controllers: Vec::new(),
            server,
            underlay,
            plan,
            proxy,
            directory,
            _turn: turn,
        };
        cluster.start_controllers()?;
        let dns = COREDNS.replace("SERVICE-IP", &cluster.dns());
        cluster.apply(&dns)?;
        let booted: Vec<_> = thread::scope(|scope| {
            let cluster = &cluster;
            let boot = |number| scope.spawn(move || cluster.boot(number));
            let boots: Vec<_> = (1..=cluster.plan.machines).map(boot).collect();
            let booted = boots.into_iter().map(|boot| boot.join());
            booted.map(|end| end.expect("it does not panic")).collect()
        });
        for machine in booted {
            cluster.machines.push(Some(machine?));
        }
        Ok(cluster)
    }

    /// Applies manifests, as an administrator, on the side of the server.
    pub fn apply(&self, manifests: &str) -> Result<(), LabError> {
        self.server
            .kubectl_with(&["apply", "--server-side", "--filename", "-"], manifests)
            .map(drop)
    }

    /// Machine `number`, from 1.
    ///
    /// # Panics
    ///
    /// When there is none, or it is off.
    pub fn machine(&self, number: u8) -> &Machine {
        let machine = self.machines.get(usize::from(number) - 1);
        machine.and_then(Option::as_ref).expect("the machine is on")
    }

    /// The machines that are on.
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().flatten()
    }

    /// Switches a machine off, without a warning.
    pub fn switch_off(&mut self, number: u8) -> Result<(), LabError> {
        self.underlay.detach(1, number)?;
        self.machines[usize::from(number) - 1] = None;
        Ok(())
    }

    /// Switches it on again; its disk is as it was.
    pub fn switch_on(&mut self, number: u8) -> Result<(), LabError> {
        let machine = self.boot(number)?;
        self.machines[usize::from(number) - 1] = Some(machine);
        Ok(())
    }

    /// Waits until every node that has a machine is Ready and has a pod network, and the cluster's DNS answers.
    pub fn wait_ready(&self) -> Result<(), LabError> {
        let machines = self.machines();
        let nodes = machines.map(|machine| format!("node/{}", machine.name()));
        let nodes: Vec<String> = nodes.collect();
        eventually("every node is known", PATIENCE, || {
            let known = self.server.kubectl(&["get", "nodes", "--output=name"]);
            let known = known.unwrap_or_default();
            let mut nodes = nodes.iter();
            nodes.all(|node| known.lines().any(|line| line == node))
        })?;
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let patience = format!("--timeout={}s", PATIENCE.as_secs());
        let wait = ["wait", "--for=condition=Ready", &patience];
        self.server.kubectl(&[&wait[..], &nodes].concat())?;
        self.lead_to_pods()?;
        let dns = ["--namespace=kube-system", "deployment/coredns", &patience];
        let wait = ["rollout", "status"];
        self.server.kubectl(&[&wait[..], &dns].concat()).map(drop)
    }

    /// Runs a command in a pod, and returns what it printed.
    pub fn exec(&self, namespace: &str, pod: &str, command: &[&str]) -> Result<String, LabError> {
        let of = format!("--namespace={namespace}");
        self.server
            .kubectl(&[&["exec", &of, pod, "--"], command].concat())
    }

    /// The range of the pods' addresses, as flags and settings take it: both families with a comma.
    pub fn pods(&self) -> String {
        let [v4, v6] = POD_RANGES;
        let v4 = self.plan.stack.has_v4().then_some(v4);
        let v6 = self.plan.stack.has_v6().then_some(v6);
        v4.into_iter().chain(v6).collect::<Vec<_>>().join(",")
    }

    /// The families of its pods.
    pub fn stack(&self) -> Stack {
        self.plan.stack
    }

    /// Where files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The address of the cluster's DNS: the tenth of the services'.
    pub(super) fn dns(&self) -> String {
        let v4 = self.plan.stack.has_v4();
        if v4 { "10.96.0.10" } else { "fd96::a" }.into()
    }

    fn start_controllers(&mut self) -> Result<(), LabError> {
        let admin = self.server.admin();
        let file = |name| self.server.file(name).display().to_string();
        let shared = [
            format!("--kubeconfig={}", admin.display()),
            "--leader-elect=false".into(),
            "--profiling=false".into(),
            "--bind-address=127.0.0.1".into(),
        ];
        let manager = [
            "--allocate-node-cidrs=true".into(),
            format!("--cluster-cidr={}", self.pods()),
            format!(
                "--service-cluster-ip-range={}",
                service_ranges(self.plan.stack).join(",")
            ),
            format!("--root-ca-file={}", file("ca.pem")),
            format!(
                "--service-account-private-key-file={}",
                file("accounts.key")
            ),
            format!("--cluster-signing-cert-file={}", file("ca.pem")),
            format!("--cluster-signing-key-file={}", file("ca.key")),
            "--use-service-account-credentials=true".to_owned(),
        ];
        for (name, more) in [
            ("kube-controller-manager", &manager[..]),
            ("kube-scheduler", &[]),
        ] {
            let mut command = self.server.namespace().command(kubernetes_program(name));
            command.args(&shared).args(more);
            let log = self.directory.path().join(format!("{name}.log"));
            self.controllers.push(Process::start(name, command, &log)?);
        }
        Ok(())
    }

    /// Gives the control plane a route to every node's pods, as the router of a cloud would have it: the API server speaks to
    /// some of them.
    fn lead_to_pods(&self) -> Result<(), LabError> {
        let nodes = self.server.get(&["nodes"])?;
        for node in nodes["items"].as_array().into_iter().flatten() {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            let Some(machine) = self.machines().find(|machine| machine.name() == name) else {
                continue;
            };
            let blocks = node["spec"]["podCIDRs"].as_array().into_iter().flatten();
            for block in blocks.filter_map(Value::as_str) {
                let mut addresses = machine.addresses().iter();
                let Some(via) = addresses.find(|own| own.is_ipv6() == block.contains(':')) else {
                    continue;
                };
                let words = ["route", "replace", block, "via", &via.to_string()];
                ip(self.server.namespace(), &words)?;
            }
        }
        Ok(())
    }
}
