//! What can be said on the command line, and its help.

mod bgp;
mod show;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::{self, BackendKind, Flags};

pub(crate) use bgp::{Bgp, Order};
pub(crate) use show::{Show, Topic};

/// Pods reach pods: leases a block of pod addresses for this node and programs VXLAN or direct
/// routes
///
/// Twill keeps its leases in etcd, in flannel's own layout, and takes flanneld's flags: it can
/// replace flannel node by node without losing an address or a packet.
#[derive(Parser)]
#[command(name = "twill", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  fine
  1  drift, or what was asked for is not there
  2  error: bad usage, or the work could not be done";

/// What is to be done.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the daemon on this node
    ///
    /// Claims a block, programs the kernel, writes subnet.env, and keeps all of it right until it
    /// is stopped. Stopping it leaves the kernel as it is: pods go on talking. `twill cleanup`
    /// takes down what it made.
    #[command(after_help = RUN)]
    Run(Flags),

    /// Show what this node knows and does
    ///
    /// Asks the daemon. When none runs, reads the store and the kernel itself, and says so: give it
    /// the flags that you give to `twill run`.
    #[command(after_help = show::EXAMPLES)]
    Show(Show),

    /// Compare what the kernel has with what it should have, and print the drift
    ///
    /// Asks the daemon. When none runs, reads the store and the kernel itself, and says so: give it
    /// the flags that you give to `twill run`. Nothing is changed.
    #[command(after_help = CHECK)]
    Check(Check),

    /// Have the daemon do something with its BGP peers
    ///
    /// What is done holds until the daemon ends, or until it is done otherwise: nothing is written to the settings.
    #[command(after_help = bgp::EXAMPLES)]
    Bgp(Bgp),

    /// Have the daemon read its settings again and follow what has changed
    ///
    /// Prints what is followed and what needs a restart. When anything is wrong, nothing is
    /// followed. SIGHUP does the same, and has the kernel read anew.
    #[command(after_help = RELOAD)]
    Reload(Flags),

    /// Remove from the kernel all that is Twill's, and say what
    ///
    /// Stop the daemon first. Pods on this node lose their way to other nodes. The lease stays in
    /// the store until it ends, unless --release gives it up.
    #[command(after_help = CLEANUP)]
    Cleanup(Cleanup),

    /// Build a pod network of several nodes on this machine and try it out
    ///
    /// Needs root. Every node is a network namespace with a real daemon and two pods; the store is
    /// a directory. Every pod pings every pod, then the routes are printed. Everything is taken
    /// down at the end and on Ctrl-C.
    #[command(after_help = LAB)]
    Lab(Lab),

    /// Print the completions for a shell
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        shell: Shell,
    },

    /// Write the manual pages to a directory
    #[command(after_help = MAN)]
    Man {
        /// The directory, which must exist
        dir: PathBuf,
    },
}

/// `twill check`
#[derive(Args)]
pub(crate) struct Check {
    /// Print JSON for programs
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// `twill cleanup`
#[derive(Args)]
pub(crate) struct Cleanup {
    /// Give this node's lease back to the store: others remove their routes at once, and the block
    /// goes to another node only when no unused one is left. A reservation stays
    #[arg(long)]
    pub(crate) release: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON for programs
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// `twill lab`
#[derive(Args)]
pub(crate) struct Lab {
    /// How many nodes, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) nodes: u8,
    /// How packets travel between nodes
    #[arg(long, value_name = "BACKEND", default_value = "vxlan")]
    pub(crate) backend: BackendKind,
    /// The families of nodes and pods
    #[arg(long, value_name = "STACK", default_value = "v4")]
    pub(crate) stack: LabStack,
    /// Stay up after the pings for this long (90s, 30m, 1h), or without a value until Ctrl-C
    #[arg(long, value_name = "DURATION", value_parser = config::duration)]
    pub(crate) hold: Option<Option<Duration>>,
    /// Leave the daemons' logs on disk even when all went well
    #[arg(long)]
    pub(crate) keep_logs: bool,
}

/// Address families of a lab.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabStack {
    /// IPv4 only
    V4,
    /// IPv6 only
    V6,
    /// Both
    Dual,
}

const RUN: &str = "\
Every setting is also a variable (--etcd-prefix: TWILL_ETCD_PREFIX) and a key of the --config file (etcd-prefix).

Examples:
  twill run --etcd-endpoints https://etcd-0:2379,https://etcd-1:2379 --etcd-cafile /etc/etcd/ca.pem
  twill run --backend host-gw --iface eth1 --ip-masq --healthz-port 8081
  twill run --config /etc/twill/twill.toml
  twill run -etcd-endpoints=http://10.0.0.1:2379 -iface=eth1     flanneld's flags do

Exit codes: 0 stopped by a signal, 2 error";

const CHECK: &str = "\
Examples:
  twill check && echo in sync
  twill check --json --store file:///var/lib/twill

Exit codes: 0 in sync, 1 drift, 2 error";

const RELOAD: &str = "\
Examples:
  twill reload --config /etc/twill/twill.toml

Exit codes: 0 read and followed, 1 no daemon runs, 2 refused";

const CLEANUP: &str = "\
Examples:
  twill cleanup --dry-run
  systemctl stop twill && twill cleanup
  twill cleanup --release --config /etc/twill/twill.toml     this node will not come back

Exit codes: 0 all of it is gone, 2 error";

const LAB: &str = "\
Examples:
  twill lab
  twill lab --nodes 5 --backend host-gw --stack dual --hold 10m

Exit codes: 0 every pod reached every pod, 1 some did not, 2 the lab could not be built";

const COMPLETIONS: &str = "\
Example:
  twill completions bash > /etc/bash_completion.d/twill

Exit codes: 0 fine, 2 error";

const MAN: &str = "\
Example:
  twill man /usr/local/share/man/man1

Exit codes: 0 fine, 2 error";

/// Reads a command line, the program's name included. flanneld's spelling of the settings' flags is
/// understood.
///
/// # Errors
///
/// `clap::Error::exit` prints help or the mistake, and exits with 0 or 2.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let words = Flags::in_our_spelling(words);
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    if let Command::Show(show) = &cli.command
        && let Some(why) = show.misfit()
    {
        let mut show = command.find_subcommand("show").cloned().unwrap_or(command);
        return Err(show.error(ErrorKind::ArgumentConflict, why));
    }
    Ok(cli)
}

/// Prints the completions for `shell`.
pub(crate) fn completions(shell: Shell, to: &mut impl io::Write) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "twill", &mut script);
    to.write_all(&script)
}

/// Writes `twill.1` and a page for each subcommand to `dir`.
pub(crate) fn man(dir: &Path) -> io::Result<()> {
    clap_mangen::generate_to(command(), dir)
}

/// The whole command line. Only the short help of `twill run` lists the settings; the others' would
/// drown in them.
fn command() -> clap::Command {
    let command = ["show", "check", "cleanup"]
        .into_iter()
        .fold(Cli::command(), |command, name| {
            command.mut_subcommand(name, without_settings)
        });
    command.mut_subcommand("bgp", |command| command.mut_subcommands(without_settings))
}

/// The short help leaves the settings out.
fn without_settings(command: clap::Command) -> clap::Command {
    command.mut_args(|flag| match flag.get_help_heading() {
        Some(_) => flag.hide_short_help(true),
        None => flag,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command_of(line: &str) -> Command {
        parse(line.split(' ').map(OsString::from))
            .map(|cli| cli.command)
            .map_err(|error| error.to_string())
            .expect(line)
    }

    fn exit_code(line: &str) -> i32 {
        parse(line.split(' ').map(OsString::from))
            .map(|_| 0)
            .unwrap_or_else(|error| error.exit_code())
    }

    #[test]
    fn the_declarations_agree_with_each_other() {
        command().debug_assert();
    }

    #[test]
    fn every_command_takes_the_settings_of_run() {
        for command in [
            "run",
            "show routes",
            "show peer a",
            "check",
            "cleanup",
            "bgp reset a",
            "bgp drain",
        ] {
            assert_eq!(
                exit_code(&format!(
                    "twill {command} -store=file:///a --iface eth0 -v 4 --run-dir /a"
                )),
                0,
                "{command}"
            );
        }
    }

    #[test]
    fn a_mistake_exits_with_2_and_help_with_0() {
        for line in [
            "twill",
            "twill show",
            "twill show ribs",
            "twill show peer",
            "twill show routes 10.0.0.0/8",
            "twill show peers --in a",
            "twill show rib --in a --out b",
            "twill show rib --watch",
            "twill bgp",
            "twill bgp refresh",
            "twill bgp refresh a --in --out",
            "twill run --backend udp",
            "twill run --mtu 1",
            "twill lab --nodes 0",
        ] {
            assert_eq!(exit_code(line), 2, "{line}");
        }
        for line in ["twill --help", "twill run -h", "twill --version"] {
            assert_eq!(exit_code(line), 0, "{line}");
        }
    }

    #[test]
    fn show_takes_a_topic() {
        let Command::Show(show) = command_of("twill show routes --json --watch") else {
            panic!("not show")
        };
        assert_eq!(
            (show.topic, show.json, show.watch),
            (Topic::Routes, true, true)
        );
    }

    #[test]
    fn a_prefix_and_a_side_belong_to_the_rib() {
        for line in [
            "twill show rib",
            "twill show rib 10.0.0.0/8 --watch",
            "twill show rib --in a",
            "twill show rib ::1 --out b --json",
            "twill show peer a --watch",
        ] {
            assert_eq!(exit_code(line), 0, "{line}");
        }
    }

    #[test]
    fn the_lab_has_three_nodes_on_vxlan_unless_told_otherwise() {
        let lab = lab_of("twill lab");
        assert_eq!(
            (lab.nodes, lab.backend, lab.stack),
            (3, BackendKind::Vxlan, LabStack::V4)
        );
        assert_eq!((lab.hold, lab.keep_logs), (None, false));
        let lab = lab_of("twill lab --nodes 5 --backend host-gw --stack dual --keep-logs");
        assert_eq!(
            (lab.nodes, lab.backend, lab.stack),
            (5, BackendKind::HostGw, LabStack::Dual)
        );
        assert!(lab.keep_logs);
    }

    #[test]
    fn the_lab_holds_for_a_while_or_until_it_is_stopped() {
        assert_eq!(lab_of("twill lab --hold").hold, Some(None));
        assert_eq!(
            lab_of("twill lab --hold 10m").hold,
            Some(Some(Duration::from_secs(600)))
        );
    }

    fn lab_of(line: &str) -> Lab {
        match command_of(line) {
            Command::Lab(lab) => lab,
            _ => panic!("not lab: {line}"),
        }
    }

    #[test]
    fn every_command_has_short_and_long_help_and_says_its_exit_codes() {
        let command = command();
        let nested = command
            .get_subcommands()
            .flat_map(|one| one.get_subcommands());
        for command in command.get_subcommands().chain(nested) {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                command.get_about().is_some()
                    && help.contains("Example")
                    && help.contains("Exit codes: 0"),
                "{}",
                command.get_name()
            );
            for argument in command
                .get_arguments()
                .filter(|argument| !argument.is_hide_set())
            {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
        }
    }

    #[test]
    fn the_settings_stay_out_of_the_short_help_of_show() {
        let mut command = command();
        let mut help = |name: &str| {
            command
                .find_subcommand_mut(name)
                .expect(name)
                .render_help()
                .to_string()
        };
        assert!(help("run").contains("--etcd-prefix <KEY>"));
        assert!(!help("show").contains("--etcd-prefix <KEY>"));
        assert!(!help("run").contains("--kube-subnet-mgr"));
    }
}
