//! The CNI plugin on this node: its binary and its network config, where the container runtime looks for them.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::atomic_file;
use crate::config::{CniChoice, Config};

/// The plugin's program, and its type in a network config.
const PROGRAM: &str = "twill-cni";
const CONFLIST: &str = "10-twill.conflist";
/// The newest that Debian 12's plugins and runtimes know.
const CNI_VERSION: &str = "1.0.0";
/// Plugins of others that do their part behind ours, with the capability that a runtime needs to know of.
const CHAINED: [(&str, &str); 2] = [("portmap", "portMappings"), ("bandwidth", "bandwidth")];

/// Why the container runtime does not get this node's plugin from us.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginError {
    #[error("there is no {PROGRAM} beside {daemon} and none in {dir} (--cni-bin-dir): put it into one of them", daemon = daemon.display(), dir = dir.display())]
    NoProgram { daemon: PathBuf, dir: PathBuf },
    #[error("cannot {verb} {path}: {why}; twill's user has to have the right to", path = path.display())]
    Io {
        verb: &'static str,
        path: PathBuf,
        why: io::Error,
    },
    #[error("{path} is a network config without {PROGRAM}, and is left as it is: move it away, or unset --cni-conf-dir", path = path.display())]
    Foreign { path: PathBuf },
}

/// What is there after an installation.
#[derive(PartialEq, Eq, Debug, Default)]
pub(crate) struct Installed {
    /// What was not there as it is.
    pub(crate) written: Vec<PathBuf>,
    /// A network config of somebody else that runtimes take instead of ours.
    pub(crate) overruled_by: Option<PathBuf>,
}

/// Puts the program in its place, and then the network config that names it: pods can be added from then on, so
/// `subnet.env` has to be there. What is there already is not written again.
pub(crate) fn install(config: &Config) -> Result<Installed, PluginError> {
    let daemon = std::env::current_exe().unwrap_or_default();
    install_from(&daemon, config)
}

/// Removes our network config; the program stays, for the pods that have to be deleted.
pub(crate) fn remove(config: &Config, dry_run: bool) -> Result<Option<PathBuf>, PluginError> {
    let dir = config.cni.as_ref().and_then(|cni| cni.conf_dir.as_ref());
    let Some(path) = dir.map(|dir| dir.join(CONFLIST)) else {
        return Ok(None);
    };
    if !fs::read(&path).is_ok_and(|text| names_us(&text)) {
        return Ok(None);
    }
    if !dry_run {
        fs::remove_file(&path).map_err(|why| failed("remove", &path, why))?;
    }
    Ok(Some(path))
}

fn install_from(daemon: &Path, config: &Config) -> Result<Installed, PluginError> {
    let mut installed = Installed::default();
    let Some(cni) = &config.cni else {
        return Ok(installed);
    };
    installed.written.extend(install_program(daemon, cni)?);
    if let Some(dir) = &cni.conf_dir {
        let text = conflist(config, &chained(&cni.bin_dir));
        installed.written.extend(install_conflist(dir, &text)?);
        installed.overruled_by = first_config(dir).filter(|path| !path.ends_with(CONFLIST));
    }
    Ok(installed)
}

/// Without a program beside the daemon, the one that a package installed serves.
fn install_program(daemon: &Path, cni: &CniChoice) -> Result<Option<PathBuf>, PluginError> {
    let (source, path) = (daemon.with_file_name(PROGRAM), cni.bin_dir.join(PROGRAM));
    match fs::read(&source) {
        Ok(program) => write(&path, &program, 0o755),
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(failed("read", &source, why)),
        Err(_) if path.is_file() => Ok(None),
        Err(_) => Err(PluginError::NoProgram {
            daemon: daemon.to_owned(),
            dir: cni.bin_dir.clone(),
        }),
    }
}

fn install_conflist(dir: &Path, text: &str) -> Result<Option<PathBuf>, PluginError> {
    let path = dir.join(CONFLIST);
    let is_config = |text: &[u8]| serde_json::from_slice::<Value>(text).is_ok();
    match fs::read(&path) {
        Ok(there) if is_config(&there) && !names_us(&there) => Err(PluginError::Foreign { path }),
        _ => write(&path, text.as_bytes(), 0o644),
    }
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<Option<PathBuf>, PluginError> {
    let has_mode = |file: fs::Metadata| file.permissions().mode() & 0o7777 == mode;
    if fs::read(path).is_ok_and(|there| there == content) && fs::metadata(path).is_ok_and(has_mode)
    {
        return Ok(None);
    }
    atomic_file::write_with(path, content, Permissions::from_mode(mode))
        .map_err(|why| failed("write", path, why))?;
    Ok(Some(path.to_owned()))
}

fn failed(verb: &'static str, path: &Path, why: io::Error) -> PluginError {
    let path = path.to_owned();
    PluginError::Io { verb, path, why }
}

/// The plugins of others that are there: a runtime adds no pod while one that the config names is missing.
fn chained(bin_dir: &Path) -> Vec<(&'static str, &'static str)> {
    let is_there = |(name, _): &(&str, &str)| bin_dir.join(name).is_file();
    CHAINED.into_iter().filter(is_there).collect()
}

/// The network config. It names what is not as the plugin has it by default.
fn conflist(config: &Config, chained: &[(&str, &str)]) -> String {
    let mut ours = json!({ "type": PROGRAM });
    if config.subnet_file != Path::new("/run/flannel/subnet.env") {
        ours["subnetFile"] = json!(config.subnet_file);
    }
    if config.state_dir != Path::new("/var/lib/twill") {
        ours["stateDir"] = json!(config.state_dir.join("cni"));
    }
    let behind = chained
        .iter()
        .map(|(name, capability)| json!({ "type": name, "capabilities": { *capability: true } }));
    let plugins: Vec<Value> = [ours].into_iter().chain(behind).collect();
    let list = json!({ "cniVersion": CNI_VERSION, "name": "cbr0", "plugins": plugins });
    format!("{list:#}\n")
}

/// Whether it is a network config that has our plugin.
fn names_us(text: &[u8]) -> bool {
    let list: Value = serde_json::from_slice(text).unwrap_or_default();
    let mut plugins = list["plugins"].as_array().into_iter().flatten();
    plugins.any(|plugin| plugin["type"] == PROGRAM)
}

/// Runtimes take the first by name of what looks like a network config (libcni's `ConfFiles`).
fn first_config(dir: &Path) -> Option<PathBuf> {
    let is_config = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("conf" | "conflist" | "json")) && path.is_file()
    };
    let paths = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    paths.filter(is_config).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;
    use tempfile::TempDir;

    /// A daemon with the plugin beside it, and the directories of a runtime.
    struct Node {
        dir: TempDir,
        config: Config,
    }

    impl Node {
        fn new() -> Node {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(PROGRAM), "program").unwrap();
            let (mut config, _) = crate::config::load(&Flags::default()).unwrap();
            config.cni = Some(CniChoice {
                bin_dir: dir.path().join("bin"),
                conf_dir: Some(dir.path().join("net.d")),
            });
            Node { dir, config }
        }

        fn install(&self) -> Result<Installed, PluginError> {
            install_from(&self.dir.path().join("twill"), &self.config)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn conflist(&self) -> Value {
            let text = fs::read(self.path("net.d").join(CONFLIST)).unwrap();
            serde_json::from_slice(&text).unwrap()
        }

        fn put(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn program_and_config_are_written_once_with_their_modes_and_nothing_beside_them() {
        let node = Node::new();
        let (program, conflist) = (
            node.path("bin/twill-cni"),
            node.path("net.d").join(CONFLIST),
        );
        assert_eq!(
            node.install().unwrap().written,
            [program.clone(), conflist.clone()]
        );
        assert_eq!(node.install().unwrap(), Installed::default());
        for (path, mode) in [(program, 0o755), (conflist, 0o644)] {
            let found = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o7777, mode, "{path:?}");
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        }
    }

    #[test]
    fn another_version_of_program_or_config_is_replaced() {
        let node = Node::new();
        node.put("bin/twill-cni", "older");
        for older in [r#"{"plugins":[{"type":"twill-cni","mtu":1400}]}"#, "", "{"] {
            node.put("net.d/10-twill.conflist", older);
            node.install().unwrap();
            assert_eq!(fs::read(node.path("bin/twill-cni")).unwrap(), b"program");
            assert_eq!(node.conflist()["plugins"][0], json!({ "type": PROGRAM }));
        }
    }

    #[test]
    fn what_others_wrote_stays_and_is_named_where_it_overrules_ours() {
        let node = Node::new();
        node.put("net.d/10-flannel.conflist", "{}");
        node.put("net.d/00-notes.txt", "");
        let overruled = node.install().unwrap().overruled_by;
        assert_eq!(overruled, Some(node.path("net.d/10-flannel.conflist")));
        let foreign = r#"{"plugins":[{"type":"bridge"}]}"#;
        node.put("net.d/10-twill.conflist", foreign);
        assert!(matches!(node.install(), Err(PluginError::Foreign { .. })));
        assert_eq!(node.conflist()["plugins"][0]["type"], "bridge");
        assert_eq!(remove(&node.config, false).unwrap(), None);
    }

    #[test]
    fn the_config_chains_what_is_there_and_says_what_is_elsewhere() {
        let mut node = Node::new();
        node.put("bin/portmap", "");
        node.config.subnet_file = "/run/blue/subnet.env".into();
        node.config.state_dir = "/var/lib/blue".into();
        node.install().unwrap();
        let want = json!([
            { "type": PROGRAM, "subnetFile": "/run/blue/subnet.env", "stateDir": "/var/lib/blue/cni" },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ]);
        assert_eq!(node.conflist()["plugins"], want);
    }

    #[test]
    fn a_program_that_a_package_installed_serves_and_none_at_all_writes_no_config() {
        let node = Node::new();
        fs::remove_file(node.path(PROGRAM)).unwrap();
        let error = node.install().unwrap_err().to_string();
        assert!(error.contains("there is no twill-cni beside"), "{error}");
        assert!(!node.path("net.d").exists());
        node.put("bin/twill-cni", "packaged");
        node.install().unwrap();
        assert_eq!(fs::read(node.path("bin/twill-cni")).unwrap(), b"packaged");
        node.conflist();
    }

    #[test]
    fn nothing_is_written_unless_it_is_asked_for() {
        let mut node = Node::new();
        node.config.cni = None;
        assert_eq!(node.install().unwrap(), Installed::default());
        assert_eq!(fs::read_dir(node.dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn cleanup_removes_our_config_and_leaves_the_program() {
        let node = Node::new();
        node.install().unwrap();
        let path = Some(node.path("net.d").join(CONFLIST));
        assert_eq!(remove(&node.config, true).unwrap(), path);
        assert_eq!(remove(&node.config, false).unwrap(), path);
        assert_eq!(remove(&node.config, false).unwrap(), None);
        assert!(node.path("bin/twill-cni").exists());
    }
}
