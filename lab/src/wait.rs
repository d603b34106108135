//! Waiting with a deadline, never with a fixed sleep.

use crate::error::{LabError, Result};
use std::thread;
use std::time::{Duration, Instant};

/// From one look at a condition to the next; longer when a look takes long, since whoever is waited for needs the
/// processor, too.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSE_PER_LOOK: u32 = 2;

/// A moment after which waiting is over.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// This far from here.
    pub fn after(patience: Duration) -> Self {
        Self(Instant::now() + patience)
    }

    /// Whether it is over.
    pub fn has_passed(self) -> bool {
        Instant::now() >= self.0
    }
}

/// Looks at `is_so` until it is; fails after `patience`, saying `what` was waited for.
pub fn eventually(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) -> Result<()> {
    let deadline = Deadline::after(patience);
    loop {
        let look = Instant::now();
        if is_so() {
            return Ok(());
        }
        let took = look.elapsed();
        if deadline.has_passed() {
            return Err(LabError::TimedOut {
                what: what.into(),
                waited: patience,
                detail: String::new(),
            });
        }
        thread::sleep(PAUSE.max(took * PAUSE_PER_LOOK));
    }
}
