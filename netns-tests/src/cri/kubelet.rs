//! What a kubelet asks of a container runtime, for one pod at a time.

use super::containerd::Containerd;
use super::image::IMAGE;
use super::messages::{
    Condition, ContainerConfig, ContainerId, ContainerMetadata, CreateContainer, ExecSync,
    ExecSyncAnswer, Image, LinuxPod, Mount, Nothing, PodConfig, PodMetadata, PortMapping,
    RunPodSandbox, SandboxId, SandboxStatusAnswer, StatusAnswer,
};
use serde_json::Value;
use std::net::IpAddr;
use std::path::PathBuf;
use tonic::Status;

/// A port of the node that leads to one of the pod.
#[derive(Debug, Clone, Copy)]
pub struct PodPort {
    /// On the node.
    pub host: u16,
    /// In the pod.
    pub container: u16,
}

/// A pod's sandbox with one container in it, in which commands can be run: it has the node's `/usr`.
#[derive(Debug)]
pub struct Sandbox {
    /// The runtime's name of it, `CNI_CONTAINERID` for plugins.
    pub id: String,
    /// The pod's addresses, as the kubelet is told.
    pub addresses: Vec<IpAddr>,
    /// The pod's network namespace, as the plugin was told it.
    pub netns: String,
    container: String,
}

impl Containerd {
    /// Whether the runtime could add a pod: `Ready` of a node depends on it. With what it says.
    pub fn network_ready(&self) -> Result<(bool, String), Status> {
        let conditions = self.conditions()?.into_iter();
        let mut network = conditions.filter(|condition| condition.kind == "NetworkReady");
        let found = network.next().ok_or(Status::not_found("NetworkReady"))?;
        Ok((found.status, found.message))
    }

    /// Runs a pod of this name in the namespace `shop`, with annotations and ports.
    pub fn run_pod(
        &self,
        name: &str,
        annotations: &[(&str, &str)],
        ports: &[PodPort],
    ) -> Result<Sandbox, Status> {
        let config = self.pod(name, annotations, ports);
        let request = RunPodSandbox {
            config: Some(config.clone()),
        };
        let SandboxId {
            pod_sandbox_id: id, ..
        } = self.call("RunPodSandbox", request)?;
        let (addresses, netns) = self.network_of(&id)?;
        let container = self.run_container(&id, config)?;
        Ok(Sandbox {
            id,
            addresses,
            netns,
            container,
        })
    }

    /// Stops a pod: the runtime has the plugins take its network away.
    pub fn stop_pod(&self, sandbox: &Sandbox) -> Result<(), Status> {
        self.sandbox_call("StopPodSandbox", &sandbox.id)
    }

    /// Removes a pod that was stopped.
    pub fn remove_pod(&self, sandbox: &Sandbox) -> Result<(), Status> {
        self.sandbox_call("RemovePodSandbox", &sandbox.id)
    }

    /// Runs a command in a pod; its output, or with another exit code than 0 what it said.
    pub fn exec(&self, sandbox: &Sandbox, command: &[&str]) -> Result<String, String> {
        let request = ExecSync {
            container_id: sandbox.container.clone(),
            cmd: command.iter().map(|&word| word.to_owned()).collect(),
            timeout: 20,
        };
        let answer: Result<ExecSyncAnswer, Status> = self.call("ExecSync", request);
        let answer = answer.map_err(|status| status.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match answer.exit_code {
            0 => Ok(text(&answer.stdout)),
            code => Err(format!(
                "{command:?} ends with {code}: {}{}",
                text(&answer.stdout),
                text(&answer.stderr)
            )),
        }
    }

    /// A pod's network namespace, for who is outside of the runtime's mounts.
    pub fn netns_of(&self, sandbox: &Sandbox) -> PathBuf {
        self.outside(&sandbox.netns.replace("/var/run/", "/run/"))
    }

    pub(super) fn conditions(&self) -> Result<Vec<Condition>, Status> {
        let answer: StatusAnswer = self.call("Status", Nothing {})?;
        Ok(answer.status.unwrap_or_default().conditions)
    }

    fn sandbox_call(&self, method: &str, id: &str) -> Result<(), Status> {
        let request = SandboxId {
            pod_sandbox_id: id.into(),
            verbose: false,
        };
        self.call::<_, Nothing>(method, request).map(drop)
    }

    fn pod(&self, name: &str, annotations: &[(&str, &str)], ports: &[PodPort]) -> PodConfig {
        let annotations = annotations.iter();
        PodConfig {
            metadata: Some(PodMetadata {
                name: name.into(),
                uid: format!("uid-{name}"),
                namespace: "shop".into(),
            }),
            port_mappings: ports.iter().map(mapping).collect(),
            annotations: annotations
                .map(|&(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            linux: Some(LinuxPod {
                cgroup_parent: self.cgroup().into(),
            }),
        }
    }

    fn network_of(&self, id: &str) -> Result<(Vec<IpAddr>, String), Status> {
        let request = SandboxId {
            pod_sandbox_id: id.into(),
            verbose: true,
        };
        let answer: SandboxStatusAnswer = self.call("PodSandboxStatus", request)?;
        let network = answer.status.and_then(|status| status.network);
        let network = network.ok_or(Status::not_found("the sandbox's network"))?;
        let more = network.additional_ips.iter().map(|other| &other.ip);
        let all = [&network.ip].into_iter().chain(more);
        let addresses = all.filter_map(|text| text.parse().ok()).collect();
        let info = answer.info.get("info").map_or("", String::as_str);
        Ok((addresses, netns(info)))
    }

    fn run_container(&self, sandbox: &str, pod: PodConfig) -> Result<String, Status> {
        let usr = Mount {
            container_path: "/usr".into(),
            host_path: "/usr".into(),
            readonly: true,
        };
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata {
                name: "main".into(),
            }),
            image: Some(Image {
                image: IMAGE.into(),
            }),
            command: vec!["/pause".into()],
            mounts: vec![usr],
        };
        let request = CreateContainer {
            pod_sandbox_id: sandbox.into(),
            config: Some(config),
            sandbox_config: Some(pod),
        };
        let container: ContainerId = self.call("CreateContainer", request)?;
        self.call::<_, Nothing>("StartContainer", container.clone())?;
        Ok(container.container_id)
    }
}

fn mapping(port: &PodPort) -> PortMapping {
    PortMapping {
        protocol: 0,
        container_port: port.container.into(),
        host_port: port.host.into(),
    }
}

/// The path of the network namespace in containerd's own words about a sandbox.
fn netns(info: &str) -> String {
    let info: Value = serde_json::from_str(info).unwrap_or_default();
    let all = info["runtimeSpec"]["linux"]["namespaces"].as_array();
    let mut network = all
        .into_iter()
        .flatten()
        .filter(|one| one["type"] == "network");
    let path = network.next().and_then(|one| one["path"].as_str());
    path.unwrap_or_default().to_owned()
}
