//! Waits until the kernel has finished what an earlier measurement left to it.
//!
//! A namespace that ends takes its entries with it, and the kernel (`cleanup_net`) holds the one lock of all network
//! configuration while it removes them: seconds for 20,000 routes. Whoever asks anything meanwhile waits.

use lab::{LabError, Namespace, ip};
use std::thread;
use std::time::{Duration, Instant};

/// A question takes a few milliseconds when nobody holds the lock.
const PROMPT: Duration = Duration::from_millis(50);

/// That many prompt answers in a row, at this distance, make a second of rest.
const IN_A_ROW: u32 = 25;
const DISTANCE: Duration = Duration::from_millis(40);

const PATIENCE: Duration = Duration::from_secs(120);

/// Returns when the lock has been free for a second.
pub fn wait_for_rest() -> Result<(), LabError> {
    let (namespace, start) = (Namespace::new("rest")?, Instant::now());
    let mut prompt = 0;
    while prompt < IN_A_ROW {
        if start.elapsed() > PATIENCE {
            let what = "the kernel has removed ended namespaces".to_owned();
            return Err(LabError::TimedOut {
                what,
                waited: PATIENCE,
                detail: String::new(),
            });
        }
        let asked = Instant::now();
        ip(&namespace, &["link", "show"])?;
        prompt = if asked.elapsed() < PROMPT {
            prompt + 1
        } else {
            0
        };
        thread::sleep(DISTANCE);
    }
    Ok(())
}
