//! `twill lab`.

use std::io;

use lab::{Backend, Hold, LabError, Options, Stack};

use crate::config::BackendKind;

use super::args::{Lab, LabStack};
use super::{Outcome, say};

/// Builds a pod network on this machine, tries it out, and takes it down.
pub(super) fn lab(lab: &Lab) -> anyhow::Result<Outcome> {
    let options = Options {
        binary: std::env::current_exe()?,
        nodes: lab.nodes,
        backend: match lab.backend {
            BackendKind::Vxlan => Backend::Vxlan,
            BackendKind::HostGw => Backend::HostGw,
            BackendKind::Bgp => Backend::Bgp,
        },
        stack: match lab.stack {
            LabStack::V4 => Stack::V4,
            LabStack::V6 => Stack::V6,
            LabStack::Dual => Stack::Dual,
        },
        hold: lab
            .hold
            .map(|hold| hold.map_or(Hold::UntilInterrupted, Hold::For)),
        keep_logs: lab.keep_logs,
    };
    match lab::run(&options, &mut io::stdout()) {
        Ok(_) => Ok(Outcome::Fine),
        Err(error) if is_about_packets(&error) => {
            say(&error.to_string());
            Ok(Outcome::NotSo)
        }
        Err(error) => Err(error.into()),
    }
}

/// The lab stood, but packets did not travel as they should.
fn is_about_packets(error: &LabError) -> bool {
    matches!(
        error,
        LabError::Unreachable { .. } | LabError::SourceChanged { .. } | LabError::WrongMtu { .. }
    )
}
