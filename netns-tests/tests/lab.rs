//! `twill lab` works, and leaves nothing behind, however it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::{Process, eventually};
use netns_tests::twill;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Names under /run/netns and directories under /tmp that carry the pid of a lab.
fn leftovers(pid: u32) -> Vec<String> {
    let prefix = format!("twill-lab-{pid}-");
    let names = |directory: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with(&prefix))
            .collect()
    };
    [names(Path::new("/run/netns")), names(&std::env::temp_dir())].concat()
}

/// Processes of the binary under test whose command line names a directory of that lab.
fn daemons_of(pid: u32) -> usize {
    let mark = format!("twill-lab-{pid}-");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| {
            std::fs::read(process.path().join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&mark))
        })
        .count()
}

fn start(directory: &Path, args: &[&str]) -> Process {
    let mut command = Command::new(twill());
    command.arg("lab").args(args);
    Process::start("twill lab", command, &directory.join("lab.log")).unwrap()
}

/// Runs a lab to its end; returns its pid and what it said.
fn finished(args: &[&str]) -> (u32, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut lab = start(directory.path(), args);
    let status = lab.wait(PATIENCE).unwrap();
    assert!(status.success(), "{status}: {}", lab.log_text());
    assert_eq!(daemons_of(lab.pid()), 0);
    (lab.pid(), lab.log_text())
}

fn a_whole_lab(args: &[&str]) -> String {
    let (pid, said) = finished(args);
    assert_eq!(leftovers(pid), Vec::<String>::new());
    said
}

#[test]
fn three_nodes_over_vxlan() {
    let said = a_whole_lab(&["--nodes", "3", "--backend", "vxlan"]);
    assert!(
        said.contains("30 of 30 pairs") && said.contains("1450 bytes with DF"),
        "{said}"
    );
}

#[test]
fn three_nodes_by_direct_routes() {
    let said = a_whole_lab(&["--nodes", "3", "--backend", "host-gw"]);
    assert!(
        said.contains("30 of 30 pairs") && said.contains("1500 bytes with DF"),
        "{said}"
    );
}

#[test]
fn three_dual_stack_nodes() {
    a_whole_lab(&["--nodes", "3", "--stack", "dual"]);
}

#[test]
fn logs_are_kept_when_asked_for() {
    let (pid, said) = finished(&["--nodes", "1", "--keep-logs"]);
    let kept = leftovers(pid);
    assert_eq!(kept.len(), 1, "one directory and no names: {kept:?}");
    let kept = std::env::temp_dir().join(&kept[0]);
    assert!(
        said.contains(&format!("logs kept in {}", kept.display())),
        "{said}"
    );
    assert!(kept.join("node1/twill.log").is_file());
    std::fs::remove_dir_all(kept).unwrap();
}

#[test]
fn one_ipv6_node_alone() {
    a_whole_lab(&["--nodes", "1", "--stack", "v6"]);
}

#[test]
fn ctrl_c_during_hold_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut lab = start(directory.path(), &["--nodes", "2", "--hold"]);
    eventually("the lab holds", PATIENCE, || {
        lab.log_text().contains("ip netns exec")
    })
    .unwrap();
    assert!(
        !leftovers(lab.pid()).is_empty() && daemons_of(lab.pid()) == 2,
        "{}",
        lab.log_text()
    );
    lab.signal(lab::Signal::SIGINT).unwrap();
    assert!(lab.wait(PATIENCE).unwrap().success(), "{}", lab.log_text());
    assert_eq!(
        (leftovers(lab.pid()), daemons_of(lab.pid())),
        (Vec::new(), 0)
    );
}

#[test]
fn a_killed_lab_takes_its_daemons_with_it_and_the_next_one_sweeps() {
    let directory = tempfile::tempdir().unwrap();
    let mut lab = start(directory.path(), &["--nodes", "1", "--hold"]);
    eventually("the lab holds", PATIENCE, || {
        lab.log_text().contains("ip netns exec")
    })
    .unwrap();
    lab.kill().unwrap();
    eventually("its daemon is gone", PATIENCE, || {
        daemons_of(lab.pid()) == 0
    })
    .unwrap();
    assert!(!leftovers(lab.pid()).is_empty());
    a_whole_lab(&["--nodes", "1"]);
    assert_eq!(leftovers(lab.pid()), Vec::<String>::new());
}
