//! A containerd of a test's own: in the node's network namespace, with mounts and processes that end with it.

use super::image;
use lab::{LabError, Namespace, Process, eventually, output};
use prost::Message;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

const PATIENCE: Duration = Duration::from_secs(30);

/// All that the machine has of these is hidden from it, and what it leaves there ends with it. libcni keeps its results in
/// /var/lib/cni: those are for tests to read.
const PLACES: &str = "mount -t tmpfs tmpfs /run && mkdir -p /var/lib/cni && mount --bind \"$0/results\" /var/lib/cni";

/// A running containerd.
#[derive(Debug)]
pub struct Containerd {
    client: Grpc<Channel>,
    process: Process,
    runtime: Runtime,
    namespace: Namespace,
    cgroup: String,
    directory: TempDir,
}

impl Containerd {
    /// Starts it on a node, with the directories where it finds plugins and network configs. The image is imported when
    /// this returns.
    ///
    /// # Panics
    ///
    /// When the temporary directory cannot be written.
    pub fn start(node: &Namespace, plugins: &Path, configs: &Path) -> Result<Self, LabError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let directory = tempfile::tempdir().expect("there is a place for temporary files");
        let at = directory.path();
        fs::create_dir(at.join("results")).expect("the directory is writable");
        fs::write(at.join("config.toml"), config(at, plugins, configs))
            .expect("the directory is writable");
        let image = image::build(node, at)?;
        let process = launch(node, at)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime of one thread can be made");
        let containerd = Self {
            client: Grpc::new(connect(&runtime, &at.join("containerd.sock"))),
            process,
            runtime,
            namespace: node.clone(),
            cgroup: format!(
                "/twill-test-{}-{}",
                std::process::id(),
                COUNT.fetch_add(1, Ordering::Relaxed)
            ),
            directory,
        };
        containerd.wait()?;
        containerd.import(&image)?;
        Ok(containerd)
    }

    /// What libcni knows of an attachment: the config and the result of its ADD.
    ///
    /// # Panics
    ///
    /// When it knows nothing.
    pub fn known_of(&self, network: &str, container: &str) -> serde_json::Value {
        let path = format!("results/results/{network}-{container}-eth0");
        let text = fs::read(self.directory.path().join(path)).expect("libcni has the result");
        serde_json::from_slice(&text).expect("libcni writes JSON")
    }

    /// A path of its mount namespace, for who is outside.
    pub fn outside(&self, path: &str) -> PathBuf {
        let unshare = self.process.pid();
        let children = format!("/proc/{unshare}/task/{unshare}/children");
        let first = fs::read_to_string(children).unwrap_or_default();
        PathBuf::from(format!("/proc/{}/root{path}", first.trim()))
    }

    /// The cgroup below which all pods are.
    pub(super) fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// One call of the service that runs pods.
    pub(super) fn call<Q, A>(&self, method: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = format!("/runtime.v1.RuntimeService/{method}");
        let path = PathAndQuery::try_from(path).expect("a method's name is a path");
        let mut client = self.client.clone();
        self.runtime.block_on(async {
            let ready = client.ready().await;
            ready.map_err(|error| Status::unavailable(error.to_string()))?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = client.unary(Request::new(request), path, codec).await;
            answer.map(Response::into_inner)
        })
    }

    fn wait(&self) -> Result<(), LabError> {
        eventually("containerd answers", PATIENCE, || self.conditions().is_ok())
    }

    fn import(&self, image: &Path) -> Result<(), LabError> {
        let mut ctr = self.namespace.command("ctr");
        ctr.arg("--address")
            .arg(self.directory.path().join("containerd.sock"))
            .args(["--namespace", "k8s.io", "images", "import"])
            .arg(image);
        output(&self.namespace, &mut ctr).map(drop)
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        // The processes in them end a little later.
        let _ = eventually("the pods' cgroups are gone", PATIENCE, || {
            without_cgroups(&self.cgroup)
        });
    }
}

fn launch(node: &Namespace, at: &Path) -> Result<Process, LabError> {
    let mut command = node.command("unshare");
    command
        .args(["--mount", "--propagation", "private", "--pid", "--fork"])
        .args(["--kill-child", "--mount-proc", "--", "sh", "-c"])
        .arg(format!(
            "{PLACES} && exec containerd --config \"$0/config.toml\""
        ))
        .arg(at);
    Process::start("containerd", command, &at.join("log"))
}

fn connect(runtime: &Runtime, socket: &Path) -> Channel {
    let _inside = runtime.enter();
    let address = format!("unix://{}", socket.display());
    let endpoint = Endpoint::from_shared(address).expect("a path is an address");
    endpoint.connect_lazy()
}

fn config(at: &Path, plugins: &Path, configs: &Path) -> String {
    let (at, plugins, configs) = (at.display(), plugins.display(), configs.display());
    format!(
        r#"version = 2
root = "{at}/root"
state = "{at}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{at}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{configs}"
"#,
        image = image::IMAGE
    )
}

/// Removes a cgroup with all below it from every hierarchy; whether none is left.
fn without_cgroups(name: &str) -> bool {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten();
    let mut trees: Vec<PathBuf> = hierarchies.map(|hierarchy| hierarchy.path()).collect();
    trees.push(root.to_owned());
    let left = trees
        .iter()
        .map(|tree| tree.join(name.trim_start_matches('/')));
    left.filter(|tree| !removed(tree)).count() == 0
}

fn removed(cgroup: &Path) -> bool {
    let below = fs::read_dir(cgroup).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.path().is_dir()) {
        removed(&entry.path());
    }
    let _ = fs::remove_dir(cgroup);
    !cgroup.exists()
}
