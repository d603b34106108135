//! One line per step, with the time that it took.

use crate::error::Result;
use crate::interrupt::Interrupts;
use std::io::Write;
use std::time::Instant;

/// Where the lab tells what it does, and learns that it shall stop.
pub(super) struct Progress<'a> {
    out: &'a mut dyn Write,
    interrupts: Interrupts,
}

/// What a step tells about itself, beside its result.
pub(super) trait Outcome {
    type Result;
    fn split(self) -> (Self::Result, String);
}

impl Outcome for String {
    type Result = ();
    fn split(self) -> ((), String) {
        ((), self)
    }
}

impl<T> Outcome for (T, String) {
    type Result = T;
    fn split(self) -> (T, String) {
        self
    }
}

impl<'a> Progress<'a> {
    pub(super) fn new(out: &'a mut dyn Write, interrupts: Interrupts) -> Self {
        Self { out, interrupts }
    }

    /// Writes one line. A reader that went away does not stop the lab.
    pub(super) fn say(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
        let _ = self.out.flush();
    }

    /// Does one step and writes its line.
    pub(super) fn step<O: Outcome>(
        &mut self,
        name: &str,
        work: impl FnOnce(&Self) -> Result<O>,
    ) -> Result<O::Result> {
        let start = Instant::now();
        let outcome = work(self);
        let took = start.elapsed().as_secs_f64();
        match outcome.map(O::split) {
            Ok((result, text)) => {
                self.say(&format!("  {name:<16} {text:<52} {took:>6.2} s"));
                Ok(result)
            }
            Err(error) => {
                self.say(&format!("  {name:<16} {:<52} {took:>6.2} s", "FAILED"));
                Err(error)
            }
        }
    }

    pub(super) fn interrupted(&self) -> bool {
        self.interrupts.asked()
    }

    /// An error if the user asked to stop.
    pub(super) fn check(&self) -> Result<()> {
        self.interrupts.check()
    }
}
