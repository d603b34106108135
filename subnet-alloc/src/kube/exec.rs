//! A program that says a token, as clouds have it: `users[].user.exec` of a kubeconfig (client.authentication.k8s.io).

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use crate::json::{LONGEST, shown};

/// A program that takes longer says nothing any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the program is called.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exec {
    /// The version of what it says.
    pub(super) version: String,
    pub(super) command: String,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
}

/// What it prints.
#[derive(Deserialize)]
struct Credential {
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    token: Option<String>,
}

impl Exec {
    /// Asks the program.
    pub(super) async fn token(&self) -> Result<Option<String>, String> {
        let info = json!({
            "apiVersion": self.version,
            "kind": "ExecCredential",
            "spec": { "interactive": false },
        });
        let mut command = Command::new(&self.command);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("KUBERNETES_EXEC_INFO", info.to_string())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await;
        let output = output.map_err(|_| self.failed("it does not end"))?;
        let output = output.map_err(|why| self.failed(&why.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(self.failed(&format!(
                "{}: {}",
                output.status,
                shown(said.trim(), LONGEST)
            )));
        }
        let credential: Credential = serde_json::from_slice(&output.stdout)
            .map_err(|why| self.failed(&format!("it prints no ExecCredential: {why}")))?;
        Ok(credential.status.token)
    }

    fn failed(&self, why: &str) -> String {
        format!("the kubeconfig's program {}: {why}", self.command)
    }
}
