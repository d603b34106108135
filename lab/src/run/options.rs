//! What `twill lab` is asked for, and what it reports.

use crate::error::{LabError, Result};
use crate::{Shape, Stack};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What `twill lab` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The twill binary that runs in each node: `std::env::current_exe()`.
    pub binary: PathBuf,
    /// How many nodes: 1 to 100.
    pub nodes: u8,
    /// The backend of every daemon.
    pub backend: Backend,
    /// The families of underlay and pods.
    pub stack: Stack,
    /// Whether to stay up after the probes.
    pub hold: Option<Hold>,
    /// Leave the daemons' logs on disk even when all went well.
    pub keep_logs: bool,
}

/// The backend of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// VXLAN over two underlay subnets that a router joins.
    Vxlan,
    /// Direct routes over one switch.
    HostGw,
    /// Routes told by BGP, over one switch.
    Bgp,
}

/// How long to stay up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Until Ctrl-C or SIGTERM.
    UntilInterrupted,
    /// That long, or until Ctrl-C or SIGTERM.
    For(Duration),
}

/// A lab in which every probe passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// How many nodes there were.
    pub nodes: usize,
    /// How many pods there were.
    pub pods: usize,
    /// From the start of the daemons to the end of the probes.
    pub took: Duration,
}

impl Options {
    pub(super) fn check(&self) -> Result<()> {
        if (1..=100).contains(&self.nodes) {
            return Ok(());
        }
        Err(LabError::Malformed {
            what: "the number of nodes (1 to 100)".into(),
            text: self.nodes.to_string(),
        })
    }

    pub(super) fn headline(&self) -> String {
        let plural = if self.nodes == 1 { "" } else { "s" };
        format!(
            "twill lab: {} node{plural}, {}, {}",
            self.nodes,
            self.backend.name(),
            self.stack
        )
    }

    pub(super) fn underlay(&self) -> String {
        match self.backend.shape() {
            Shape::OneSwitch => format!("{} on one switch", self.nodes),
            Shape::TwoSubnets => {
                format!("{} on two underlay subnets joined by a router", self.nodes)
            }
        }
    }

    /// flannel's network config for this lab.
    pub(super) fn network_config(&self) -> String {
        format!(
            r#"{{{},"Backend":{{"Type":"{}"}}}}"#,
            self.stack.pod_networks(),
            self.backend.name()
        )
    }
}

impl Backend {
    /// As `--backend` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::HostGw => "host-gw",
            Self::Bgp => "bgp",
        }
    }

    /// The underlay that shows what the backend can do.
    pub fn shape(self) -> Shape {
        match self {
            Self::Vxlan => Shape::TwoSubnets,
            Self::HostGw | Self::Bgp => Shape::OneSwitch,
        }
    }
}

impl Hold {
    pub(super) fn duration(self) -> Option<Duration> {
        match self {
            Self::UntilInterrupted => None,
            Self::For(duration) => Some(duration),
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UntilInterrupted => f.write_str("until you stop it"),
            Self::For(duration) => write!(f, "for {duration:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(backend: Backend, stack: Stack) -> Options {
        Options {
            binary: "/bin/true".into(),
            nodes: 3,
            backend,
            stack,
            hold: None,
            keep_logs: false,
        }
    }

    #[test]
    fn the_network_config_is_json_in_every_stack() {
        for stack in Stack::ALL {
            let text = options(Backend::HostGw, stack).network_config();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["Backend"]["Type"], "host-gw");
            assert_eq!(value.get("IPv6Network").is_some(), stack.has_v6());
            assert_eq!(value.get("Network").is_some(), stack.has_v4());
        }
    }

    #[test]
    fn a_lab_of_no_nodes_is_refused() {
        let none = Options {
            nodes: 0,
            ..options(Backend::Vxlan, Stack::V4)
        };
        assert!(none.check().is_err());
    }
}
