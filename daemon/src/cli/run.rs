//! `twill run`.

use subnet_alloc::{EtcdOptions, EtcdStore, FileStore, KubeStore, StoreError};
use tracing::info;

use crate::capability::require_net_admin;
use crate::config::{self, Config, EtcdFlags, Flags, StoreChoice};
use crate::driver::{self, Settings};
use crate::memory;

use super::{Outcome, logging, runtime};

/// Runs the daemon until a signal ends it.
pub(super) fn run(flags: &Flags) -> anyhow::Result<Outcome> {
    memory::keep_little();
    let (config, _) = config::load(flags)?;
    require_net_admin()?;
    logging::start(&config.log);
    if !config.ignored.is_empty() {
        info!(
            "these settings of flanneld mean nothing here and are ignored: {}",
            config.ignored.join(", ")
        );
    }
    let flags = flags.clone();
    let load = Box::new(move || config::load(&flags).map(|(config, _)| config));
    let result = match &config.store {
        StoreChoice::File(_) => runtime()?.block_on(driver::run(Settings {
            config,
            load,
            open: |config| match &config.store {
                StoreChoice::File(dir) => Ok(FileStore::open(dir)?),
                _ => anyhow::bail!("another store needs a restart"),
            },
        })),
        StoreChoice::Etcd(_) => runtime()?.block_on(driver::run(Settings {
            config,
            load,
            open: |config| match &config.store {
                StoreChoice::Etcd(etcd) => Ok(open_etcd(etcd)?),
                _ => anyhow::bail!("another store needs a restart"),
            },
        })),
        StoreChoice::Kube(_) => runtime()?.block_on(driver::run(Settings {
            config,
            load,
            open: |config| match &config.store {
                StoreChoice::Kube(kube) => Ok(KubeStore::open(kube.clone())?),
                _ => anyhow::bail!("another store needs a restart"),
            },
        })),
    };
    result.map(|()| Outcome::Fine)
}

/// The etcd store of these settings; it connects when it is first used.
pub(super) fn open_etcd(flags: &EtcdFlags) -> Result<EtcdStore, StoreError> {
    EtcdStore::open(&EtcdOptions {
        endpoints: flags.endpoints.clone(),
        prefix: flags.prefix.clone(),
        ca: flags.ca.clone(),
        cert: flags.cert.clone(),
        key: flags.key.clone(),
        username: flags.username.clone(),
        password_file: flags.password_file.clone(),
        password: flags
            .password
            .as_ref()
            .map(|secret| secret.expose().to_owned()),
    })
}

/// Runs `job` with the store that the configuration names.
pub(super) fn with_store<T>(config: &Config, job: impl WithStore<T>) -> anyhow::Result<T> {
    runtime()?.block_on(async {
        match &config.store {
            StoreChoice::File(dir) => job.run(config, FileStore::open(dir)?).await,
            StoreChoice::Etcd(etcd) => job.run(config, open_etcd(etcd)?).await,
            StoreChoice::Kube(kube) => job.run(config, KubeStore::open(kube.clone())?).await,
        }
    })
}

/// A job that works with whichever store there is.
pub(super) trait WithStore<T> {
    /// Does it.
    async fn run<S: subnet_alloc::LeaseStore>(self, config: &Config, store: S)
    -> anyhow::Result<T>;
}
