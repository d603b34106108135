//! Runs the programs `ip` and `bridge` inside namespaces, and says which command failed and why.

use crate::Namespace;
use crate::error::{LabError, Result};
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

/// Runs `ip ARGS` inside and returns what it printed.
pub fn ip(namespace: &Namespace, args: &[&str]) -> Result<String> {
    run(namespace, "ip", args)
}

/// Runs `bridge ARGS` inside and returns what it printed.
pub fn bridge(namespace: &Namespace, args: &[&str]) -> Result<String> {
    run(namespace, "bridge", args)
}

/// Runs many `ip` commands in one process; the first that fails ends it.
pub fn ip_batch(namespace: &Namespace, lines: &[String]) -> Result<()> {
    let mut command = namespace.command("ip");
    command.args(["-batch", "-"]);
    let text = lines.join("\n");
    let output =
        feed(&mut command, text.as_bytes()).map_err(|source| start_failed("ip", source))?;
    let failed = format!("ip {}", failed_line(lines, &output.stderr));
    check(namespace, &failed, &output).map(drop)
}

/// Runs any command of [`Namespace::command`] to its end and returns what it printed; a failure is an error.
pub fn output(namespace: &Namespace, command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let args: Vec<_> = command
        .get_args()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| start_failed(&program, source))?;
    check(namespace, &format!("{program} {}", args.join(" ")), &output)
}

fn run(namespace: &Namespace, program: &str, args: &[&str]) -> Result<String> {
    output(namespace, namespace.command(program).args(args))
}

fn feed(command: &mut Command, input: &[u8]) -> io::Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early closes the pipe; its exit status tells more than that.
        let _ = stdin.write_all(input);
    }
    child.wait_with_output()
}

/// `ip -batch` says `Command failed -:3` for the third line.
fn failed_line<'a>(lines: &'a [String], stderr: &[u8]) -> &'a str {
    let said = String::from_utf8_lossy(stderr);
    let number = said
        .rsplit_once("Command failed -:")
        .and_then(|(_, number)| number.trim().parse::<usize>().ok());
    number
        .and_then(|number| lines.get(number.checked_sub(1)?))
        .map_or("-batch", String::as_str)
}

fn check(namespace: &Namespace, command: &str, output: &Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(LabError::CommandFailed {
        command: command.into(),
        namespace: namespace.label().into(),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

fn start_failed(program: &str, source: io::Error) -> LabError {
    if source.kind() != io::ErrorKind::NotFound {
        return LabError::System {
            what: format!("start {program}"),
            source,
        };
    }
    let package = match program {
        "etcd" => "etcd-server",
        "etcdctl" => "etcd-client",
        _ => "iproute2",
    };
    LabError::ProgramMissing {
        program: program.into(),
        package,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named_with_its_reason() {
        let namespace = Namespace::new("empty").unwrap();
        let error = ip(&namespace, &["link", "set", "nothing", "up"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("ip link set nothing up"), "{error}");
        assert!(error.contains("Cannot find device"), "{error}");
    }

    #[test]
    fn the_failing_line_of_a_batch_is_named() {
        let namespace = Namespace::new("empty").unwrap();
        let lines =
            ["link set lo up", "link set nothing up", "link set lo down"].map(str::to_owned);
        let error = ip_batch(&namespace, &lines).unwrap_err().to_string();
        assert!(
            error.contains("`ip link set nothing up` failed in empty"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let namespace = Namespace::new("empty").unwrap();
        let error = output(&namespace, &mut namespace.command("no-such-program-here")).unwrap_err();
        assert!(matches!(error, LabError::ProgramMissing { .. }), "{error}");
    }
}
