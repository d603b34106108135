//! Kubernetes' own tests of networks, run on a cluster.

use super::{Cluster, kubernetes_program};
use lab::{LabError, Process};
use serde_json::Value;
use std::fs;
use std::time::Duration;

/// Every test of a network that each Kubernetes has to pass.
pub const CONFORMANCE: &str = r"\[sig-network\].*\[Conformance\]";

/// Those of a cluster of both families, which are nobody's duty: services and pods by IPv6.
pub const DUAL_STACK: &str = r"\[sig-network\].*IPv6DualStack";

/// What became of a run.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// The names of the tests that passed.
    pub passed: Vec<String>,
    /// The names of those that failed, with the reason.
    pub failed: Vec<String>,
    /// How long the run took.
    pub took: Duration,
}

impl Cluster {
    /// Runs the tests whose names match a regular expression, two at a time, and ends them after `patience`: on a broken
    /// network each waits for minutes. Those of SCTP are left out: it takes a kernel module.
    ///
    /// # Panics
    ///
    /// When the programs are missing, or leave no report.
    pub fn conformance(&self, focus: &str, patience: Duration) -> Result<Verdict, LabError> {
        let directory = self.directory();
        let mut ginkgo = self
            .server
            .namespace()
            .command(kubernetes_program("ginkgo"));
        ginkgo
            .current_dir(directory)
            .args(["--no-color", "--procs=2", "--keep-going", "--silence-skips"])
            .arg(format!("--timeout={}s", patience.as_secs()))
            .arg(format!("--focus={focus}"))
            .arg("--skip=SCTP")
            .args(["--json-report=report.json", "--output-dir=."])
            .arg(kubernetes_program("e2e.test"))
            .args([
                "--",
                "--provider=skeleton",
                "--node-os-distro=debian",
                "--disable-log-dump",
            ])
            .args([
                "--dump-logs-on-failure=false",
                "--allowed-not-ready-nodes=0",
            ])
            .arg(format!("--num-nodes={}", self.machines().count()))
            .arg(format!("--kubeconfig={}", self.server.admin().display()))
            .arg(format!(
                "--kubectl-path={}",
                kubernetes_program("kubectl").display()
            ));
        for proxy in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            ginkgo.env_remove(proxy);
        }
        let mut run = Process::start("ginkgo", ginkgo, &directory.join("ginkgo.log"))?;
        // It takes its time to give up.
        run.wait(patience + Duration::from_secs(120))?;
        let report = fs::read(directory.join("report.json")).unwrap_or_else(|error| {
            panic!("ginkgo leaves no report ({error}):\n{}", run.log_tail(30))
        });
        Ok(read(
            &serde_json::from_slice(&report).expect("ginkgo writes JSON"),
        ))
    }
}

fn read(report: &Value) -> Verdict {
    let mut verdict = Verdict::default();
    for suite in report.as_array().into_iter().flatten() {
        verdict.took += Duration::from_nanos(suite["RunTime"].as_u64().unwrap_or_default());
        for test in suite["SpecReports"].as_array().into_iter().flatten() {
            let above = test["ContainerHierarchyTexts"]
                .as_array()
                .into_iter()
                .flatten();
            let words = above
                .chain([&test["LeafNodeText"]])
                .filter_map(Value::as_str);
            let name = words.collect::<Vec<_>>().join(" ");
            match test["State"].as_str().unwrap_or_default() {
                "passed" if test["LeafNodeType"] == "It" => verdict.passed.push(name),
                "passed" | "skipped" | "pending" => {}
                state => {
                    let reason = test["Failure"]["Message"].as_str().unwrap_or(state);
                    verdict.failed.push(format!("{name}: {reason}"));
                }
            }
        }
    }
    verdict
}
