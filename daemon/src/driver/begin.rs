//! What happens once: locks, sockets, and trying until there is a block.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::warn;

use crate::config::Config;
use crate::control::{self, Request};
use crate::inspect::{self, Daemon};
use crate::notify::Watchdog;
use crate::signals::Signals;
use crate::start;
use crate::store::Store;
use crate::tenure::Begin;
use crate::{health, locks};

use super::acquisition::{Attempts, Started, Stop, list_and_acquire};
use super::files::Files;
use super::leases::{Following, Holding};
use super::{Driver, Settings};

/// How often a store without a network config, or without an answer, is asked
/// again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Runs the daemon until a signal ends it. The kernel stays as it is.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let store = Store::open(&settings.config)?;
    let config = &settings.config;
    let _locks = locks::take(config).map_err(|why| match why.apart() {
        Some(own) => anyhow::anyhow!("{why}; stop it, or give this one {own}"),
        None => why.into(),
    })?;
    let mut signals = Signals::catch()?;
    let (requests_in, mut requests) = mpsc::channel(16);
    let _socket = control::listen(&config.run_dir, requests_in.clone())?;
    if let Some(address) = config.health {
        health::listen(address, requests_in).await?;
    }
    let started = Instant::now();
    let Some(up) = start_up_or_end(config, &store, (&mut signals, &mut requests)).await? else {
        return Ok(());
    };
    Driver::new(settings, Arc::new(store), up, started)
        .run(signals, requests)
        .await
}

/// Starts up while questions are answered; `None` when a signal ends it.
async fn start_up_or_end(
    config: &Config,
    store: &Store,
    (signals, requests): (&mut Signals, &mut mpsc::Receiver<Request>),
) -> anyhow::Result<Option<Started>> {
    let starting = start_up(config, store);
    tokio::pin!(starting);
    loop {
        tokio::select! {
            started = &mut starting => return started.map(Some),
            Some(request) = requests.recv() => inspect::answer_early(request, config),
            () = signals.end() => return Ok(None),
        }
    }
}

/// Tries until this node has its block. Waits for the store as long as it takes, and says so once for each reason.
async fn start_up(config: &Config, store: &Store) -> anyhow::Result<Started> {
    let mut attempts = Attempts::default();
    loop {
        match list_and_acquire(config, store, &mut attempts).await {
            Ok(started) => return Ok(started),
            Err(Stop::End(error)) => return Err(error),
            Err(Stop::NotYet(why)) if attempts.is_news(&why) => {
                warn!("no block yet: {why}; trying again every second");
            }
            Err(Stop::NotYet(_)) => (),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

impl Driver {
    fn new(settings: Settings, store: Arc<Store>, up: Started, started: Instant) -> Driver {
        let Settings { config, load } = settings;
        let Started {
            plane,
            plan,
            macs,
            lease,
            revision,
            document,
            passed_over,
        } = up;
        let config = Arc::new(config);
        let following = Following::begin(&store, &document, Some(revision));
        let holding = Holding::begin(&store, &config, (&plan, macs), (lease, Begin::Holding));
        Driver {
            daemon: Daemon {
                passed_over,
                ..Daemon::new(start::describe_store(&config), config.lease_ttl, started)
            },
            config,
            load,
            store,
            following,
            holding,
            plane,
            plan,
            document,
            listening: false,
            underlay_due: None,
            files: Files::default(),
            watchdog: Watchdog::from_environment(),
            outside: None,
            bgp: None,
        }
    }
}
