//! The command line: what was asked for goes to the command that does it, and
//! how that went becomes the exit code.

pub(crate) mod args;
mod bgp;
mod cleanup;
mod lab;
mod logging;
mod offline;
mod peer;
mod release;
mod reload;
mod rib;
mod run;
mod show;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use args::Command;

use crate::config::Config;

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// All is well.
    Fine,
    /// There is drift, or what was asked for is not there.
    NotSo,
}

/// Runs the command that `words` ask for. Exits 0 when all is well, 1 on drift
/// or when something is not there, 2 on errors.
pub(crate) fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match args::parse(words) {
        Ok(cli) => cli.command,
        Err(error) => error.exit(),
    };
    match dispatch(command) {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::NotSo) => ExitCode::from(1),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody can be told when standard error is closed.
            let _ = writeln!(io::stderr(), "twill: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Run(flags) => run::run(&flags),
        Command::Show(show) => show::show(&show),
        Command::Check(check) => show::check(&check),
        Command::Bgp(bgp) => bgp::bgp(&bgp.order),
        Command::Reload(flags) => reload::reload(&flags),
        Command::Cleanup(cleanup) => cleanup::cleanup(&cleanup),
        Command::Lab(lab) => lab::lab(&lab),
        Command::Completions { shell } => {
            args::completions(shell, &mut io::stdout())?;
            Ok(Outcome::Fine)
        }
        Command::Man { dir } => {
            args::man(&dir).map_err(|error| {
                anyhow::anyhow!("cannot write the man pages to {}: {error}", dir.display())
            })?;
            Ok(Outcome::Fine)
        }
    }
}

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// What is said where nobody can be asked.
fn no_daemon(config: &Config) -> Outcome {
    say(&format!(
        "no daemon runs with --run-dir {}",
        config.run_dir.display()
    ));
    Outcome::NotSo
}

/// Says something to the operator beside the output.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "twill: {text}");
}

/// All of Twill's work is done by one thread.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
