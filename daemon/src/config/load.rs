//! The edge: reads the variables, the `--config` file, the password files and the host name.

use std::fs;
use std::path::Path;

use super::{
    Config, ConfigError, FileConfig, Flags, Secret, Source, Sources, StoreChoice, resolve,
};

/// The configuration of this process: its flags, its variables, the file that they name.
pub(crate) fn load(flags: &Flags) -> Result<(Config, Sources), ConfigError> {
    let env = |name: &str| std::env::var(name).ok();
    let host_name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let file = config_file(flags)?;
    let (mut config, mut sources) = resolve(flags, env, file.as_ref(), host_name.trim())?;
    read_password(&mut config, &mut sources)?;
    if let Some(file) = &file {
        read_keys(&mut config, &mut sources, &file.source)?;
    }
    Ok((config, sources))
}

fn config_file(flags: &Flags) -> Result<Option<FileConfig>, ConfigError> {
    let variable = std::env::var_os("TWILL_CONFIG").filter(|path| !path.is_empty());
    let (path, named_by) = match (&flags.config, variable) {
        (Some(path), _) => (path.clone(), Source::Flag("config".into())),
        (None, Some(path)) => (path.into(), Source::Variable("TWILL_CONFIG".into())),
        (None, None) => return Ok(None),
    };
    let text = read(&path, named_by.to_string())?;
    FileConfig::parse(&path, &text).map(Some)
}

/// The password is the first line of its file.
fn read_password(config: &mut Config, sources: &mut Sources) -> Result<(), ConfigError> {
    let StoreChoice::Etcd(etcd) = &mut config.store else {
        return Ok(());
    };
    let Some(path) = &etcd.password_file else {
        return Ok(());
    };
    let text = read(path, sources.of("etcd-password-file").to_string())?;
    etcd.password = Some(Secret::from(
        text.lines().next().unwrap_or_default().to_owned(),
    ));
    sources.set("etcd-password", "********", Source::File(path.clone()));
    Ok(())
}

/// The keys of BGP are the first lines of their files. Only those of this node's peers are read: the files of other racks need
/// not be here.
fn read_keys(config: &mut Config, sources: &mut Sources, file: &Source) -> Result<(), ConfigError> {
    for key in config.bgp.key_files() {
        let text = read(
            key.path,
            format!("the password-file of {} in {file}", key.of),
        )?;
        key.fill(&text)?;
    }
    if let Some(path) = &config.bgp.key_file {
        sources.set("bgp.password", "********", Source::File(path.clone()));
    }
    Ok(())
}

fn read(path: &Path, named_by: String) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.into(),
        named_by,
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(lines: &str) -> (Config, Sources) {
        let file = FileConfig::parse(Path::new("twill.toml"), lines).expect("a good file");
        resolve(&Flags::default(), |_| None, Some(&file), "host").expect("a good configuration")
    }

    #[test]
    fn the_password_is_the_first_line_of_its_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("password");
        fs::write(&path, "hunter2\nsecond line\n").expect("a file");
        let lines = format!("etcd-username = \"u\"\netcd-password-file = {path:?}");
        let (mut config, mut sources) = resolved(&lines);
        read_password(&mut config, &mut sources).expect("a readable file");
        let StoreChoice::Etcd(etcd) = config.store else {
            panic!("not etcd")
        };
        assert_eq!(etcd.password.as_ref().map(Secret::expose), Some("hunter2"));
        assert_eq!(sources.of("etcd-password"), &Source::File(path));
        assert!(!sources.to_string().contains("hunter2"));
    }

    /// A file of keys for the mesh and a peer of this node, and one that is not there for a peer of another.
    fn with_keys(first_line: &str) -> (tempfile::TempDir, Result<(Config, Sources), String>) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        fs::write(&path, format!("{first_line}\r\nsecond line\n")).expect("a file");
        let (mut config, mut sources) = resolved(&format!(
            "[bgp]\npassword-file = {path:?}\n\
             [[bgp.peer]]\nname = \"a\"\naddress = \"10.0.0.1\"\nas = 1\npassword-file = {path:?}\n\
             [[bgp.peer]]\nname = \"b\"\naddress = \"10.0.0.2\"\nas = 1\nnodes = [\"x\"]\npassword-file = \"/nonexistent/key\""
        ));
        let file = Source::File("twill.toml".into());
        let read = read_keys(&mut config, &mut sources, &file).map_err(|error| error.to_string());
        (dir, read.map(|()| (config, sources)))
    }

    #[test]
    fn keys_of_bgp_are_the_first_lines_of_the_files_of_this_nodes_peers() {
        let (_dir, read) = with_keys("hunter2");
        let (config, sources) = read.expect("readable files");
        let (mesh, peer) = (&config.bgp.key, &config.bgp.peers[0].tcp.key);
        for key in [mesh, peer] {
            assert_eq!(key.as_ref().map(Secret::expose), Some("hunter2"));
        }
        let shown = sources.to_string();
        assert!(
            shown.contains("********") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn a_key_of_bgp_has_1_to_80_octets_and_is_not_printed() {
        for line in ["", &"x".repeat(81)] {
            let error = with_keys(line).1.map(|_| ()).expect_err("a bad key");
            let says = format!(
                "the password of bgp = ******** is not allowed: it has {} octets: want 1 to 80",
                line.len()
            );
            assert!(error.ends_with(&says), "{error}");
        }
        assert!(with_keys(&"x".repeat(80)).1.is_ok());
    }

    #[test]
    fn a_file_of_keys_that_cannot_be_read_is_named_with_whose_it_is() {
        let (mut config, mut sources) = resolved(
            "[[bgp.peer]]\nname = \"a\"\naddress = \"10.0.0.1\"\nas = 1\npassword-file = \"/nonexistent/key\"",
        );
        let file = Source::File("twill.toml".into());
        let error = read_keys(&mut config, &mut sources, &file).expect_err("no such file");
        let says = "cannot read /nonexistent/key, named by the password-file of bgp.peer \"a\" in file twill.toml: ";
        assert!(error.to_string().starts_with(says), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_who_named_it() {
        let lines = "etcd-username = \"u\"\netcd-password-file = \"/nonexistent/password\"";
        let (mut config, mut sources) = resolved(lines);
        let error = read_password(&mut config, &mut sources).expect_err("no such file");
        let error = error.to_string();
        assert!(
            error.starts_with("cannot read /nonexistent/password, named by file twill.toml: "),
            "{error}"
        );
        let flags = Flags {
            config: Some("/nonexistent/twill.toml".into()),
            ..Flags::default()
        };
        let error = load(&flags)
            .map(|_| ())
            .expect_err("no such file")
            .to_string();
        assert!(
            error.starts_with("cannot read /nonexistent/twill.toml, named by flag --config: "),
            "{error}"
        );
    }
}
