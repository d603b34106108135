//! What makes a machine a node: containerd, kubelet and kube-proxy, and the images of pods.

use super::cluster::{Cluster, PATIENCE};
use super::{Machine, kubernetes_program};
use lab::{Addresses, LabError, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Where containerd answers.
const SOCKET: &str = "/run/containerd/containerd.sock";

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

impl Cluster {
    /// Switches machine `number` on, with containerd, kubelet and kube-proxy.
    pub(super) fn boot(&self, number: u8) -> Result<Machine, LabError> {
        let name = format!("node{number}");
        let disk = self.directory().join(&name);
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
