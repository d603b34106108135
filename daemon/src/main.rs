//! `twill`: a pod network for Linux.

mod agent;
mod backend;
mod cli;
mod config;
mod subnet_env;
mod underlay;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::SUCCESS
}
