//! The writer on a thread of its own.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use tokio::sync::mpsc;

use crate::change::{Change, Refusal};
use crate::speaker::KernelError;

use super::writer::Writer;

/// Changes that were carried out, and those of them that the kernel refused.
#[derive(Debug)]
pub struct Carried {
    /// The changes, as they were given.
    pub changes: Vec<Change>,
    /// Which of them were refused, in their order.
    pub refusals: Vec<Refusal>,
}

/// Carries out changes in the order in which they are given, while the caller
/// does something else.
///
/// The kernel works inside of the call that sends a batch, and a namespace that
/// is being removed can hold it up there for seconds; nobody else waits for it.
pub struct Worker {
    jobs: SyncSender<Vec<Change>>,
    results: mpsc::Receiver<Result<Carried, KernelError>>,
    busy: usize,
}

impl Worker {
    /// Batches that may be on their way at once: one in the kernel, one behind it.
    pub const ROOM: usize = 2;

    pub(super) fn start(writer: Writer) -> Result<Worker, KernelError> {
        let (jobs, jobs_out) = sync_channel(Self::ROOM);
        let (results_in, results) = mpsc::channel(Self::ROOM);
        thread::Builder::new()
            .name("twill-kernel".into())
            .spawn(move || work(writer, &jobs_out, &results_in))
            .map_err(|source| KernelError::Open {
                step: "thread",
                source,
            })?;
        Ok(Worker {
            jobs,
            results,
            busy: 0,
        })
    }

    /// Batches that are on their way.
    pub fn busy(&self) -> usize {
        self.busy
    }

    /// Has these changes carried out, behind those that are on their way. Blocks
    /// while there are [`ROOM`](Self::ROOM) of them.
    pub fn submit(&mut self, changes: Vec<Change>) {
        self.busy += 1;
        // A thread that has ended says so in `next`.
        let _ = self.jobs.send(changes);
    }

    /// Waits for the oldest batch that is on its way; for ever when there is
    /// none. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Carried, KernelError> {
        if self.busy == 0 {
            return std::future::pending().await;
        }
        let result = self.results.recv().await;
        self.busy -= 1;
        result.unwrap_or_else(|| {
            Err(KernelError::Io {
                step: "send",
                source: std::io::Error::other("the thread that sends has ended"),
            })
        })
    }
}

fn work(
    mut writer: Writer,
    jobs: &Receiver<Vec<Change>>,
    results: &mpsc::Sender<Result<Carried, KernelError>>,
) {
    while let Ok(changes) = jobs.recv() {
        let result = writer
            .apply(&changes)
            .map(|refusals| Carried { changes, refusals });
        if results.blocking_send(result).is_err() {
            return;
        }
    }
}
