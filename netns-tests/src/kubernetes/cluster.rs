//! A whole cluster: the control plane, and machines with containerd, kubelet and kube-proxy on each.

use super::api_server::service_ranges;
use super::{ApiServer, Machine, kubernetes_program};
use lab::{Addresses, LabError, Process, Shape, Stack, Underlay, eventually, ip};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, thread};
use tempfile::TempDir;

/// How long the cluster may take for any one thing.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The host number of the control plane; machines have theirs from 1.
const CONTROL: u8 = 250;

/// The cluster's DNS.
const COREDNS: &str = include_str!("../../kubernetes/coredns.yaml");

/// Where the machines' containerd answers.
const SOCKET: &str = "/run/containerd/containerd.sock";

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
    plan: Plan,
    /// The kubeconfig of all kube-proxies.
    proxy: PathBuf,
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
            let boots: Vec<_> = (1..=cluster.plan.machines)
                .map(|number| scope.spawn(move || cluster.boot(number)))
                .collect();
            boots
                .into_iter()
                .map(|boot| boot.join().expect("it does not panic"))
                .collect()
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
        let names: Vec<String> = machines
            .map(|machine| format!("node/{}", machine.name()))
            .collect();
        let mut missing = String::new();
        eventually("every node is known", PATIENCE, || {
            let known = self.server.kubectl(&["get", "nodes", "--output", "name"]);
            missing = known.unwrap_or_default();
            names
                .iter()
                .all(|name| missing.lines().any(|line| line == name))
        })?;
        let patience = format!("--timeout={}s", PATIENCE.as_secs());
        let mut words = vec!["wait", "--for=condition=Ready", &patience];
        words.extend(names.iter().map(String::as_str));
        self.server.kubectl(&words)?;
        self.lead_to_pods()?;
        self.server
            .kubectl(&[
                "rollout",
                "status",
                &patience,
                "--namespace=kube-system",
                "deployment/coredns",
            ])
            .map(drop)
    }

    /// A pod's addresses, once it has them and is ready.
    pub fn pod_addresses(&self, namespace: &str, name: &str) -> Result<Vec<IpAddr>, LabError> {
        let patience = format!("--timeout={}s", PATIENCE.as_secs());
        let (pod, of) = (format!("pod/{name}"), format!("--namespace={namespace}"));
        self.server
            .kubectl(&["wait", "--for=condition=Ready", &patience, &of, &pod])?;
        let pod = self.server.get(&[&of, &pod])?;
        let all = pod["status"]["podIPs"].as_array().into_iter().flatten();
        Ok(all
            .filter_map(|one| one["ip"].as_str()?.parse().ok())
            .collect())
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
    fn dns(&self) -> String {
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

    fn boot(&self, number: u8) -> Result<Machine, LabError> {
        let name = format!("node{number}");
        let disk = self.directory.path().join(&name);
        let is_new = !disk.exists();
        if is_new {
            furnish(&disk);
        }
        let mut machine = Machine::boot(&self.underlay, number, &name, &disk)?;
        let write = |file: &str, text: String| {
            let path = disk.join(file);
            fs::write(&path, text).expect("the disk is writable");
            path.display().to_string()
        };
        let containerd = write("containerd.toml", CONTAINERD.replace("SOCKET", SOCKET));
        machine.start(Path::new("containerd"), &["--config".into(), containerd])?;
        eventually(&format!("containerd of {name} answers"), PATIENCE, || {
            machine
                .run("ctr", &["--address", SOCKET, "version"])
                .is_ok()
        })?;
        if is_new {
            self.import(&machine)?;
        }
        let kubelet = write("kubelet.json", self.kubelet_config(&disk).to_string());
        // For pods that ask no DNS of the cluster; nobody answers there.
        write(
            "resolv.conf",
            format!("nameserver {}\n", self.server.address()),
        );
        let user = self
            .server
            .user(&format!("system:node:{name}"), "system:nodes");
        let args = [
            format!("--config={kubelet}"),
            format!("--kubeconfig={}", user.display()),
            format!("--hostname-override={name}"),
            format!("--node-ip={}", joined(machine.addresses())),
        ];
        machine.start(&kubernetes_program("kubelet"), &args)?;
        let args = [
            format!("--kubeconfig={}", self.proxy.display()),
            format!("--hostname-override={name}"),
            "--proxy-mode=nftables".into(),
            format!("--cluster-cidr={}", self.pods()),
            // Settings of the whole kernel, which the machine has no right to.
            "--conntrack-max-per-core=0".into(),
            "--conntrack-tcp-timeout-established=0".into(),
            "--conntrack-tcp-timeout-close-wait=0".into(),
            "--oom-score-adj=0".into(),
            "--nodeport-addresses=primary".into(),
        ];
        machine.start(&kubernetes_program("kube-proxy"), &args)?;
        Ok(machine)
    }

    fn import(&self, machine: &Machine) -> Result<(), LabError> {
        for image in &self.plan.images {
            let image = image.display().to_string();
            let ctr = ["--address", SOCKET, "--namespace", "k8s.io"];
            machine.run("ctr", &[&ctr[..], &["images", "import", &image]].concat())?;
        }
        Ok(())
    }

    fn kubelet_config(&self, disk: &Path) -> Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": { "enabled": false },
                "webhook": { "enabled": false },
                "x509": { "clientCAFile": self.server.authority() },
            },
            "authorization": { "mode": "AlwaysAllow" },
            "clusterDNS": [self.dns()],
            "clusterDomain": "cluster.local",
            "resolvConf": disk.join("resolv.conf"),
            "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": false,
            "failSwapOn": false,
            "oomScoreAdj": 0,
            "serializeImagePulls": false,
            "imageGCHighThresholdPercent": 100,
            // The machines share one disk, which others fill as well.
            "evictionHard": { "memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
        })
    }
}

impl Cluster {
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

/// One cluster fills a small machine: the next waits for its turn. As long as it lasts the kernel allows as many inotify
/// instances as the daemons of many machines want.
#[derive(Debug)]
struct Turn {
    before: String,
    _guard: MutexGuard<'static, ()>,
}

const INSTANCES: &str = "/proc/sys/fs/inotify/max_user_instances";

impl Turn {
    fn wait() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let guard = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let before = fs::read_to_string(INSTANCES).unwrap_or_default();
        fs::write(INSTANCES, "8192").expect("root may write sysctls");
        Self {
            before,
            _guard: guard,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = fs::write(INSTANCES, &self.before);
    }
}

/// Gives a new disk the images that every machine has, unpacked: links to what does not change, and databases of its own.
fn furnish(disk: &Path) {
    let databases = [
        "io.containerd.metadata.v1.bolt/meta.db",
        "io.containerd.snapshotter.v1.overlayfs/metadata.db",
    ];
    let [meta, _] = databases.map(|name| kubernetes_program(&format!("images/containerd/{name}")));
    let unpacked = meta.ancestors().nth(2).expect("it is in a directory");
    let own = disk.join("var/lib/containerd");
    fs::create_dir_all(&own).expect("the directory is writable");
    let cp = |args: &[&str], from: &Path, to: &Path| {
        let done = Command::new("cp").args(args).arg(from).arg(to).output();
        done.is_ok_and(|done| done.status.success())
    };
    let all = unpacked.join(".");
    // Links do not lead to another file system.
    let done = (cp(&["--archive", "--link"], &all, &own) || cp(&["--archive"], &all, &own))
        && databases.iter().all(|name| {
            cp(
                &["--remove-destination"],
                &unpacked.join(name),
                &own.join(name),
            )
        });
    assert!(
        done,
        "cannot copy {} to {}",
        unpacked.display(),
        own.display()
    );
}

fn joined(addresses: Addresses) -> String {
    let all: Vec<_> = addresses
        .iter()
        .map(|address| address.to_string())
        .collect();
    all.join(",")
}

/// As Debian's package configures it, but for what a machine that is no machine has not.
const CONTAINERD: &str = r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt"]
[grpc]
  address = "SOCKET"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
"#;
