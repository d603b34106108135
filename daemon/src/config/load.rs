//! The edge: reads the variables, the `--config` file, the password file and the host name.

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
    Ok((config, sources))
}

fn config_file(flags: &Flags) -> Result<Option<FileConfig>, ConfigError> {
    let variable = std::env::var_os("TWILL_CONFIG").filter(|path| !path.is_empty());
    let (path, named_by) = match (&flags.config, variable) {
        (Some(path), _) => (path.clone(), Source::Flag("config".into())),
        (None, Some(path)) => (path.into(), Source::Variable("TWILL_CONFIG".into())),
        (None, None) => return Ok(None),
    };
    let text = read(&path, &named_by)?;
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
    let text = read(path, sources.of("etcd-password-file"))?;
    etcd.password = Some(Secret::from(
        text.lines().next().unwrap_or_default().to_owned(),
    ));
    sources.set("etcd-password", "********", Source::File(path.clone()));
    Ok(())
}

fn read(path: &Path, named_by: &Source) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.into(),
        named_by: named_by.clone(),
        error,
    })
}
