//! One cluster after the other.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many inotify instances root may have. The daemons of a few machines want more than the kernel's default of 128.
const INSTANCES: &str = "/proc/sys/fs/inotify/max_user_instances";
const ENOUGH: u32 = 8192;

/// The turn of one cluster, which fills a small machine: the next waits. As long as it lasts root may have inotify instances for
/// all.
#[derive(Debug)]
pub(super) struct Turn {
    before: Option<u32>,
    _guard: MutexGuard<'static, ()>,
}

impl Turn {
    pub(super) fn wait() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let guard = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let now = fs::read_to_string(INSTANCES).unwrap_or_default();
        let before = now.trim().parse().ok().filter(|now| *now < ENOUGH);
        if before.is_some() {
            fs::write(INSTANCES, ENOUGH.to_string()).expect("root may write sysctls");
        }
        Self {
            before,
            _guard: guard,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            let _ = fs::write(INSTANCES, before.to_string());
        }
    }
}
