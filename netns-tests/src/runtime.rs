//! A container runtime, as far as plugins see one: it calls them with variables and a network config, and reads what they
//! say.

use lab::{LabError, Namespace, ip_batch};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Where Debian's package containernetworking-plugins puts its plugins.
pub const DEBIAN_PLUGINS: &str = "/usr/lib/cni";

/// A node for plugins: a namespace with the addresses 10.99.0.1 and fd99::1, a subnet file, and a directory for their
/// state.
#[derive(Debug)]
pub struct PluginNode {
    /// The node's namespace.
    pub namespace: Namespace,
    directory: TempDir,
}

/// One call of a plugin.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The plugin's binary.
    pub plugin: PathBuf,
    /// `CNI_COMMAND`.
    pub command: &'a str,
    /// `CNI_CONTAINERID`.
    pub container: &'a str,
    /// `CNI_NETNS`.
    pub netns: PathBuf,
    /// `CNI_ARGS`.
    pub args: &'a str,
    /// For stdin.
    pub config: Value,
}

/// What a plugin said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Whether its exit code was 0.
    pub success: bool,
    /// Its stdout; null when it said nothing.
    pub json: Value,
}

impl PluginNode {
    /// A node whose blocks are these, in the form of `subnet.env`.
    ///
    /// # Panics
    ///
    /// When the temporary directory cannot be written.
    pub fn new(v4: Option<&str>, v6: Option<&str>) -> Result<Self, LabError> {
        let node = Self {
            namespace: Namespace::new("node")?,
            directory: tempfile::tempdir().expect("there is a place for temporary files"),
        };
        node.write_subnet_file(v4, v6);
        let underlay = [
            "link add up0 up type bridge",
            "addr add 10.99.0.1/24 dev up0",
            "addr add fd99::1/64 dev up0 nodad",
        ];
        ip_batch(&node.namespace, &underlay.map(str::to_owned))?;
        Ok(node)
    }

    /// Writes the subnet file, as the daemon does.
    ///
    /// # Panics
    ///
    /// When the temporary directory cannot be written.
    pub fn write_subnet_file(&self, v4: Option<&str>, v6: Option<&str>) {
        let mut text = String::new();
        for (key, block) in [("FLANNEL_SUBNET", v4), ("FLANNEL_IPV6_SUBNET", v6)] {
            text.extend(block.map(|block| format!("{key}={block}\n")));
        }
        text.push_str("FLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n");
        std::fs::write(self.subnet_file(), text).expect("the directory is writable");
    }

    /// Its subnet file.
    pub fn subnet_file(&self) -> PathBuf {
        self.directory.path().join("subnet.env")
    }

    /// A directory for what plugins keep.
    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// The network config of twill-cni here, in this version, with these keys beside it.
    pub fn config(&self, version: &str, more: &Value) -> Value {
        let mut config = json!({
            "cniVersion": version,
            "name": "cbr0",
            "type": "twill-cni",
            "subnetFile": self.subnet_file(),
            "stateDir": self.state(),
            "hostLocalDir": self.directory.path().join("host-local"),
        });
        let keys = more.as_object().into_iter().flatten();
        keys.for_each(|(key, value)| config[key] = value.clone());
        config
    }

    /// Calls twill-cni for a pod, in version 1.1.0.
    pub fn call(&self, command: &str, container: &str, netns: &Path, more: &Value) -> Said {
        let call = Call {
            plugin: crate::twill_cni(),
            command,
            container,
            netns: netns.into(),
            args: "",
            config: self.config("1.1.0", more),
        };
        call.run(&self.namespace)
    }

    /// Adds a pod, and returns the result.
    ///
    /// # Panics
    ///
    /// When the plugin fails.
    pub fn add(&self, container: &str, pod: &Namespace) -> Value {
        let said = self.call("ADD", container, &pod.path(), &Value::Null);
        assert!(said.success, "{}", said.json);
        said.json
    }

    /// The names of the attachments' records.
    pub fn held(&self) -> Vec<String> {
        Self::records(&self.state())
    }

    /// The same of a state directory that is elsewhere.
    pub fn records(state: &Path) -> Vec<String> {
        let boots = std::fs::read_dir(state).into_iter().flatten().flatten();
        let files = boots
            .filter_map(|boot| std::fs::read_dir(boot.path()).ok())
            .flatten()
            .flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("held:")).collect()
    }
}

impl Call<'_> {
    /// Starts the plugin on a node with its input written.
    ///
    /// # Panics
    ///
    /// When the plugin is not there.
    pub fn start(&self, node: &Namespace) -> Child {
        let mut command: Command = node.command(&self.plugin);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("CNI_COMMAND", self.command)
            .env("CNI_CONTAINERID", self.container)
            .env("CNI_NETNS", &self.netns)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_ARGS", self.args)
            .env("CNI_PATH", DEBIAN_PLUGINS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("start {}: {error}", self.plugin.display()));
        if let Some(mut stdin) = child.stdin.take() {
            // A plugin that ends before it has read says why by other means.
            let _ = stdin.write_all(self.config.to_string().as_bytes());
        }
        child
    }

    /// Calls the plugin and reads what it says.
    ///
    /// # Panics
    ///
    /// When it says something that is no JSON.
    pub fn run(&self, node: &Namespace) -> Said {
        let output = self
            .start(node)
            .wait_with_output()
            .expect("a child can be waited for");
        let text = String::from_utf8_lossy(&output.stdout);
        let json = if text.trim().is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
        };
        Said {
            success: output.status.success(),
            json,
        }
    }
}

impl Said {
    /// The error's code; 0 for success.
    pub fn code(&self) -> u64 {
        if self.success {
            0
        } else {
            self.json["code"].as_u64().unwrap_or(u64::MAX)
        }
    }
}
