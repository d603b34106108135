//! The legacy iptables, which nftables does not reach: its own program is called
//! where its tables are in use. It tells of no changes, and is not polled: it is
//! looked at when the daemon starts, at SIGHUP, and when the pools change.

use std::io::{self, Write};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use ipnetwork::IpNetwork;
use kernel::{TableName, legacy_iptables_tables};
use tracing::{info, warn};

use super::legacy_script::{Script, script};
use crate::removal::Removal;

/// The call in progress. Others may hold the lock of iptables for seconds, and the
/// end of the daemon does not wait for that.
#[derive(Default)]
pub(super) struct Legacy(Option<JoinHandle<()>>);

/// The legacy iptables of one family.
struct Iptables {
    ipv4: bool,
    /// The tables that are in use.
    tables: Vec<String>,
}

impl Legacy {
    /// Makes the tables that are in use as wanted, in the background; false while
    /// an earlier call is in progress.
    pub(super) fn tend(&mut self, owner: &TableName, forwarded: &[IpNetwork]) -> bool {
        if self.0.as_ref().is_some_and(|call| !call.is_finished()) {
            return false;
        }
        let (in_use, mark, forwarded) = (Iptables::in_use(), owner.mark(), forwarded.to_vec());
        self.0 = (!in_use.is_empty()).then(|| {
            thread::spawn(move || {
                in_use
                    .iter()
                    .for_each(|iptables| iptables.tend(&mark, &forwarded))
            })
        });
        true
    }
}

/// Removes our rules, and flannel's.
pub(super) fn remove(owner: &TableName, dry_run: bool, removal: &mut Removal) {
    for iptables in Iptables::in_use() {
        let script = iptables.script(&owner.mark(), &[]).and_then(|script| {
            if !dry_run {
                iptables.restore(&script)?;
            }
            Ok(script)
        });
        let program = iptables.program("");
        match script {
            Ok(script) => removal.removed.extend(script.words.iter().map(|words| {
                let what = words.strip_prefix("removed ").unwrap_or(words);
                format!("{what} of {program}")
            })),
            Err(error) => removal
                .failed
                .push(format!("{error}; see what is left with `{program} -S`")),
        }
    }
}

impl Iptables {
    fn in_use() -> Vec<Iptables> {
        let of_family = |ipv4| Iptables {
            ipv4,
            tables: legacy_iptables_tables(ipv4),
        };
        let families = [true, false].map(of_family).into_iter();
        families
            .filter(|family| !family.tables.is_empty())
            .collect()
    }

    /// `iptables-legacy-save` for `-save`.
    fn program(&self, suffix: &str) -> String {
        let family = if self.ipv4 { "iptables" } else { "ip6tables" };
        format!("{family}-legacy{suffix}")
    }

    fn tend(&self, mark: &str, forwarded: &[IpNetwork]) {
        let of_family = |pool: &&IpNetwork| pool.is_ipv4() == self.ipv4;
        let forwarded: Vec<IpNetwork> = forwarded.iter().filter(of_family).copied().collect();
        let done = self.script(mark, &forwarded).and_then(|script| {
            self.restore(&script)?;
            Ok(script.words)
        });
        match done {
            Ok(words) => words
                .iter()
                .for_each(|w| info!("{}: {w}", self.program(""))),
            Err(error) => warn!("{error}; {}", self.advice(&forwarded)),
        }
    }

    fn script(&self, mark: &str, forwarded: &[IpNetwork]) -> io::Result<Script> {
        let child = self.command("-save").spawn();
        let output = finish(&self.program("-save"), child, "")?;
        let saved = String::from_utf8_lossy(&output.stdout);
        Ok(script(&saved, mark, forwarded))
    }

    /// Each table as a whole or not at all.
    fn restore(&self, script: &Script) -> io::Result<()> {
        if script.text.is_empty() {
            return Ok(());
        }
        let mut command = self.command("-restore");
        // kube-proxy holds the lock while it writes thousands of rules.
        let child = command.args(["--noflush", "--wait=30"]).spawn();
        finish(&self.program("-restore"), child, &script.text).map(drop)
    }

    fn command(&self, suffix: &str) -> Command {
        let mut command = Command::new(self.program(suffix));
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What the operator can do instead of us.
    fn advice(&self, forwarded: &[IpNetwork]) -> String {
        let (program, tables) = (self.program(""), self.tables.join(" and "));
        let ends = forwarded
            .iter()
            .flat_map(|pool| [("-s", pool), ("-d", pool)]);
        let rules =
            ends.map(|(end, pool)| format!("`{program} -A FORWARD {end} {pool} -j ACCEPT`"));
        let rules: Vec<String> = rules.collect();
        if rules.is_empty() || !self.tables.iter().any(|table| table == "filter") {
            return format!(
                "its table {tables} may have rules that flannel left: see `{program} -t nat -S`"
            );
        }
        format!(
            "its table {tables} is in use, and if its FORWARD policy is drop, pods reach each other only after {}",
            rules.join(" and ")
        )
    }
}

/// Feeds a program and waits for its end; it must succeed.
fn finish(program: &str, child: io::Result<Child>, input: &str) -> io::Result<Output> {
    let failed = |why: String| io::Error::other(format!("{program}: {why}"));
    let mut child = child.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed("not installed".to_owned()),
        _ => failed(error.to_string()),
    })?;
    // A program that ends without reading says on its own why.
    let _ = child
        .stdin
        .take()
        .map(|mut pipe| pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(output);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(failed(words.trim().replace('\n', "; ")))
}
