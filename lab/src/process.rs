//! Long-lived processes in namespaces: daemons and etcd members.

use crate::error::{LabError, Result};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a process may take to obey SIGTERM.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running process with a log file. It is killed when this value is dropped and when this whole process dies; if a
/// test is failing at that moment, the end of the log is printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with stdout and stderr appended to `log`.
    pub fn start(name: &str, command: Command, log: &Path) -> Result<Self> {
        let what = format!("start {name}");
        let child = spawn(command, log).map_err(LabError::system(what))?;
        Ok(Self {
            name: name.into(),
            child,
            log: log.into(),
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All that it has written.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The last lines of the log.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = self.log_text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.nix_pid(), signal).map_err(|errno| LabError::System {
            what: format!("send {signal} to {}", self.name),
            source: errno.into(),
        })
    }

    /// Sends a signal to it and to all that it has started: the process group that [`crate::Namespace::command`] gave it.
    pub fn signal_group(&self, signal: Signal) -> Result<()> {
        killpg(self.nix_pid(), signal).map_err(|errno| LabError::System {
            what: format!("send {signal} to the process group of {}", self.name),
            source: errno.into(),
        })
    }

    /// Freezes it (SIGSTOP).
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Asks it to end (SIGTERM) and returns how it did.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(PATIENCE)
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        let what = format!("kill {}", self.name);
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .map_err(LabError::system(what))
    }

    /// Waits for its end.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = crate::Deadline::after(patience);
        while !deadline.has_passed() {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(LabError::TimedOut {
            what: format!("{} ends", self.name),
            waited: patience,
            detail: self.log_hint(),
        })
    }

    /// How it ended, if it has.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(LabError::system(format!(
            "ask for the status of {}",
            self.name
        )))
    }

    /// An error if it has ended: it should be running.
    pub fn must_run(&mut self) -> Result<()> {
        let Some(status) = self.status()? else {
            return Ok(());
        };
        Err(LabError::Ended {
            name: self.name.clone(),
            status: describe(status),
            log: self.log.clone(),
            tail: self.log_tail(15),
        })
    }

    /// Where the log is and how it ends, for people.
    pub(crate) fn log_ending(&self, lines: usize) -> String {
        let (name, log, tail) = (&self.name, self.log.display(), self.log_tail(lines));
        format!("the log of {name} is {log}, which ends with:\n{tail}")
    }

    /// The same as a detail of an error.
    pub(crate) fn log_hint(&self) -> String {
        format!("; {}", self.log_ending(15))
    }

    fn nix_pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            show(&self.name, &self.log_tail(60));
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "only a failing test gets here, and the test harness captures this macro alone"
)]
fn show(name: &str, tail: &str) {
    eprintln!("---- log of {name} ----\n{tail}\n----");
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn spawn(mut command: Command, log: &Path) -> io::Result<Child> {
    let log: File = OpenOptions::new().create(true).append(true).open(log)?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let (reply, answer) = channel();
    let job = Job { command, reply };
    spawner()
        .send(job)
        .map_err(|_| io::Error::other("the spawning thread is gone"))?;
    answer
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the spawning thread is gone")))
}

struct Job {
    command: Command,
    reply: Sender<io::Result<Child>>,
}

/// The parent-death signal of a child follows the *thread* that forked it, so one thread that never ends starts them all.
fn spawner() -> Sender<Job> {
    static SPAWNER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let start = || {
        let (jobs, queue) = channel::<Job>();
        thread::spawn(move || {
            for mut job in queue {
                let _ = job.reply.send(job.command.spawn());
            }
        });
        Mutex::new(jobs)
    };
    SPAWNER
        .get_or_init(start)
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Namespace;

    fn sleeper(log: &Path) -> Process {
        let namespace = Namespace::new("sleeper").unwrap();
        let mut command = namespace.command("sh");
        command.args(["-c", "echo ready; exec sleep 600"]);
        thread::spawn({
            let log = log.to_owned();
            move || Process::start("sleeper", command, &log)
        })
        .join()
        .unwrap()
        .unwrap()
    }

    #[test]
    fn a_process_outlives_the_thread_that_asked_for_it_and_not_its_handle() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = sleeper(&directory.path().join("log"));
        let pid = process.pid();
        crate::eventually("it has started", Duration::from_secs(5), || {
            process.log_text() == "ready\n"
        })
        .unwrap();
        process.must_run().unwrap();
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_terminated_process_tells_its_signal() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = sleeper(&directory.path().join("log"));
        assert_eq!(process.terminate().unwrap().signal(), Some(15));
        assert!(
            process
                .must_run()
                .unwrap_err()
                .to_string()
                .contains("killed by signal 15")
        );
    }
}
